"""Pixels of DICOM frames as the values that scanners mean: decoded, rescaled frame by frame, in one grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.dicom.headers import Frame
from scanweave.studies.dicom.pixel_bits import own_bits, padding_of
from scanweave.studies.dicom.reading import GROUP, dicom_faults, number_of, text_of
from scanweave.studies.dicom.stacks import Stack
from scanweave.studies.formats.header_limits import HELD_BYTES_PER_VOXEL, check_budget

PALETTE = "PALETTE COLOR"
DECODER = 'Run: pip install "scanweave[films]", or let the PACS send it without compression'


def stack_voxels(stack: Stack) -> NDArray[np.float32] | NDArray[np.int16]:
    """Return the values of a stack `(X, Y, Z)`, or of a series of them `(X, Y, Z, T)`.

    Whole numbers that fit stay whole numbers; padding becomes the lowest value that is no padding.

    Raises:
        ScanweaveError: A file is damaged, too large, in colour, or in a transfer syntax that nothing here decodes.
    """
    x, y, z = stack.shape
    check_budget(stack.first.file, x * y * z * len(stack.frames), HELD_BYTES_PER_VOXEL)
    made = np.empty((x, y, z, len(stack.frames)), np.float32)
    places: dict[Path, list[tuple[int, int, Frame]]] = {}
    for moment, planes in enumerate(stack.frames):
        for place, frame in enumerate(planes):
            places.setdefault(frame.file, []).append((place, moment, frame))
    for path, several in places.items():
        for (place, moment, _), plane in zip(several, _planes(path, [one for _, _, one in several]), strict=True):
            made[:, :, place, moment] = plane.T
    _without_padding(made)
    whole = made if len(stack.frames) > 1 else made[..., 0]
    rounded = np.rint(whole)
    limits = np.iinfo(np.int16)
    if np.array_equal(rounded, whole) and limits.min <= whole.min() and whole.max() <= limits.max:
        return whole.astype(np.int16)
    return whole


def _planes(path: Path, frames: Sequence[Frame]) -> list[NDArray[np.float32]]:
    """Return the values of some frames of a file, each `(rows, columns)`; NaN where they are padding."""
    with dicom_faults(path) as pydicom:
        data = pydicom.dcmread(path)
        if int(number_of(data, "SamplesPerPixel") or 1) > 1 or text_of(data, "PhotometricInterpretation") == PALETTE:
            raise ScanweaveError(path, "is in colour, which no value of a volume is", "Leave the series out")
        stored = _stored(path, data)
        whole = stored if stored.ndim == 3 else stored[None]
        if len(whole) <= max(frame.number for frame in frames):
            raise ScanweaveError(path, f"holds {len(whole)} frames, and its header tells of more", "Export it again")
        return [_values(_cut(whole[frame.number], frame), data, frame) for frame in frames]


def _cut(plane: NDArray[Any], frame: Frame) -> NDArray[Any]:
    """Return the pixels of a frame in its stored plane: of a mosaic its tile."""
    if frame.tile is None:
        return plane
    row, column = frame.tile
    return plane[row : row + frame.rows, column : column + frame.columns]


def _stored(path: Path, data: Any) -> NDArray[Any]:
    """Return the pixels as they are stored.

    Raises:
        ScanweaveError: No decoder here knows its transfer syntax.
    """
    pixels = require("pydicom.pixels", GROUP)
    syntax = data.file_meta.get("TransferSyntaxUID")
    known = getattr(syntax, "name", str(syntax))
    if syntax is not None and syntax.is_compressed and not _decodes(pixels, syntax):
        raise ScanweaveError(path, f"is compressed as {known}, which nothing that is installed decodes", DECODER)
    found: NDArray[Any] = pixels.pixel_array(data)
    return found


def _decodes(pixels: Any, syntax: Any) -> bool:
    try:
        return bool(pixels.get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _values(stored: NDArray[Any], data: Any, frame: Frame) -> NDArray[np.float32]:
    """Return what a frame means: by its own rescaling, else by that of the file, or its modality LUT."""
    pixels = require("pydicom.pixels", GROUP)
    stored = own_bits(stored, int(number_of(data, "BitsStored") or 16), bool(number_of(data, "PixelRepresentation")))
    if frame.slope is not None and "ModalityLUTSequence" not in data:
        values = stored.astype(np.float64) * frame.slope + (frame.intercept or 0.0)
    else:
        values = np.asarray(pixels.apply_modality_lut(stored, data), np.float64)
    made = values.astype(np.float32)
    padding = None if text_of(data, "Modality") == "MR" else padding_of(stored, data)  # of MR it is the background
    if padding is not None:
        made[padding] = np.nan
    return made


def _without_padding(values: NDArray[np.float32]) -> None:
    """Replace NaN by the lowest value, in place: what is outside of the field of view shows nothing."""
    nothing = np.isnan(values)
    if nothing.any():
        values[nothing] = 0 if nothing.all() else np.nanmin(values)
