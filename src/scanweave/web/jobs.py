"""Verbs started from a page: one at a time, each in a process of its own, recorded in a folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from scanweave.errors import ScanweaveError
from scanweave.files import write_json

RECORD, LINES = "job.json", "lines.txt"
PROGRESS = re.compile(r"(?:studies \w+|step) (\d+)/(\d+)")
SHOWN = 200
"""Last lines of a job that are told."""
MOST_WAITING = 20
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""Ends a process at once, where the system has that."""
QUIT_SECONDS = 10.0
"""That a job has to end by itself when it is cancelled."""


@dataclass
class Job:
    """A verb that was asked for.

    Attributes:
        number: Of the job.
        title: In words.
        words: Of the command.
        out: Folder of its results; None: it has none.
        about: What the page has to know of its results: the verb, and the run by its name.
        state: How far it is.
        started: Seconds since 1970; 0: not yet.
        seconds: That it took.
    """

    number: int
    title: str
    words: list[str]
    out: str | None = None
    about: dict[str, Any] = field(default_factory=dict)
    state: Literal["waiting", "running", "done", "failed", "cancelled"] = "waiting"
    started: float = 0.0
    seconds: float = 0.0
    process: Any = field(default=None, repr=False)

    def record(self) -> dict[str, Any]:
        """Return what is written down: all but the process."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "process"}


class Jobs:
    """The jobs of a page, in the order in which they were asked for.

    Args:
        folder: Where they are recorded, each in a folder by its number.
        done: Called with each job that ended well and has a folder of results.
    """

    def __init__(self, folder: Path, done: Callable[[Job], None] = lambda job: None) -> None:
        self.folder, self._done = folder, done
        self.jobs: dict[int, Job] = {}
        self._spent: dict[int, Path] = {}
        self._lock, self._wake = threading.Lock(), threading.Event()
        for path in sorted(folder.glob(f"*/{RECORD}")) if folder.is_dir() else []:
            self._recall(path)
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    def _recall(self, path: Path) -> None:
        """Take up a job of an earlier page; one that was not ended by then was cut off."""
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            known = {name: held[name] for name in Job.__dataclass_fields__ if name in held and name != "process"}
            job = Job(**known)
        except (ValueError, TypeError, KeyError):
            return
        if job.state in ("waiting", "running"):
            job.state = "cancelled"
        self.jobs[job.number] = job

    def start(
        self,
        title: str,
        words: Callable[[Path], Sequence[str]],
        out: str | None = None,
        about: Mapping[str, Any] | None = None,
        spent: Path | None = None,
    ) -> Job:
        """Ask for a verb.

        Args:
            title: In words.
            words: Makes the command, without the program, of the job's folder.
            out: Name of the folder in that of the job which the command fills; `{job}` in it is the job's number.
            about: What the page has to know of its results.
            spent: Folder that is removed when it has ended, however it ends.

        Raises:
            ScanweaveError: Too many wait already.
        """
        with self._lock:
            if sum(job.state == "waiting" for job in self.jobs.values()) >= MOST_WAITING:
                raise ScanweaveError("job", f"{MOST_WAITING} wait already", "Cancel some, or wait")
            number = max(self.jobs, default=0) + 1
            own = self.folder / f"{number:05d}"
            own.mkdir(parents=True, exist_ok=False)
            folder = None if out is None else str(own / out.format(job=number))
            job = Job(number, title, list(words(own)), folder, dict(about or {}))
            if spent is not None:
                self._spent[number] = spent
            self.jobs[number] = job
            self._note(job)
        self._wake.set()
        return job

    def cancel(self, number: int) -> None:
        """End a job.

        Raises:
            ScanweaveError: There is none of that number.
        """
        job = self.get(number)
        with self._lock:
            if job.state in ("waiting", "running"):
                job.state = "cancelled"
                self._note(job)
            process = job.process
        if process is not None and process.poll() is None:
            end_group(process, signal.SIGTERM)
            try:
                process.wait(QUIT_SECONDS)
            except subprocess.TimeoutExpired:
                end_group(process, KILL)
        self._forget(number)

    def _forget(self, number: int) -> None:
        spent = self._spent.pop(number, None)
        if spent is not None:
            shutil.rmtree(spent, ignore_errors=True)

    def get(self, number: int) -> Job:
        """Return a job.

        Raises:
            ScanweaveError: There is none of that number.
        """
        if number not in self.jobs:
            raise ScanweaveError("job", f"there is no job {number}", "Load the page again")
        return self.jobs[number]

    def told(self, number: int) -> dict[str, Any]:
        """Return what the page has to know of a job: its last lines and how much is done."""
        job = self.get(number)
        path = self.folder / f"{number:05d}" / LINES
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        share = next((int(a) / max(int(b), 1) for a, b in map(_found, reversed(lines)) if b), 0.0)
        seconds = time.time() - job.started if job.state == "running" else job.seconds
        facts: Mapping[str, Any] = {"id": number, "title": job.title, "state": job.state, "seconds": round(seconds, 1)}
        there = job.state == "done" and job.out is not None and Path(job.out).is_dir()
        return {**facts, "share": 1.0 if job.state == "done" else share, "lines": lines[-SHOWN:], "results": there}

    def close(self) -> None:
        """End what runs."""
        for number, job in list(self.jobs.items()):
            if job.state in ("waiting", "running"):
                self.cancel(number)

    def _note(self, job: Job) -> None:
        write_json(self.folder / f"{job.number:05d}" / RECORD, job.record())

    def _work(self) -> None:
        while True:
            self._wake.wait()
            with self._lock:
                job = next((one for one in self.jobs.values() if one.state == "waiting"), None)
                if job is None:
                    self._wake.clear()
                    continue
                job.state, job.started = "running", time.time()
                self._note(job)
            self._run(job)

    def _run(self, job: Job) -> None:
        """Run a command to its end, its lines into a file."""
        own = self.folder / f"{job.number:05d}"
        with (own / LINES).open("wb") as lines:
            job.process = subprocess.Popen(
                [sys.executable, "-m", "scanweave", *job.words],
                stdout=lines,
                stderr=subprocess.STDOUT,
                cwd=own,
                start_new_session=True,  # so that its own processes end with it
            )
            status = job.process.wait()
        end_group(job.process, KILL)
        self._forget(job.number)
        well = status == 0 and job.state != "cancelled"
        if well and job.out is not None and Path(job.out).is_dir():
            self._done(job)  # before it is told as done: who sees that finds its results
        with self._lock:
            job.seconds = time.time() - job.started
            if job.state != "cancelled":
                job.state = "done" if well else "failed"
            self._note(job)


def end_group(process: Any, how: int) -> None:
    """Send a signal to a process and those that it started; elsewhere than on Unix to the process alone."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
    elif process.poll() is None:
        process.terminate()


def _found(line: str) -> tuple[str, str]:
    found = PROGRESS.search(line)
    return (found[1], found[2]) if found else ("", "")
