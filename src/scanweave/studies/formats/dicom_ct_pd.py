"""DICOM-CT-PD: projections of clinical scanners, one file a view, as in the collection LDCT-and-Projection-data.

The format and its coordinates: Chen et al., Med Phys 42(12), 2015; the private elements read here, checked against
Moen et al., Med Phys 48(2), 2021, table IV, and the format's user manual (version 3, 2020). Coordinates are those of
the format, left-handed and fixed to the patient: seen from the table, azimuth 0 is at twelve o'clock and grows
anticlockwise, so that x = −ρ sin φ and y = ρ cos φ. With the detector at six o'clock, its first column lies leftmost
and its first row farthest.

`Projections.sinogram` makes a fan of one detector row of an axial scan. Helical views and flying focal spots are read,
but not rebinned, and `sinogram` refuses them. Nothing was tested on files of a scanner, only on files written by the
tests.
"""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.formats import header_limits
from scanweave.studies.sinogram import Sinogram

Array = NDArray[np.floating]

GROUP = "ct"
"""Optional group of scanweave that installs pydicom."""
MAX_FILE_BYTES = 2**28
SAME_LENGTH_MM = 0.01
"""Change of a length over a scan that rounding explains [mm]."""
_ONE_VIEW: dict[str, tuple[int, str]] = {
    "rows": (0x70291010, "H"),
    "columns": (0x70291011, "H"),
    "transverse": (0x70291002, "f"),
    "axial": (0x70291006, "f"),
    "shape": (0x7029100B, "s"),
    "azimuth": (0x70311001, "f"),
    "height": (0x70311002, "f"),
    "radius": (0x70311003, "f"),
    "distance": (0x70311031, "f"),
    "centre": (0x70311033, "f"),
}
"""Elements that a view must hold: tag, and its value representation as `struct` names it (US, FL, CS); d is a DS."""
_OPTIONAL: dict[str, tuple[int, str]] = {
    "azimuth_shift": (0x7033100B, "f"),
    "height_shift": (0x7033100C, "f"),
    "radius_shift": (0x7033100D, "f"),
    "focal_spot": (0x7033100E, "s"),
    "scan_type": (0x70371009, "s"),
    "spectrum": (0x70331063, "H"),
    "hardening": (0x70391003, "s"),
    "logged": (0x70391009, "s"),
    "water": (0x70411001, "d"),
}
_PLAIN_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
"""Transfer syntaxes without compression, little-endian."""
_ADVICE = "Check that the folder holds one whole series of DICOM-CT-PD projections"


@dataclass(frozen=True, eq=False)
class Projections:
    """Views of a scan, in the order of their instance numbers.

    Attributes:
        values: Line integrals, `(V, R, C)` float32: views, detector rows, detector columns.
        azimuth: φ0 of the detector's focal centre [rad], `(V,)`.
        height: z0 of it [mm], `(V,)`.
        radius: ρ0, its distance from the axis [mm], `(V,)`.
        shift: Of the focal spot from the focal centre: Δφ [rad], Δz [mm], Δρ [mm], `(V, 3)`.
        distance: d0 from the focal centre to the detector [mm].
        pitch: Width of a detector column and of a row, at the detector [mm].
        centre: Column and row, from 1, that lie in line with focal centre and isocentre; may be fractions.
        shape: `"CYLINDRICAL"`, `"SPHERICAL"` or `"FLAT"`.
        scan_type: `"AXIAL"` or `"HELICAL"`; empty where the files do not tell.
        focal_spot: Mode of the flying focal spot, `"FFSNONE"` for none; empty where the files do not tell.
        water: Attenuation of water for CT numbers, as the files tell it (public readers take it for 1/mm); 0 if absent.
        hardening: Whether beam hardening is corrected already: `"YES"`, `"NO"` or empty.
    """

    values: NDArray[np.float32]
    azimuth: Array
    height: Array
    radius: Array
    shift: Array
    distance: float
    pitch: tuple[float, float]
    centre: tuple[float, float]
    shape: str
    scan_type: str
    focal_spot: str
    water: float = 0.0
    hardening: str = ""

    def fan_angles(self) -> Array:
        """Return the angle of each detector column to the central ray [rad], `(C,)`; negative for the first ones.

        Raises:
            ScanweaveError: The detector is not a cylinder around the focal centre.
        """
        if self.shape != "CYLINDRICAL":
            raise ScanweaveError("detector", f"is {self.shape}, not CYLINDRICAL", "Only cylinders have even fan angles")
        columns = np.arange(1, self.values.shape[2] + 1)
        return np.asarray((columns - self.centre[0]) * self.pitch[0] / self.distance)

    def sinogram(self, shape: tuple[int, int], pixel: float, row: int | None = None) -> Sinogram:
        """Return one detector row of an axial scan as a fan, with the geometry of `physics.ct`'s `fan-arc`.

        The image is seen from the table, anterior up. Only the row in line with the isocentre lies in a plane: of a
        detector of many rows, outer ones are cones.

        Args:
            shape: Pixels of the images to be made `(H, W)`.
            pixel: Side of a pixel [mm].
            row: Detector row, from 1; None: the one nearest to the plane of the focal spot.

        Raises:
            ScanweaveError: The scan is helical, its focal spot flies, its radius changes, its detector is no cylinder,
                or there is no such row.
        """
        self._check_fan()
        rows, columns = self.values.shape[1:]
        chosen = int(np.clip(round(self.centre[1]), 1, rows)) if row is None else row
        if not 1 <= chosen <= rows:
            raise ScanweaveError("row", f"there is no row {chosen} of {rows}", f"Give 1 to {rows}")
        source = float(self.radius[0])
        geometry = {
            "kind": "fan-arc",
            "shape": list(shape),
            "pixel": pixel,
            "detectors": columns,
            "pitch": self.pitch[0],
            # A source at azimuth φ is one at the angle φ + 180° there, whose detector runs the other way.
            "angles": np.rad2deg(self.azimuth + math.pi).tolist(),
            "offset": (self.centre[0] - (columns + 1) / 2) * self.pitch[0],
            "source": source,
            "detector": self.distance - source,
        }
        return Sinogram(self.values[None, :, chosen - 1, ::-1].copy(), "line_integrals", geometry)

    def _check_fan(self) -> None:
        if self.scan_type == "HELICAL" or np.ptp(self.height) > SAME_LENGTH_MM:
            step = "Rebin it to fans first; this reader does not"
            raise ScanweaveError("scan", f"is helical: the table moves {np.ptp(self.height):.4g} mm", step)
        if np.abs(self.shift).max() > 0 or self.focal_spot not in ("", "FFSNONE"):
            reason = f"does not stay in the detector's focal centre ({self.focal_spot or 'no mode is told'})"
            raise ScanweaveError("focal spot", reason, "Rebin the views first; this reader does not")
        if np.ptp(self.radius) > SAME_LENGTH_MM:
            raise ScanweaveError("radius", f"changes by {np.ptp(self.radius):.4g} mm", "Only circles can be taken")
        self.fan_angles()


def read_ct_pd(folder: str | Path) -> Projections:
    """Read all views of a series.

    Args:
        folder: Holds one series, a file a view, all ending in `.dcm`.

    Raises:
        ScanweaveError: Files are absent, damaged, compressed, no projections, not logarithmic, or views are missing.
    """
    folder = Path(folder)
    pydicom = require("pydicom", GROUP)
    paths = sorted(folder.glob("*.dcm"))
    if not paths:
        raise ScanweaveError(folder, "holds no .dcm file", _ADVICE)
    views: list[dict[str, Any]] = []
    for path in paths:
        views.append(_read_view(pydicom, path))
        if views[-1]["values"].nbytes * len(paths) > header_limits.MEMORY_BUDGET:
            raise ScanweaveError(
                folder,
                f"its {len(paths)} views need more than {header_limits.MEMORY_BUDGET / 2**30:.1f} GiB",
                "Read fewer views at a time, or raise SCANWEAVE_MEMORY_BUDGET (bytes)",
            )
    views.sort(key=lambda view: int(view["number"]))
    _check_series(folder, views)
    return _gather(views)


def _read_view(pydicom: Any, path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ScanweaveError(path, f"larger than {MAX_FILE_BYTES // 2**20} MiB, so not one projection", _ADVICE)
    try:
        with header_limits.faults_of(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong with a file is told in one line, by an error
            data = pydicom.dcmread(path)
    except pydicom.errors.InvalidDicomError as error:
        raise ScanweaveError(path, "not a DICOM file", _ADVICE) from error
    with header_limits.faults_of(path):
        syntax = str(getattr(data.file_meta, "TransferSyntaxUID", ""))
        view = {name: _element(path, data, tag, kind, needed=True) for name, (tag, kind) in _ONE_VIEW.items()}
        view |= {name: _element(path, data, tag, kind, needed=False) for name, (tag, kind) in _OPTIONAL.items()}
        view["number"] = int(data.get("InstanceNumber") or 0)
        view["path"] = path
        slope, intercept = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
        pixels, stored = data.get("PixelData", b""), (int(data.get("Rows", 0)), int(data.get("Columns", 0)))
    if syntax not in _PLAIN_SYNTAXES:
        raise ScanweaveError(path, "its pixels are compressed or big-endian", "Convert it to explicit little-endian")
    if view["logged"] == "NO":
        raise ScanweaveError(path, "holds intensities (LogFlag NO), not line integrals", "Take their logarithm first")
    view["values"] = _values(path, pixels, stored, (view["rows"], view["columns"]), (slope, intercept))
    return view


def _values(
    path: Path, pixels: bytes, stored: tuple[int, int], detector: tuple[int, int], scale: tuple[float, float]
) -> NDArray[np.float32]:
    """Return line integrals `(R, C)`; its private elements tell whether a file holds the detector transposed."""
    if sorted(stored) != sorted(detector):
        raise ScanweaveError(path, f"its image is {stored}, but its detector {detector}", _ADVICE)
    if len(pixels) not in (2 * stored[0] * stored[1], 2 * stored[0] * stored[1] + 1):
        raise ScanweaveError(path, f"has {len(pixels)} bytes of pixels for {stored}: truncated or not 16 bits", _ADVICE)
    raw = np.frombuffer(pixels, "<u2", count=stored[0] * stored[1]).reshape(stored)
    values = raw.astype(np.float32) * np.float32(scale[0]) + np.float32(scale[1])
    if not np.isfinite(values).all():
        raise ScanweaveError(path, "its line integrals are not finite", _ADVICE)
    return values if stored == detector else np.ascontiguousarray(values.T)


def _element(path: Path, data: Any, tag: int, kind: str, *, needed: bool) -> Any:
    """Return the value of a private element; where the file does not tell its representation (UN), the format does."""
    if tag not in data:
        if needed:
            raise ScanweaveError(
                path,
                f"lacks the element ({tag >> 16:04X},{tag & 0xFFFF:04X}), so is no DICOM-CT-PD projection",
                _ADVICE,
            )
        return "" if kind == "s" else 0.0
    value = data[tag].value
    if isinstance(value, bytes):
        if kind in "sd":
            value = value.decode("ascii", errors="replace")
        else:
            value = struct.unpack(f"<{len(value) // struct.calcsize('<' + kind)}{kind}", value)
    if kind == "s":
        return str(value).strip(" \0").upper()
    if kind == "d":
        return _decimal(path, tag, value)
    numbers = [float(one) for one in (value if isinstance(value, Sequence | tuple) else (value,))]
    if tag == _ONE_VIEW["centre"][0]:
        return numbers[0], numbers[1]
    return int(numbers[0]) if kind == "H" else numbers[0]


def _decimal(path: Path, tag: int, value: Any) -> float:
    try:
        number = float(str(value).strip(" \0") or 0)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ScanweaveError(path, f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is {value!r}, no number", _ADVICE)
    return number


def _check_series(folder: Path, views: list[dict[str, Any]]) -> None:
    first = views[0]
    for place, view in enumerate(views):
        for name in ("rows", "columns", "transverse", "axial", "shape", "distance", "centre", "scan_type", "spectrum"):
            if view[name] != first[name]:
                raise ScanweaveError(view["path"], f"its {name} differs from that of the first view", _ADVICE)
        if view["number"] != first["number"] + place:
            raise ScanweaveError(
                folder, f"view {first['number'] + place} is missing or there twice (next is {view['number']})", _ADVICE
            )


def _gather(views: list[dict[str, Any]]) -> Projections:
    first = views[0]
    columns = {name: np.array([view[name] for view in views]) for name in ("azimuth", "height", "radius")}
    shift = [[view[name] for name in ("azimuth_shift", "height_shift", "radius_shift")] for view in views]
    modes = {view["focal_spot"] for view in views}
    return Projections(
        values=np.stack([view["values"] for view in views]),
        **columns,
        shift=np.array(shift),
        distance=first["distance"],
        pitch=(first["transverse"], first["axial"]),
        centre=first["centre"],
        shape=first["shape"],
        scan_type=first["scan_type"],
        focal_spot=modes.pop() if len(modes) == 1 else "mixed",
        water=first["water"],
        hardening=first["hardening"],
    )
