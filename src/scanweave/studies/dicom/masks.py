"""Segmentations and contours of DICOM (SEG, RTSTRUCT) as label maps on the grid of the images that they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
KNOWN_WORDS = frozenset({
    "adrenal", "airway", "anterior", "aorta", "arm", "artery", "axilla", "bladder", "body", "bone", "bowel",
    "brain", "brainstem", "breast", "bronchus", "carotid", "cerebellum", "chest", "chiasm", "clavicle", "cochlea",
    "colon", "cord", "core", "cortex", "cranial", "ctv", "cyst", "duodenum", "ear", "edema", "enhancing",
    "esophagus", "eye", "femoral", "femur", "fluid", "gallbladder", "gtv", "head", "heart", "hepatic", "hip",
    "hippocampus", "inferior", "intestine", "itv", "kidney", "l", "larynx", "left", "lens", "lesion", "lips",
    "liver", "lobe", "lower", "lung", "lymph", "mandible", "mask", "mass", "matter", "medial", "metastasis",
    "middle", "mouth", "muscle", "necrosis", "necrotic", "neck", "node", "nodule", "oar", "oedema", "oesophagus",
    "optic", "oral", "organ", "outer", "outline", "pancreas", "parotid", "pelvis", "penis", "pituitary", "portal",
    "posterior", "prostate", "ptv", "r", "rectum", "renal", "retina", "rib", "right", "roi", "sacrum", "seminal",
    "skin", "skull", "spinal", "spine", "spleen", "stem", "stomach", "superior", "temporal", "testis", "thorax",
    "thyroid", "tongue", "trachea", "tumor", "tumors", "tumour", "tumours", "upper", "urethra", "uterus", "vein",
    "vena", "ventricle", "vertebra", "vesicle", "vessel", "white", "whole",
})  # fmt: skip
"""Words that a name of a structure keeps: what else stands in it may name a person."""


@dataclass
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
    structures: dict[str, list[int]] = field(default_factory=dict)


def masks_of(
    own: Sequence[Series], grids: Mapping[str, Geometry], left: list[str], *, keep_words: bool = False
) -> Iterator[Mask]:
    """Yield the masks of a study; structures of a file that overlap lie in masks of their own, so that none is lost.

    Args:
        own: Series of the study.
        grids: Grid of each series that was taken in, by its UID.
        left: Takes why some are left out.
        keep_words: Whether structures keep the names that they have; else words that are not known are dropped.
    """
    number = 0
    for series in own:
        if series.modality not in (SEG, RTSTRUCT):
            continue
        for path in dict.fromkeys(frame.file for frame in series.frames):
            try:
                with dicom_faults(path) as pydicom:
                    data = pydicom.dcmread(path)
                    grid = _grid(path, data, grids)
                    layers = _layers(_structures(path, data, grid), grid, keep_words)
            except ScanweaveError as error:
                left.append(f"series {series.number}: {error.reason}")
                continue
            for layer in layers:
                number += 1
                layer.name = "segmentation" if number == 1 else f"segmentation_{number}"
                yield layer


def _layers(found: Iterator[tuple[str, NDArray[np.bool_]]], grid: Geometry, keep_words: bool) -> list[Mask]:
    """Return structures as label maps, each in the first in which it overlaps no other."""
    made: list[Mask] = []
    for number, (label, voxels) in enumerate(found, start=1):
        free = next((one for one in made if not one.labels[voxels].any()), None)
        if free is None:
            free = Mask("", np.zeros(grid.shape, np.int16), grid)
            made.append(free)
        free.labels[voxels] = number
        free.structures.setdefault(plain_name(label, number, keep_words), []).append(number)
    return made


def plain_name(label: str, number: int, keep_words: bool = False) -> str:
    """Return the name of a structure: its words that are known to name parts of a body, and numbers."""
    words = [one.lower() for one in re.findall(r"[A-Za-z]+|\d+", label)]
    kept = words if keep_words else [one for one in words if one in KNOWN_WORDS or (one.isdigit() and len(one) < 3)]
    return "_".join(kept)[:40] if any(not one.isdigit() for one in kept) else f"structure_{number}"


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


def _structures(path: Path, data: Any, grid: Geometry) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield label and voxels of each structure."""
    if text_of(data, "Modality") == SEG:
        yield from _segments(path, data, grid)
    else:
        yield from _contours(path, data, grid)


def _segments(path: Path, data: Any, grid: Geometry) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    stored = np.asarray(require("pydicom.pixels", GROUP).pixel_array(data))
    frames = stored if stored.ndim == 3 else stored[None]
    inverse = np.linalg.inv(grid.affine)
    fractional = text_of(data, "SegmentationType") == "FRACTIONAL"
    half = float(data.get("MaximumFractionalValue", 255)) / 2 if fractional else 0.5
    shared = first_item(data, "SharedFunctionalGroupsSequence")
    planes: dict[int, list[int]] = {}
    groups = list(data.PerFrameFunctionalGroupsSequence)[: len(frames)]
    for place, own in enumerate(groups):
        about = first_item(own, "SegmentIdentificationSequence")
        planes.setdefault(int(about.ReferencedSegmentNumber), []).append(place)
    for segment in data.SegmentSequence:
        voxels = np.zeros(grid.shape, bool)
        for place in planes.get(int(segment.SegmentNumber), ()):
            _mark(voxels, inverse, _points(path, frames[place] > half, (groups[place], shared)), path)
        yield text_of(segment, "SegmentLabel"), voxels


def _points(path: Path, inside: NDArray[np.bool_], groups: Sequence[Any]) -> Floats:
    """Return where the pixels of a plane lie [mm, RAS], `(3, N)`.

    Raises:
        ScanweaveError: The file does not say.
    """

    def vector(name: str, keyword: str, length: int) -> Floats:
        item: Any = next((found for found in (first_item(one, name) for one in groups) if len(found)), {})
        made = np.array(numbers_of(item, keyword))
        if made.shape != (length,):
            raise ScanweaveError(path, "does not say where its planes lie", "Export it again")
        return made

    position = vector("PlanePositionSequence", "ImagePositionPatient", 3)
    directions = vector("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    spacing = vector("PixelMeasuresSequence", "PixelSpacing", 2)
    rows, columns = np.nonzero(inside)
    steps = np.outer(columns, directions[:3] * spacing[1]) + np.outer(rows, directions[3:] * spacing[0])
    made: Floats = LPS_TO_RAS @ (position[:, None] + steps.T)
    return made


def _mark(voxels: NDArray[np.bool_], inverse: Floats, points: Floats, path: Path) -> None:
    """Mark the voxels at some points `(3, N)`.

    Raises:
        ScanweaveError: They do not lie on the grid.
    """
    if not points.shape[1]:
        return
    places = (inverse[:3, :3] @ points + inverse[:3, 3:]).T
    nearest = np.rint(places).astype(int)
    inside = ((nearest >= 0) & (nearest < voxels.shape)).all(axis=1)
    if np.abs(places - nearest)[inside].max(initial=0) > NEAREST_PLANE:
        raise ScanweaveError(path, "does not lie on the grid of its images", "Export it on that grid")
    voxels[tuple(nearest[inside].T)] = True


def _contours(path: Path, data: Any, grid: Geometry) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    draw = require("skimage.draw", GROUP)
    inverse = np.linalg.inv(grid.affine)
    named = {int(one.ROINumber): text_of(one, "ROIName") for one in data.StructureSetROISequence}
    for roi in data.ROIContourSequence:
        voxels = np.zeros(grid.shape, bool)
        for contour in roi.get("ContourSequence", ()):
            if text_of(contour, "ContourGeometricType") != "CLOSED_PLANAR":
                continue
            flat = np.array(numbers_of(contour, "ContourData"))
            if flat.size % 3 or not 9 <= flat.size <= 3 * MOST_POINTS:
                raise ScanweaveError(path, "holds a contour that is none", "Export it again")
            places = inverse[:3, :3] @ (LPS_TO_RAS @ flat.reshape(-1, 3).T) + inverse[:3, 3:]
            plane = round(float(places[2].mean()))
            if np.abs(places[2] - plane).max() > NEAREST_PLANE:
                raise ScanweaveError(path, "has contours between the planes of its images", "Resample it there first")
            if 0 <= plane < grid.shape[2]:
                voxels[:, :, plane] ^= draw.polygon2mask(grid.shape[:2], places[:2].T)  # a hole is a second contour
        yield named.get(int(roi.ReferencedROINumber), ""), voxels
