"""MGCA as a user meets it: fit, predict, evaluate, explain, search, report."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pandas as pd

from scanweave.framework.cohort_fit import CohortFit
from scanweave.framework.reported.pair_fit import prepare_pairs, train_pairs
from scanweave.framework.reported.pair_system import PairSystem
from scanweave.framework.reported.settings import EvaluateOptions
from scanweave.framework.run_page import RunPage
from scanweave.framework.trial import Trial
from scanweave.systems.mgca import evaluation, report
from scanweave.systems.mgca.config import OPTIONS, PRESETS, MgcaConfig
from scanweave.systems.mgca.fitted import FittedMgca
from scanweave.systems.mgca.task import MgcaTask

READS = (2, "MGCA reads films")


class Mgca(FittedMgca, PairSystem[MgcaConfig]):
    """A fitted MGCA with its verbs."""

    name: ClassVar[str] = "mgca"
    options = OPTIONS

    @classmethod
    def learn(cls, fit: CohortFit[MgcaConfig]) -> None:
        """Learn from pairs of films and reports."""
        pairs = prepare_pairs(fit, READS, {preset.network.encoder for preset in PRESETS.values()})
        task = MgcaTask(fit.config, pairs)
        train_pairs(fit, pairs, task, task.network.text)

    def measure(self, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
        """Measure findings told by sentences, retrieval and prototypes; see `evaluation.evaluate`."""
        return evaluation.evaluate(self, trial, options)

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run; see `report.write`."""
        return report.write(self, page, path)
