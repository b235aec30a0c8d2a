"""Separation of one region from the rest by the voxels of a map."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score

from scanweave.errors import ScanweaveError
from scanweave.measures.regions import checked_region


def voxelwise_auroc(values: ArrayLike, region: ArrayLike, within: ArrayLike | None = None) -> float:
    """Return the probability that a voxel inside `region` has a higher value than one outside; ties count a half.

    Args:
        values: Map `(X, Y, Z)`, such as an imaging-differentiation map.
        region: What the map should show, such as a lesion mask `(X, Y, Z)`.
        within: Where voxels are compared, such as the brain; everywhere if not given. Background is easy to tell
            from a lesion and inflates the figure, so give the brain where there is one.

    Returns:
        Area under the ROC curve: 1 separates fully, 0.5 not at all, 0 the wrong way round.

    Raises:
        ScanweaveError: Shapes differ, a value is not finite, or one of the two sides has no voxel.
    """
    values = np.asarray(values)
    where = np.ones(values.shape, bool) if within is None else checked_region("within", within, values.shape)
    inside = checked_region("region", region, values.shape)[where]
    if inside.all() or not inside.any():
        side = "outside" if inside.all() else "inside"
        raise ScanweaveError(
            "region", f"no voxel to compare lies {side} it", "Give a region that covers part of `within`"
        )
    if not np.isfinite(values[where]).all():
        raise ScanweaveError("values", "they hold NaN or infinity", "Mask those voxels with `within`")
    return float(roc_auc_score(inside, values[where]))
