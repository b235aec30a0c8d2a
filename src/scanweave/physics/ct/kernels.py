"""The inner loops of projection, compiled by numba; each element of a result is the work of one thread.

Weights come from positions in double precision, whatever the precision of the values. Indices are unsigned: numba
would else test each for a negative one, which keeps the loops from being vectorised.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from scanweave.external import require

numba = require("numba", "ct")
prange = numba.prange
Array = NDArray[Any]
BLOCK = 512
"""Rays that are walked together, so that a row of the image is read once for all of them."""
STRIPE = 16
"""Rows of the image that one thread owns when rays are smeared back."""


def compiled(*, reorder: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that compiles a loop twice: for one thread, and for as many as torch uses.

    With one thread numba's thread pool is never started, since a pool does not survive a fork (data loader workers).

    Args:
        reorder: Allow sums to be reordered for the vector unit: still the same order on each run.
    """
    flags = {"contract", "nsz"} | ({"reassoc"} if reorder else set())

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        source = cast(FunctionType, function)
        single = FunctionType(source.__code__, source.__globals__, source.__name__)
        single.__qualname__ = f"{function.__qualname__}_single"  # numba's cache on disk goes by this name
        serial = numba.njit(cache=True, fastmath=flags, error_model="numpy")(single)
        parallel = numba.njit(cache=True, fastmath=flags, error_model="numpy", parallel=True)(function)

        @wraps(function)
        def run(*arguments: Any) -> None:
            threads = min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)
            if threads == 1:
                serial(*arguments)
            else:
                numba.set_num_threads(threads)
                parallel(*arguments)

        return run

    return decorate


@compiled(reorder=True)
def project(padded: Array, index: Array, start: Array, slope: Array, length: Array, out: Array) -> None:
    """Sum `padded` `(R, n + 3)`, a column of zeros before and two behind the image, along lines into `out[index]`."""
    rows, last = padded.shape[0], padded.shape[1] - 2.0
    for block in prange((index.size + BLOCK - 1) // BLOCK):
        low, high = block * BLOCK, min(index.size, (block + 1) * BLOCK)
        count, first, step = np.uint64(high - low), start[low:high], slope[low:high]
        total = np.zeros(BLOCK, padded.dtype)
        for r in range(rows):
            row = padded[r]
            for k in range(count):
                position = min(max(first[k] + step[k] * r + 1.0, 0.0), last)
                whole = np.int32(position)
                i = np.uint32(whole)
                total[k] += row[i] + padded.dtype.type(position - whole) * (row[i + np.uint32(1)] - row[i])
        for k in range(count):
            out[index[low + k]] = total[k] * length[low + k]


@compiled()
def smear(values: Array, index: Array, start: Array, slope: Array, length: Array, padded: Array) -> None:
    """Add `values[index]` along lines to `padded` `(R, n + 3)`: the transpose of `project`."""
    rows, last = padded.shape[0], padded.shape[1] - 2.0
    for stripe in prange((rows + STRIPE - 1) // STRIPE):
        part = np.zeros(BLOCK, padded.dtype)
        for low in range(0, index.size, BLOCK):
            high = min(index.size, low + BLOCK)
            count, first, step = np.uint64(high - low), start[low:high], slope[low:high]
            for k in range(count):
                part[k] = values[index[low + k]] * length[low + k]
            for r in range(stripe * STRIPE, min(rows, (stripe + 1) * STRIPE)):
                row = padded[r]
                for k in range(count):
                    position = min(max(first[k] + step[k] * r + 1.0, 0.0), last)
                    whole = np.int32(position)
                    i = np.uint32(whole)
                    right = padded.dtype.type(position - whole) * part[k]
                    row[i] += part[k] - right
                    row[i + np.uint32(1)] += right


@compiled()
def count_weights(columns: int, rows: int, index: Array, start: Array, slope: Array, counts: Array) -> None:
    """Write into `counts[index]` how many pixels of the grid each line touches."""
    for k in prange(index.size):
        found = 0
        for r in range(rows):
            position = start[k] + slope[k] * r
            if -1.0 < position < columns:
                i = int(np.floor(position))
                found += (i >= 0) + (i + 1 < columns)
        counts[index[k]] = found


@compiled()
def fill_weights(
    columns: int,
    rows: int,
    by_row: int,
    by_column: int,
    index: Array,
    start: Array,
    slope: Array,
    length: Array,
    offsets: Array,
    pixels: Array,
    weights: Array,
) -> None:
    """Write numbers and weights of touched pixels from `offsets[index]` on; (r, i) is pixel r·by_row + i·by_column."""
    for k in prange(index.size):
        place = offsets[index[k]]
        for r in range(rows):
            position = start[k] + slope[k] * r
            if -1.0 < position < columns:
                i = int(np.floor(position))
                if i >= 0:
                    pixels[place], weights[place] = r * by_row + i * by_column, (i + 1 - position) * length[k]
                    place += 1
                if i + 1 < columns:
                    pixels[place], weights[place] = r * by_row + (i + 1) * by_column, (position - i) * length[k]
                    place += 1


@compiled(reorder=True)
def multiply(offsets: Array, columns: Array, weights: Array, values: Array, out: Array) -> None:
    """Write the product of a CSR matrix and the vector `values` into `out`."""
    for r in prange(out.size):
        total = weights.dtype.type(0)
        for k in range(np.uint64(offsets[r]), np.uint64(offsets[r + 1])):
            total += weights[k] * values[np.uint32(columns[k])]
        out[r] = total


@compiled()
def multiply_fours(offsets: Array, columns: Array, weights: Array, values: Array, out: Array) -> None:
    """Write the product of a CSR matrix and `values` `(n, 4 m)` into `out`: four vectors fill a vector register."""
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    for r in prange(out.shape[0]):
        result = out[r]
        for c in range(np.uint64(0), np.uint64(values.shape[1]), np.uint64(4)):
            a = b = d = e = weights.dtype.type(0)
            for k in range(np.uint64(offsets[r]), np.uint64(offsets[r + 1])):
                weight, row = weights[k], values[np.uint32(columns[k])]
                a += weight * row[c]
                b += weight * row[c + one]
                d += weight * row[c + two]
                e += weight * row[c + three]
            result[c], result[c + one], result[c + two], result[c + three] = a, b, d, e
