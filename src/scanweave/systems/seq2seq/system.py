"""Seq2Seq as a user meets it: fit, predict, evaluate, rank, explain, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.framework.run_page import RunPage
from scanweave.framework.scan_preparation import PreparedParts, chosen_scans
from scanweave.framework.scan_system import ScanSystem
from scanweave.framework.system import Material
from scanweave.framework.trial import Trial
from scanweave.studies.cohort import Cohort
from scanweave.systems.seq2seq import differentiation, evaluation, ranking, report
from scanweave.systems.seq2seq.config import (
    OPTIONS,
    SMALL,
    EvaluateOptions,
    ExplainOptions,
    RankOptions,
    Seq2SeqConfig,
)
from scanweave.systems.seq2seq.few_patients import with_start
from scanweave.systems.seq2seq.fitted import FittedSeq2Seq
from scanweave.systems.seq2seq.regression import MOST_SEQUENCES
from scanweave.systems.seq2seq.task import Seq2SeqTask

Say = Callable[[str], None]


class Seq2Seq(FittedSeq2Seq, ScanSystem[Seq2SeqConfig]):
    """A fitted Seq2Seq with its verbs."""

    name: ClassVar[str] = "seq2seq"
    options = OPTIONS
    takes_series = True

    @classmethod
    def material(cls, cohort: Cohort, config: Seq2SeqConfig, fold: int, say: Say) -> Material:
        """Choose the sequences of a cohort; say so if a term of the loss needs weights that are not there."""
        if config.objective.perceptual and config.objective.vgg_weights is None:
            say("loss: without its perceptual term, since objective.vgg_weights names no file; the paper's has one")
        return super().material(cohort, config, fold, say)

    @classmethod
    def settled(cls, material: Material, config: Seq2SeqConfig, run: str | Path, fold: int, say: Say) -> Seq2SeqConfig:
        """Begin from the model that ships where few patients train, see `few_patients.with_start`."""
        names = cls.chosen_scans(material.cohort, config)
        return with_start(material.cohort, config, names, Path(run), fold, say)

    @classmethod
    def chosen_scans(cls, cohort: Cohort, config: Seq2SeqConfig) -> list[str]:
        """Return the sequences of a cohort to learn; at least two, and no more than the code can tell apart."""
        names = chosen_scans(cohort, config.sequences, "sequences")
        if not 2 <= len(names) <= config.network.code_length:
            raise ScanweaveError(
                cohort.folder,
                f"has volumes of {len(names)} sequence{'s' * (len(names) != 1)} ({', '.join(names)})",
                f"Give 2 to {config.network.code_length} sequences",
            )
        if config.network.fusion == "latent" and len(names) > MOST_SEQUENCES:
            raise ScanweaveError(
                "network.fusion",
                f"latent takes at most {MOST_SEQUENCES} sequences, and here are {len(names)}",
                f"Name those that matter by --sequences, or take --preset {SMALL.preset}",
            )
        return names

    @classmethod
    def task(cls, config: Seq2SeqConfig, parts: PreparedParts) -> Seq2SeqTask:
        """Return the task of learning all sequences of a cohort from each other."""
        return Seq2SeqTask(config, parts.plan.scans, parts.training, parts.validation, parts.plan.series)

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
