"""ACID as a user meets it: fit, predict, evaluate, audit, report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from deepinv.physics import LinearPhysics

from scanweave.engine.loop import open_accelerator
from scanweave.engine.run import Run
from scanweave.engine.run_identity import ImageStates
from scanweave.engine.settings import checked
from scanweave.engine.weights import with_weights
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import CohortFit, NetworkFit
from scanweave.framework.options import VerbOptions
from scanweave.framework.run_page import RunPage
from scanweave.framework.study_selection import Choice
from scanweave.framework.system import Material, System
from scanweave.framework.trial import Trial
from scanweave.measures.stability.audit_setup import Setup
from scanweave.studies.cohort import Cohort
from scanweave.studies.measured_slices import thresholds_of, true_bins, with_truth
from scanweave.systems.acid import evaluation, report
from scanweave.systems.acid.auditing import audit_setup
from scanweave.systems.acid.config import AcidConfig
from scanweave.systems.acid.fitted import FittedAcid
from scanweave.systems.acid.measurement_pairs import Pairs, load_pairs
from scanweave.systems.acid.network import Reconstruction, make_network
from scanweave.systems.acid.operators import channels_of, describe, is_complex
from scanweave.systems.acid.plan import SINOGRAM, AcidPlan
from scanweave.systems.acid.task import AcidTask
from scanweave.systems.acid.tuning import CHOICES, choose

Say = Callable[[str], None]


class AcidSystem(FittedAcid, System[AcidConfig]):
    """A fitted ACID with its verbs."""

    name: ClassVar[str] = "acid"

    @classmethod
    def material(cls, cohort: Cohort, config: AcidConfig, fold: int, say: Say) -> Material:
        """Choose the studies with a sinogram `ct` and the true images of its bins."""
        bins = true_bins(cohort)
        columns = [*(f"scan:{name}" for name in bins), f"sinogram:{SINOGRAM}"]
        return Material(with_truth(cohort, SINOGRAM, bins, say), columns)

    @classmethod
    def learn(cls, fit: CohortFit[AcidConfig]) -> None:
        """Learn a reconstruction network from the sinograms of a cohort, and choose the loop around it."""
        bins = true_bins(fit.cohort)
        with fit.one_first():
            training, validation = fit.divide(fit.sound())
            with fit.progress("sinograms read") as progress:
                physics, pairs = load_pairs(training, bins, progress=progress)
            told = thresholds_of(training[training.studies[0]].sinogram(SINOGRAM))
            held = load_pairs(validation, bins, physics=physics, thresholds=told)[1] if len(validation) else None
            fit.note_cohort(bins)
        plan = AcidPlan(physics=describe(physics), channels=tuple(bins), thresholds=told)
        _train(fit, plan, physics, pairs, held)

    @classmethod
    def is_done(cls, run: Run) -> bool:
        """Tell whether the network is trained and the loop around it chosen."""
        return run.finished and (run.folder / CHOICES).is_file()

    @classmethod
    def fit_pairs(
        cls,
        physics: LinearPhysics,
        training: Pairs,
        validation: Pairs | None,
        run: str | Path,
        config: AcidConfig,
        *,
        say: Say = print,
    ) -> Self:
        """Learn from images and measurements in memory: MRI, or a scan that no cohort holds.

        Args:
            physics: The scanner: `CtPhysics` or `FourierPhysics`.
            training: What is learnt from.
            validation: What chooses weights, step and threshold; without it the training pairs choose the latter.
            run: The run folder.
            config: Every setting.
            say: Takes one line for each choice made, and why.

        Raises:
            ScanweaveError: The pairs do not fit the scanner, the run folder is in use or holds another run.
        """
        config = checked(AcidConfig, config.model_dump(), "settings")
        wanted = channels_of(physics)
        if wanted is not None and training.truth.shape[1] != wanted:
            raise ScanweaveError(
                "pairs", f"images of {training.truth.shape[1]} channels", f"The scanner wants {wanted}: (N, 2, H, W)"
            )
        open_accelerator(config.training)  # refuses a device that is not there before the run begins
        about = {"path": "pairs in memory", "sha256": _digest(training, validation)}
        bins = tuple(f"bin{n + 1}" for n in range(training.truth.shape[1]))
        channels = ("real", "imaginary") if is_complex(physics) else bins
        plan = AcidPlan(physics=describe(physics), channels=channels)
        # No file that could change, but the patients are known: none of them is to test the run.
        inputs: dict[str, ImageStates] = {p: {} for part in filter(None, (training, validation)) for p in part.patients}
        with Run.start(run, cls.name, config.model_dump(mode="json"), about, inputs, type(config)) as started:
            _train(NetworkFit(started, config, say), plan, physics, training, validation)
        return cls.open(run, config.training.device)

    def measure(self, trial: Trial, options: VerbOptions) -> pd.DataFrame:
        """Compare A†, tuned TV, the network and ACID with the true images; see `evaluation.evaluate`."""
        return evaluation.evaluate(self, trial)

    def audit_setup(self, cohort: Cohort, *, part: Choice | None = None, say: Say = print) -> Setup:
        """Return what `scanweave audit stability` tries; see `auditing.audit_setup`."""
        return audit_setup(self, cohort, part=part, say=say)

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run; see `report.write`."""
        return report.write(page, self.plan, path)


def _train(
    fit: NetworkFit[AcidConfig], plan: AcidPlan, physics: LinearPhysics, training: Pairs, validation: Pairs | None
) -> None:
    """Train, and choose what the loop needs; what is done already is not done again."""
    run, config = fit.run, fit.config
    device = open_accelerator(config.training).device
    physics = physics.to(device)
    data_range = float(training.truth.max() - training.truth.min())
    if run.finished:
        fit.say(f"{run.folder} is finished: nothing to train")
    else:
        plan = fit.plan(AcidPlan.load, lambda: plan)
        fit.train(AcidTask(config, physics, training, validation, data_range))
    with fit.one_first():
        if not (run.folder / CHOICES).is_file():
            network = with_weights(make_network(len(plan.channels), config.network), run.weights)
            network = network.to(device).eval().requires_grad_(False)
            pairs, part = (training, "training") if validation is None else (validation, "validation")
            if validation is None:
                fit.say("note: without a validation part, the loop is chosen on images that the network has learnt")
            phi = Reconstruction(network, physics)
            choose(phi, physics, pairs.to(device), config, data_range, fit.say, part).save(run.folder)


def _digest(*parts: Pairs | None) -> str:
    found = hashlib.sha256()
    for pairs in filter(None, parts):
        for values in (pairs.truth, pairs.measurement):
            found.update(np.ascontiguousarray(values.cpu().numpy()).tobytes())
    return found.hexdigest()
