"""A fitted AdaMedGraph: its learners, and their answers for patients."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.fitted_run import FittedRun
from scanweave.framework.predicting import Predicted
from scanweave.studies.cohort import Cohort
from scanweave.studies.study import Study
from scanweave.systems.adamedgraph import storage
from scanweave.systems.adamedgraph.config import AdaMedGraphConfig
from scanweave.systems.adamedgraph.ensemble import Ensemble
from scanweave.systems.adamedgraph.record import FILE, Record
from scanweave.systems.adamedgraph.samples import Samples, differences, gather, outside, strangers
from scanweave.wording import listed, studies

Say = Callable[[str], None]
MOSTLY_MISSING = 0.5
"""Share of missing variables from which an answer is warned of."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Predictions for studies.

    Attributes:
        samples: Which studies.
        probabilities: Of each class `(n, K)`.
        sets: Whether a class belongs to the conformal set `(n, K)`.
        matrix: The variables as numbers `(n, d)`.
        outside: Which of these lie far outside of what training patients had `(n, d)`.
    """

    samples: Samples
    matrix: np.ndarray
    probabilities: np.ndarray
    sets: np.ndarray
    outside: np.ndarray


class FittedAdaMedGraph(FittedRun[AdaMedGraphConfig]):
    """A fitted AdaMedGraph; see `FittedRun`. Graphs of one column are computed on the processor.

    Attributes:
        plan: The question that it was fitted to.
        ensemble: Its learners.
    """

    config_class = AdaMedGraphConfig
    plan_class: ClassVar[type[Record]] = Record
    plan_file: ClassVar[str] = FILE
    plan: Record

    def __init__(self, run: Run, device: str = "auto") -> None:
        if device not in ("auto", "cpu"):
            raise ScanweaveError("device", "has no effect: AdaMedGraph computes on the CPU only", "Leave it out")
        super().__init__(run, device)
        self.ensemble: Ensemble = storage.load(run.weights)

    @property
    def record(self) -> Record:
        """The question that it was fitted to."""
        return self.plan

    def answer(self, cohort: Cohort, say: Say = print) -> Answer:
        """Return probabilities and conformal sets for the studies of a cohort, each as if it came alone.

        Args:
            cohort: Any cohort with the run's variables.
            say: Is told of later visits that are left out, and of what is not as in the training patients.

        Raises:
            ScanweaveError: The cohort has no variable of the run, or one in another unit or kind.
        """
        samples = gather(cohort, self.record.question, self.config)
        for line in differences(cohort, samples, self.ensemble.columns, self.record.units):
            say(line)
        if len(samples.studies) < len(cohort):
            say(f"first visits only, one a patient: {len(samples.studies)} of {len(cohort)} studies")
        answer = self._answered(samples)
        for line in strangers(answer.matrix, answer.outside, self.ensemble):
            say(line)
        return answer

    def _answered(self, samples: Samples) -> Answer:
        matrix = self.ensemble.columns.matrix(samples.table)
        probabilities = self.ensemble.probabilities(matrix)
        limit = self.record.conformal
        sets = np.ones_like(probabilities, dtype=bool) if limit is None else probabilities >= limit
        return Answer(samples, matrix, probabilities, sets, outside(matrix, self.ensemble))

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Return the class of one study.

        Args:
            study: Holds some of the run's variables; what it lacks counts as missing.
            targets: The label, if anything.

        Returns:
            A study with `labels` (the class) and `table`: the probability of each class, the conformal set, and how
            many variables are missing, or lie far outside of what training patients had.

        Raises:
            ScanweaveError: It holds no variable of the run.
        """
        self.wanted(targets, ())
        there = {name: study.table.get(name) for name in self.record.features}
        if all(value is None for value in there.values()):
            step = f"Give some of {listed(self.record.features)}"
            raise ScanweaveError(study.id, "holds no variable of this run", step)
        frame = pd.DataFrame({name: [value] for name, value in there.items()})
        samples = Samples(frame, [study.id], [study.patient], pd.Series([None], dtype=object))
        [(_, made)] = self._told(self._answered(samples))
        return made

    def predictions(
        self, cohort: Cohort, targets: Sequence[str] | None = None, *, done: Collection[str] = (), say: Say = print
    ) -> Iterator[Predicted]:
        """Predict the patients of a cohort, all at once; see `System.predictions`."""
        self.wanted(targets, ())
        answer = self.answer(cohort, say)
        lacking = np.isnan(answer.matrix).mean(1) > MOSTLY_MISSING
        if lacking.any():
            words = studies(int(lacking.sum()))
            say(f"caution: {words} lack more than half of the variables; see the column 'missing'")
        for study, made in self._told(answer):
            if study.id not in done:
                yield Predicted(study.id, study, made)

    def _told(self, answer: Answer) -> Iterator[tuple[Study, Study]]:
        """Yield each study by its name, and what is predicted of it."""
        table, label = self.table(answer).drop(columns=["truth", "study", "patient"]), self.record.label
        named = zip(answer.samples.studies, answer.samples.patients, table.to_dict("records"), strict=True)
        for name, patient, row in named:
            study = Study(name, patient)
            yield study, study.answer(labels={label: row.pop("predicted")}, table={str(k): v for k, v in row.items()})

    def table(self, answer: Answer) -> pd.DataFrame:
        """Return a row a study: its class where known, the predicted one, probabilities and conformal set.

        `missing` and `outside` count the variables that it lacks, and that lie far outside of what training patients
        had.
        """
        classes = self.record.classes
        shares = {f"probability_{name}": answer.probabilities[:, k].round(6) for k, name in enumerate(classes)}
        best = np.array(classes, dtype=object)[answer.probabilities.argmax(1)]
        sets = [" or ".join(np.array(classes)[inside]) for inside in answer.sets]
        known: dict[str, Any] = {"study": answer.samples.studies, "patient": answer.samples.patients}
        strange = {"missing": np.isnan(answer.matrix).sum(1), "outside": answer.outside.sum(1)}
        return pd.DataFrame(
            {**known, "truth": answer.samples.labels, "predicted": best, **shares, "set": sets, **strange}
        )

    def class_shares(self) -> np.ndarray:
        """Return the share of each class in the training patients `(K,)`: what one would say without any patient."""
        nodes = self.ensemble.nodes
        shares: np.ndarray = np.bincount(nodes.target, nodes.mass, len(self.record.classes)) / nodes.mass.sum()
        return shares
