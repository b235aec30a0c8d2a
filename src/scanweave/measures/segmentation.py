"""Compare masks of structures: overlap, volume and surface, with a written rule for masks that are empty.

Both masks empty: the answer is right, so Dice, IoU and surface Dice are 1 and distances 0 (as ISLES and BraTS have it).
One of them empty: Dice, IoU and surface Dice are 0, distances the diagonal of the image. What has no value (sensitivity
of nothing, precision of nothing) is NaN and counted: `summarise_structures` tells how many, and the mean over those
studies alone that hold the structure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scanweave.errors import ScanweaveError
from scanweave.measures.summary import summarise
from scanweave.measures.surfaces import BoolArray, checked_masks, checked_spacing, surface_distances

Case = Literal["both", "missed", "invented", "neither"]
MM3_PER_ML = 1000
OVERLAPS = ("Dice", "IoU", "sensitivity", "precision")
VOLUMES = ("volume error [ml]", "absolute volume error [ml]", "relative volume error")
SURFACES = ("surface Dice", "HD95 [mm]", "mean surface distance [mm]")
MEASURES = (*OVERLAPS, *VOLUMES, *SURFACES)
PRESENT = "where it is present"
"""Of a summary: only studies whose truth holds the structure."""


@dataclass(frozen=True)
class Overlap:
    """Count the voxels that two masks share.

    Attributes:
        common: Voxels in both.
        missed: Voxels of the truth alone.
        false: Voxels of the prediction alone.
        voxel_ml: Volume of a voxel [ml], or area [mm² / 1000] in a film.
    """

    common: int
    missed: int
    false: int
    voxel_ml: float

    @property
    def case(self) -> Case:
        """Name of the case, by which of the two masks hold anything."""
        truth, predicted = self.common + self.missed > 0, self.common + self.false > 0
        if truth:
            return "both" if predicted else "missed"
        return "invented" if predicted else "neither"

    @property
    def dice(self) -> float:
        """2 |A ∩ B| / (|A| + |B|) (Dice 1945); 1 if both are empty."""
        return _share(2 * self.common, 2 * self.common + self.missed + self.false, 1.0)

    @property
    def iou(self) -> float:
        """|A ∩ B| / |A ∪ B| (Jaccard); 1 if both are empty."""
        return _share(self.common, self.common + self.missed + self.false, 1.0)

    @property
    def sensitivity(self) -> float:
        """Share of the truth that is predicted; NaN if there is no truth."""
        return _share(self.common, self.common + self.missed, float("nan"))

    @property
    def precision(self) -> float:
        """Share of the prediction that is true; NaN if nothing is predicted."""
        return _share(self.common, self.common + self.false, float("nan"))

    @property
    def volume_error_ml(self) -> float:
        """Predicted less true volume [ml]."""
        return (self.false - self.missed) * self.voxel_ml

    @property
    def relative_volume_error(self) -> float:
        """Predicted less true volume, over the true one; NaN if there is no truth."""
        return _share(self.false - self.missed, self.common + self.missed, float("nan"))


def overlap(truth: ArrayLike, predicted: ArrayLike, spacing: Sequence[float]) -> Overlap:
    """Return what two masks share.

    Args:
        truth: Mask `(X, Y)` or `(X, Y, Z)`.
        predicted: Mask of the same shape.
        spacing: Size of a voxel along each axis [mm].

    Raises:
        ScanweaveError: The shapes differ, a mask holds values other than 0 and 1, or a spacing is not above 0.
    """
    true, found = checked_masks(truth, predicted)
    sizes = checked_spacing(spacing, true.ndim)
    common = int(np.count_nonzero(true & found))
    missed, false = int(np.count_nonzero(true)) - common, int(np.count_nonzero(found)) - common
    return Overlap(common, missed, false, float(np.prod(sizes)) / MM3_PER_ML)


def structure_masks(labels: ArrayLike, structures: Mapping[str, int | Sequence[int]]) -> dict[str, BoolArray]:
    """Return the mask of each structure of a label map; one of several labels is their union, as BraTS' whole tumour.

    Args:
        labels: Label map `(X, Y)` or `(X, Y, Z)`, whole numbers.
        structures: Name of a structure and its label or labels.

    Raises:
        ScanweaveError: The map holds other than whole numbers.
    """
    values = np.asarray(labels)
    if values.dtype.kind == "f" and not (values == np.round(values)).all():
        raise ScanweaveError("labels", "not all are whole numbers", "Give a label map, resampled by nearest neighbour")
    return {name: np.isin(values, np.atleast_1d(value)) for name, value in structures.items()}


def measure_structures(
    truth: Mapping[str, ArrayLike],
    predicted: Mapping[str, ArrayLike],
    spacing: Sequence[float],
    tolerance_mm: float | Mapping[str, float] = 1.0,
) -> pd.DataFrame:
    """Return every measure of every structure of one study.

    Args:
        truth: Mask of each structure, as `structure_masks` gives them; they may overlap.
        predicted: Likewise, with the same names.
        spacing: Size of a voxel along each axis [mm].
        tolerance_mm: Distance up to which a surface counts as right (surface Dice) [mm], or one for each structure.

    Returns:
        One row a structure: `structure, case, true [ml], predicted [ml]` and the columns of `MEASURES`.

    Raises:
        ScanweaveError: The names differ, or as `overlap`.
    """
    if set(truth) != set(predicted):
        odd = sorted(set(truth) ^ set(predicted))
        raise ScanweaveError("predicted", f"'{odd[0]}' has one mask only", "Give both, empty where nothing is there")
    rows = []
    for name in truth:
        tolerance = tolerance_mm[name] if isinstance(tolerance_mm, Mapping) else tolerance_mm
        rows.append({"structure": name, **_measured(truth[name], predicted[name], spacing, tolerance)})
    return pd.DataFrame(rows)


def summarise_structures(table: pd.DataFrame, measures: Sequence[str] = MEASURES, seed: int = 0) -> pd.DataFrame:
    """Return means with 95 % intervals over patients, over all studies and over those that hold the structure.

    Args:
        table: Rows of `measure_structures` with the columns `study` and `patient`.
        measures: Columns to summarise.
        seed: Of the resampling.

    Returns:
        Rows as of `summarise`, by `structure` and `studies of` ("all" or "where it is present"), with the number of
        studies that have no value (`undefined`), and of those of each case (`both`, `missed`, `invented`, `neither`).
    """
    present = table[table["case"].isin(["both", "missed"])]
    both = pd.concat([table.assign(**{"studies of": "all"}), present.assign(**{"studies of": PRESENT})])
    keys = ["structure", "studies of"]
    found = summarise(both, keys, measures, seed)
    groups = dict(iter(both.groupby(keys, sort=False)))
    for column in ("undefined", "both", "missed", "invented", "neither"):
        found[column] = [
            _count(groups[row["structure"], row["studies of"]], row["measure"], column)
            for row in found.to_dict("records")
        ]
    return found


def _count(group: pd.DataFrame, measure: str, column: str) -> int:
    return int(group[measure].isna().sum() if column == "undefined" else (group["case"] == column).sum())


def _measured(truth: ArrayLike, predicted: ArrayLike, spacing: Sequence[float], tolerance: float) -> dict[str, object]:
    shared = overlap(truth, predicted, spacing)
    surface = surface_distances(truth, predicted, spacing)
    values = (
        shared.dice,
        shared.iou,
        shared.sensitivity,
        shared.precision,
        shared.volume_error_ml,
        abs(shared.volume_error_ml),
        shared.relative_volume_error,
        surface.dice(tolerance),
        surface.hausdorff(95),
        surface.mean(),
    )
    true = (shared.common + shared.missed) * shared.voxel_ml
    volumes = {"true [ml]": true, "predicted [ml]": true + shared.volume_error_ml}
    return {"case": shared.case, **volumes, **dict(zip(MEASURES, values, strict=True))}


def _share(part: float, whole: float, empty: float) -> float:
    return part / whole if whole else empty
