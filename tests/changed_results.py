"""Runs whose JSON chance changed: their page is written, or refused in one line, soon and in little memory."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from unittest import mock

import numpy as np
from changed_json import changed_text

from scanweave import api
from scanweave.errors import ScanweaveError
from scanweave.report.pictures import Picture, picture

TIMES = int(os.environ.get("SCANWEAVE_FAULTS", "1"))
MOST_SECONDS = 20
"""Of processor time for one page: what takes longer would be waited for in vain."""
MOST_BYTES = 2**30
"""Of memory that one page may take beyond what the process holds."""
LEFT_OUT = ("checkpoints", "tensorboard", "*.html", ".lock", "*.b2nd")


class TookTooLong(BaseException):
    """Raised where a page takes too long; no code of ours catches it."""


def faults_at_report(run: Path, folder: Path, seeds: int) -> tuple[int, list[str]]:
    """Change each JSON file of a run in turn, and write the page of the run.

    Args:
        run: A finished run with its results; it is not changed.
        folder: An empty folder.
        seeds: Changes of each file; `SCANWEAVE_FAULTS` multiplies them. The figures of every third page are rendered,
            which takes most of the time; those of the others are made, and left so.

    Returns:
        The number of pages tried, and what was neither a page nor a refusal in one line.
    """
    own = shutil.copytree(run, folder / "run", ignore=shutil.ignore_patterns(*LEFT_OUT))
    told, tried = [], 0
    api.open_run(own, "cpu", "report").report(folder / "page.html")  # loads what any page needs, without a limit
    for path in sorted(path for kind in ("*.json", "*.jsonl") for path in own.rglob(kind)):
        good, name = path.read_text(encoding="utf-8"), str(path.relative_to(own))
        for seed in range(seeds * TIMES):
            path.write_text(changed_text(good, np.random.default_rng([21, seed])), encoding="utf-8")
            with mock.patch("scanweave.report.page.picture", picture if seed % 3 == 0 else _not_rendered):
                fault = _fault(lambda: api.open_run(own, "cpu", "report").report(folder / "page.html"))
            tried += 1
            if fault:
                told.append(f"{name}, seed {seed}: {fault}")
            (folder / "page.html").unlink(missing_ok=True)
        path.write_text(good, encoding="utf-8")
    left = [str(path) for path in folder.rglob(".partial-*")]
    return tried, told + [f"left behind: {name}" for name in left]


def _not_rendered(source: object, vector: bool) -> Picture:
    return picture(source, vector) if isinstance(source, bytes) else Picture("image/svg+xml", b"<svg/>", 1, 1)


def _fault(write: Callable[[], object]) -> str:
    """Return what went wrong beside a refusal in one line; empty where nothing did."""
    try:
        with limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write()
    except ScanweaveError as error:
        words = str(error)
        return "" if "\n" not in words and words.endswith(".") and error.next_step else f"not one line: {words}"
    except BaseException:
        return traceback.format_exc()
    return ""


@contextmanager
def limited() -> Iterator[None]:
    """Let the block take `MOST_SECONDS` of processor time and `MOST_BYTES` more memory than there is now."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TookTooLong

    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGVTALRM, stop)
    resource.setrlimit(resource.RLIMIT_AS, (held + MOST_BYTES, before[1]))
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGVTALRM, handler)
