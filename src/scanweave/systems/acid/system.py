"""ACID as a user meets it: fit, predict, evaluate, audit, report."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from deepinv.physics import LinearPhysics

from scanweave.engine.fits import divide, fitted_config, note_cohort, start_fit
from scanweave.engine.loop import open_accelerator, train
from scanweave.engine.progress import counted
from scanweave.engine.run import ImageStates, Run
from scanweave.engine.selection import Choice, refuse_options
from scanweave.engine.settings import checked
from scanweave.engine.weights import with_weights
from scanweave.errors import ScanweaveError
from scanweave.measures.stability.audit_setup import Setup
from scanweave.nets.sizes import parameter_count
from scanweave.physics.variation import TotalVariation
from scanweave.studies.checks.cohort_check import sound_studies
from scanweave.studies.cohort import Cohort
from scanweave.studies.measured_slices import same_pixel, same_thresholds, thresholds_of, true_bins, with_truth
from scanweave.studies.slice_scans import slice_scan
from scanweave.studies.study import Study
from scanweave.systems.acid import evaluation, report
from scanweave.systems.acid.auditing import audit_setup
from scanweave.systems.acid.config import AcidConfig
from scanweave.systems.acid.error_norm import feedback_map
from scanweave.systems.acid.loop import Acid, Reconstruct, Record
from scanweave.systems.acid.measurement_pairs import Pairs, load_pairs, read_measurement
from scanweave.systems.acid.network import Reconstruction, make_network
from scanweave.systems.acid.operators import channels_of, describe, is_complex, open_physics
from scanweave.systems.acid.plan import SINOGRAM, AcidPlan
from scanweave.systems.acid.task import AcidTask
from scanweave.systems.acid.tuning import CHOICES, Choices, choose

PLAN = "plan.json"
Say = Callable[[str], None]


class AcidSystem:
    """A fitted ACID: the network, the loop around it and what was chosen for it.

    Args:
        run: Its run folder.
        device: Where to compute: "auto", "cpu", "cuda" or "mps".
    """

    def __init__(self, run: Run, device: str = "auto") -> None:
        self.run = run
        self.config = fitted_config(run, AcidConfig)
        self.choices = Choices.load(run.folder)
        self.plan = AcidPlan.load(run.folder / PLAN)
        settings = self.config.training.model_copy(update={"device": device, "precision": "fp32"})
        self.device = open_accelerator(settings).device
        self.physics = open_physics(self.plan.physics).to(self.device)
        self.channels = self.plan.channels
        network = with_weights(make_network(len(self.channels), self.config.network), run.weights)
        self.network = network.to(self.device).eval().requires_grad_(False)

    @classmethod
    def fit(
        cls,
        cohort: Cohort,
        run: str | Path,
        config: AcidConfig,
        *,
        fold: int = 0,
        workers: int = 1,
        say: Say = print,
    ) -> AcidSystem:
        """Learn a reconstruction network from the sinograms of a cohort; continue a fit that was stopped.

        Args:
            cohort: Studies with a sinogram `ct` of one geometry and the true images of its bins.
            run: The run folder.
            config: Every setting.
            fold: Which fold of the cohort's splits trains.
            workers: Studies that are checked at once.
            say: Takes one line for each choice made, and why.

        Raises:
            ScanweaveError: Nothing to learn from, the run folder is in use or holds another run.
        """
        config = checked(AcidConfig, config.model_dump(), "settings")
        bins = true_bins(cohort)
        measured = with_truth(cohort, SINOGRAM, bins, say)
        columns = [*(f"scan:{name}" for name in bins), f"sinogram:{SINOGRAM}"]
        with start_fit(run, "acid", config, cohort, columns, fold=fold, say=say) as started:
            if _is_done(started):
                say(f"{started.folder} is finished: nothing to do")
            else:
                with open_accelerator(config.training).main_process_first():
                    with counted("studies checked", shown=started.main) as progress:
                        sound = sound_studies(measured, workers, say, progress)
                    training, validation = divide(sound, fold, say)
                    with counted("sinograms read", shown=started.main) as progress:
                        physics, pairs = load_pairs(training, bins, progress=progress)
                    told = thresholds_of(training[training.studies[0]].sinogram(SINOGRAM))
                    held = (
                        load_pairs(validation, bins, physics=physics, thresholds=told)[1] if len(validation) else None
                    )
                    note_cohort(started, cohort, bins, fold)
                plan = AcidPlan(physics=describe(physics), channels=tuple(bins), thresholds=told)
                _train(started, plan, physics, pairs, held, config, say)
        return cls(Run.open(run), config.training.device)

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
    ) -> AcidSystem:
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
        about = {"path": "pairs in memory", "sha256": _digest(training, validation)}
        bins = tuple(f"bin{n + 1}" for n in range(training.truth.shape[1]))
        channels = ("real", "imaginary") if is_complex(physics) else bins
        plan = AcidPlan(physics=describe(physics), channels=channels)
        # No file that could change, but the patients are known: none of them is to test the run.
        inputs: dict[str, ImageStates] = {p: {} for part in filter(None, (training, validation)) for p in part.patients}
        with Run.start(run, "acid", config.model_dump(mode="json"), about, inputs) as started:
            _train(started, plan, physics, training, validation, config, say)
        return cls(Run.open(run), config.training.device)

    @classmethod
    def open(cls, run: str | Path, device: str = "auto") -> AcidSystem:
        """Open the run folder of a finished fit."""
        return cls(Run.open(run), device)

    def phi(self, physics: LinearPhysics | None = None) -> Reconstruction:
        """The network alone, on its own or another scanner."""
        return Reconstruction(self.network, physics or self.physics)

    def acid(self, physics: LinearPhysics | None = None) -> Acid:
        """The whole workflow with what was chosen at the fit, on its own or another scanner."""
        physics = physics or self.physics
        phi, chosen = self.phi(physics), self.choices
        like = torch.zeros(1, len(self.channels), *self._grid(physics), device=self.device)
        found = {name: getattr(chosen, name) for name in ("step", "threshold", "discrepancy")}
        settings = self.config.loop.model_copy(update=found)
        feedback = feedback_map(chosen.feedback, phi, physics, like)
        return Acid(phi, physics, settings, feedback=feedback, noise=chosen.noise, coupled=is_complex(physics))

    def methods(self, physics: LinearPhysics | None = None) -> dict[str, Reconstruct]:
        """Every reconstruction of the run by name: A†, tuned TV, the network, ACID."""
        physics = physics or self.physics
        return {
            "A†": physics.A_dagger,
            "TV": TotalVariation(physics, self.choices.tv_weight, coupled=is_complex(physics)),
            "network": self.phi(physics),
            "ACID": self.acid(physics),
        }

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Reconstruct the bins of a study from its sinogram.

        Args:
            study: Holds a sinogram `ct` of any CT geometry with this run's image grid; the run's own is best.
            targets: Which bins to return; None: all.

        Raises:
            ScanweaveError: The sinogram is absent, of another grid or other bins, or a target is unknown.
        """
        if is_complex(self.physics):
            raise ScanweaveError(study.id, "the run was fitted to MRI", "Call methods() on k-space in Python")
        wanted = self.channels if targets is None else targets
        unknown = [name for name in wanted if name not in self.channels]
        if unknown:
            known = ", ".join(self.channels)
            raise ScanweaveError("targets", f"the run does not know '{unknown[0]}'", f"Choose from {known}")
        physics, thresholds, measurement = read_measurement(study)
        if physics.geometry.shape != self._grid(self.physics) or len(measurement) != len(self.channels):
            raise ScanweaveError(
                study.id,
                f"{len(measurement)} bins on a grid of {physics.geometry.shape}",
                f"This run knows {len(self.channels)} bins on {self._grid(self.physics)}",
            )
        same_pixel(physics.geometry.pixel, self.physics.geometry.pixel, study.id)
        if self.plan.thresholds:
            same_thresholds(thresholds, self.plan.thresholds, study.id)
        record = Record()
        with torch.no_grad():
            image = self.acid(physics)(measurement[None].to(self.device), record)[0].cpu().numpy()
        if float(record.residual[-1]) > float(record.residual[0]):
            first, last = (float(record.residual[number]) for number in (0, -1))
            line = f"warning: {study.id}: the residual rose, from {first:.3g} to {last:.3g} of the measurement"
            print(line, file=sys.stderr)
        pixel = physics.geometry.pixel
        made = {name: slice_scan(one, pixel, synthetic=True) for name, one in zip(self.channels, image, strict=True)}
        return study.with_scans({name: made[name] for name in wanted})

    def evaluate(
        self,
        cohort: Cohort,
        out: str | Path | None = None,
        *,
        part: Choice | None = None,
        say: Say = print,
        **options: Any,
    ) -> pd.DataFrame:
        """Compare A†, tuned TV, the network and ACID with the true images; see `evaluation.evaluate`.

        Raises:
            ScanweaveError: An option of another system is given, or no study can be measured.
        """
        refuse_options(options)
        return evaluation.evaluate(self, cohort, out, part=part, say=say)

    def audit_setup(self, cohort: Cohort, *, part: Choice | None = None, say: Say = print) -> Setup:
        """What `scanweave audit stability` tries: see `auditing.audit_setup`."""
        return audit_setup(self, cohort, part=part, say=say)

    def report(self, path: str | Path | None = None) -> Path:
        """Write all that the run folder knows as one HTML page, `report.html` in it unless `path` is given."""
        return report.write(self.run, self.plan, path)

    @staticmethod
    def _grid(physics: LinearPhysics) -> tuple[int, ...]:
        shape = physics.mask.shape if is_complex(physics) else physics.geometry.shape
        return tuple(int(count) for count in shape[-2:])


def _is_done(run: Run) -> bool:
    """Whether the network is trained and the loop around it chosen."""
    return run.finished and (run.folder / CHOICES).is_file()


def _train(
    run: Run,
    plan: AcidPlan,
    physics: LinearPhysics,
    training: Pairs,
    validation: Pairs | None,
    config: AcidConfig,
    say: Say,
) -> None:
    """Train, and choose what the loop needs; what is done already is not done again."""
    accelerator = open_accelerator(config.training)
    physics = physics.to(accelerator.device)
    data_range = float(training.truth.max() - training.truth.min())
    task = AcidTask(config, physics, training, validation, data_range)
    if run.finished:
        say(f"{run.folder} is finished: nothing to train")
    else:
        say(f"network: {parameter_count(task.network) / 1e6:.2f} million parameters, preset {config.preset}")
        if run.main:
            plan.save(run.folder / PLAN)
        train(task, config.training, run)
    with accelerator.main_process_first():
        if not (run.folder / CHOICES).is_file():
            network = with_weights(make_network(len(plan.channels), config.network), run.weights)
            network = network.to(accelerator.device).eval().requires_grad_(False)
            pairs, part = (training, "training") if validation is None else (validation, "validation")
            if validation is None:
                say("note: without a validation part, the loop is chosen on images that the network has learnt")
            phi = Reconstruction(network, physics)
            choose(phi, physics, pairs.to(accelerator.device), config, data_range, say, part).save(run.folder)


def _digest(*parts: Pairs | None) -> str:
    found = hashlib.sha256()
    for pairs in filter(None, parts):
        for values in (pairs.truth, pairs.measurement):
            found.update(np.ascontiguousarray(values.cpu().numpy()).tobytes())
    return found.hexdigest()
