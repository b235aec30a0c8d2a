"""The arms and seeds of a benchmark, one job each: on all cores, kept beside the JSON, so that none is done twice."""

from __future__ import annotations

import argparse
import hashlib
import inspect
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from common import ROOT, one_thread_each

from scanweave.files import atomic_write

T = TypeVar("T")
Job = tuple[Any, ...]
"""Arm and seed, or whatever else tells one job from another."""
SHORT = 12
"""Characters of a hash in a file's name."""


def run_jobs(
    job: Callable[..., T], jobs: Sequence[Job], arguments: argparse.Namespace, *shared: Any, timed: bool = False
) -> Iterator[T]:
    """Yield `job(*each, *shared)` for each of `jobs`, in their order.

    Every job has one thread; as many run at once as there are cores, since a job on each core is done sooner than one
    on all. Jobs whose time is a claim (`timed`) run one after the other, each on all cores. In the smoke tier all run
    here, one after the other: to start a process would take longer than the work.
    In the other tiers, where `--json` names a file, the result of a job is kept in `FILE.parts/` as soon as it is
    there, and the same command goes on where it was stopped. A part counts only for the same code, job and settings.
    """
    folder = None if arguments.tier == "smoke" or arguments.json is None else parts_folder(arguments.json)
    paths = [None if folder is None else folder / part_name(job, each, shared) for each in jobs]
    done = sum(path is not None and path.is_file() for path in paths)
    if done:
        print(f"{done} of {len(jobs)} jobs were done before, see {paths_shown(folder)}", flush=True)
    one = partial(_kept, job, shared)
    if arguments.tier == "smoke":
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # of libraries that are not loaded yet
        yield from map(one, paths, jobs)
        return
    pool_of = partial(ProcessPoolExecutor, 1, get_context("spawn")) if timed else partial(one_thread_each, len(jobs))
    with pool_of() as pool:
        yield from pool.map(one, paths, jobs)


def parts_folder(json: Path) -> Path:
    """Return the folder beside a result in which those of its jobs are kept."""
    return json.with_name(f"{json.stem}.parts")


def part_name(job: Callable[..., Any], each: Job, shared: Sequence[Any]) -> str:
    """Return the file name of a job's result: the job in words, and a hash of code, job and settings."""
    words = "-".join("".join(c if c.isalnum() else "_" for c in str(word)) for word in each)
    told = repr((code_digest(inspect.getfile(job)), job.__name__, each, tuple(shared)))
    return f"{words[:80]}-{hashlib.sha256(told.encode()).hexdigest()[:SHORT]}.pickle"


@cache
def code_digest(script: str) -> str:
    """Return a hash of the package, of what benchmarks share, and of the script."""
    digest = hashlib.sha256()
    for path in [*sorted((ROOT / "src").rglob("*.py")), *sorted((ROOT / "benchmarks").glob("*.py")), Path(script)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def paths_shown(folder: Path | None) -> str:
    """Return a folder's name without what lies above it."""
    return "" if folder is None else folder.name


def _kept(job: Callable[..., T], shared: Sequence[Any], path: Path | None, each: Job) -> T:
    """Return what was kept of a job, or do it and keep it."""
    if path is not None and path.is_file():
        with path.open("rb") as file:
            return pickle.load(file)  # noqa: S301 - written by this function on this machine, and never committed
    result = job(*each, *shared)
    if path is not None:
        with atomic_write(path) as temporary:
            temporary.write_bytes(pickle.dumps(result))
    return result
