"""NRRD files (format.html of teem, versions 1 to 5), by their header alone: no library decides where a voxel lies."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.findings import Finding
from scanweave.studies.formats.header_fields import LONGEST_HEADER, MILLIMETRES, SECONDS, Fields, all_finite, unit
from scanweave.studies.formats.header_limits import ADVICE, ANEW, faults_of
from scanweave.studies.formats.placed_volume import Volume, bad_position, from_unit, no_position, open_volume
from scanweave.studies.formats.voxel_streams import Coding, Voxels
from scanweave.studies.scan import Scan

_TYPES: dict[str, str] = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(
        ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"), "i8"
    ),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
_CODINGS: dict[str, Coding] = {
    "raw": "raw",
    **dict.fromkeys(("gzip", "gz"), "gzip"),
    **dict.fromkeys(("bzip2", "bz2"), "bzip2"),
    **dict.fromkeys(("txt", "text", "ascii"), "text"),
}
_SPACES = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1.0, -1.0, 1.0)),
}
"""Signs that bring the axes of a patient's space to RAS."""
_VECTOR = re.compile(r"none|\([^()]*\)", re.IGNORECASE)
_QUOTED = re.compile(r'"([^"]*)"')
_SERIES = ("list", "time")
"""Kinds of an axis along which whole volumes follow each other."""


def read_nrrd(path: Path) -> Scan:
    """Open an NRRD file (`.nrrd`, `.nhdr`); the voxels are read on first use.

    An axis of the kind `list` or `time`, or the time of a space such as `left-posterior-superior-time`, holds frames,
    wherever it stands. Units that `space units` declares are converted to millimetres and seconds.

    Raises:
        ScanweaveError: The file is damaged or too large, or does not say how its axes lie.
    """
    with faults_of(path):
        fields = _header(path)
        axes = fields.whole("dimension", fields.needed("dimension"), 1)
        sizes = fields.sizes("sizes", fields.needed("sizes"), axes)
        place = _Place(fields, sizes)
        affine, units = from_unit(path, place.affine(), place.millimetres, place.declared)
        voxels = _voxels(fields, int(np.prod([*sizes], dtype=object)))
        unplaced = [] if "space origin" in fields.values else [no_position("space origin")]
        notes: list[Finding] = [*units, *unplaced]
        volume = Volume(voxels, sizes, affine, place.frame_axis, place.times())
    return open_volume(volume, notes)


def _header(path: Path) -> Fields:
    """Read the fields of a header, each judged as the format says."""
    with path.open("rb") as stream:
        content = stream.read(LONGEST_HEADER)
    fields, start, listed = Fields(path), 0, False
    if not re.match(rb"NRRD000[1-5]\r?\n", content):
        raise ScanweaveError(path, f"not an NRRD file (it starts with {content[:8]!r})", ADVICE)
    while start < len(content):
        stop = content.find(b"\n", start)
        line = content[start : stop if stop >= 0 else len(content)].decode("latin-1").strip()
        start = stop + 1 if stop >= 0 else len(content)
        if listed:
            fields.rest.append(line)
            continue
        if not line:
            break
        listed = _enter(fields, line)
    else:
        if len(content) == LONGEST_HEADER and not listed:
            raise ScanweaveError(path, "its header does not end", ADVICE)
    fields.end = start
    return fields


def _enter(fields: Fields, line: str) -> bool:
    """Enter a line of a header; return whether names of files follow it."""
    if line.startswith("#") or line.startswith("NRRD0"):
        return False
    key, assigned, value = line.partition(":=")
    name, colon, text = line.partition(":")
    if assigned and len(key) <= len(name):
        fields.notes[key.strip().lower()] = value.strip()
        return False
    if not colon:
        raise ScanweaveError(fields.path, f"a line of its header is no field: {line[:40]!r}", ADVICE)
    name = {"datafile": "data file", "lineskip": "line skip", "byteskip": "byte skip"}.get(
        name.strip().lower(), name.strip().lower()
    )
    fields.enter(name, text.strip())
    return name == "data file" and text.strip().upper().startswith("LIST")


def _voxels(fields: Fields, count: int) -> Voxels:
    kind, coding = fields.needed("type").lower(), fields.needed("encoding").lower()
    if kind not in _TYPES:
        raise ScanweaveError(fields.path, f"holds '{kind[:30]}' voxels", "Export one number a voxel (integer or real)")
    if coding not in _CODINGS:
        raise ScanweaveError(fields.path, f"its encoding '{coding[:30]}' is not read", "Write it raw or as gzip")
    dtype, order = np.dtype(_TYPES[kind]), fields.values.get("endian", "").lower()
    if dtype.itemsize > 1 and _CODINGS[coding] != "text":
        if order not in ("little", "big"):
            raise ScanweaveError(fields.path, "its header does not say the byte order (endian)", ADVICE)
        dtype = dtype.newbyteorder("<" if order == "little" else ">")
    named = fields.first("data file")
    lines = fields.whole("line skip", fields.values.get("line skip", "0"))
    skip = fields.whole("byte skip", fields.values.get("byte skip", "0"), -1)
    packed = _CODINGS[coding] not in ("raw", "text")
    if skip < 0 and (packed or _CODINGS[coding] == "text"):
        raise ScanweaveError(fields.path, "byte skip is -1, which only raw voxels may have", ADVICE)
    parts, offset = ((fields.path,), fields.end) if named is None else (fields.files(named), 0)
    last = None if skip < 0 else offset
    return Voxels(fields.path, parts, dtype, count, _CODINGS[coding], last, lines, max(0, skip))


class _Place:
    """Place of the axes of the file in the patient and in time."""

    def __init__(self, fields: Fields, sizes: tuple[int, ...]) -> None:
        self.fields, space = fields, fields.values.get("space", "").lower()
        bare = space.removesuffix("-time") if space.endswith("-time") else space[:3] if len(space) == 4 else space
        timed = bare != space
        if bare not in _SPACES or (timed and len(space) == 4 and space[3] != "t"):
            self._refuse("space of a patient, or space directions")
        if "space directions" not in fields.values:
            self._refuse("space of a patient, or space directions")
        self.signs, self.dimension = np.array(_SPACES[bare]), 4 if timed else 3
        self.vectors = self._vectors(len(sizes))
        spatial = [axis for axis, vector in self.vectors.items() if np.any(vector[:3]) or not timed]
        others = [axis for axis in range(len(sizes)) if axis not in spatial]
        if len(spatial) != 3 or len(others) > 1:
            words = f"{len(spatial)} of its {len(sizes)} axes lie in space, not 3 of 3 or 4"
            raise ScanweaveError(fields.path, words, "Export it as 3D or 4D")
        self.spatial, self.frame_axis = spatial, others[0] if others else None
        self._check_series(sizes)
        lengths, self.declared = self._units()
        self.millimetres, self._second = lengths[:3], lengths[3]

    def affine(self) -> NDArray[np.float64]:
        """`(4, 4)`, index along the spatial axes → RAS, in the units of the file."""
        affine = np.eye(4)
        affine[:3, :3] = np.stack([self.vectors[axis][:3] for axis in self.spatial], axis=1)
        affine[:3, 3] = self._origin()[:3]
        return np.diag([*self.signs, 1.0]) @ affine

    def times(self) -> tuple[float, float] | None:
        """Start and step of the frames [s], where the header tells them."""
        axis, fields = self.frame_axis, self.fields
        if axis is None:
            return None
        if axis in self.vectors:
            return self._origin()[3] * self._second, float(self.vectors[axis][3]) * self._second
        axes = len(fields.needed("sizes").split())
        units, spacings = _QUOTED.findall(fields.values.get("units", "")), fields.first("spacings")
        word = units[axis].strip().lower() if len(units) == axes else ""
        if spacings is None or (word not in SECONDS and (word or self._kinds()[axis] != "time")):
            return None
        start = fields.first("axis mins", "axismins")
        first = fields.numbers("axis mins", start, axes)[axis] if start else 0.0
        factor = SECONDS.get(word, 1.0)
        return first * factor, fields.numbers("spacings", spacings, axes)[axis] * factor

    def _vectors(self, axes: int) -> dict[int, NDArray[np.float64]]:
        """Direction of one step along each axis that has one."""
        text = self.fields.values["space directions"]
        words = _VECTOR.findall(text) if len(text) < 4096 else []
        if len(words) != axes or _VECTOR.sub("", text).strip():
            raise ScanweaveError(self.fields.path, f"space directions are not {axes} vectors: {text[:60]!r}", ADVICE)
        vectors = {}
        for axis, word in enumerate(words):
            if word.lower() != "none":
                vectors[axis] = np.array(self.fields.numbers("space directions", word, self.dimension))
        for vector in vectors.values():
            if self.dimension == 4 and vector[3] and np.any(vector[:3]):
                raise ScanweaveError(self.fields.path, "an axis runs through space and time at once", ADVICE)
        return vectors

    def _origin(self) -> list[float]:
        text = self.fields.values.get("space origin")
        if text is None:
            return [0.0] * 4
        origin = self.fields.numbers("space origin", text, self.dimension)
        if not all_finite(origin[:3]):
            raise bad_position(self.fields.path, text)
        return [*origin, 0.0][:4]

    def _units(self) -> tuple[list[float], str]:
        """Millimetres of the unit of each axis of the space, seconds of that of time, and the words for it."""
        text = self.fields.values.get("space units", "")
        words = _QUOTED.findall(text)
        if text and len(words) != self.dimension:
            raise ScanweaveError(
                self.fields.path, f"space units are not {self.dimension} in quotes: {text[:60]!r}", ADVICE
            )
        lengths = [unit(self.fields, word, MILLIMETRES) for word in words[:3]] or [1.0] * 3
        second = unit(self.fields, words[3], SECONDS) if len(words) > 3 else 1.0
        return [*lengths, second], " ".join(dict.fromkeys(words[:3]))

    def _kinds(self) -> list[str]:
        axes = len(self.fields.needed("sizes").split())
        kinds = [kind.lower() for kind in self.fields.values.get("kinds", "").split()]
        return kinds if len(kinds) == axes else ["???"] * axes

    def _check_series(self, sizes: tuple[int, ...]) -> None:
        """Refuse a fourth axis along which something else than whole volumes follows."""
        axis = self.frame_axis
        if axis is None or axis in self.vectors or sizes[axis] == 1 or self._kinds()[axis] in _SERIES:
            return
        words = f"holds {sizes[axis]} numbers a voxel"
        raise ScanweaveError(self.fields.path, words, "Export one number a voxel; a series has the kind list or time")

    def _refuse(self, lacking: str) -> None:
        words = f"its header says nothing about orientation (it has no {lacking})"
        raise ScanweaveError(self.fields.path, words, ANEW)
