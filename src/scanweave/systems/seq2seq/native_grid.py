"""A study's real scans on the native grid that predictions are restored to, and what is its foreground there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.measures.regions import named_regions
from scanweave.studies.geometry import Geometry, orient, resample
from scanweave.studies.preparing.foreground import foreground
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import PreparedStudy, to_grid
from scanweave.studies.preparing.repairs import repaired
from scanweave.studies.study import Study
from scanweave.systems.seq2seq.synthesis import covered_by

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]
BRIGHTEST = 99.5
"""Percentile of a real scan in the foreground that counts as its highest intensity: single bright voxels do not."""


@dataclass(frozen=True, eq=False)
class NativeStudy:
    """Real scans as they were acquired, on the grid of the study's reference scan.

    Attributes:
        id: The case.
        patient: Whom it belongs to.
        grid: That grid.
        real: Scans `(X, Y, Z)`, series `(X, Y, Z, T)`, in their own units and the order of the plan.
        covered: Voxels that every one of these scans covers; `real` is background elsewhere, which is not measured.
        brain: The mask `brain` where the study has one, else the foreground of its scans; what of it is covered.
        masked: Whether it is that mask.
        limits: Lowest and highest intensity of each scan; their distance is the range for PSNR and SSIM.
        lesion: The label map `lesion`, if there is one.
    """

    id: str
    patient: str
    grid: Geometry
    real: dict[str, Volume]
    covered: Mask
    brain: Mask
    masked: bool
    limits: dict[str, tuple[float, float]]
    lesion: NDArray[np.int64] | None

    @cached_property
    def lesions(self) -> dict[str, Mask]:
        """Lesions by their label, as far as they are covered; those of which nothing is are left out."""
        if self.lesion is None:
            return {}
        found = {str(label): (self.lesion == label) & self.covered for label in np.unique(self.lesion) if label > 0}
        return {label: where for label, where in found.items() if where.any()}

    @cached_property
    def regions(self) -> dict[str, Mask]:
        """Regions of measures: `brain`, its `box` and the whole `volume`, as far as they are covered."""
        return {name: region & self.covered for name, region in named_regions(self.brain).items()}

    def span(self, name: str) -> float:
        """Return the range of a scan's intensities."""
        low, high = self.limits[name]
        return high - low

    def ras(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Return a volume on this grid with its axes in the order that figures take."""
        return orient(volume, self.grid, "RAS")


def native_study(study: Study, prepared: PreparedStudy, plan: Plan) -> NativeStudy:
    """Bring the real scans of a study and its masks to the native grid of its reference scan.

    Raises:
        ScanweaveError: A scan is constant in the mask `brain`, or in the foreground where there is none.
    """
    known, grid = repaired(study), prepared.frame.native
    seen = {name: to_grid(known.scans[name], grid) for name in plan.scans if name in prepared.volumes}
    seen |= {name: volume[..., None] for name, volume in seen.items() if name in plan.series and volume.ndim == 3}
    brain, lesion = _label(known, "brain", grid), _label(known, "lesion", grid)
    covered = np.logical_and.reduce([covered_by(volume) for volume in seen.values()])
    masked = brain is not None and bool(brain.any())
    shown = brain > 0 if brain is not None and masked else _union(map(foreground, seen.values()))
    inside = shown & covered
    real = {name: np.nan_to_num(volume, nan=plan.rule(name).background) for name, volume in seen.items()}
    limits = {name: _limits(study.id, name, volume[inside], plan, masked) for name, volume in real.items()}
    return NativeStudy(study.id, study.patient, grid, real, covered, inside, masked, limits, lesion)


def _label(study: Study, name: str, grid: Geometry) -> NDArray[np.int64] | None:
    if name not in study.masks:
        return None
    mask = study.masks[name]
    values = np.rint(np.asarray(mask.data, dtype=np.float32)).astype(np.int64)
    return resample(values, mask.geometry, grid, "nearest")  # type: ignore[arg-type, return-value]


def _union(masks: Iterable[Mask]) -> Mask:
    return cast(Mask, np.logical_or.reduce(list(masks)))


def _limits(case: str, name: str, values: Volume, plan: Plan, masked: bool) -> tuple[float, float]:
    high = float(np.percentile(values, BRIGHTEST)) if values.size else 0.0
    low = float(np.percentile(values, 100 - BRIGHTEST)) if plan.rule(name).kind == "window" else 0.0
    if high <= low:
        where, step = ("mask 'brain'", "Check the scan and the mask") if masked else ("foreground", "Check the scan")
        raise ScanweaveError(f"{case}: {name}", f"shows nothing in the {where} that all scans cover", step)
    return low, high
