"""A study on one grid, cropped and in [-1, 1]; and the way back to the grid it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.foreground import bounding_box, foreground
from scanweave.studies.geometry import Geometry, orient, orient_back, resample
from scanweave.studies.plan import SAME_SPACING, Plan, intensity_scale, reference_grid
from scanweave.studies.repairs import repaired
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

Volume = NDArray[np.float32]
BACKGROUND = -1.0


@dataclass(frozen=True, eq=False)
class Frame:
    """How a study's prepared grid lies in its native one; all that is needed to go back.

    Attributes:
        native: The grid of the reference scan, as in its file.
        working: The same box, reoriented and resampled as the plan says.
        start: First voxel of the crop in `working`, `(3,)`.
        shape: Shape of the crop.
        scales: Intensity scale of each present magnitude scan, in its own units.
    """

    native: Geometry
    working: Geometry
    start: tuple[int, int, int]
    shape: tuple[int, int, int]
    scales: Mapping[str, float]

    @property
    def grid(self) -> Geometry:
        """The prepared grid."""
        return self.working.crop(self.start, np.array(self.start) + self.shape)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        grids = {"native": self.native, "working": self.working}
        named = {name: {"shape": grid.shape, "affine": grid.affine.tolist()} for name, grid in grids.items()}
        return {**named, "start": self.start, "shape": self.shape, "scales": dict(self.scales)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Frame:
        """The inverse of `to_json`."""
        native, working = (Geometry.of(value[k]["shape"], value[k]["affine"]) for k in ("native", "working"))
        return cls(native, working, tuple(value["start"]), tuple(value["shape"]), value["scales"])


@dataclass(frozen=True, eq=False)
class PreparedStudy:
    """A study made ready.

    Attributes:
        id: The case.
        frame: Where it lies.
        volumes: Present scans, `(X, Y, Z)` float32 in [-1, 1] on `frame.grid`.
        foreground: Voxels of that grid that show the patient in at least one scan.
    """

    id: str
    frame: Frame
    volumes: Mapping[str, Volume]
    foreground: NDArray[np.bool_]


def prepare(study: Study, plan: Plan, names: Sequence[str] | None = None) -> PreparedStudy:
    """Bring the present scans of `study` (those in `names`) onto one grid, crop and normalise them.

    Raises:
        ScanweaveError: No scan that the plan knows is present, or one is a series where a volume is needed.
    """
    study = repaired(study.only(plan.sequences if names is None else names))
    native = reference_grid(study, plan.settings.reference)
    working = _working(native, plan)
    raw = {name: to_grid(_static(study, name), native, working, plan) for name in sorted(study.scans)}
    shown = np.zeros(working.shape, dtype=bool)
    for volume in raw.values():
        shown |= foreground(volume)
    start, stop = bounding_box(shown, plan.settings.margin) if plan.settings.crop else ((0, 0, 0), working.shape)
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    scales = {
        name: intensity_scale(volume, plan.settings)
        for name, volume in raw.items()
        if plan.rule(name).kind == "magnitude"
    }
    volumes = {name: normalise(volume[box], plan, name, scales.get(name)) for name, volume in raw.items()}
    origin, shape = (int(n) for n in start), np.subtract(stop, start)
    frame = Frame(native, working, tuple(origin), tuple(int(n) for n in shape), scales)  # type: ignore[arg-type]
    return PreparedStudy(study.id, frame, volumes, np.ascontiguousarray(shown[box]))


def to_grid(scan: Scan, native: Geometry, working: Geometry, plan: Plan) -> Volume:
    """The voxels of `scan` on the working grid, float32, in its own units."""
    volume = resample(np.asarray(scan.data, dtype=np.float32), scan.geometry, native)
    axes = plan.settings.orientation
    oriented = np.ascontiguousarray(orient(volume, native, axes), dtype=np.float32)
    return resample(oriented, native.oriented(axes), working)


def normalise(volume: Volume, plan: Plan, name: str, scale: float | None) -> Volume:
    """Map intensities to [-1, 1] by the plan's rule; `scale` is the image's own where the rule is `magnitude`."""
    low, high = _limits(plan, name, scale)
    return np.clip((volume - low) * (2 / (high - low)) - 1, -1, 1).astype(np.float32)


def restore(volume: Volume, frame: Frame, plan: Plan, name: str) -> Volume:
    """The inverse of preparation: [-1, 1] on the prepared grid → intensities on the native grid `frame.native.shape`.

    A sequence that the study lacks gets the typical scale of the training studies.
    """
    low, high = _limits(plan, name, frame.scales.get(name))
    box = tuple(slice(a, a + n) for a, n in zip(frame.start, frame.shape, strict=True))
    full = np.full(frame.working.shape, BACKGROUND, dtype=np.float32)
    full[box] = volume
    return to_native((full + 1) * np.float32((high - low) / 2) + np.float32(low), frame, plan)


def to_native(full: Volume, frame: Frame, plan: Plan) -> Volume:
    """A volume on the whole working grid, brought to the native grid."""
    axes = plan.settings.orientation
    oriented = resample(full, frame.working, frame.native.oriented(axes), outside=float(full.min()))
    return np.ascontiguousarray(orient_back(oriented, frame.native, axes))


def _static(study: Study, name: str) -> Scan:
    scan = study.scans[name]
    if scan.frames is not None:
        raise ScanweaveError(
            f"{study.id}: {name}", f"a series of {scan.frames} frames where one volume is needed",
            "Leave it out of the sequences, or import one frame of it",
        )  # fmt: skip
    return scan


def _working(native: Geometry, plan: Plan) -> Geometry:
    oriented = native.oriented(plan.settings.orientation)
    if plan.spacing is None:
        return oriented
    ratio = np.array(oriented.spacing) / plan.spacing
    return oriented if (np.abs(ratio - 1) <= SAME_SPACING).all() else oriented.with_spacing(plan.spacing)


def _limits(plan: Plan, name: str, scale: float | None) -> tuple[float, float]:
    rule = plan.rule(name)
    if rule.kind == "window":
        return rule.low, rule.high
    high = plan.settings.headroom * (rule.high if scale is None else scale)
    return 0.0, high if high > 0 else 1.0
