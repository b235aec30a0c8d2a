"""Masks as binary segmentations, and maps of numbers as parametric maps: objects on the grid of a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import scanweave
from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.dicom.object_parts import (
    GROUP,
    MAKER,
    WORDS,
    common_parts,
    equipment,
    new_item,
    number_text,
    placed,
    put_in_place,
    sequence,
)
from scanweave.studies.dicom.object_sources import Origin, Source
from scanweave.studies.geometry import Geometry
from scanweave.studies.scan import Scan

ABNORMAL = ("49755003", "SCT", "Morphologically abnormal structure")
LESION, ANATOMICAL = ("52988006", "SCT", "Lesion"), ("123037004", "SCT", "Anatomical structure")
NO_UNIT = ("1", "UCUM", "no units")
MOST_LABEL = 16
"""Characters of a short text of DICOM."""


class Reference:
    """A source as far as highdicom has to know it, to place an object on its grid and to refer to its images.

    Args:
        origin: The sources.
        grid: On which the object lies.

    Raises:
        ScanweaveError: No source lies on the grid, or no image of it holds a plane of its own.
    """

    def __init__(self, origin: Origin, grid: Geometry) -> None:
        about, step = origin.on_grid(grid), "Leave out --dicom"
        if about is None:
            reason = "an image lies on the grid of none of its sources, as after a gantry tilt"
            raise ScanweaveError(origin.study, reason, step)
        self.planes = origin.planes(about)
        if len(self.planes) != grid.shape[2]:
            raise ScanweaveError(origin.study, "its source does not tell which image holds which plane", step)
        self.origin, self.grid, self.series = origin, grid, origin.known.drawn(about.series)
        enhanced = self.planes[0].frame is not None
        self.images = [self._enhanced()] if enhanced else [self._classic(n, one) for n, one in enumerate(self.planes)]

    def _image(self, source: Source) -> Any:
        one = common_parts(self.origin, source.sop_class, self.series, 1, "source")
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = source.uid
        one.FrameOfReferenceUID = self.origin.frame_of_reference(self.grid)
        one.PositionReferenceIndicator, one.Modality, one.InstanceNumber = "", "MR", 1
        one.Rows, one.Columns = self.grid.shape[1], self.grid.shape[0]
        return one

    def _classic(self, place: int, source: Source) -> Any:
        one = self._image(source)
        one.InstanceNumber = place + 1
        put_in_place(one, self.grid, place)
        return one

    def _enhanced(self) -> Any:
        """Return a file of many frames, with the planes in their order: `renumbered` puts their own numbers back."""
        one, frames = self._image(self.planes[0]), []
        one.NumberOfFrames = len(self.planes)
        shared, measures, direction = new_item(), new_item(), new_item()
        for place in range(len(self.planes)):
            put_in_place(one, self.grid, place)
            position = new_item()
            position.ImagePositionPatient = one.ImagePositionPatient
            own = new_item()
            own.PlanePositionSequence = sequence([position])
            frames.append(own)
        across, down, step, _ = placed(self.grid)
        measures.PixelSpacing = [number_text(down[1]), number_text(across[1])]
        measures.SliceThickness = measures.SpacingBetweenSlices = number_text(float(np.linalg.norm(step)))
        direction.ImageOrientationPatient = one.ImageOrientationPatient
        shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = sequence([measures]), sequence([direction])
        one.SharedFunctionalGroupsSequence = sequence([shared])
        one.PerFrameFunctionalGroupsSequence = sequence(frames)
        for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
            delattr(one, name)
        return one

    def renumbered(self, made: Any) -> Any:
        """Return an object whose references to frames have the numbers of the source's own frames."""
        numbers = {place: one.frame for place, one in enumerate(self.planes, start=1) if one.frame is not None}
        for element in made.iterall() if numbers else ():
            if element.keyword == "ReferencedFrameNumber":
                element.value = numbers.get(int(element.value), element.value)
        return made


def _about(number: int, description: str) -> dict[str, Any]:
    """Return what both kinds of objects are told alike."""
    uids = require("pydicom.uid", GROUP)
    return {
        "series_instance_uid": uids.generate_uid(),
        "series_number": number,
        "sop_instance_uid": uids.generate_uid(),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": MAKER,
        "software_versions": scanweave.__version__,
        "device_serial_number": "none",
        "series_description": f"{WORDS}: {description}"[:64],
    }


def segmentation_object(
    name: str, mask: Scan, origin: Origin, number: int, meaning: Mapping[str, Sequence[int]] | None = None
) -> Any:
    """Return a label map as a binary segmentation, a segment for each of its numbers.

    Args:
        name: Of the mask.
        mask: Labels `(X, Y, Z)`, 0 for none.
        origin: Its sources.
        number: Of the series.
        meaning: Numbers of each structure.

    Raises:
        ScanweaveError: It lies on the grid of none of its sources.
    """
    seg, sr = require("highdicom.seg", GROUP), require("highdicom.sr.coding", GROUP)
    content = require("highdicom.content", GROUP)
    reference = Reference(origin, mask.geometry)
    labels = np.asarray(mask.data)
    values = [int(value) for value in np.unique(labels) if value]
    values = values or [1]
    names = {int(value): label for label, several in (meaning or {}).items() for value in several}
    by = content.AlgorithmIdentificationSequence(
        name=MAKER,
        version=scanweave.__version__,
        family=sr.CodedConcept("123110", "DCM", "Artificial Intelligence"),
    )
    described = [
        seg.SegmentDescription(
            segment_number=place,
            segment_label=label[:64],
            segmented_property_category=sr.CodedConcept(*(ABNORMAL if _is_lesion(label) else ANATOMICAL)),
            segmented_property_type=sr.CodedConcept(*(LESION if _is_lesion(label) else ANATOMICAL)),
            algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=by,
        )
        for place, label in enumerate((names.get(value, f"{name} {value}") for value in values), start=1)
    ]
    numbered = np.zeros(labels.shape, np.uint8)
    for place, value in enumerate(values, start=1):
        numbered[labels == value] = place
    made = seg.Segmentation(
        source_images=reference.images,
        pixel_array=np.ascontiguousarray(numbered.transpose(2, 1, 0)),
        segmentation_type=seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        omit_empty_frames=bool(numbered.any()),
        **_about(number, name),
    )
    made.ContributingEquipmentSequence = sequence([equipment()])
    return reference.renumbered(made)


def _is_lesion(label: str) -> bool:
    return any(word in label.lower() for word in ("lesion", "tumor", "tumour", "metasta", "nodule"))


def map_object(name: str, scan: Scan, origin: Origin, number: int) -> Any:
    """Return a map of numbers, such as a differentiation map, as a parametric map of 32-bit floats.

    Args:
        name: Of the map.
        scan: `(X, Y, Z)`, without a unit.
        origin: Its sources.
        number: Of the series.

    Raises:
        ScanweaveError: It lies on the grid of none of its sources, or is a series.
    """
    if scan.frames is not None:
        raise ScanweaveError(origin.study, f"{name} is a series of maps, which no object holds", "Leave out --dicom")
    pm, sr = require("highdicom.pm", GROUP), require("highdicom.sr.coding", GROUP)
    content = require("highdicom.content", GROUP)
    reference = Reference(origin, scan.geometry)
    values: NDArray[np.float32] = np.ascontiguousarray(np.asarray(scan.data, np.float32).transpose(2, 1, 0))
    there = values[np.isfinite(values)]
    low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)
    mapping = pm.RealWorldValueMapping(
        lut_label=name[:MOST_LABEL],
        lut_explanation=f"{WORDS}: {name}"[:64],
        unit=sr.CodedConcept(*NO_UNIT),
        value_range=(low, high),
        slope=1.0,
        intercept=0.0,
    )
    window = content.VOILUTTransformation(
        window_center=(low + high) / 2, window_width=max(high - low, 1e-6), voi_lut_function="LINEAR_EXACT"
    )
    made = pm.ParametricMap(
        source_images=reference.images,
        pixel_array=values,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[window],
        content_label="MAP",
        content_description=f"{WORDS}: {name}"[:64],
        **_about(number, name),
    )
    made.ContributingEquipmentSequence, made.Laterality = sequence([equipment()]), ""
    return reference.renumbered(made)
