"""The preparation of studies for a network: learnt on the training part, saved in the run, inverted on output."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, read_json
from scanweave.studies.formats.pet_units import is_pet, suv_factor
from scanweave.studies.geometry import Geometry
from scanweave.studies.preparing.foreground import foreground, removed_background
from scanweave.studies.preparing.repairs import repaired
from scanweave.studies.preparing.series_frames import SeriesFrames, typical_frames
from scanweave.studies.preparing.settings import Millimetres, PreparationSettings
from scanweave.studies.scan import COLOURS, Scan
from scanweave.studies.study import Study

LEAST_DEVIATION = 1e-6
"""Standard deviation of an image that shows nothing: it is not divided by less."""
Spacing = tuple[float, float, float]
SAME_SPACING = 0.05
"""Spacings within this share of each other are left as they are: resampling would cost more than it mends."""


class IntensityRule(BaseModel):
    """Say how one scan's voxels become numbers.

    `magnitude`: 0 → -1 and `headroom` × the image's own percentile → +1; `window`: the fixed [low, high] → [-1, 1];
    `suv`: 0 to `high` SUV → [-1, 1], whatever the unit of the image; `zscore`: the image's own mean → 0 and its
    deviation → 1; `standard`: clipped to [low, high], then the mean of the training studies → 0 and their deviation → 1
    (nnU-Net's rule for CT: Isensee et al., Nature Methods 18, 2021).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["magnitude", "window", "suv", "zscore", "standard"]
    low: float
    high: float
    """For `magnitude` the median over the training studies, which stands in where a target image is absent."""
    background: float = 0.0
    """What is shown where there is no patient or no image; a `window` must say it, for a `magnitude` it is 0."""
    mean: float = 0.0
    deviation: float = Field(1.0, gt=0)
    """Of a `standard`, in units of the image; of a `zscore` the median over the training studies."""

    @model_validator(mode="after")
    def _has_width(self) -> Self:
        if self.high <= self.low:
            raise ValueError(f"the range from {self.low:g} to {self.high:g} is empty")
        if self.kind == "window" and "background" not in self.model_fields_set:
            raise ValueError("a window does not say its background")
        return self


class Plan(BaseModel):
    """The preparation of a cohort; `reasons` says why each choice was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: PreparationSettings
    spacing: tuple[Millimetres, Millimetres, Millimetres] | None
    rules: dict[str, IntensityRule] = Field(min_length=1)
    reasons: list[str]
    masks: dict[str, tuple[int, ...]] = {}
    """Each mask that is learnt, with the values other than 0 that were seen in it."""
    spacings: dict[str, tuple[Millimetres, Millimetres, Millimetres] | None] = {}
    """Where scans lie on grids of their own: the spacing of each, in place of `spacing`."""
    series: dict[str, SeriesFrames] = {}
    """Each scan that is a series, with its typical frames; a study may have any number of them."""
    colours: tuple[str, ...] = ()
    """Scans that are photographs: each pixel of theirs is red, green and blue."""

    @property
    def scans(self) -> list[str]:
        """Names of the scans that the plan knows, in order."""
        return list(self.rules)

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of what is made: the masks that are learnt, else the scans."""
        return tuple(self.masks) or tuple(self.rules)

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the manifest that are made ready, such as `scan:t1`."""
        return tuple(f"scan:{name}" for name in self.rules)

    @property
    def digest(self) -> str:
        """Hash of everything that changes a prepared voxel."""
        hidden: dict[str, Any] = dict.fromkeys(("reasons", "series", "colours"), True)
        hidden |= {"settings": {"window"}} if self.settings.window is None else {}  # as before there was one
        content = self.model_dump_json(exclude=hidden) + ",".join(sorted(self.series))
        content += "".join(f",{name} in colour" for name in sorted(self.colours))
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def rule(self, name: str) -> IntensityRule:
        """Return the intensity rule of one scan.

        Raises:
            ScanweaveError: The plan was not learnt with this scan.
        """
        if name not in self.rules:
            raise ScanweaveError(
                name, f"not one of the scans of this run ({', '.join(self.rules)})", "Choose one of them"
            )
        return self.rules[name]

    def spacing_of(self, name: str) -> tuple[float, float, float] | None:
        """Return the spacing [mm] that a scan is brought to; None: it keeps its own."""
        return self.spacings.get(name, self.spacing)

    def save(self, path: str | Path) -> None:
        """Write the plan as JSON."""
        with atomic_write(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan that `save` wrote."""
        advice = "Fit the run again"
        try:
            return cls.model_validate(read_json(path, advice))
        except ValidationError as error:
            fault = error.errors()[0]
            field = ".".join(map(str, fault["loc"])) or "content"
            raise ScanweaveError(path, f"{field}: {fault['msg']}", advice) from error


def learn_plan(
    studies: Iterable[Study],
    scans: Sequence[str],
    settings: PreparationSettings,
    *,
    masks: Sequence[str] = (),
    standard: bool = False,
    series: Collection[str] = (),
    colours: bool = False,
) -> Plan:
    """Learn a plan from (a sample of) the training studies.

    Args:
        studies: The studies; each is read once.
        scans: Names of the scans.
        settings: What the user decided.
        masks: Names of the label maps that are learnt.
        standard: Whether intensities have mean 0 and deviation 1, as segmentation and classification want them, rather
            than a range of [-1, 1].
        series: Names of the scans that may be series; of all others volumes alone are looked at.
        colours: Whether photographs stay in colour; else `prepare` refuses them.

    Raises:
        ScanweaveError: A scan is in none of them, or is PET in a unit that nothing says; a setting is of PET alone.
    """
    unknown = [name for name in settings.suv or () if name not in scans]
    if unknown:
        raise ScanweaveError("preparation.suv", f"'{unknown[0]}' is not one of the scans", "Name scans that are read")
    asked, wider = settings, series and settings.series_headroom is not None
    if wider:
        settings = settings.model_copy(update={"headroom": settings.series_headroom})
    seen = _Survey(settings, scans, masks, series, colours)
    for study in studies:
        seen.add(_usable(repaired(study.only(scans)), series))
    seen.refuse_absent()
    spacing, spacings, grids = _grids(seen)
    reasons = _placing_words(seen, grids, resampled=spacing is not None)
    rules, why = _rules(seen, standard, settings.headroom if wider else 1.0)
    reasons += why
    reasons += [
        f"{name}: a series, {_spread(frames)}; one intensity scale for all" for name, frames in seen.frames.items()
    ]
    reasons += [f"{name}: in colour; one intensity scale for red, green and blue" for name in sorted(seen.coloured)]
    _refuse_idle(asked, {rule.kind for rule in rules.values()}, standard, bool(series))
    found = {name: tuple(sorted(there)) for name, there in seen.labels.items()}
    return Plan(
        settings=settings,
        spacing=spacing,
        rules=rules,
        reasons=reasons,
        masks=found,
        spacings=spacings,
        series={name: typical_frames(frames) for name, frames in seen.frames.items()},
        colours=tuple(sorted(seen.coloured)),
    )


def _placing_words(seen: _Survey, grids: Sequence[str], *, resampled: bool) -> list[str]:
    """Return how images are placed and cropped, in words; films that stay as they are need none of the former."""
    settings = seen.settings
    oriented = [f"orientation {settings.orientation}: slices are taken along its third axis"] if seen.placed else []
    told = grids if seen.placed or seen.apart or resampled else []
    cropped = f"crop to the foreground with {settings.margin} voxels around it" if settings.crop else "no crop"
    return [*oriented, *told, cropped]


def _rules(seen: _Survey, standard: bool, wider: float) -> tuple[dict[str, IntensityRule], list[str]]:
    """Return the rule of each scan, and why it is so; windows of signed ones are so many times as wide."""
    rules, reasons = dict[str, IntensityRule](), list[str]()
    for name, ranges in seen.values.items():
        if name in seen.pet:
            rules[name], why = _suv_rule(name, seen.pet[name], seen.settings)
        else:
            own = np.array(ranges)
            rules[name], why = (
                _standard_rule(name, own, seen.settings) if standard else _rule(name, own, seen.settings, wider)
            )
        reasons.append(why)
    return rules, reasons


def _usable(study: Study, series: Collection[str]) -> Study:
    """Return a study without series where volumes are needed."""
    return study.only(name for name, scan in study.scans.items() if name in series or scan.frames is None)


def _spread(seen: Sequence[SeriesFrames]) -> str:
    """Return from how many to how many frames there are, in words."""
    few, many = min(one.frames for one in seen), max(one.frames for one in seen)
    return f"{few} frames in each study" if few == many else f"{few} to {many} frames"


def _refuse_idle(settings: PreparationSettings, kinds: set[str], standard: bool, series: bool) -> None:
    """Refuse settings that no kind of intensity among the scans reads; those of a preset are the defaults here."""
    idle = {} if "suv" in kinds else {"suv_high": "no scan is PET"}
    signed = bool(kinds & {"standard", "window"})
    idle |= {} if signed or settings.window is None else {"window": "no scan holds values below 0, as CT in HU does"}
    idle |= {} if series or settings.series_headroom is None else {"series_headroom": "no scan is a series"}
    if standard and kinds <= {"zscore", "suv"}:
        idle |= dict.fromkeys(["percentile", "percentile_region"], "no scan is scaled by a percentile")
    for name, why in idle.items():
        if getattr(settings, name) != PreparationSettings.model_fields[name].default:
            raise ScanweaveError(f"preparation.{name}", f"has no effect: {why}", "Leave it out")


class _Survey:
    """Facts that a plan is learnt from, collected study by study.

    Attributes:
        spacings: Of the grid that each study is brought to; of each scan's own grid in `own`.
        apart: Whether scans of a study lie on grids of their own.
        values: Levels of the images of each scan.
        labels: Values of each mask.
        pet: Factors to SUV of the images of each scan that is PET, None where the unit is not known.
        frames: Frames of the images of each scan that may be a series.
        coloured: Scans of which an image is in colour, where it may be.
        placed: Whether any image lies in the patient, as films do not.
    """

    def __init__(
        self,
        settings: PreparationSettings,
        scans: Sequence[str],
        masks: Sequence[str],
        series: Collection[str],
        colours: bool,
    ) -> None:
        self.settings, self.apart = settings, settings.grid == "own"
        self.spacings: list[Spacing] = []
        self.placed = False
        self.own: dict[str, list[Spacing]] = {name: [] for name in scans}
        self.values: dict[str, list[tuple[float, ...]]] = {name: [] for name in scans}
        self.labels: dict[str, set[int]] = {name: set() for name in masks}
        self.frames = {name: list[SeriesFrames]() for name in scans if name in series}
        self.colours, self.coloured = colours, set[str]()
        self.pet = {name: list[float | None]() for name in scans if is_suv(name, settings) is not False}

    def add(self, study: Study) -> None:
        """Read a study, one image after the other."""
        for name in (name for name in self.labels if name in study.masks):
            self.labels[name] |= {int(value) for value in np.unique(study.masks[name].released().data)} - {0}
        if study.scans:
            self._add_grids(study)
        for name, scan in study.scans.items():
            if name in self.pet:
                self.pet[name].append(suv_factor(scan))
            if name in self.frames:
                self.frames[name].append(SeriesFrames.of(scan))
            if self.colours and scan.channels == COLOURS:
                self.coloured.add(name)
            volume = np.asarray(scan.released().data, dtype=np.float32)
            lowest, removed = float(np.nanmin(volume)), removed_background(volume)
            background = lowest if removed is None else removed
            self.values[name].append((lowest, *_range(volume, self.settings), background, *image_levels(volume)))

    def refuse_absent(self) -> None:
        """Refuse a scan that no study has."""
        for name, ranges in self.values.items():
            if not ranges:
                raise ScanweaveError(
                    name,
                    "in none of the training studies as a volume (a series is left out)",
                    "Leave it out, or choose another split",
                )

    def _add_grids(self, study: Study) -> None:
        reference, axes = self.settings.reference, self.settings.orientation
        self.placed |= any(scan.geometry.is_placed for scan in study.scans.values())
        self.spacings.append(reference_grid(study, reference).oriented(axes).spacing)
        groups = grid_groups(study, self.settings.grid)
        self.apart |= len(groups) > 1
        for group in groups:
            spacing = reference_grid(study.only(group), reference).oriented(axes).spacing
            for name in group:
                self.own[name].append(spacing)


def _grids(seen: _Survey) -> tuple[Spacing | None, dict[str, Spacing | None], list[str]]:
    """The spacing of the shared grid, that of each scan where they share none, and why."""
    settings = seen.settings
    spacing, why = _spacing(np.array(seen.spacings), settings)
    if not seen.apart:
        return spacing, {}, [f"grid of a study: that of its {settings.reference} scan", why]
    each = {name: _spacing(np.array(found), settings) for name, found in seen.own.items()}
    words = "as asked" if settings.grid == "own" else "since films are in no common space"
    reasons = [f"grid: each scan on its own, {words}", *(f"{name}: {why}" for name, (_, why) in each.items())]
    return spacing, {name: one for name, (one, _) in each.items()}, reasons


def is_suv(name: str, settings: PreparationSettings) -> bool | None:
    """Tell whether a scan is SUV, as the user said; None: it is called PET, so it is if its unit is known."""
    if settings.suv is not None:
        return name in settings.suv
    return None if is_pet(name) else False


def known_suv_factor(study: str, name: str, scan: Scan, settings: PreparationSettings) -> float:
    """Return what a PET scan is multiplied by to be SUV.

    Raises:
        ScanweaveError: Neither the user nor a file says its unit.
    """
    factor = suv_factor(scan)
    if factor is None and not is_suv(name, settings):
        raise _unknown_unit(f"{study}: {name}")
    return 1.0 if factor is None else factor


def _unknown_unit(where: str) -> ScanweaveError:
    words = "is called PET, and nothing says its unit: no JSON beside it names Units"
    step = "If it holds SUV: --preparation.suv NAME; to take it as any other image: --preparation.suv none"
    return ScanweaveError(where, words, step)


def _suv_rule(name: str, factors: Sequence[float | None], settings: PreparationSettings) -> tuple[IntensityRule, str]:
    said = is_suv(name, settings)
    if any(factor is None for factor in factors) and not said:
        raise _unknown_unit(name)
    made = sum(factor not in (None, 1.0) for factor in factors)
    whence = f"made of Bq/mL, weight and dose in {made} of {len(factors)} images" if made else "as it is"
    rule = IntensityRule(kind="suv", low=0.0, high=settings.suv_high, background=0.0)
    return rule, f"{name}: SUV, {whence}; 0 to {settings.suv_high:g} → [-1, 1] in every study"


def grid_groups(study: Study, grid: Literal["shared", "own"] = "shared") -> list[list[str]]:
    """Return names of scans that share a grid, together; sorted.

    Scans that are placed in the patient are brought to one grid. Films are in no common space, so each has a grid of
    its own, but for those that are equal in size and spacing, as channels of one picture are.

    Args:
        study: Any study.
        grid: "own": each scan stays on its grid, alone.
    """
    groups: list[list[str]] = []
    for name, scan in sorted(study.scans.items()):
        like = [group for group in groups if grid == "shared" and _share(study.scans[group[0]].geometry, scan.geometry)]
        if like:
            like[0].append(name)
        else:
            groups.append([name])
    return groups


def _share(one: Geometry, other: Geometry) -> bool:
    if one.is_placed and other.is_placed:
        return True
    return one.space == other.space and one.shape == other.shape and np.allclose(one.affine, other.affine, rtol=1e-4)


def image_levels(volume: NDArray[np.floating]) -> tuple[float, float]:
    """Return mean and standard deviation of an image: in the patient where the background was removed, else of all."""
    removed = removed_background(volume)
    inside = volume[np.isfinite(volume) if removed is None else (volume != removed) & np.isfinite(volume)]
    if inside.size == 0:
        return 0.0, 1.0
    return float(inside.mean(dtype=np.float64)), max(float(inside.std(dtype=np.float64)), LEAST_DEVIATION)


def reference_grid(study: Study, reference: str = "finest") -> Geometry:
    """Return the native grid that a study's images are brought to: that of the named scan, else of the finest."""
    if reference in study.scans:
        return study.scans[reference].geometry
    grids = [scan.geometry for _, scan in sorted(study.scans.items())]
    if not grids:
        raise ScanweaveError(study.id, "has no scan", "Leave it out, or add its images")
    return min(grids, key=lambda grid: round(float(np.prod(grid.spacing)), 6))


def intensity_scale(volume: NDArray[np.floating], settings: PreparationSettings) -> float:
    """Return the percentile that sets the scale of a magnitude image, in its own units."""
    return _range(volume, settings)[1]


def _range(volume: NDArray[np.floating], settings: PreparationSettings) -> tuple[float, float]:
    region = volume[foreground(volume)] if settings.percentile_region == "foreground" else volume
    if region.size == 0:
        region = volume
    low, high = np.nanpercentile(region, [100 - settings.percentile, settings.percentile])
    return float(low), float(high)


def _rule(
    name: str, ranges: NDArray[np.floating], settings: PreparationSettings, wider: float
) -> tuple[IntensityRule, str]:
    lowest, low, high, background = (float(value) for value in np.median(ranges, axis=0)[:4])
    signed = lowest < -0.25 * abs(high)
    if high <= (low if signed else 0):
        raise ScanweaveError(name, "shows nothing in the training studies", "See why: scanweave cohort check COHORT")
    if signed:
        middle, half = (low + high) / 2, wider * (high - low) / 2
        low, high = settings.window or (middle - half, middle + half)
        background = min(max(background, low), high)
        rule = IntensityRule(kind="window", low=low, high=high, background=background)
        words = f"window {low:.4g} to {high:.4g} → [-1, 1], background {background:.4g}"
        return rule, f"{name}: holds negative values, {words}"
    rule = IntensityRule(kind="magnitude", low=0.0, high=high)
    where = f"P{settings.percentile:g} in the {settings.percentile_region}"
    return rule, f"{name}: magnitude, 0 to {settings.headroom:g} × {where} (median {high:.4g}) → [-1, 1]"


def _standard_rule(name: str, ranges: NDArray[np.floating], settings: PreparationSettings) -> tuple[IntensityRule, str]:
    lowest, low, high, background, mean, deviation = (float(value) for value in np.median(ranges, axis=0))
    if lowest < -0.25 * abs(high):
        if settings.window is not None:
            low, high = settings.window
            mean, deviation = (low + high) / 2, (high - low) / 2
        rule = IntensityRule(kind="standard", low=low, high=high, background=background, mean=mean, deviation=deviation)
        words = f"clipped to {low:.4g} to {high:.4g}, then mean {mean:.4g} → 0, deviation {deviation:.4g} → 1"
        return rule, f"{name}: holds negative values (as CT does), {words}"
    rule = IntensityRule(
        kind="zscore", low=low, high=max(high, low + 1e-6), background=background, mean=mean, deviation=deviation
    )
    return rule, f"{name}: each image's own mean → 0 and deviation → 1"


def _spacing(
    spacings: NDArray[np.floating], settings: PreparationSettings
) -> tuple[tuple[float, float, float] | None, str]:
    if settings.spacing is not None:
        return settings.spacing, f"spacing {settings.spacing} mm: as asked"
    x, y, z = (float(v) for v in np.round(np.median(spacings, axis=0), 4))
    if (np.abs(spacings / (x, y, z) - 1) <= SAME_SPACING).all():
        return None, f"spacing: all training studies have about ({x:g}, {y:g}, {z:g}) mm, so none is resampled"
    return (x, y, z), f"spacing ({x:g}, {y:g}, {z:g}) mm: the median of training studies that differ"
