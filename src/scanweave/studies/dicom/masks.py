"""Segmentations and contours of DICOM (SEG, RTSTRUCT) as label maps on the grid of the images that they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.dicom.headers import Series
from scanweave.studies.dicom.reading import GROUP, dicom_faults, first_item, numbers_of, text_of
from scanweave.studies.dicom.stacks import LPS_TO_RAS
from scanweave.studies.geometry import Geometry

SEG, RTSTRUCT = "SEG", "RTSTRUCT"
Floats = NDArray[np.floating]
NEAREST_PLANE = 0.25
"""Share of a step between planes by which a plane or contour may miss one of the grid."""
MOST_POINTS = 10**6
"""Of a contour."""


@dataclass(frozen=True)
class Mask:
    """A label map.

    Attributes:
        name: By which a cohort calls it.
        labels: Numbers `(X, Y, Z)`, 0 for none.
        geometry: Its grid.
        structures: Meaning of the numbers.
    """

    name: str
    labels: NDArray[np.int16]
    geometry: Geometry
    structures: dict[str, list[int]]


def masks_of(own: Sequence[Series], grids: Mapping[str, Geometry], left: list[str]) -> Iterator[Mask]:
    """Yield the masks of a study, one a file; a voxel that two structures claim belongs to the later one.

    Args:
        own: Series of the study.
        grids: Grid of each series that was taken in, by its UID.
        left: Takes why some are left out.
    """
    number = 0
    for series in own:
        if series.modality not in (SEG, RTSTRUCT):
            continue
        read = _read_seg if series.modality == SEG else _read_contours
        for path in dict.fromkeys(frame.file for frame in series.frames):
            try:
                with dicom_faults(path) as pydicom:
                    labels, grid, structures = read(path, pydicom.dcmread(path), grids)
            except ScanweaveError as error:
                left.append(f"series {series.number}: {error.reason}")
                continue
            number += 1
            yield Mask("segmentation" if number == 1 else f"segmentation_{number}", labels, grid, structures)


def _grid(path: Path, data: Any, grids: Mapping[str, Geometry]) -> Geometry:
    """Return the grid of the images that a file refers to.

    Raises:
        ScanweaveError: They are not in the cohort.
    """
    named = {str(one.value) for one in data.iterall() if one.keyword == "SeriesInstanceUID"}
    found = [grids[uid] for uid in grids if uid in named]
    if not found:
        raise ScanweaveError(path, "the images that it belongs to are not there", "Import them with it")
    return found[0]


def _read_seg(path: Path, data: Any, grids: Mapping[str, Geometry]) -> Any:
    pixels = require("pydicom.pixels", GROUP)
    grid = _grid(path, data, grids)
    stored = np.asarray(pixels.pixel_array(data))
    frames = stored if stored.ndim == 3 else stored[None]
    labels, inverse = np.zeros(grid.shape, np.int16), np.linalg.inv(grid.affine)
    segments = {int(one.SegmentNumber): _plain(text_of(one, "SegmentLabel")) for one in data.SegmentSequence}
    fractional = text_of(data, "SegmentationType") == "FRACTIONAL"
    half = float(data.get("MaximumFractionalValue", 255)) / 2 if fractional else 0.5
    shared = first_item(data, "SharedFunctionalGroupsSequence")
    for plane, own in zip(frames, data.PerFrameFunctionalGroupsSequence, strict=False):

        def group(name: str, own: Any = own) -> Any:
            return next((item for item in (first_item(one, name) for one in (own, shared)) if len(item)), {})

        number = int(first_item(own, "SegmentIdentificationSequence").ReferencedSegmentNumber)
        position = np.array(numbers_of(group("PlanePositionSequence"), "ImagePositionPatient"))
        directions = np.array(numbers_of(group("PlaneOrientationSequence"), "ImageOrientationPatient"))
        spacing = np.array(numbers_of(group("PixelMeasuresSequence"), "PixelSpacing"))
        if position.shape != (3,) or directions.shape != (6,) or spacing.shape != (2,):
            raise ScanweaveError(path, "does not say where its planes lie", "Export it again")
        rows, columns = np.nonzero(plane > half)
        steps = np.outer(columns, directions[:3] * spacing[1]) + np.outer(rows, directions[3:] * spacing[0])
        _mark(labels, inverse, LPS_TO_RAS @ (position[:, None] + steps.T), number, path)
    return labels, grid, {segments.get(number, str(number)): [number] for number in sorted(segments)}


def _mark(labels: NDArray[np.int16], inverse: Floats, points: Floats, value: int, path: Path) -> None:
    """Give the voxels at some points `(3, N)` a number.

    Raises:
        ScanweaveError: They do not lie on the grid.
    """
    if not points.shape[1]:
        return
    places = (inverse[:3, :3] @ points + inverse[:3, 3:]).T
    nearest = np.rint(places).astype(int)
    inside = ((nearest >= 0) & (nearest < labels.shape)).all(axis=1)
    if np.abs(places - nearest)[inside].max(initial=0) > NEAREST_PLANE:
        raise ScanweaveError(path, "does not lie on the grid of its images", "Export it on that grid")
    labels[tuple(nearest[inside].T)] = value


def _read_contours(path: Path, data: Any, grids: Mapping[str, Geometry]) -> Any:
    draw = require("skimage.draw", GROUP)
    grid = _grid(path, data, grids)
    labels, inverse = np.zeros(grid.shape, np.int16), np.linalg.inv(grid.affine)
    named = {int(one.ROINumber): _plain(text_of(one, "ROIName")) for one in data.StructureSetROISequence}
    structures: dict[str, list[int]] = {}
    for value, roi in enumerate(data.ROIContourSequence, start=1):
        structures[named.get(int(roi.ReferencedROINumber), str(value))] = [value]
        planes: dict[int, NDArray[np.bool_]] = {}
        for contour in roi.get("ContourSequence", ()):
            if text_of(contour, "ContourGeometricType") != "CLOSED_PLANAR":
                continue
            flat = np.array(numbers_of(contour, "ContourData"))
            if flat.size % 3 or not 9 <= flat.size <= 3 * MOST_POINTS:
                raise ScanweaveError(path, "holds a contour that is none", "Export it again")
            points = LPS_TO_RAS @ flat.reshape(-1, 3).T
            places = inverse[:3, :3] @ points + inverse[:3, 3:]
            plane = round(float(places[2].mean()))
            if np.abs(places[2] - plane).max() > NEAREST_PLANE:
                raise ScanweaveError(path, "has contours between the planes of its images", "Resample it there first")
            if 0 <= plane < grid.shape[2]:
                inside = draw.polygon2mask(grid.shape[:2], places[:2].T)
                planes[plane] = planes.get(plane, np.zeros(grid.shape[:2], bool)) ^ inside  # a hole is a second contour
        for plane, inside in planes.items():
            labels[:, :, plane][inside] = value
    return labels, grid, structures


def _plain(name: str) -> str:
    """Return a name without what could tell a person: words of letters and digits."""
    return "_".join(re.findall(r"[A-Za-z0-9]+", name)).lower()[:40] or "structure"
