"""Scan geometries of two-dimensional CT: parallel beam, fan beam on a flat and on a curved detector.

The image `(H, W)` is centred on the isocentre: pixel (i, j) lies at x = (j − (W−1)/2)·pixel to the right and
y = ((H−1)/2 − i)·pixel upwards [mm]. At angle θ the central ray runs along c = (−sin θ, cos θ) and the detector along
u = (cos θ, sin θ); a fan's source lies at −source·c. A parallel ray at detector position s is then the line
x cos θ + y sin θ = s of the Radon transform (Kak and Slaney, Principles of Computerized Tomographic Imaging, 1988,
ch. 3). The convention is that of ASTRA's `parallel` and `fanflat`.
"""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass
from dataclasses import fields as fields_of
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError

Array = NDArray[np.float64]
MAX_RAYS = 2**31 - 1
"""Rays and pixels are numbered with 32 bits."""


def even_angles(views: int, sweep: float = 180.0, start: float = 0.0) -> tuple[float, ...]:
    """Return `views` angles evenly spread over [start, start + sweep) [°]."""
    return tuple((start + sweep * np.arange(views) / max(views, 1)).tolist())


@dataclass(frozen=True, kw_only=True)
class CtGeometry(ABC):
    """Image grid, view angles and detector of a scan; hashable, so that operators are cached by it.

    Attributes:
        shape: Pixels of the image `(H, W)`.
        pixel: Side of a pixel [mm].
        angles: Angle of each view [°], any order.
        detectors: Detector elements of a view.
        pitch: Distance of neighbouring elements [mm]: on the detector, along the arc where it is curved.
        offset: Shift of the detector's centre along u [mm]: `pitch / 4` is a quarter-detector offset. Where the axis
            falls on element a, counted from 0, it is `((detectors − 1) / 2 − a) · pitch`, as of other parallel tools.

    Raises:
        ScanweaveError: A field is not usable.
    """

    kind: ClassVar[str]
    shape: tuple[int, int]
    pixel: float
    angles: tuple[float, ...]
    detectors: int
    pitch: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _whole_pair(self.shape))
        object.__setattr__(self, "angles", _finite_angles(self.angles))
        object.__setattr__(self, "detectors", _whole("detectors", self.detectors))
        for name in ("pixel", "pitch"):
            object.__setattr__(self, name, _number(name, getattr(self, name), above=0))
        object.__setattr__(self, "offset", _number("offset", self.offset))
        if max(math.prod(self.shape), math.prod(self.sinogram_shape)) > MAX_RAYS:
            raise ScanweaveError("geometry", f"more than {MAX_RAYS} rays or pixels", "Split the views or the image")

    @property
    def sinogram_shape(self) -> tuple[int, int]:
        """Views and detectors."""
        return len(self.angles), self.detectors

    @property
    def radius(self) -> float:
        """Half the diagonal of the image [mm]."""
        return 0.5 * self.pixel * math.hypot(*self.shape)

    @property
    def positions(self) -> Array:
        """Position of each element's centre on the detector `(detectors,)` [mm]."""
        return (np.arange(self.detectors, dtype=np.float64) - (self.detectors - 1) / 2) * self.pitch + self.offset

    @property
    def digest(self) -> str:
        """A name for files: equal for equal geometries, on any machine."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]

    def axes(self) -> tuple[Array, Array]:
        """Return the unit vectors of each view: central ray c and detector u, `(views, 2)` as (x, y)."""
        theta = np.deg2rad(self.angles)
        return np.stack([-np.sin(theta), np.cos(theta)], -1), np.stack([np.cos(theta), np.sin(theta)], -1)

    @abstractmethod
    def rays(self) -> Array:
        """Return two points of every ray, in its direction: `(views, detectors, 2, 2)` as (x, y) [mm]."""

    def to_dict(self) -> dict[str, Any]:
        """Return the geometry as plain values, for `geometry_from_dict`."""
        return {"kind": self.kind, **asdict(self), "shape": list(self.shape), "angles": list(self.angles)}


@dataclass(frozen=True, kw_only=True)
class ParallelGeometry(CtGeometry):
    """Parallel rays; `pitch` is their distance."""

    kind: ClassVar[str] = "parallel"

    @classmethod
    def covering(cls, shape: tuple[int, int], pixel: float, angles: Iterable[float]) -> Self:
        """Return the scan whose rays lie a pixel apart and cross the whole image."""
        detectors = math.ceil(math.hypot(*shape)) + 1
        return cls(shape=shape, pixel=pixel, angles=tuple(angles), detectors=detectors, pitch=pixel)

    def rays(self) -> Array:
        """Return where each ray enters and leaves the circle around the image's centre; see `CtGeometry.rays`."""
        c, u = self.axes()
        middle = u[:, None] * self.positions[None, :, None]
        reach = self.radius * c[:, None]
        return np.stack([middle - reach, middle + reach], axis=2)


@dataclass(frozen=True, kw_only=True)
class FanGeometry(CtGeometry):
    """A point source opposite a detector.

    Attributes:
        source: Distance from source to isocentre [mm]; the source lies outside the image.
        detector: Distance from isocentre to detector [mm]; 0 for a virtual detector through the isocentre.
    """

    source: float
    detector: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", _number("source", self.source, above=0))
        object.__setattr__(self, "detector", _number("detector", self.detector))
        super().__post_init__()
        if self.detector < 0:
            raise ScanweaveError("detector", "a negative distance to the isocentre", "Give 0 mm or more")
        if self.source <= self.radius:
            reason = f"the source turns {self.source:g} mm from the isocentre, inside the image ({self.radius:.4g} mm)"
            raise ScanweaveError("source", reason, "Move the source out or choose a smaller grid")
        if np.abs(self.fan_angles).max() >= math.pi / 2:
            raise ScanweaveError("detectors", "rays of the fan leave the source backwards", "Use a narrower detector")

    @property
    @abstractmethod
    def fan_angles(self) -> Array:
        """Angle γ of each element's ray to the central ray `(detectors,)` [rad]."""

    @property
    def half_fan(self) -> float:
        """Largest |γ| of a ray that meets the image [rad]."""
        return float(min(np.abs(self.fan_angles).max(), math.asin(self.radius / self.source)))

    @property
    def short_sweep(self) -> float:
        """Smallest sweep that measures every line through the image [°]: 180° and the fan (Parker 1982)."""
        return 180.0 + 2 * math.degrees(self.half_fan)

    def rays(self) -> Array:
        """Return source and detector element of each ray; see `CtGeometry.rays`."""
        c, u = self.axes()
        along, across = self._element()
        start = np.broadcast_to(-self.source * c[:, None], (*self.sinogram_shape, 2))
        end = start + c[:, None] * along[None, :, None] + u[:, None] * across[None, :, None]
        return np.stack([start, end], axis=2)

    @abstractmethod
    def _element(self) -> tuple[Array, Array]:
        """Return where each element lies from the source, along c and along u, `(detectors,)` [mm]."""

    @classmethod
    def covering(
        cls, shape: tuple[int, int], pixel: float, angles: Iterable[float], *, source: float, detector: float
    ) -> Self:
        """Return the scan whose rays lie about a pixel apart at the isocentre and cross the whole image."""
        reach = 0.5 * pixel * math.hypot(*shape)
        if not source > reach:
            raise ScanweaveError("source", "the source turns inside the image", f"Give more than {reach:.4g} mm")
        pitch = pixel * (source + detector) / source
        count = 2 * math.ceil(cls._half_width(math.asin(reach / source), source + detector) / pitch) + 1
        return cls(
            shape=shape,
            pixel=pixel,
            angles=tuple(angles),
            detectors=count,
            pitch=pitch,
            source=source,
            detector=detector,
        )

    @staticmethod
    @abstractmethod
    def _half_width(angle: float, distance: float) -> float:
        """Return how far from the detector's centre the ray at `angle` [rad] falls [mm]."""


@dataclass(frozen=True, kw_only=True)
class FanFlatGeometry(FanGeometry):
    """A fan on a flat detector, its elements evenly spaced along a line."""

    kind: ClassVar[str] = "fan-flat"

    @property
    def fan_angles(self) -> Array:
        """Angle γ of each element's ray to the central ray `(detectors,)` [rad]."""
        return np.arctan(self.positions / (self.source + self.detector))

    def _element(self) -> tuple[Array, Array]:
        return np.full(self.detectors, self.source + self.detector), self.positions

    @staticmethod
    def _half_width(angle: float, distance: float) -> float:
        return distance * math.tan(angle)


@dataclass(frozen=True, kw_only=True)
class FanArcGeometry(FanGeometry):
    """A fan on a detector curved around the source, its rays evenly spaced in angle."""

    kind: ClassVar[str] = "fan-arc"

    @property
    def fan_angles(self) -> Array:
        """Angle γ of each element's ray to the central ray `(detectors,)` [rad]."""
        return self.positions / (self.source + self.detector)

    def _element(self) -> tuple[Array, Array]:
        distance, angles = self.source + self.detector, self.fan_angles
        return distance * np.cos(angles), distance * np.sin(angles)

    @staticmethod
    def _half_width(angle: float, distance: float) -> float:
        return distance * angle


KINDS: dict[str, type[CtGeometry]] = {one.kind: one for one in (ParallelGeometry, FanFlatGeometry, FanArcGeometry)}


def geometry_from_dict(values: Mapping[str, Any]) -> CtGeometry:
    """Return the geometry that `CtGeometry.to_dict` wrote.

    Raises:
        ScanweaveError: The kind is unknown, or a field is missing, unknown or not usable.
    """
    fields = dict(values)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ScanweaveError("kind", f"unknown geometry {kind!r}", f"Use one of: {', '.join(KINDS)}")
    known = {one.name: one.default is MISSING for one in fields_of(KINDS[kind])}
    lacking = [name for name, needed in known.items() if needed and name not in fields]
    unknown = [name for name in fields if name not in known]
    if lacking or unknown:
        faults = [f"lacks '{name}'" for name in lacking] + [f"knows no '{name}'" for name in unknown]
        raise ScanweaveError("geometry", f"{kind} {', '.join(faults)}", f"Give {', '.join(known)}")
    return KINDS[kind](**fields)


def _number(name: str, value: Any, above: float = -math.inf) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ScanweaveError(name, f"{value!r} is not a number", "Give millimetres") from error
    if not math.isfinite(number) or number <= above:
        wanted = "a finite number" if above == -math.inf else f"a finite number above {above:g}"
        raise ScanweaveError(name, f"{number} is not {wanted}", "Give millimetres")
    return number


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ScanweaveError(name, f"{value!r} is not a whole number of 1 or more", "Give a count")
    return int(value)


def _whole_pair(value: Any) -> tuple[int, int]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ScanweaveError("shape", f"{value!r} is not (H, W)", "Give the rows and columns of the image")
    return _whole("shape", value[0]), _whole("shape", value[1])


def _finite_angles(values: Any) -> tuple[float, ...]:
    try:
        angles = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ScanweaveError("angles", "not numbers", "Give the angle of each view in degrees") from error
    if angles.ndim != 1 or angles.size == 0 or not np.isfinite(angles).all():
        reason = f"shape {angles.shape}" if angles.ndim != 1 or not angles.size else "some are not finite"
        raise ScanweaveError("angles", reason, "Give one finite angle for each view, in degrees")
    return tuple(angles.tolist())
