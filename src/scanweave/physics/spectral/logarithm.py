"""From readings to line integrals, with every reading that cannot be trusted told.

| reading | in the result |
|---|---|
| below `floor` (no photon; a negative energy sum) | taken as `floor`, flagged DARK |
| NaN (a dead element) | refused; or, on request, interpolated along the detector, flagged DEAD |
| at or above `limit` | used as it is (so the true line integral is at most that), flagged SATURATED |
| infinite, or a negative count of an air scan | refused |
| a bin, or a view in every bin, below `floor` as a whole | refused: nothing was measured there |
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError

Array = NDArray[np.floating]


class Fault(IntFlag):
    """Reasons not to trust a line integral."""

    NONE = 0
    DARK = 1
    DEAD = 2
    SATURATED = 4


@dataclass(frozen=True, eq=False)
class LineIntegrals:
    """Line integrals and what is wrong with them.

    Attributes:
        values: −ln(N/N_air), `(S, V, D)` float32, finite everywhere.
        faults: `Fault` flags of each, `(S, V, D)` uint8.
    """

    values: NDArray[np.float32]
    faults: NDArray[np.uint8]

    def share(self, fault: Fault) -> Array:
        """Return the share of the readings of each bin that carry a flag, `(S,)`."""
        return np.asarray(((self.faults & np.uint8(fault)) > 0).mean(axis=(1, 2)))


def line_integrals(
    counts: Array,
    air: ArrayLike,
    *,
    floor: float = 1.0,
    limit: ArrayLike | None = None,
    dead: Literal["refuse", "interpolate"] = "refuse",
) -> LineIntegrals:
    """Take the logarithm of readings: p = −ln(max(N, floor) / N_air).

    Args:
        counts: Readings N, `(S, V, D)`; NaN where an element is dead.
        air: Readings without an object, `(S,)`, or of each element `(S, D)` or `(S, V, D)`.
        floor: Smallest reading that is told from darkness; 1 photon, or some keV for an energy-integrating detector.
        limit: Reading at which a bin saturates, one number or `(S,)`; none when left out.
        dead: What to do with NaN.

    Raises:
        ScanweaveError: See the table of this module; or shapes disagree.
    """
    counts = np.asarray(counts, np.float64)
    if counts.ndim != 3:
        raise ScanweaveError("counts", f"have the shape {counts.shape}", "Give (bins, views, detectors)")
    if not floor > 0:
        raise ScanweaveError("floor", f"is {floor}, which has no logarithm", "Give a positive number")
    open_beam = _open_beam(counts.shape, air)
    is_dead, is_dark = np.isnan(counts), counts < floor
    _check_readings(counts, is_dead, is_dark, dead)
    values = -np.log(np.maximum(counts, floor) / open_beam)
    if is_dead.any():
        _fill_dead(values, is_dead)
    faults = Fault.DARK * is_dark + Fault.DEAD * is_dead
    if limit is not None:
        faults = faults + Fault.SATURATED * (counts >= _per_bin(limit, counts.shape, "limit"))
    return LineIntegrals(values.astype(np.float32), faults.astype(np.uint8))


def _open_beam(shape: tuple[int, ...], air: ArrayLike) -> Array:
    values: Array = np.asarray(air, np.float64)
    if values.ndim == 2 and values.shape == (shape[0], shape[2]):
        values = values[:, None, :]
    elif values.shape != shape:
        values = _per_bin(values, shape, "air counts")
    wrong = np.argwhere(~(np.isfinite(values) & (values > 0)))
    if len(wrong):
        raise ScanweaveError("air counts", f"bin {wrong[0][0]} has none", "Measure the open beam, or leave the bin out")
    return values


def _per_bin(values: ArrayLike, shape: tuple[int, ...], what: str) -> Array:
    """Return one number, or one for each bin, shaped to broadcast against the counts."""
    numbers = np.atleast_1d(np.asarray(values, np.float64))
    if numbers.ndim != 1 or len(numbers) not in ((1, shape[0]) if what == "limit" else (shape[0],)):
        raise ScanweaveError(
            what, f"their shape {numbers.shape} does not fit counts of {shape}", f"Give one for each of {shape[0]} bins"
        )
    return numbers[:, None, None]


def _check_readings(counts: Array, dead: NDArray[np.bool_], dark: NDArray[np.bool_], policy: str) -> None:
    if np.isinf(counts).any():
        raise ScanweaveError("counts", "hold infinite readings", "Check the file that they came from")
    if dead.any() and policy == "refuse":
        place, share = np.argwhere(dead)[0], 100 * dead.mean()
        raise ScanweaveError(
            "counts",
            f"{share:.2g} % are NaN, first at bin {place[0]}, view {place[1]}, detector {place[2]}",
            'Repair them, or pass dead="interpolate"',
        )
    for axes, what, advice in (
        ((1, 2), "bin", "Lower its threshold, raise the dose or leave the bin out"),
        ((0, 2), "view", "Leave the view out of counts and geometry"),
    ):
        empty = np.flatnonzero((dark | dead).all(axis=axes))
        if len(empty):
            raise ScanweaveError("counts", f"{what} {empty[0]} saw no photon at all", advice)


def _fill_dead(values: Array, dead: NDArray[np.bool_]) -> None:
    """Interpolate in place along the detector, from the living neighbours in the same bin and view."""
    places = np.arange(values.shape[2])
    for number, view in np.argwhere(dead.any(axis=2)):
        gone = dead[number, view]
        if gone.all():
            raise ScanweaveError("counts", f"view {view} of bin {number} is NaN as a whole", "Leave the view out")
        values[number, view, gone] = np.interp(places[gone], places[~gone], values[number, view, ~gone])
