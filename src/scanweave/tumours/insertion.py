"""Tumours put into a scan on its own grid: voxels outside of their soft borders keep every bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.tumours.appearance import Appearance, Around, core_and_rim, find_vessels, to_mean
from scanweave.tumours.drawing import Box, DrawnTumour, box_around, draw_tumour
from scanweave.tumours.placement import check_centre, draw_centre, draw_diameter, organ_depth, refuse_large
from scanweave.tumours.request import TumourRequest

Volume = NDArray[Any]
Mask = NDArray[np.bool_]
Judge = Callable[["Insertion"], float]
"""Share of a tumour's voxels that a segmentor finds."""

_STREAMS = ("place", "form", "look", "parts")
"""Independent sources of chance of a tumour: what one draws does not move another."""
_VESSEL_MM = 12.0
"""Vessels are looked for so far beyond a tumour [mm]: their median needs organ around it."""


@dataclass(frozen=True, eq=False)
class Insertion:
    """Hold a tumour in a scan.

    Attributes:
        box: Where, in the grid of the scan.
        before: Box of the scan as it was.
        after: The same with the tumour.
        tumour: As it was drawn.
        facts: What is known of it, plain values.
    """

    box: Box
    before: Volume
    after: Volume
    tumour: DrawnTumour
    facts: dict[str, Any]

    def into(self, image: Volume) -> None:
        """Put it into the scan."""
        image[self.box] = self.after


def insert_tumour(
    image: Volume,
    organ: Mask,
    spacing: Sequence[float],
    request: TumourRequest,
    appearance: Appearance,
    seed: Sequence[int],
    *,
    unit: float = 1.0,
    diameters: Sequence[float] | None = None,
) -> Insertion:
    """Make a tumour for a scan; `Insertion.into` puts it there.

    x' = x + s · c, s the soft mask, c what the appearance changes (FreeTumor, released code): in units of the scan, on
    its own voxels, rounded where these are whole numbers, and never clipped but to what their type holds.

    Args:
        image: The scan `(X, Y, Z)`; no more than a box around the tumour is read.
        organ: Where it may lie, `(X, Y, Z)`.
        spacing: Size of a voxel along each axis [mm].
        request: What is asked for.
        appearance: How it looks.
        seed: Numbers; the same ones give the same tumour, bit by bit.
        unit: What 1 HU, or 1 percent of the scan's range, is in units of the scan.
        diameters: Classes to draw a diameter from; None: FreeTumor's.

    Raises:
        ScanweaveError: The organ is empty or too small, or the centre lies outside of it.
    """
    place, form, look, parts = (np.random.default_rng([*seed, number]) for number in range(len(_STREAMS)))
    centre, wanted = _placed(place, organ, spacing, request, diameters)
    reach = 2 * max(wanted, request.grows_to_mm or 0.0) + _VESSEL_MM
    region = box_around(centre, image.shape, reach, spacing)
    free = np.ascontiguousarray(organ[region])
    if request.avoid_vessels:
        free &= ~find_vessels(np.asarray(image[region], np.float32), free, spacing)
        free[tuple(at - side.start for at, side in zip(centre, region, strict=True))] = True
    inner = [at - side.start for at, side in zip(centre, region, strict=True)]
    drawn = draw_tumour(
        form,
        free,
        inner,
        wanted,
        spacing,
        shape=request.shape,
        edge_mm=request.edge_mm,
        grows_to_mm=request.grows_to_mm,
    )
    box = _shifted(drawn.box, region)
    drawn = replace(drawn, box=box)
    before = np.array(image[box])
    around = Around(before.astype(np.float32), np.ascontiguousarray(organ[box]), spacing, unit)
    change = appearance.change(look, drawn, around, request.contrast)
    if request.necrosis or request.capsule:
        change = change + core_and_rim(parts, drawn, around, necrosis=request.necrosis, capsule=request.capsule)
        change = change if request.contrast is None else to_mean(change, drawn, request.contrast * unit)
    after = added(before, change * drawn.soft)
    return Insertion(box, before, after, drawn, _facts(centre, drawn, before, after, request, unit))


def added(image: Volume, change: NDArray[np.float32]) -> Volume:
    """Return an image plus a change, in its own type; where the change is 0, bit by bit as it was."""
    if not np.issubdtype(image.dtype, np.integer):
        return np.where(change == 0, image, image + change.astype(image.dtype))
    limits = np.iinfo(image.dtype)
    made = np.clip(image.astype(np.float64) + np.rint(change), limits.min, limits.max)
    return np.where(change == 0, image, made.astype(image.dtype))


def _placed(
    rng: Generator, organ: Mask, spacing: Sequence[float], request: TumourRequest, classes: Sequence[float] | None
) -> tuple[tuple[int, int, int], float]:
    """Return centre and diameter, as asked or drawn."""
    size, where = (np.random.default_rng(rng.integers(2**63)) for _ in range(2))
    if request.centre is not None:
        check_centre(organ, request.centre)
        if request.diameter_mm is not None:
            _refuse_beyond(organ, request.centre, request.diameter_mm, spacing)
            return request.centre, request.diameter_mm
    depth = organ_depth(organ, spacing)
    wanted = request.diameter_mm or draw_diameter(size, depth, *([classes] if classes else []))
    if request.centre is not None:
        return request.centre, wanted
    return draw_centre(where, depth, max(wanted, request.grows_to_mm or 0.0)), wanted


def _refuse_beyond(organ: Mask, centre: tuple[int, int, int], diameter: float, spacing: Sequence[float]) -> None:
    """Refuse a tumour that is too large for what lies around its centre; nothing farther away is read."""
    region = box_around(centre, organ.shape, 2 * diameter, spacing)
    refuse_large(organ_depth(organ[region], spacing), diameter)


def _shifted(box: Box, region: Box) -> Box:
    x, y, z = (slice(a.start + b.start, a.stop + b.start) for a, b in zip(box, region, strict=True))
    return x, y, z


def _facts(
    centre: tuple[int, int, int],
    tumour: DrawnTumour,
    before: Volume,
    after: Volume,
    request: TumourRequest,
    unit: float,
) -> dict[str, Any]:
    inside = tumour.mask
    mean = [float(np.asarray(one, np.float64)[inside].mean()) for one in (before, after)]
    return {
        "centre_voxel": list(centre),
        "asked_mm": round(tumour.wanted_mm, 2),
        "diameter_mm": round(tumour.diameter_mm, 2),
        "voxels": int(inside.sum()),
        "shape": request.shape,
        "edge_mm": round(tumour.edge_mm, 2),
        "contrast": round((mean[1] - mean[0]) / unit, 2),
        "necrosis": request.necrosis,
        "capsule": request.capsule,
        "avoids_vessels": request.avoid_vessels,
    }
