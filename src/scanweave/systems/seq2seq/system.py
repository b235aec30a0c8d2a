"""Seq2Seq as a user meets it: fit, predict, evaluate, rank, explain, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pandas as pd

from scanweave.engine.loop import open_accelerator, train
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import CohortFit
from scanweave.framework.run_page import RunPage
from scanweave.framework.scan_preparation import prepare_parts
from scanweave.framework.system import Material, System
from scanweave.framework.trial import Trial
from scanweave.studies.cohort import Cohort
from scanweave.systems.seq2seq import differentiation, evaluation, ranking, report
from scanweave.systems.seq2seq.config import OPTIONS, EvaluateOptions, ExplainOptions, RankOptions, Seq2SeqConfig
from scanweave.systems.seq2seq.fitted import FittedSeq2Seq
from scanweave.systems.seq2seq.task import Seq2SeqTask

Say = Callable[[str], None]


class Seq2Seq(FittedSeq2Seq, System[Seq2SeqConfig]):
    """A fitted Seq2Seq with its verbs."""

    name: ClassVar[str] = "seq2seq"
    options = OPTIONS

    @classmethod
    def material(cls, cohort: Cohort, config: Seq2SeqConfig, fold: int, say: Say) -> Material:
        """Choose the sequences of a cohort."""
        if config.objective.perceptual and config.objective.vgg_weights is None:
            say("loss: without its perceptual term, since objective.vgg_weights names no file; the paper's has one")
        return Material(cohort, [f"scan:{name}" for name in _sequences(cohort, config)])

    @classmethod
    def learn(cls, fit: CohortFit[Seq2SeqConfig]) -> None:
        """Learn all sequences of a cohort from each other."""
        config, say = fit.config, fit.say
        with open_accelerator(config.training).main_process_first():
            sound = fit.sound()
            sequences = _sequences(sound, config)
            counts = sound.counts()
            say("sequences: " + " · ".join(f"{name} {counts[name]}" for name in sequences))
            holding = sound.where(sound.frame[[f"scan:{name}" for name in sequences]].notna().any(axis=1))
            parts = prepare_parts(fit, holding, sequences, config.preparation, config.training.seed)
            fit.note_cohort(sequences)
        task = Seq2SeqTask(config, sequences, parts.training, parts.validation)
        count = sum(weight.numel() for weight in task.network.parameters()) / 1e6
        say(f"network: {count:.1f} million parameters, preset {config.preset}")
        train(task, config.training, fit.run)

    def measure(self, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
        """Predict every present sequence from the others and compare; see `evaluation.evaluate`."""
        return evaluation.evaluate(self, trial, options)

    def order(self, trial: Trial, options: RankOptions) -> ranking.Ranking:
        """Rank the sequences by C_t and C_d; see `ranking.rank`."""
        return ranking.rank(self, trial, options)

    def account(self, trial: Trial, options: ExplainOptions) -> pd.DataFrame:
        """Map what no other sequence tells of each; see `differentiation.explain`."""
        return differentiation.explain(self, trial, options)

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run; see `report.write`."""
        return report.write(page, self.plan, path)


def _sequences(cohort: Cohort, config: Seq2SeqConfig) -> list[str]:
    there = cohort.names("scan")
    names = list(config.sequences) or there
    absent = [name for name in names if name not in there]
    if absent:
        raise ScanweaveError(
            "sequences", f"'{absent[0]}' is not in the cohort ({', '.join(there)})", "Name those that are"
        )
    if not 2 <= len(names) <= config.network.code_length:
        raise ScanweaveError(
            cohort.folder,
            f"has volumes of {len(names)} sequence{'s' * (len(names) != 1)} ({', '.join(names)})",
            f"Give 2 to {config.network.code_length} sequences",
        )
    return names
