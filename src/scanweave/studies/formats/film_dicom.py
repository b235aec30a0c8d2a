"""Single films in DICOM (CR, DX, MG …) as scans one voxel deep; a slice of a CT or MR series is no film.

Values are those that the modality LUT or rescale gives. Of MONOCHROME1, in which high values are dark, they are then
turned over in their range, so that dense is bright in every film of a cohort (public readers disagree: SimpleITK and
highdicom turn before the rescale, pydicom and dcm2niix do not turn at all). Windows and VOI LUTs are told, not applied.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.dicom.pixel_bits import own_bits, padding_of
from scanweave.studies.dicom.reading import GROUP, dicom_faults
from scanweave.studies.findings import Finding
from scanweave.studies.formats.header_limits import ADVICE, HELD_BYTES_PER_VOXEL, check_size
from scanweave.studies.geometry import Geometry
from scanweave.studies.scan import COLOURS, Scan

Array = NDArray[np.generic]

NO_FILMS = ("CT", "MR", "PT", "NM", "SEG", "RTDOSE")
"""Modalities whose files are slices or volumes."""
NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
"""Transfer syntaxes whose pixels stand in the file as they are."""
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
"""Elements with a film's spacing [mm], the best first: in the patient, at the detector, of a scanned paper film."""
PALETTE = "PALETTE COLOR"
DECODED_BYTES = 8
"""Bytes a pixel that a decoder holds beside ours."""


def read_dicom_film(path: Path) -> Scan:
    """Open one DICOM film; the header is read now, the pixels on first use.

    Raises:
        ScanweaveError: pydicom is not installed; the file is damaged, too large, no film, or has several frames.
    """
    with dicom_faults(path) as pydicom:
        data = pydicom.dcmread(path, stop_before_pixels=True)
        shape, colour = _shape(path, data)
        (spacing, notes), told = _spacing(data), _told(data)
    whole = (*shape, len(COLOURS)) if colour else shape

    def load() -> Array:
        with dicom_faults(path) as pydicom:
            pixels = _pixels(pydicom.dcmread(path), colour)
            return np.ascontiguousarray(np.swapaxes(pixels, 0, 1)).reshape(whole)

    geometry = Geometry.of_film(shape[0], shape[1], spacing)
    return Scan(geometry, load, path=path, notes=(*notes, *told), channels=COLOURS if colour else None)


def _shape(path: Path, data: Any) -> tuple[tuple[int, int, int], bool]:
    """Return columns, rows and 1, and whether the film is in colour.

    Raises:
        ScanweaveError: No film, too large, or shorter than its header claims.
    """
    modality = str(data.get("Modality", ""))
    frames, samples = int(data.get("NumberOfFrames") or 1), int(data.get("SamplesPerPixel") or 1)
    shape = (int(data.get("Columns") or 0), int(data.get("Rows") or 0), 1)
    allocated = int(data.get("BitsAllocated") or 0)
    if modality in NO_FILMS:
        raise ScanweaveError(path, f"of a {modality} series, not a film", "Convert the series to NIfTI first")
    if frames > 1:
        raise ScanweaveError(path, f"holds {frames} frames, not one film", "Export the one that is meant")
    if min(shape) < 1 or allocated not in (1, 8, 16, 32) or samples not in (1, 3):
        raise ScanweaveError(path, "its header describes no image", "Check that it is an image object")
    colour = samples == len(COLOURS) or str(data.get("PhotometricInterpretation")) == PALETTE
    there = path.stat().st_size
    whole = (*shape, len(COLOURS)) if colour else shape
    check_size(path, whole, max(1, allocated // 8), there, HELD_BYTES_PER_VOXEL + DECODED_BYTES)
    needed = math.prod(shape) * samples * allocated // 8
    if str(data.file_meta.get("TransferSyntaxUID", "")) in NATIVE and there < needed:
        raise ScanweaveError(path, f"truncated: has {there} bytes of the {needed} that its header claims", ADVICE)
    return shape, colour


def _pixels(data: Any, colour: bool) -> Array:
    """Read values `(rows, columns)` or colours `(rows, columns, 3)`."""
    pixels = require("pydicom.pixels", GROUP)
    stored: NDArray[Any] = pixels.pixel_array(data)  # colour comes as RGB
    if colour:
        return stored if stored.ndim > 2 else np.asarray(pixels.apply_color_lut(stored, data))[..., : len(COLOURS)]
    bits, signed = int(data.get("BitsStored") or 16), bool(data.get("PixelRepresentation", 0))
    stored = own_bits(stored, bits, signed)
    values = np.asarray(pixels.apply_modality_lut(stored, data), dtype=np.float32)
    if str(data.get("PhotometricInterpretation")) == "MONOCHROME1":
        lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        ends = pixels.apply_modality_lut(np.array([lowest, highest], dtype=stored.dtype), data)
        values = np.float32(min(ends)) + np.float32(max(ends)) - values
    padding = padding_of(stored, data)
    if padding is not None and not padding.all():
        values[padding] = values[~padding].min()
    return values


def _spacing(data: Any) -> tuple[tuple[float, float] | None, tuple[Finding, ...]]:
    """Return the distance of columns and of rows [mm], and where it was taken from."""
    for name in SPACINGS:
        try:
            down, across = (float(step) for step in data.get(name) or ())
        except (TypeError, ValueError):
            continue
        if not (math.isfinite(down * across) and down > 0 and across > 0):
            continue
        if name == SPACINGS[0]:
            return (across, down), ()
        return (across, down), (Finding("spacing", "ok", f"spacing by {name}", "that of the detector or scanner"),)
    return None, ()


def _told(data: Any) -> tuple[Finding, ...]:
    """List what is done to the values, and how the file would have them shown."""
    notes = []
    if str(data.get("PhotometricInterpretation")) == "MONOCHROME1":
        words = "high values are dark (MONOCHROME1)"
        notes.append(Finding("inverted", "repaired", words, "turned over in their range after the rescale"))
    if data.get("PixelPaddingValue") is not None:
        words = f"pixels of {data.PixelPaddingValue} show nothing (padding)"
        notes.append(Finding("padding", "repaired", words, "given the lowest value of the film"))
    if data.get("VOILUTSequence"):
        notes.append(Finding("window", "ok", "is to be shown through a VOI LUT", "values stay as they are"))
    elif data.get("WindowCenter") is not None and data.get("WindowWidth") is not None:
        centre, width = (_first(data.get(name)) for name in ("WindowCenter", "WindowWidth"))
        words = f"is to be shown with the window {centre:g} ± {width:g}/2"
        notes.append(Finding("window", "ok", words, "values stay as they are"))
    return tuple(notes)


def _first(value: Any) -> float:
    """Return the first of the windows that a film may have; NaN where it is no number."""
    try:
        return float(np.ravel(value)[0])
    except (TypeError, ValueError, IndexError):
        return math.nan
