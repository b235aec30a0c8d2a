"""Size, speed and memory of networks in files on this machine, each measured in a process of its own.

Imports no torch: what is measured is what a program needs that runs the file.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.framework.exporting.model_file import ModelFile

WARM_UP = 5
"""Passes before the first that counts."""
MEBIBYTE = 2**20
KIBI_PER_MEBI = 1024


class Timing(NamedTuple):
    """Hold what was measured of a file.

    Attributes:
        path: The file.
        threads: That it computed on.
        size: Of the file [MiB].
        memory: Most memory that the process held above what it held before the file was loaded [MiB].
        seconds: Of each pass.
        rounds: The round of each pass: in each, all files take their turn in a new process.
    """

    path: Path
    threads: int
    size: float
    memory: float
    seconds: NDArray[np.float64]
    rounds: NDArray[np.int64]


def timed(paths: Sequence[Path], threads: Sequence[int], passes: int, rounds: int) -> list[Timing]:
    """Measure files side by side, at each number of threads: by turns, so that what disturbs one disturbs all.

    Args:
        paths: The files.
        threads: Numbers of threads.
        passes: Passes of each file in a round.
        rounds: How often each file gets a new process.

    Raises:
        ScanweaveError: A file is no network, or its inputs have no known sizes.
    """
    made = []
    for count in threads:
        parts: dict[Path, list[tuple[float, list[float]]]] = {path: [] for path in paths}
        for turn in range(rounds):
            for path in paths if turn % 2 == 0 else paths[::-1]:
                parts[path].append(_in_child(path, count, passes))
        for path in paths:
            seconds = np.array([second for _, each in parts[path] for second in each])
            memory = float(np.median([held for held, _ in parts[path]]))
            size = path.stat().st_size / MEBIBYTE
            made.append(Timing(path, count, size, memory, seconds, np.repeat(np.arange(rounds), passes)))
    return made


def _in_child(path: Path, threads: int, passes: int) -> tuple[float, list[float]]:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(run_file, path, threads, passes).result()


def run_file(path: Path, threads: int, passes: int) -> tuple[float, list[float]]:
    """Return the memory [MiB] that a file takes here above what was held before, and the seconds of each pass."""
    require("onnxruntime", "deploy")  # the empty runtime is there before memory is read
    before = peak_memory()
    file = ModelFile(path, threads)
    feeds = example_inputs(file)
    seconds = []
    for number in range(WARM_UP + passes):
        began = time.perf_counter()
        file.computed(feeds)
        if number >= WARM_UP:
            seconds.append(time.perf_counter() - began)
    return peak_memory() - before, seconds


def example_inputs(file: ModelFile) -> dict[str, NDArray[np.generic]]:
    """Return inputs of the sizes that a file was exported with: noise, numbers 0, all present.

    Raises:
        ScanweaveError: An axis has no known size.
    """
    rng = np.random.default_rng(0)
    known = {} if file.about is None else file.about.shapes
    made: dict[str, NDArray[np.generic]] = {}
    for name, (shape, kind) in file.inputs.items():
        sizes = [size for size in known.get(name, shape) if isinstance(size, int)]
        if kind is None or len(sizes) < len(shape):
            step = "Export it with scanweave, or with sizes that are fixed"
            raise ScanweaveError(file.path, f"its input {name} has no known size or an unknown kind of number", step)
        if kind is np.float32:
            made[name] = rng.standard_normal(sizes).astype(np.float32)
        else:
            made[name] = np.ones(sizes, kind) if kind is np.bool_ else np.zeros(sizes, kind)
    return made


def peak_memory() -> float:
    """Most memory that this process held since it began [MiB]; where the system does not tell, what it holds now."""
    status = Path("/proc/self/status")
    if status.is_file():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))
        if found:
            return int(found[1]) / KIBI_PER_MEBI
    import psutil

    about = psutil.Process().memory_info()
    return float(getattr(about, "peak_wset", about.rss)) / MEBIBYTE
