"""A study on one grid, or its scans on their own, cropped and normalised; and the way back to where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.geometry import Geometry, orient_back, resample
from scanweave.studies.mask_targets import packed
from scanweave.studies.preparing.foreground import bounding_box, foreground
from scanweave.studies.preparing.plan import (
    SAME_SPACING,
    Plan,
    grid_groups,
    image_levels,
    intensity_scale,
    known_suv_factor,
    reference_grid,
)
from scanweave.studies.preparing.repairs import repaired
from scanweave.studies.preparing.series_frames import SeriesFrames
from scanweave.studies.scan import COLOURS, Scan
from scanweave.studies.study import Study

Volume = NDArray[np.float32]
BACKGROUND = -1.0
"""The lowest of [-1, 1]: the background of a scan whose plan says no other."""


@dataclass(frozen=True, eq=False)
class Frame:
    """The place of a study's prepared grid in its native one; all that is needed to go back.

    Attributes:
        native: The grid of the reference scan, as in its file.
        working: The same box, reoriented and resampled as the plan says.
        start: First voxel of the crop in `working`, `(3,)`.
        shape: Shape of the crop.
        scales: Intensity scale of each present magnitude scan, in its own units; of PET, what makes its numbers SUV.
        levels: Mean and deviation of each present scan whose rule is a z-score, in its own units.
    """

    native: Geometry
    working: Geometry
    start: tuple[int, int, int]
    shape: tuple[int, int, int]
    scales: Mapping[str, float]
    levels: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def box(self) -> tuple[slice, ...]:
        """The crop in arrays on `working`."""
        return tuple(slice(first, first + count) for first, count in zip(self.start, self.shape, strict=True))

    @property
    def grid(self) -> Geometry:
        """The prepared grid."""
        return self.working.crop(self.start, np.array(self.start) + self.shape)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        grids = {"native": self.native, "working": self.working}
        named: dict[str, dict[str, Any]] = {
            name: {"shape": grid.shape, "affine": grid.affine.tolist()} for name, grid in grids.items()
        }
        for name, grid in grids.items():
            named[name] |= {} if grid.is_placed else {"space": grid.space}
        levels = {"levels": {name: list(pair) for name, pair in self.levels.items()}} if self.levels else {}
        return {**named, "start": self.start, "shape": self.shape, "scales": dict(self.scales), **levels}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Frame:
        """Invert `to_json`."""
        native, working = (
            Geometry.of(value[k]["shape"], value[k]["affine"], value[k].get("space", "patient"))
            for k in ("native", "working")
        )
        levels = {name: (float(mean), float(deviation)) for name, (mean, deviation) in value.get("levels", {}).items()}
        return cls(native, working, tuple(value["start"]), tuple(value["shape"]), value["scales"], levels)


@dataclass(frozen=True, eq=False)
class PreparedStudy:
    """A study made ready.

    Attributes:
        id: The case.
        frames: Where each present scan lies; one and the same for scans that share a grid.
        volumes: Present scans, `(X, Y, Z)` float32 on the grid of their frame, in [-1, 1] or of mean 0 and deviation 1,
            as the plan's rules say; NaN where a scan covers nothing. Series are `(X, Y, Z, T)`, also of a single frame,
            and scans that are in colour by the plan `(X, Y, Z, 3)`, also of a grey image.
        masks: Present masks of the plan, `(X, Y, Z)` int16 on the grid of the scan that they belong to; 0 where one
            covers nothing.
        series: Frames of each present scan that is a series by the plan.
    """

    id: str
    frames: Mapping[str, Frame]
    volumes: Mapping[str, Volume]
    masks: Mapping[str, NDArray[np.int16]] = field(default_factory=dict)
    series: Mapping[str, SeriesFrames] = field(default_factory=dict)

    @property
    def frame(self) -> Frame:
        """Return the frame in which all scans lie; see `shared_frame`."""
        return shared_frame(self.id, self.frames)


def shared_frame(study: str, frames: Mapping[str, Frame]) -> Frame:
    """Return the one frame of a study's scans.

    Raises:
        ScanweaveError: They lie on grids of their own.
    """
    first = next(iter(frames.values()))
    if any(frame is not first for frame in frames.values()):
        words = f"its scans ({', '.join(frames)}) lie on grids of their own"
        raise ScanweaveError(study, words, "Name one of them, or scans of one grid, by --scans")
    return first


def prepare(study: Study, plan: Plan) -> PreparedStudy:
    """Bring the present scans of `study` that the plan knows onto one grid, or each onto its own; crop, normalise.

    Raises:
        ScanweaveError: There is none, one covers nothing of the grid, or is a series where the plan has a volume.
    """
    study = repaired(study.only(plan.scans))
    if not study.scans:
        raise ScanweaveError(study.id, "has no scan", "Leave it out, or add its images")
    frames: dict[str, Frame] = {}
    volumes: dict[str, Volume] = {}
    for names in grid_groups(study, plan.settings.grid):
        frame, made = _on_one_grid(study.only(names), plan)
        frames |= dict.fromkeys(names, frame)
        volumes |= made
    masks = {name: _prepared_mask(study, name, frames, plan) for name in plan.masks if name in study.masks}
    series = {name: SeriesFrames.of(study.scans[name]) for name in volumes if name in plan.series}
    return PreparedStudy(study.id, frames, volumes, masks, series)


def _on_one_grid(study: Study, plan: Plan) -> tuple[Frame, dict[str, Volume]]:
    """The scans of a study on the grid of one of them."""
    native = reference_grid(study, plan.settings.reference)
    working = _working(native, plan, next(iter(sorted(study.scans))))
    raw = {name: _covering(study, name, working, plan) for name in sorted(study.scans)}
    box = tuple(slice(0, size) for size in working.shape)
    if plan.settings.crop:
        shown = np.zeros(working.shape, dtype=bool)
        for volume in raw.values():
            shown |= foreground(volume)
        box = bounding_box(shown, plan.settings.margin)
    scales = {
        name: intensity_scale(volume, plan.settings)
        for name, volume in raw.items()
        if plan.rule(name).kind == "magnitude"
    }
    scales |= {
        name: known_suv_factor(study.id, name, study.scans[name], plan.settings)
        for name in raw
        if plan.rule(name).kind == "suv"
    }
    levels = {name: image_levels(volume) for name, volume in raw.items() if plan.rule(name).kind == "zscore"}
    volumes = {
        name: normalise(volume[box], plan, name, scales.get(name), levels.get(name)) for name, volume in raw.items()
    }
    x, y, z = box
    shape = (x.stop - x.start, y.stop - y.start, z.stop - z.start)
    return Frame(native, working, (x.start, y.start, z.start), shape, scales, levels), volumes


def _prepared_mask(study: Study, name: str, frames: Mapping[str, Frame], plan: Plan) -> NDArray[np.int16]:
    """A mask on the grid of the scan that it belongs to: that of its name, else one on its grid, else the reference."""
    mask = study.masks[name]
    alike = [frame for frame in frames.values() if frame.native.matches(mask.geometry)]
    if name in frames:
        frame = frames[name]
    elif alike or len({id(frame) for frame in frames.values()}) == 1:
        frame = alike[0] if alike else next(iter(frames.values()))
    else:
        first = reference_grid(study, plan.settings.reference)
        frame = next(frames[scan] for scan in frames if study.scans[scan].geometry is first)
    if not (mask.geometry.is_placed and frame.native.is_placed):
        if not mask.geometry.matches(frame.native):
            words = "does not lie on the grid of its film"
            raise ScanweaveError(f"{study.id}: mask:{name}", words, "See why: scanweave cohort check COHORT")
        mask = replace(mask, geometry=frame.native)
    return labels_on(mask, frame.working)[frame.box]


def labels_on(mask: Scan, grid: Geometry) -> NDArray[np.int16]:
    """Return a label map on another grid, of the nearest voxel; 0 where it covers nothing.

    A one-hot mask comes as `mask_targets.packed` makes it.
    """
    found = resample(np.asarray(mask.data, dtype=np.float32), mask.geometry, grid, "nearest", outside=0)
    whole = np.rint(found) if found.ndim == 3 else packed(found, str(mask.path or "mask"))
    return np.ascontiguousarray(whole, dtype=np.int16)


def to_grid(scan: Scan, grid: Geometry) -> Volume:
    """Return the voxels of `scan` on another grid, float32, in its own units; NaN where it covers nothing.

    Of a series each frame is brought there by itself: `(X, Y, Z, T)`.
    """
    volume = resample(np.asarray(scan.data, dtype=np.float32), scan.geometry, grid, outside=np.nan)
    return np.ascontiguousarray(volume, dtype=np.float32)


def normalise(
    volume: Volume, plan: Plan, name: str, scale: float | None, levels: tuple[float, float] | None = None
) -> Volume:
    """Return intensities by the plan's rule.

    Args:
        volume: In units of the image.
        plan: The rules.
        name: Of the scan.
        scale: The image's own where the rule is `magnitude`, or `suv`; None: the typical one, or SUV.
        levels: The image's own mean and deviation where the rule is `zscore`; None: the typical ones.
    """
    rule = plan.rule(name)
    if rule.kind in ("zscore", "standard"):
        mean, deviation = (rule.mean, rule.deviation) if levels is None else levels
        clipped = volume if rule.kind == "zscore" else np.clip(volume, rule.low, rule.high)
        return ((clipped - mean) / deviation).astype(np.float32)
    low, high = _limits(plan, name, scale)
    return np.clip((volume - low) * (2 / (high - low)) - 1, -1, 1).astype(np.float32)


def background(plan: Plan, name: str) -> float:
    """Return the background of a scan in [-1, 1]."""
    return float(normalise(np.full(1, plan.rule(name).background, dtype=np.float32), plan, name, None)[0])


def restore(volume: Volume, frame: Frame, plan: Plan, name: str) -> Volume:
    """Invert the preparation: values on the prepared grid → intensities on the native grid `frame.native.shape`.

    A scan that the study lacks gets the typical scale of the training studies. A series `(X, Y, Z, T)` stays one.
    """
    rule = plan.rule(name)
    full = np.full((*frame.working.shape, *volume.shape[3:]), rule.background, dtype=np.float32)
    if rule.kind in ("zscore", "standard"):
        mean, deviation = frame.levels.get(name, (rule.mean, rule.deviation))
        full[frame.box] = volume * np.float32(deviation) + np.float32(mean)
    else:
        low, high = _limits(plan, name, frame.scales.get(name))
        full[frame.box] = (volume + 1) * np.float32((high - low) / 2) + np.float32(low)
    return to_native(full, frame, plan)


def to_native(full: Volume, frame: Frame, plan: Plan) -> Volume:
    """Bring a volume, or a series, on the whole working grid to the native grid."""
    axes = plan.settings.orientation
    oriented = resample(full, frame.working, frame.native.oriented(axes))
    return np.ascontiguousarray(orient_back(oriented, frame.native, axes))


def _covering(study: Study, name: str, grid: Geometry, plan: Plan) -> Volume:
    scan, series, coloured = study.scans[name], name in plan.series, name in plan.colours
    if scan.channels is not None and not (coloured and scan.channels == COLOURS):
        raise ScanweaveError(
            f"{study.id}: {name}",
            f"holds {', '.join(scan.channels)} where one number a voxel is needed",
            "Name one channel of it by FILE#k in a table, or export it as grey",
        )
    if scan.frames is not None and not series:
        raise ScanweaveError(
            f"{study.id}: {name}",
            f"a series of {scan.frames} frames where one volume is needed",
            "Leave it out of the scans, or import one frame of it",
        )
    volume = to_grid(scan, grid)
    volume = volume[..., None] if series and scan.frames is None else volume
    if coloured and scan.channels is None:
        volume = np.repeat(volume[..., None], len(COLOURS), axis=-1)
    if np.isnan(volume).all():
        raise ScanweaveError(
            f"{study.id}: {name}",
            "covers nothing of the grid of the study",
            "Check that all its scans show the same part of the same patient, or leave this one out",
        )
    return volume


def _working(native: Geometry, plan: Plan, name: str) -> Geometry:
    oriented, spacing = native.oriented(plan.settings.orientation), plan.spacing_of(name)
    if spacing is None:
        return oriented
    ratio = np.array(oriented.spacing) / spacing
    return oriented if (np.abs(ratio - 1) <= SAME_SPACING).all() else oriented.with_spacing(spacing)


def _limits(plan: Plan, name: str, scale: float | None) -> tuple[float, float]:
    rule = plan.rule(name)
    if rule.kind == "window":
        return rule.low, rule.high
    if rule.kind == "suv":
        return 0.0, rule.high / (scale or 1.0)
    high = plan.settings.headroom * (rule.high if scale is None else scale)
    return 0.0, high if high > 0 else 1.0
