"""MetaImage files (`.mha`, `.mhd`), by their header alone: no library decides where a voxel lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.findings import Finding
from scanweave.studies.formats.header_fields import LONGEST_HEADER, MILLIMETRES, Fields, all_finite, unit
from scanweave.studies.formats.header_limits import ADVICE, ANEW, faults_of
from scanweave.studies.formats.placed_volume import (
    LPS_TO_RAS,
    Volume,
    bad_position,
    from_unit,
    no_position,
    open_volume,
)
from scanweave.studies.formats.voxel_streams import Coding, Voxels
from scanweave.studies.scan import Scan

_TYPES = {
    "met_char": "i1",
    "met_uchar": "u1",
    "met_short": "i2",
    "met_ushort": "u2",
    "met_int": "i4",
    "met_uint": "u4",
    "met_long": "i4",
    "met_ulong": "u4",
    "met_long_long": "i8",
    "met_ulong_long": "u8",
    "met_float": "f4",
    "met_double": "f8",
}
"""Of MetaIO, where a long has 4 bytes everywhere."""
_MATRIX = ("transformmatrix", "orientation", "rotation")
_OFFSET = ("offset", "position", "origin")
_DATA = "elementdatafile"


def read_metaimage(path: Path) -> Scan:
    """Open a MetaImage file; the voxels are read on first use.

    A fourth axis is time: its spacing and offset are seconds, as in what ITK writes. `DistanceUnits` are converted to
    millimetres, and a declared slope and intercept of the intensities are applied.

    Raises:
        ScanweaveError: The file is damaged or too large, or does not say how its axes lie.
    """
    with faults_of(path):
        fields = _header(path)
        axes = fields.whole("NDims", fields.needed("ndims"), 1)
        if fields.needed("objecttype").lower() != "image" or axes > 16:
            raise ScanweaveError(path, f"not an image of up to 16 axes ({fields.needed('objecttype')[:30]})", ADVICE)
        channels = fields.whole("ElementNumberOfChannels", fields.first("elementnumberofchannels") or "1", 1)
        if channels != 1:
            raise ScanweaveError(path, f"holds {channels} numbers a voxel", "Export one number a voxel")
        sizes = fields.sizes("DimSize", fields.needed("dimsize"), axes)
        if len(sizes) < 3:
            raise ScanweaveError(path, f"its header gives the shape {sizes}, not 3D or 4D", "Export it as 3D or 4D")
        affine, times, notes = _place(fields, axes)
        voxels = _voxels(fields, sizes)
        slope, intercept, scaled = _scale(fields)
        volume = Volume(voxels, sizes, affine, None, times, slope, intercept)
    return open_volume(volume, [*notes, *scaled])


def _header(path: Path) -> Fields:
    """Read the fields up to that which names the data, the last of a header."""
    with path.open("rb") as stream:
        content = stream.read(LONGEST_HEADER)
    fields, start = Fields(path), 0
    while start < len(content):
        stop = content.find(b"\n", start)
        line = content[start : stop if stop >= 0 else len(content)].decode("latin-1").strip()
        start = stop + 1 if stop >= 0 else len(content)
        name, separator, value = line.partition("=")
        if not separator and line:
            name, separator, value = line.partition(":")
        if line and not separator:
            raise ScanweaveError(path, f"not a MetaImage: a line of its header is no field ({line[:20]!r})", ADVICE)
        if not line:
            continue
        if name.strip().lower() == "comment":
            continue
        fields.enter(name.strip().lower(), value.strip())
        if name.strip().lower() == _DATA:
            break
    else:
        raise ScanweaveError(path, "not a MetaImage: its header does not end with ElementDataFile", ADVICE)
    fields.end = start
    if fields.values[_DATA].upper().startswith("LIST"):
        fields.rest = [line.strip() for line in content[start:].decode("latin-1").split("\n")]
    return fields


def _place(fields: Fields, axes: int) -> tuple[NDArray[np.float64], tuple[float, float] | None, list[Finding]]:
    """Return the affine, start and step of the frames, and what is peculiar about them."""
    turned = fields.first(*_MATRIX)
    if turned is None:
        reason = "its header says nothing about orientation (it has no TransformMatrix)"
        raise ScanweaveError(fields.path, reason, ANEW)
    matrix = np.reshape(fields.numbers("TransformMatrix", turned, axes * axes), (axes, axes)).T
    if np.any(matrix[:3, 3:]) or np.any(matrix[3:, :3]):
        raise ScanweaveError(fields.path, "an axis runs through space and time at once", ADVICE)
    steps = fields.first("elementspacing", "elementsize")
    if steps is None:
        raise ScanweaveError(fields.path, "its header has no field 'ElementSpacing': voxel sizes are unknown", ANEW)
    spacing = fields.numbers("ElementSpacing", steps, axes)
    if not all_finite(spacing[:3]) or min(spacing[:3]) <= 0:
        raise ScanweaveError(fields.path, f"its voxel sizes are {spacing[:3]}", ANEW)
    where = fields.first(*_OFFSET)
    origin = [0.0] * axes if where is None else fields.numbers("Offset", where, axes)
    if not all_finite(origin[:3]):
        raise bad_position(fields.path, where or "")
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix[:3, :3] * np.array(spacing[:3]), origin[:3]
    declared = fields.first("distanceunits") or ""
    affine, units = from_unit(fields.path, LPS_TO_RAS @ affine, unit(fields, declared, MILLIMETRES), declared)
    notes = [*units, *([no_position("Offset")] if where is None else [])]
    return affine, (origin[3], spacing[3]) if axes > 3 else None, notes


def _voxels(fields: Fields, sizes: tuple[int, ...]) -> Voxels:
    count = int(np.prod([*sizes], dtype=object))
    kind = fields.needed("elementtype").lower()
    if kind not in _TYPES:
        raise ScanweaveError(
            fields.path, f"holds {kind[:30].upper()} voxels", "Export one number a voxel (integer or real)"
        )
    big = fields.flag("binarydatabyteordermsb", "elementbyteordermsb")
    coding: Coding = (
        "zlib" if fields.flag("compresseddata") else "text" if fields.flag("binarydata") is False else "raw"
    )
    skip = fields.whole("HeaderSize", fields.first("headersize") or "0", -1)
    if skip < 0 and coding != "raw":
        raise ScanweaveError(fields.path, "HeaderSize is -1, which only plain binary voxels may have", ADVICE)
    local = fields.values[_DATA].upper() == "LOCAL"
    parts = (fields.path,) if local else fields.files(fields.values[_DATA], sizes[-1])
    offset = None if skip < 0 else skip or (fields.end if local else 0)
    dtype = np.dtype(_TYPES[kind]).newbyteorder(">" if big else "<")
    return Voxels(fields.path, parts, dtype, count, coding, offset)


def _scale(fields: Fields) -> tuple[float, float, list[Finding]]:
    """Return slope and intercept of the intensities, which some readers pass over."""
    names = ("elementtointensityfunctionslope", "elementtointensityfunctionoffset")
    slope, intercept = (
        fields.numbers(name, fields.first(name) or default, 1)[0] for name, default in zip(names, "10", strict=True)
    )
    if not all_finite([slope, intercept]) or slope == 0:
        raise ScanweaveError(fields.path, f"its intensity scale is {slope:g} and {intercept:g}", ADVICE)
    if (slope, intercept) == (1.0, 0.0):
        return slope, intercept, []
    words = f"ElementToIntensityFunction gives a slope of {slope:g} and an offset of {intercept:g}"
    return slope, intercept, [Finding("scale", "repaired", words, "applied; some readers pass over it")]
