"""MiM as a user meets it: fit, predict, evaluate, report."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pandas as pd

from scanweave.engine.saved_encoder import FILE as ENCODER
from scanweave.engine.saved_encoder import SavedEncoder
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import CohortFit
from scanweave.framework.run_page import RunPage
from scanweave.framework.scan_preparation import PreparedParts, prepare_parts
from scanweave.framework.scan_system import ScanSystem
from scanweave.framework.trial import Trial
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.mim import evaluation, report
from scanweave.systems.mim.config import OPTIONS, EvaluateOptions, MimConfig
from scanweave.systems.mim.fitted import FittedMim
from scanweave.systems.mim.network import encoder_options
from scanweave.systems.mim.task import MimTask
from scanweave.wording import count


class Mim(FittedMim, ScanSystem[MimConfig]):
    """A fitted MiM with its verbs."""

    name: ClassVar[str] = "mim"
    options = OPTIONS
    in_cubes: ClassVar[bool] = True
    own_grids: ClassVar[bool] = True

    @classmethod
    def learn(cls, fit: CohortFit[MimConfig]) -> None:
        """Learn to reconstruct what is hidden of every scan."""
        with fit.one_first():
            sound = fit.sound()
            names = cls.chosen_scans(sound, fit.config)
            settings, seed = fit.config.preparation, fit.training.seed
            parts = prepare_parts(
                fit, sound, names, settings, seed, standard=True, cubes=cls.in_cubes, own_grids=cls.own_grids
            )
            for part in (parts.training, parts.validation):
                _refuse_films(part)
            _tell_images(fit, parts)
            _offer_encoder(fit)
        fit.train(MimTask(fit.config, parts.training, parts.validation))

    def measure(self, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
        """Measure reconstructions, and what can be told from the features; see `evaluation.evaluate`."""
        return evaluation.evaluate(self, trial, options)

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run; see `report.write`."""
        return report.write(self, page, path)


def _refuse_films(part: list[CachedStudy]) -> None:
    """Refuse images of one slice: blocks have three axes.

    Raises:
        ScanweaveError: Names one.
    """
    for study in part:
        for name, frame in study.frames.items():
            if 1 in frame.native.shape:
                shape = "×".join(map(str, frame.native.shape))
                raise ScanweaveError(study.id, f"{name} is a film or slice of {shape}", "Name volumes by --scans")


def _offer_encoder(fit: CohortFit[MimConfig]) -> None:
    """Write what other systems make the encoder by."""
    if fit.run.main:
        settings = fit.config.network
        offered = SavedEncoder(name=settings.encoder, options=encoder_options(settings), dimensions=3, axes="XYZ")
        offered.save(fit.run.folder / ENCODER)


def _tell_images(fit: CohortFit[MimConfig], parts: PreparedParts) -> None:
    counts = {name: sum(name in study.names for study in parts.training) for name in parts.plan.scans}
    words = " · ".join(f"{name} {number}" for name, number in counts.items())
    fit.say(f"images to learn from: {count(sum(counts.values()), 'volume')}, each by itself ({words})")
