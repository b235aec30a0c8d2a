"""Lesions found at a fixed number of false ones a scan, so that networks are compared at the same price.

A probability map is cut at many thresholds; at each, lesions and false ones are counted as in `measures.lesions`. What
is read is the threshold at which most lesions are found for at most so many false ones a scan. Comparisons at a
network's own threshold reward whichever calls more.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval, bootstrap, bootstrap_ratio
from scanweave.measures.input_checks import reached

THRESHOLDS: tuple[float, ...] = tuple(round(float(t), 3) for t in np.linspace(0.02, 0.98, 33))
COVERED = 0.2
"""Share of a lesion that must be found for it to count."""
RIGHT = 0.1
"""Share of a predicted piece that must be lesion: else one that fills the organ would find all at no price."""
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class LesionRates:
    """Hold what is found in one scan at each threshold.

    Attributes:
        volumes_ml: Of the true lesions `(L,)` [ml].
        found: Whether each is found `(T, L)`.
        false: False lesions `(T,)`.
        dice: Dice of the masks `(T,)`; 1 where both are empty.
    """

    volumes_ml: tuple[float, ...]
    found: tuple[tuple[bool, ...], ...]
    false: tuple[int, ...]
    dice: tuple[float, ...]


def lesion_rates(
    truth: ArrayLike,
    shares: ArrayLike,
    spacing: Sequence[float],
    *,
    covered: float = COVERED,
    thresholds: Sequence[float] = THRESHOLDS,
) -> LesionRates:
    """Return what is found in one scan at each threshold.

    Args:
        truth: Mask `(X, Y, Z)`.
        shares: Probability of a lesion, of the same shape.
        spacing: Size of a voxel along each axis [mm].
        covered: Share of a lesion that must be found.
        thresholds: Growing.

    A piece of the prediction of which a tenth is lesion, at least, is right, and finds what it covers; others are
    false. (Elsewhere a piece is right if it touches a lesion; then one that fills the organ is never wrong.)

    Raises:
        ScanweaveError: The shapes differ.
    """
    true, values = np.asarray(truth, dtype=bool), np.asarray(shares)
    if true.shape != values.shape:
        raise ScanweaveError("shares", f"{values.shape} against a mask of {true.shape}", "Bring both to one grid")
    touching = np.ones((3,) * true.ndim)
    lesions, number = ndimage.label(true, touching)
    sizes = np.bincount(lesions.ravel(), minlength=number + 1)[1:]
    found, false, dice = [], [], []
    for threshold in thresholds:
        called = values > threshold
        pieces, count = ndimage.label(called, touching)
        whole = np.bincount(pieces.ravel(), minlength=count + 1)
        right = np.bincount(pieces[true], minlength=count + 1) >= RIGHT * whole
        right[0] = False
        inside = np.bincount(lesions[right[pieces]], minlength=number + 1)[1:]
        found.append(tuple(bool(one) for one in (inside > 0) & reached(inside, covered * sizes)))
        false.append(int(count - right.sum()))
        both = int(called.sum()) + int(true.sum())
        dice.append(2 * float((called & true).sum()) / both if both else 1.0)
    voxel_ml = float(np.prod(spacing)) / 1000
    return LesionRates(tuple(float(one) * voxel_ml for one in sizes), tuple(found), tuple(false), tuple(dice))


def at_rate(scans: Sequence[LesionRates], rate: float) -> int:
    """Return the number of the threshold with most lesions found for at most `rate` false ones a scan.

    Of several, the highest. Where every threshold gives more false ones, the one with the fewest.
    """
    false = np.array([one.false for one in scans], dtype=np.float64).mean(axis=0)
    hits = np.array([np.sum(one.found, axis=1) if one.volumes_ml else np.zeros(len(false)) for one in scans])
    allowed = false <= rate
    if not allowed.any():
        return int(len(false) - 1 - np.argmin(false[::-1]))
    total = np.where(allowed, hits.sum(axis=0), -1)
    return int(np.flatnonzero(total == total.max())[-1])


def smallest_third(scans: Sequence[LesionRates]) -> float:
    """Return the volume up to which a lesion is of the smallest third [ml]; NaN without lesions."""
    volumes = [volume for one in scans for volume in one.volumes_ml]
    return float(np.quantile(volumes, 1 / 3, method="lower")) if volumes else float("nan")


def summarise_rates(
    scans: Sequence[LesionRates],
    patients: Sequence[Hashable],
    rate: float,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    seed: int = 0,
    repeats: int = 2000,
) -> pd.DataFrame:
    """Return what is found at a rate of false lesions, with 95 % intervals over patients at that threshold.

    Args:
        scans: Of each scan.
        patients: The patient of each.
        rate: False lesions a scan.
        thresholds: As in `lesion_rates`.
        seed: Of the resampling.
        repeats: Number of resamples.

    Returns:
        Rows `measure, value, low, high, patients, scans, lesions, threshold`: sensitivity, that of the smallest third
        of the lesions, Dice over scans that hold a lesion, false lesions a scan, and the share of scans without one in
        which any is called.
    """
    place = at_rate(scans, rate)
    limit = smallest_third(scans)
    rows: list[dict[str, object]] = []

    def add(name: str, found: Interval, counted: int, lesions: int) -> None:
        interval = {"value": found.value, "low": found.low, "high": found.high, "patients": found.n}
        rows.append({"measure": name, **interval, "scans": counted, "lesions": lesions})

    for name, most in ((f"sensitivity at {rate:g} false a scan", np.inf), ("the same, smallest third", limit)):
        of = [np.array([volume <= most for volume in one.volumes_ml], dtype=bool) for one in scans]
        hits = [int(np.sum(np.asarray(one.found[place])[kept])) for one, kept in zip(scans, of, strict=True)]
        numbers = [int(one.sum()) for one in of]
        if sum(numbers):
            ratio = bootstrap_ratio(hits, numbers, patients, seed=seed, repeats=repeats)
            add(name, ratio, len(scans), sum(numbers))
    lesions = sum(len(one.volumes_ml) for one in scans)
    holding = [bool(one.volumes_ml) for one in scans]
    means = {
        "Dice there, scans with a lesion": np.where(holding, [one.dice[place] for one in scans], np.nan),
        "false lesions a scan there": np.array([float(one.false[place]) for one in scans]),
        "alarm rate there": np.where(holding, np.nan, [float(one.false[place] > 0) for one in scans]),
    }
    for name, values in means.items():
        if not np.isnan(values).all():
            counted = int(np.isfinite(values).sum())
            add(name, bootstrap(values, patients, seed=seed, repeats=repeats), counted, lesions)
    return pd.DataFrame(rows).assign(threshold=float(thresholds[place]))
