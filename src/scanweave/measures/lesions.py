"""Count lesions rather than voxels: which were found, how well, and what was found where there is none.

A lesion is a connected component; voxels touch by faces, edges or corners (26 neighbours in a volume, 8 in a plane), as
in BraTS 2023 and ISLES 2022.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import bootstrap, bootstrap_ratio
from scanweave.measures.input_checks import reached
from scanweave.measures.segmentation import MM3_PER_ML
from scanweave.measures.surfaces import BoolArray, checked_masks, checked_spacing

Rule = Literal["overlap", "iou"]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Lesion:
    """Tell of one true lesion what was predicted of it.

    Attributes:
        volume_ml: Its volume [ml].
        covered: Share of it that is predicted.
        dice: Dice of it and all predicted lesions that touch it, whole; 0 if there is none (BraTS 2023).
        found: Whether it counts as found.
    """

    volume_ml: float
    covered: float
    dice: float
    found: bool


@dataclass(frozen=True)
class LesionCounts:
    """Hold the lesions of one scan, and the predicted ones that are false.

    Attributes:
        lesions: The true ones.
        false_ml: Volume of each predicted lesion that is none [ml].
    """

    lesions: tuple[Lesion, ...]
    false_ml: tuple[float, ...]

    @property
    def found(self) -> int:
        """Number of true lesions that were found."""
        return sum(lesion.found for lesion in self.lesions)

    @property
    def false(self) -> int:
        """Number of predicted lesions that are none."""
        return len(self.false_ml)

    @property
    def sensitivity(self) -> float:
        """Share of the true lesions that were found; NaN if there is none."""
        return self.found / len(self.lesions) if self.lesions else float("nan")

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 1 if there is neither a true nor a predicted lesion (ISLES 2022)."""
        parts = len(self.lesions) + self.found + self.false
        return 2 * self.found / parts if parts else 1.0

    @property
    def dice(self) -> float:
        """Sum of the lesions' Dice over true and false lesions (BraTS 2023); 1 if there is neither."""
        parts = len(self.lesions) + self.false
        return sum(lesion.dice for lesion in self.lesions) / parts if parts else 1.0


def count_lesions(
    truth: ArrayLike,
    predicted: ArrayLike,
    spacing: Sequence[float],
    *,
    rule: Rule = "overlap",
    least: float = 0.0,
    least_ml: float = 0.0,
    bridge_voxels: int = 0,
) -> LesionCounts:
    """Return which lesions of one scan were found, and which predicted ones are false.

    Args:
        truth: Mask `(X, Y)` or `(X, Y, Z)`.
        predicted: Mask of the same shape.
        spacing: Size of a voxel along each axis [mm].
        rule: `overlap`: a lesion is found if a share of it is predicted, however many lesions a prediction spans, and
            a predicted lesion is false if it touches no true one. `iou`: pairs, each lesion in one at most, chosen for
            the largest sum of IoU; what is in no pair is missed or false.
        least: Of `overlap` the share of the lesion, of `iou` the IoU that must be reached; 0 means one voxel.
        least_ml: Lesions below this volume [ml] are left out, true ones and predicted ones. What is predicted on a
            true one that is left out is neither right nor false.
        bridge_voxels: Parts of the truth that are one after so many dilations by the 26 neighbours count as one lesion;
            BraTS 2023 takes 3 for adult glioma. The masks themselves stay as they are.

    Raises:
        ScanweaveError: The shapes differ, a mask holds values other than 0 and 1, or an option that cannot be.
    """
    if rule not in ("overlap", "iou"):
        raise ScanweaveError("rule", f"{rule} is unknown", "Choose overlap or iou")
    if not 0 <= least <= 1 or least_ml < 0 or bridge_voxels < 0:
        reason = f"least {least}, least_ml {least_ml}, bridge_voxels {bridge_voxels}"
        raise ScanweaveError("count_lesions", reason, "Give a share from 0 to 1, and nothing below 0")
    true, found = checked_masks(truth, predicted)
    voxel_ml = float(np.prod(checked_spacing(spacing, true.ndim))) / MM3_PER_ML
    common, sizes, others = _shared(_parts(true, bridge_voxels), _parts(found, 0))
    large, counted = reached(sizes * voxel_ml, least_ml), reached(others * voxel_ml, least_ml)
    common = common * counted
    touched = common > 0
    hits, used = _pairs(common, sizes, others, large, least) if rule == "iou" else _covered(common, sizes, least)
    false = counted & ~(used | (touched & ~large[:, None]).any(axis=0))
    spans = touched @ others
    dice = np.divide(2 * common.sum(axis=1), sizes + spans, out=np.zeros(len(sizes)), where=spans > 0)
    rows = zip(sizes * voxel_ml, common.sum(axis=1) / np.maximum(sizes, 1), dice, hits, large, strict=True)
    lesions = (Lesion(float(ml), float(share), float(d), bool(hit)) for ml, share, d, hit, keep in rows if keep)
    return LesionCounts(tuple(lesions), tuple(float(ml) for ml in others[false] * voxel_ml))


def summarise_lesions(
    counts: Sequence[LesionCounts], patients: Sequence[Hashable], *, seed: int = 0, repeats: int = 2000
) -> pd.DataFrame:
    """Return lesion measures over scans, with 95 % intervals over patients.

    Args:
        counts: Of each scan.
        patients: The patient of each scan.
        seed: Of the resampling.
        repeats: Number of resamples.

    Returns:
        Rows `measure, value, low, high, patients, scans, lesions`: `sensitivity` of all lesions together, `false
        lesions a scan`, `F1` and `lesion Dice` as means over scans, `alarm rate`: share of the scans without a lesion
        in which one is predicted. A measure of nothing (no lesion, no healthy scan) has no row.

    Raises:
        ScanweaveError: There is no scan, or the numbers of scans and patients differ.
    """
    if not counts or len(counts) != len(patients):
        raise ScanweaveError("counts", f"{len(counts)} scans, {len(patients)} patients", "Give one patient a scan")
    lesions = np.array([len(one.lesions) for one in counts])
    false = np.array([one.false for one in counts], dtype=np.float64)
    means: dict[str, ArrayLike] = {
        "false lesions a scan": false,
        "F1": [one.f1 for one in counts],
        "lesion Dice": [one.dice for one in counts],
        "alarm rate": np.where(lesions == 0, false > 0, np.nan),
    }
    found = {}
    if lesions.any():
        hits = [one.found for one in counts]
        found["sensitivity"] = bootstrap_ratio(hits, lesions, patients, seed=seed, repeats=repeats)
    for name, values in means.items():
        if not np.isnan(values).all():
            found[name] = bootstrap(values, patients, seed=seed, repeats=repeats)
    rows = []
    for name, one in found.items():
        scans = int((lesions == 0).sum()) if name == "alarm rate" else len(counts)
        interval = {"value": one.value, "low": one.low, "high": one.high, "patients": one.n}
        rows.append({"measure": name, **interval, "scans": scans, "lesions": int(lesions.sum())})
    return pd.DataFrame(rows)


def _parts(mask: BoolArray, bridge_voxels: int) -> IntArray:
    """Return the number of the lesion of each voxel, 0 outside."""
    touching = np.ones((3,) * mask.ndim)
    wide = ndimage.binary_dilation(mask, touching, iterations=bridge_voxels) if bridge_voxels else mask
    return np.where(mask, ndimage.label(wide, touching)[0], 0).astype(np.int64)


def _shared(true: IntArray, found: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return the voxels that each pair of lesions shares `(T, P)`, and the voxels of each `(T,)`, `(P,)`."""
    rows, columns = int(true.max(initial=0)) + 1, int(found.max(initial=0)) + 1
    table = np.bincount((true * columns + found).ravel(), minlength=rows * columns).reshape(rows, columns)
    return table[1:, 1:], table[1:].sum(axis=1), table[:, 1:].sum(axis=0)


def _covered(common: IntArray, sizes: IntArray, least: float) -> tuple[BoolArray, BoolArray]:
    """Return which true lesions are covered enough `(T,)`, and which predicted ones touch a true one `(P,)`."""
    inside = common.sum(axis=1)
    return (inside > 0) & reached(inside, least * sizes), np.asarray((common > 0).any(axis=0))


def _pairs(
    common: IntArray, sizes: IntArray, others: IntArray, large: BoolArray, least: float
) -> tuple[BoolArray, BoolArray]:
    """Return which true `(T,)` and predicted lesions `(P,)` are in a pair that reaches the IoU."""
    iou: FloatArray = common / np.maximum(sizes[:, None] + others[None] - common, 1)
    iou[~((common > 0) & reached(iou, least) & large[:, None])] = 0
    hits, used = np.zeros(len(sizes), dtype=bool), np.zeros(len(others), dtype=bool)
    rows, columns = linear_sum_assignment(iou, maximize=True)
    kept = iou[rows, columns] > 0
    hits[rows[kept]], used[columns[kept]] = True, True
    return hits, used
