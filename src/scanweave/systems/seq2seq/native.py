"""A study's real scans on the native grid that predictions are restored to, and what belongs to the brain there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.foreground import foreground
from scanweave.studies.geometry import Geometry, orient, resample
from scanweave.studies.plan import Plan
from scanweave.studies.preparation import PreparedStudy
from scanweave.studies.repairs import repaired
from scanweave.studies.study import Study

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]
BRIGHTEST = 99.5
"""Percentile of a real scan in the brain that counts as its highest intensity: single bright voxels do not."""


@dataclass(frozen=True, eq=False)
class NativeStudy:
    """Real scans as they were acquired, on the grid of the study's reference scan.

    Attributes:
        id: The case.
        patient: Whom it belongs to.
        grid: That grid.
        real: Scans `(X, Y, Z)`, in their own units and the order of the plan.
        brain: The mask `brain` where the study has one, else the foreground of its scans.
        limits: Lowest and highest intensity of each scan; their distance is the range for PSNR and SSIM.
        lesion: The label map `lesion`, if there is one.
    """

    id: str
    patient: str
    grid: Geometry
    real: dict[str, Volume]
    brain: Mask
    limits: dict[str, tuple[float, float]]
    lesion: NDArray[np.int64] | None

    def span(self, name: str) -> float:
        """The range of a scan's intensities."""
        low, high = self.limits[name]
        return high - low

    def ras(self, volume: NDArray[Any]) -> NDArray[Any]:
        """A volume on this grid with its axes in the order that figures take."""
        return orient(volume, self.grid, "RAS")


def native_study(study: Study, prepared: PreparedStudy, plan: Plan) -> NativeStudy:
    """Bring the real scans of a study and its masks to the native grid of its reference scan.

    Raises:
        ScanweaveError: A scan is constant in the brain.
    """
    known, grid = repaired(study), prepared.frame.native
    real = {
        name: resample(np.asarray(known.scans[name].data, dtype=np.float32), known.scans[name].geometry, grid)
        for name in plan.sequences
        if name in prepared.volumes
    }
    brain = _label(known, "brain", grid)
    inside = brain > 0 if brain is not None and brain.any() else _union(map(foreground, real.values()))
    limits = {name: _limits(study.id, name, volume[inside], plan) for name, volume in real.items()}
    return NativeStudy(study.id, study.patient, grid, real, inside, limits, _label(known, "lesion", grid))


def _label(study: Study, name: str, grid: Geometry) -> NDArray[np.int64] | None:
    if name not in study.masks:
        return None
    mask = study.masks[name]
    values = np.rint(np.asarray(mask.data, dtype=np.float32)).astype(np.int64)
    return resample(values, mask.geometry, grid, "nearest")  # type: ignore[arg-type, return-value]


def _union(masks: Iterable[Mask]) -> Mask:
    return cast(Mask, np.logical_or.reduce(list(masks)))


def _limits(case: str, name: str, values: Volume, plan: Plan) -> tuple[float, float]:
    high = float(np.percentile(values, BRIGHTEST)) if values.size else 0.0
    low = float(np.percentile(values, 100 - BRIGHTEST)) if plan.rule(name).kind == "window" else 0.0
    if high <= low:
        raise ScanweaveError(f"{case}: {name}", "shows nothing in the brain", "Check the scan and the brain mask")
    return low, high
