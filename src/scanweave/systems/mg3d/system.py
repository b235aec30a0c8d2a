"""MG-3D as a user meets it: fit, predict, evaluate, explain, search, report."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pandas as pd

from scanweave.framework.cohort_fit import CohortFit
from scanweave.framework.reported.pair_fit import prepare_pairs, train_pairs
from scanweave.framework.reported.pair_system import PairSystem
from scanweave.framework.run_page import RunPage
from scanweave.framework.trial import Trial
from scanweave.systems.mg3d import evaluation, report
from scanweave.systems.mg3d.config import OPTIONS, PRESETS, Mg3dConfig, VolumeEvaluateOptions
from scanweave.systems.mg3d.fitted import FittedMg3d
from scanweave.systems.mg3d.task import Mg3dTask

READS = (3, "MG-3D reads volumes")


class Mg3d(FittedMg3d, PairSystem[Mg3dConfig]):
    """A fitted MG-3D with its verbs."""

    name: ClassVar[str] = "mg3d"
    options = OPTIONS

    @classmethod
    def learn(cls, fit: CohortFit[Mg3dConfig]) -> None:
        """Learn from pairs of volumes and reports."""
        pairs = prepare_pairs(fit, READS, {preset.network.encoder for preset in PRESETS.values()})
        task = Mg3dTask(fit.config, pairs)
        places = task.network.places_of(pairs.plan.size)
        fit.say(f"places: a volume is seen at {'×'.join(map(str, places))} (Z×Y×X); maps are no finer than that")
        train_pairs(fit, pairs, task, task.network.text)

    def measure(self, trial: Trial, options: VolumeEvaluateOptions) -> pd.DataFrame:
        """Measure findings told by sentences, retrieval and hidden blocks; see `evaluation.evaluate`."""
        return evaluation.evaluate(self, trial, options)

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run; see `report.write`."""
        return report.write(self, page, path)
