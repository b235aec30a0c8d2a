"""Parts of one measurement on all cores: NumPy and SciPy let go of the interpreter while they compute."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A, B = TypeVar("A"), TypeVar("B")


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(function: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """Return the function's value of each item, in their order; parts do not share what they write."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(function, items))
