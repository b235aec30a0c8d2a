"""ULTRA as a user meets it: fit, predict, evaluate, audit, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import CohortFit
from scanweave.framework.options import VerbOptions
from scanweave.framework.run_page import RunPage
from scanweave.framework.study_selection import Choice
from scanweave.framework.system import Material, System
from scanweave.framework.trial import Trial
from scanweave.measures.stability.audit_setup import Setup
from scanweave.studies.cohort import Cohort
from scanweave.studies.measured_slices import same_thresholds, true_bins, with_truth
from scanweave.systems.ultra import evaluation, report
from scanweave.systems.ultra.auditing import audit_setup
from scanweave.systems.ultra.config import UltraConfig
from scanweave.systems.ultra.fitted import FittedUltra
from scanweave.systems.ultra.images import SpectralImages, prepared
from scanweave.systems.ultra.plan import SpectralPlan, same_spectrum, spans
from scanweave.systems.ultra.task import UltraTask

PLAN_STUDIES = 64
"""Training studies that the scale of a bin is learnt from, at most: more would hardly move a mean."""
SCALE_FLOOR = 1e-6
"""Smallest scale of a bin [1/mm]: an empty image has none."""

Say = Callable[[str], None]


class Ultra(FittedUltra, System[UltraConfig]):
    """A fitted ULTRA with its verbs."""

    name: ClassVar[str] = "ultra"

    @classmethod
    def material(cls, cohort: Cohort, config: UltraConfig, fold: int, say: Say) -> Material:
        """Choose the studies with a sinogram and a clean image of each bin."""
        bins = true_bins(cohort, config.bins)
        columns = [*(f"scan:{name}" for name in bins), f"sinogram:{config.sinogram}"]
        return Material(with_truth(cohort, config.sinogram, bins, say), columns)

    @classmethod
    def learn(cls, fit: CohortFit[UltraConfig]) -> None:
        """Learn clean bins."""
        config, bins = fit.config, true_bins(fit.cohort, fit.config.bins)
        with fit.one_first():
            training, validation = _slices(fit, bins)
            plan = fit.plan(SpectralPlan.load, lambda: _plan(config, bins, training, validation))
            fit.note_cohort(bins)
        fit.train(UltraTask(config, plan, training, validation), config.network.architecture)

    def measure(self, trial: Trial, options: VerbOptions) -> pd.DataFrame:
        """Reconstruct the studies whose truth is known and compare; see `evaluation.evaluate`."""
        return evaluation.evaluate(self, trial)

    def audit_setup(self, cohort: Cohort, *, part: Choice | None = None, say: Say = print) -> Setup:
        """Return what `scanweave audit stability` tries; see `auditing.audit_setup`."""
        return audit_setup(self, cohort, part=part, say=say)

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run; see `report.write`."""
        return report.write(page, self.plan, path)


def _slices(fit: CohortFit[UltraConfig], bins: Sequence[str]) -> tuple[list[SpectralImages], list[SpectralImages]]:
    config, made = fit.config, []
    for part in fit.divide(fit.sound()):
        with fit.progress("slices reconstructed") as progress:
            made.append(prepared(part, config.sinogram, bins, config.window, progress))
    return made[0], made[1]


def _refuse_idle_materials(config: UltraConfig) -> None:
    """Refuse to name maps that are made of a spectrum which no sinogram tells."""
    for name in ("materials", "energies"):
        if getattr(config, name) != type(config).model_fields[name].default:
            reason = "has no effect: the sinograms do not tell the spectrum of the scan"
            raise ScanweaveError(name, reason, "Write energies and photons into them, or leave it out")


def _plan(
    config: UltraConfig,
    bins: Sequence[str],
    training: Sequence[SpectralImages],
    validation: Sequence[SpectralImages],
) -> SpectralPlan:
    """Learn the plan from the training slices."""
    thresholds, beam = training[0].thresholds, training[0].beam
    images = [np.asarray(one.truth, np.float64) for one in training[:PLAN_STUDIES]]
    pixels = np.concatenate([image.reshape(len(bins), -1) for image in images], axis=1)
    for one in (*training, *validation):
        where = f"{one.id}: {config.sinogram}"
        same_thresholds(one.thresholds, thresholds, where)
        same_spectrum(one.beam, beam, where)
    if beam is None:
        _refuse_idle_materials(config)
    shared = {one.geometry for one in training}
    return SpectralPlan(
        sinogram=config.sinogram,
        bins=tuple(bins),
        thresholds=thresholds,
        energies=() if beam is None else tuple(beam[0].tolist()),
        weights=() if beam is None else tuple(tuple(row) for row in beam[1].tolist()),
        offset=tuple(pixels.mean(axis=1).tolist()),
        scale=tuple(np.maximum(pixels.std(axis=1), SCALE_FLOOR).tolist()),
        span=spans(beam, pixels),
        geometry=shared.pop().to_dict() if len(shared) == 1 else {},
        materials=config.materials,
        monoenergetic=config.energies,
    )
