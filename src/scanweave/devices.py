"""The verb `device` in Python: what exported networks cost on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.files import write_json
from scanweave.framework.exporting.model_file import STEP, ModelFile
from scanweave.framework.exporting.timing import Timing, example_inputs, timed

REPEATS, SEED = 1_000, 0
"""Resamples of rounds behind an interval, and their seed."""
MILLI = 1_000


class Figures(NamedTuple):
    """Figures of a file at a number of threads.

    Attributes:
        file: Its name.
        threads: That it computed on.
        size: Of the file [MiB].
        memory: Most memory above the empty runtime's [MiB].
        median: Of the seconds a pass [ms].
        p95: That 95 % of the passes took at most [ms].
        times: How many times as fast the first file was at as many threads: 1 for itself.
        low: Lower end of the 95 % interval of that.
        high: Upper end.
    """

    file: str
    threads: int
    size: float
    memory: float
    median: float
    p95: float
    times: float
    low: float
    high: float


def measure_device(
    files: Sequence[str | Path],
    threads: Sequence[int] = (1,),
    passes: int = 20,
    rounds: int = 5,
    json: str | Path | None = None,
) -> list[Figures]:
    """Measure exported networks by turns on this machine; the first is what the others are compared with.

    Args:
        files: ONNX files.
        threads: Numbers of threads.
        passes: Passes of each file in a round.
        rounds: Rounds, each with new processes.
        json: File for the figures.

    Raises:
        ScanweaveError: A file is no network, or a number is out of range.
    """
    require("onnxruntime", "deploy")
    paths = [Path(file) for file in files]
    _check(paths, threads, passes, rounds)
    found = _figures(timed(paths, threads, passes, rounds))
    if json is not None:
        write_json(Path(json), [one._asdict() for one in found])
    return found


def table_of(figures: Sequence[Figures]) -> list[str]:
    """Return figures as aligned lines of text."""
    rows = [("file", "threads", "MiB", "memory MiB", "median ms", "p95 ms", "FILE is faster by")]
    for one in figures:
        by = "–" if one.times == 1 else f"{one.times:.2f} [{one.low:.2f}, {one.high:.2f}]"
        cells = f"{one.size:.1f}", f"{one.memory:.0f}", f"{one.median:.2f}", f"{one.p95:.2f}", by
        rows.append((one.file, str(one.threads), *cells))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _check(paths: Sequence[Path], threads: Sequence[int], passes: int, rounds: int) -> None:
    cores = os.cpu_count() or 1
    for name, value in (("passes", passes), ("rounds", rounds)):
        if value < 1:
            raise ScanweaveError(name, f"{value} are too few", "Give 1 or more")
    for count in threads:
        if not 1 <= count <= cores:
            raise ScanweaveError("threads", f"{count} are not to be had", f"Give 1 to {cores}")
    if not threads:
        raise ScanweaveError("threads", "none is given", "Give 1 or more")
    if len(set(paths)) < len(paths):
        raise ScanweaveError("against", "names a file twice", "Leave it out")
    for path in paths:
        if path.is_dir():
            raise ScanweaveError(path, "is a folder", STEP)
        example_inputs(ModelFile(path, 1))


def _figures(timings: Sequence[Timing]) -> list[Figures]:
    made = []
    for one in timings:
        first = next(other for other in timings if other.threads == one.threads)
        times, low, high = (1.0, 1.0, 1.0) if one is first else _ratio(one, first)
        p95 = float(np.quantile(one.seconds, 0.95))
        cells = (one.size, one.memory, MILLI * float(np.median(one.seconds)), MILLI * p95, times, low, high)
        made.append(Figures(one.path.name, one.threads, *cells))
    return made


def _ratio(one: Timing, first: Timing) -> tuple[float, float, float]:
    """Return how many times as long a pass takes as that of the first file, by medians, and its 95 % interval.

    Rounds are drawn again, since passes of one process are not independent.
    """
    number = int(one.rounds.max()) + 1
    each = [np.array([np.median(part.seconds[part.rounds == k]) for k in range(number)]) for part in (one, first)]
    value = float(np.median(one.seconds) / np.median(first.seconds))
    drawn = np.random.default_rng(SEED).integers(number, size=(REPEATS, number))
    ratios = np.median(each[0][drawn], axis=1) / np.median(each[1][drawn], axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return value, float(low), float(high)
