"""Boxes from a heat map by a written rule, so that a classifier can be measured as a detector."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from scanweave.errors import ScanweaveError
from scanweave.measures.input_checks import checked_fraction, checked_numbers, reached
from scanweave.studies.boxes import Boxes, Unit

SHARE = 0.5
"""Of a map's maximum from which heat counts."""
FLAT = 1e-6
"""Range over maximum below which a map is constant: float32 rounds to a tenth of it."""


def map_boxes(values: ArrayLike, label: str, probability: float, share: float = SHARE) -> Boxes:
    """Return a box around each hot part of a map, such as a Grad-CAM.

    Points of at least `share` of the maximum are hot; those that touch by faces, edges or corners are one part. The
    score of a part is the probability times its mean heat over the maximum, so that of two films the surer one has
    the higher scores, and of two parts the hotter one. A map without heat, or of the same heat everywhere, gives no
    box.

    Args:
        values: Map `(X, Y)` or `(X, Y, 1)` of a film, or `(X, Y, Z)` of a volume; high where the finding should be.
        label: Class name of the boxes.
        probability: Of the finding in this image, 0 to 1.
        share: Of the maximum, between 0 and 1.

    Returns:
        Boxes in pixels of the film, or voxels of the volume, the highest score first.

    Raises:
        ScanweaveError: The map has another shape, or holds NaN or infinity; or a number lies outside of its range.
    """
    heat = checked_numbers("values", values)
    checked_fraction("share", share)
    if not 0 <= probability <= 1:
        raise ScanweaveError("probability", f"{probability}", "Give a probability from 0 to 1")
    if heat.ndim == 3 and heat.shape[2] == 1:
        heat = heat[..., 0]
    if heat.ndim not in (2, 3) or heat.size == 0:
        raise ScanweaveError("values", f"a map of shape {heat.shape}", "Give a film (X, Y) or a volume (X, Y, Z)")
    if not np.isfinite(heat).all():
        raise ScanweaveError("values", "it holds NaN or infinity", "Leave this map out, and say so")
    unit: Unit = "pixel" if heat.ndim == 2 else "voxel"
    most = float(heat.max())
    if most <= 0 or np.ptp(heat) <= FLAT * most:
        return Boxes(np.zeros((0, 2, heat.ndim)), (), unit, scores=np.zeros(0), size=heat.shape)
    parts, number = ndimage.label(reached(heat, share * most), structure=np.ones((3,) * heat.ndim))
    means = np.atleast_1d(ndimage.mean(heat, parts, np.arange(1, number + 1))) / most
    corners = [[[axis.start for axis in part], [axis.stop for axis in part]] for part in ndimage.find_objects(parts)]
    found = Boxes(np.array(corners, float), (label,) * number, unit, scores=probability * means, size=heat.shape)
    return found.select(np.argsort(-means, kind="stable"))
