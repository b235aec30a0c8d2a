"""ULTRA as a user meets it: fit, predict, evaluate, audit, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.engine.fits import divide, fitted_config, note_cohort, start_fit
from scanweave.engine.loop import open_accelerator, train
from scanweave.engine.progress import counted
from scanweave.engine.run import Run
from scanweave.engine.selection import Choice, refuse_options
from scanweave.engine.settings import checked
from scanweave.engine.weights import with_weights
from scanweave.errors import ScanweaveError
from scanweave.measures.stability.audit_setup import Setup
from scanweave.nets.sizes import parameter_count
from scanweave.physics.ct.geometry import geometry_from_dict
from scanweave.studies.checks.cohort_check import sound_studies
from scanweave.studies.cohort import Cohort
from scanweave.studies.measured_slices import same_thresholds, true_bins, with_truth
from scanweave.studies.scan import Scan
from scanweave.studies.slice_scans import slice_scan
from scanweave.studies.study import Study
from scanweave.systems.ultra import evaluation, report
from scanweave.systems.ultra.auditing import audit_setup
from scanweave.systems.ultra.config import UltraConfig
from scanweave.systems.ultra.images import SpectralImages, prepared, reconstructed
from scanweave.systems.ultra.plan import SpectralPlan, same_spectrum, spans
from scanweave.systems.ultra.reconstruction import Reconstruction
from scanweave.systems.ultra.task import UltraTask, clean

PLAN_STUDIES = 64
"""Training studies that the scale of a bin is learnt from, at most: more would hardly move a mean."""
SCALE_FLOOR = 1e-6
"""Smallest scale of a bin [1/mm]: an empty image has none."""

Say = Callable[[str], None]
Array = NDArray[np.floating]


class Ultra:
    """A fitted ULTRA.

    Args:
        run: Its run folder.
        device: Where to compute: "auto", "cpu", "cuda" or "mps".
    """

    def __init__(self, run: Run, device: str = "auto") -> None:
        self.run = run
        self.config = fitted_config(run, UltraConfig)
        self.plan = SpectralPlan.load(run.folder / "plan.json")
        geometry = geometry_from_dict(self.plan.geometry) if self.plan.geometry else None
        network = Reconstruction(self.config.network, self.plan.offset, self.plan.scale, geometry)
        settings = self.config.training.model_copy(update={"device": device, "precision": "fp32"})
        self.device = open_accelerator(settings).device
        self.network = with_weights(network, run.weights).to(self.device).eval().requires_grad_(False)

    @classmethod
    def fit(
        cls, cohort: Cohort, run: str | Path, config: UltraConfig, *, fold: int = 0, workers: int = 1, say: Say = print
    ) -> Ultra:
        """Learn clean bins from the training part of a cohort; continue a fit that was stopped.

        Args:
            cohort: Studies with a sinogram and a clean image of each bin.
            run: The run folder.
            config: Every setting.
            fold: Which fold of the cohort's splits trains.
            workers: Studies that are checked at once.
            say: Takes one line for each choice made, and why.

        Raises:
            ScanweaveError: Nothing to learn from, the run folder is in use or holds another run.
        """
        config = checked(UltraConfig, config.model_dump(), "settings")
        bins = true_bins(cohort, config.bins)
        measured = with_truth(cohort, config.sinogram, bins, say)
        columns = [*(f"scan:{name}" for name in bins), f"sinogram:{config.sinogram}"]
        with start_fit(run, "ultra", config, cohort, columns, fold=fold, say=say) as started:
            if started.finished:
                say(f"{started.folder} is finished: nothing to do")
            else:
                with open_accelerator(config.training).main_process_first():
                    slices = _slices(measured, config, bins, started, fold=fold, workers=workers, say=say)
                    plan = _plan(config, bins, slices[0], slices[1], started)
                    note_cohort(started, cohort, bins, fold)
                task = UltraTask(config, plan, *slices)
                count = parameter_count(task.network) / 1e6
                say(f"network: {config.network.architecture}, {count:.2f} million parameters, preset {config.preset}")
                train(task, config.training, started)
        return cls(Run.open(run), config.training.device)

    @classmethod
    def open(cls, run: str | Path, device: str = "auto") -> Ultra:
        """Open the run folder of a finished fit."""
        return cls(Run.open(run), device)

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Reconstruct a study.

        Args:
            study: Holds a sinogram of the run's bins.
            targets: Images to make, of `plan.targets`; None: the clean image of every bin.

        Returns:
            A study with these images only: bins and `mono…` in 1/mm, materials in g/cm³.

        Raises:
            ScanweaveError: The sinogram is absent or has other bins, or a target is unknown.
        """
        wanted = list(self.plan.bins) if targets is None else list(targets)
        unknown = [name for name in wanted if name not in self.plan.targets]
        if unknown:
            known = ", ".join(self.plan.targets)
            raise ScanweaveError("targets", f"the run does not know '{unknown[0]}'", f"Choose from {known}")
        images = self.images(study)
        made = dict(zip(self.plan.bins, self.clean(images), strict=True))
        if any(name not in made for name in wanted):
            made |= self.plan.derived(np.stack(list(made.values())))
        scans: dict[str, Scan] = {
            name: slice_scan(made[name], images.geometry.pixel, synthetic=True) for name in wanted
        }
        return study.with_scans(scans)

    def images(self, study: Study) -> SpectralImages:
        """The study as the network sees it.

        Raises:
            ScanweaveError: The sinogram is absent, of other bins, or at fault.
        """
        self.plan.check(study.sinogram(self.plan.sinogram), f"{study.id}: {self.plan.sinogram}")
        images = reconstructed(study, self.plan.sinogram, self.plan.bins, self.config.window)
        if self.network.needs_sinogram and images.geometry.to_dict() != self.plan.geometry:
            step = "Use scans of that geometry, or another architecture"
            raise ScanweaveError(
                study.id, "was measured with another geometry than learned primal–dual was fitted to", step
            )
        return images

    def clean(self, images: SpectralImages) -> Array:
        """The network's image of each bin of a slice [1/mm], `(S, H, W)`."""
        return clean(self.network, images, self.device)

    def evaluate(
        self,
        cohort: Cohort,
        out: str | Path | None = None,
        *,
        part: Choice | None = None,
        say: Say = print,
        **options: Any,
    ) -> pd.DataFrame:
        """Reconstruct the studies whose truth is known and compare; see `evaluation.evaluate`.

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


def _slices(
    cohort: Cohort, config: UltraConfig, bins: Sequence[str], run: Run, *, fold: int, workers: int, say: Say
) -> tuple[list[SpectralImages], list[SpectralImages]]:
    with counted("studies checked", shown=run.main) as progress:
        sound = sound_studies(cohort, workers, say, progress)
    made = []
    for part in divide(sound, fold, say):
        with counted("slices reconstructed", shown=run.main) as progress:
            made.append(prepared(part, config.sinogram, bins, config.window, progress))
    return made[0], made[1]


def _plan(
    config: UltraConfig,
    bins: Sequence[str],
    training: Sequence[SpectralImages],
    validation: Sequence[SpectralImages],
    run: Run,
) -> SpectralPlan:
    """The plan of the run: read if it is there, else learnt from the training slices."""
    path = run.folder / "plan.json"
    if path.exists():
        return SpectralPlan.load(path)
    thresholds, beam = training[0].thresholds, training[0].beam
    images = [np.asarray(one.truth, np.float64) for one in training[:PLAN_STUDIES]]
    pixels = np.concatenate([image.reshape(len(bins), -1) for image in images], axis=1)
    for one in (*training, *validation):
        where = f"{one.id}: {config.sinogram}"
        same_thresholds(one.thresholds, thresholds, where)
        same_spectrum(one.beam, beam, where)
    shared = {one.geometry for one in training}
    plan = SpectralPlan(
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
    if run.main:
        plan.save(path)
    return plan
