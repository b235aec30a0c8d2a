"""One study made ready: its scans brought to one place, its brain found, its bias taken out; all in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from scanweave.errors import ScanweaveError
from scanweave.studies.geometry import Geometry
from scanweave.studies.layouts.names import sequence_of
from scanweave.studies.preparing.bias_field import NOT_MR, correct_bias
from scanweave.studies.preparing.brain_mask import BrainMask, find_brain
from scanweave.studies.preparing.foreground import removed_background
from scanweave.studies.preparing.placed_boxes import PlacedBoxes, place_boxes
from scanweave.studies.preparing.registration import (
    Registration,
    RegistrationSettings,
    make_target,
    register,
    still,
)
from scanweave.studies.preparing.transforms import RigidTransform
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

BRAIN = "brain"
"""Name of the mask that is made."""
LARGEST_LABEL_STEP = 1e-6
"""Deviation from a whole number that a label may have."""


class PrepareSettings(BaseModel):
    """Settings of the preparation of studies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    register_scans: bool = Field(False, description="Bring the scans of a study to the place of its reference.")
    across_visits: bool = Field(False, description="Bring later studies of a patient to the place of the first one.")
    brain_mask: bool = Field(False, description="Find the brain in the reference, as mask 'brain'.")
    strip: bool = Field(False, description="Take away what lies outside of the brain mask.")
    bias: bool = Field(False, description="Take out the bias field of MR scans by N4.")
    reference: str | None = Field(None, description="Scan that the others are brought to; None: the finest T1.")
    grid: Literal["reference", "own"] = Field(
        "reference", description="Grid of what is written: that of the reference, or each scan's own with its header."
    )
    registration: RegistrationSettings = RegistrationSettings()


@dataclass(frozen=True)
class Pair:
    """Two scans that were brought together, for the picture: names, scans as they came, what was found."""

    moving: str
    fixed: str
    scan: Scan
    onto: Scan
    found: Registration


@dataclass
class PreparedStudy:
    """A prepared study.

    Attributes:
        study: Its scans, masks and boxes, placed.
        reference: Name of the scan that the others were brought to.
        transforms: From each scan to where it lies now.
        native: The grid that each scan came on.
        table: One row a scan: what was done.
        brain: The brain mask, on the grid of the reference, if asked for.
        found: What the registration within the study found, by scan.
        pairs: All that were registered, that to the first visit included.
        boxes: What became of the boxes, if it has any.
    """

    study: Study
    reference: str
    transforms: dict[str, RigidTransform]
    native: dict[str, Geometry]
    table: list[dict[str, Any]]
    brain: BrainMask | None = None
    found: dict[str, Registration] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)
    boxes: PlacedBoxes | None = None


def choose_reference(study: Study, named: str | None = None) -> tuple[str, str]:
    """Return the scan that the others are brought to, and why in words.

    The named one, if the study has it; else the one of the finest voxels among those called t1…, else among all; the
    first in the manifest where several are as fine.

    Raises:
        ScanweaveError: The study has no scan.
    """
    if not study.scans:
        raise ScanweaveError(study.id, "has no scan to prepare", "Leave it out with --studies")
    if named is not None and named in study.scans:
        return named, "as named"
    alike = [name for name in study.scans if name.lower().startswith("t1")] or list(study.scans)
    volume = {name: round(float(np.prod(study.scans[name].geometry.spacing)), 3) for name in alike}
    chosen = min(alike, key=lambda name: volume[name])
    kind = "finest T1" if chosen.lower().startswith("t1") else "finest scan; no T1 is there"
    lacking = f"no {named}; " if named is not None else ""
    return chosen, f"{lacking}{kind}"


def prepare_study(study: Study, settings: PrepareSettings, first: Study | None = None) -> PreparedStudy:
    """Make one study ready.

    Args:
        study: The study; nothing of it is changed.
        settings: What is asked for.
        first: The patient's first study, if this one is to be brought to it.

    Raises:
        ScanweaveError: A scan is at fault, or a step does not succeed.
    """
    reference, why = choose_reference(study, settings.reference)
    found = _registered(study, reference, settings)
    pairs = [Pair(name, reference, study[name], study[reference], one) for name, one in found.items()]
    visit, home = _to_first(study, reference, settings, first)
    places = {name: found[name].transform if name in found else _still_there(name, reference) for name in study.scans}
    if visit is not None:
        places = {name: place.then(visit.found.transform) for name, place in places.items()}
        pairs.append(visit)
    brain = find_brain(reference, study[reference], settings.registration.seed) if settings.brain_mask else None
    native = {name: scan.geometry for name, scan in study.scans.items()}
    made = PreparedStudy(study, reference, places, native, [], brain, found, pairs)
    stripped = _placed_brain(made, home) if brain is not None else None
    scans: dict[str, Scan] = {}
    for name, scan in study.scans.items():
        row = {"study": study.id, "patient": study.patient, "scan": name, "reference": places[name].fixed}
        scans[name], spread = _made(name, scan, made, home, settings)
        if settings.strip and stripped is not None:
            scans[name] = _without(scans[name], stripped)
        told = {"what": f"reference: {why}"} if name == reference else {"what": "left where it is"}
        if name in found:
            told = _told(found[name])
        if name == reference and visit is not None:
            told = _told(visit.found)
        made.table.append({**row, **told, "bias_percent": spread, "brain_ml": brain.volume_ml if brain else None})
    masks = {name: _placed_mask(mask, name, made, home, settings) for name, mask in study.masks.items()}
    if stripped is not None:
        masks[BRAIN] = stripped
    if study.boxes is not None:
        made.boxes = place_boxes(study.boxes, places, native, reference)
    made.study = replace(study, scans=scans, masks=masks, boxes=made.boxes.boxes if made.boxes else None)
    return made


def _registered(study: Study, reference: str, settings: PrepareSettings) -> dict[str, Registration]:
    others = [name for name in study.scans if name != reference]
    if not settings.register_scans or not others:
        return {}
    target = make_target(reference, study[reference], settings.registration)
    return {name: register(name, study[name], target, settings.registration) for name in others}


def _to_first(
    study: Study, reference: str, settings: PrepareSettings, first: Study | None
) -> tuple[Pair | None, Geometry]:
    """Return the way from this study's reference to the first visit's, and the grid that all are brought to."""
    if first is None or first.id == study.id:
        return None, study[reference].geometry
    name = choose_reference(first, settings.reference)[0]  # where the first visit's other scans lie
    onto = f"{first.id}/{name}"
    target = make_target(onto, first[name], settings.registration)
    found = register(reference, study[reference], target, settings.registration)
    return Pair(reference, onto, study[reference], first[name], found), first[name].geometry


def _still_there(name: str, reference: str) -> RigidTransform:
    return RigidTransform.identity(name, reference)


def _made(
    name: str, scan: Scan, made: PreparedStudy, home: Geometry, settings: PrepareSettings
) -> tuple[Scan, float | None]:
    spread = None
    if settings.bias and sequence_of(name) not in NOT_MR and not sequence_of(name).endswith("map"):
        scan, spread = correct_bias(name, scan, _mask_on(name, scan, made))
    place = made.transforms[name]
    if settings.grid == "own":
        return place.move(scan), spread
    return _on_grid(scan, place, home, outside=_outside(scan)), spread


def _on_grid(scan: Scan, place: RigidTransform, home: Geometry, outside: float = 0.0, labels: bool = False) -> Scan:
    if place.move(scan).geometry.matches(home):  # no voxel is made anew, so type and values stay
        return replace(scan, geometry=home)
    return place.resample(scan, home, "nearest" if labels else "linear", outside)


def _outside(scan: Scan) -> float:
    """Return the value of what a scan does not cover: that of its background."""
    volume = still(scan)
    background = removed_background(volume)
    return float(volume.min()) if background is None else background


def _mask_on(name: str, scan: Scan, made: PreparedStudy) -> NDArray[np.bool_] | None:
    """Return the brain on the native grid of a scan, where the bias field is fitted."""
    if made.brain is None:
        return None
    brain = _brain_scan(made)
    within = made.found[name].transform if name in made.found else _still_there(name, made.reference)
    return np.asarray(within.inverse.resample(brain, scan.geometry, "nearest").data) > 0


def _brain_scan(made: PreparedStudy) -> Scan:
    assert made.brain is not None  # noqa: S101 - asked for by the callers
    return Scan.of(made.brain.mask.astype(np.uint8), made.native[made.reference].affine)


def _placed_brain(made: PreparedStudy, home: Geometry) -> Scan:
    return _on_grid(_brain_scan(made), made.transforms[made.reference], home, labels=True)


def _placed_mask(mask: Scan, name: str, made: PreparedStudy, home: Geometry, settings: PrepareSettings) -> Scan:
    """Move a label map as the scan that it belongs to; its values stay, its type is that of whole numbers."""
    place = made.transforms[owner(name, mask, made.native, made.reference)]
    labels = replace(mask, load=lambda: _whole(np.asarray(mask.data)), path=None)
    return place.move(labels) if settings.grid == "own" else _on_grid(labels, place, home, labels=True)


def owner(name: str, mask: Scan, grids: Mapping[str, Geometry], reference: str) -> str:
    """Return the scan that a mask moves with: that of its name, else the reference or another on its grid."""
    if name in grids:
        return name
    alike = [scan for scan, grid in grids.items() if grid.matches(mask.geometry)]
    return reference if reference in alike or not alike else alike[0]


def _whole(labels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return labels in the smallest type that holds them; what is no whole number stays as it is."""
    if labels.dtype.kind in "ui" and labels.dtype.itemsize <= 4:
        return labels
    values = labels.astype(np.float64)
    if not np.isfinite(values).all() or np.abs(values - np.rint(values)).max() > LARGEST_LABEL_STEP:
        return labels
    kind = np.min_scalar_type(int(values.max())) if values.min() >= 0 else np.dtype(np.int32)
    return np.rint(values).astype(kind if kind.itemsize <= 4 else np.int32)


def _without(scan: Scan, brain: Scan) -> Scan:
    """Return a scan with zeros outside of the brain."""
    turned = RigidTransform.identity(BRAIN, BRAIN).resample(brain, scan.geometry, "nearest")
    inside = np.asarray(turned.data) > 0
    data = np.asarray(scan.data)
    kept = np.where(inside if data.ndim == 3 else inside[..., None], data, data.dtype.type(0))
    return replace(scan, load=lambda: kept)


def _told(found: Registration) -> dict[str, Any]:
    facts = {"what": found.why, "metric_before": found.before, "metric_after": found.after}
    return {**facts, "angle_degrees": found.transform.angle_degrees, "moved_mm": found.moved_mm}
