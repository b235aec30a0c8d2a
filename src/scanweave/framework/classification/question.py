"""Question to a cohort: one label of classes, or several findings at once; and the answers as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.engine.settings import chosen_names
from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.label_import import how_to_label
from scanweave.studies.label_values import Uncertain, findings_matrix, is_finding, summarise_label
from scanweave.wording import listed

Kind = Literal["classes", "findings"]
COUNTS_AS: dict[str, Uncertain] = {"ignore": "absent", "negative": "negative", "positive": "positive"}
"""Meaning of an uncertain finding, by the setting `uncertain`."""

ONE_SIDED = {"one class": "is the same in all training studies", "none": "is known of no training study"}
"""Why a label cannot be learnt, by what its summary is."""


class Asked(Protocol):
    """Settings that say what is asked."""

    @property
    def labels(self) -> tuple[str, ...]:
        """One label of classes, or several findings; none where the cohort has one label."""
        ...

    @property
    def uncertain(self) -> str:
        """Meaning of an uncertain finding: ignore, negative or positive."""
        ...


@dataclass(frozen=True)
class Question:
    """Question of a run: the classes or findings to tell apart.

    Attributes:
        kind: `classes`: one label, of which one class is true; `findings`: several labels, each 0 or 1 by itself.
        labels: Their names.
        outputs: Names of the classes, or of the findings: what the network has a number for.
        uncertain: What an uncertain finding counts as.
    """

    kind: Kind
    labels: tuple[str, ...]
    outputs: tuple[str, ...]
    uncertain: str

    def answers(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Return what is known of each study of a manifest: `(N, 1)` class numbers or `(N, K)` 0 and 1; NaN is absent.

        Raises:
            ScanweaveError: A study has a class that is not among those of the question, or a finding another value.
        """
        if self.kind == "findings":
            return findings_matrix(frame, self.labels, COUNTS_AS[self.uncertain])
        texts = class_texts(frame, self.labels[0], self.uncertain)
        numbers = {name: float(number) for number, name in enumerate(self.outputs)}
        strange = sorted(set(texts.dropna()) - set(numbers))
        if strange:
            reason = f"has the class '{strange[0]}', which was not learnt"
            step = f"Known are {listed(self.outputs)}; join classes, or leave such studies out"
            raise ScanweaveError(f"label {self.labels[0]}", reason, step)
        return texts.map(numbers).to_numpy(dtype=float)[:, None]


def ask(cohort: Cohort, training: Cohort, config: Asked) -> Question:
    """Settle what is asked; the classes are those of the training part.

    Raises:
        ScanweaveError: No label, an unknown one, one class only, a number, or several labels that are no findings.
            It is said what an uncertain finding counts as, and none is uncertain.
    """
    labels = _labels(cohort, config)
    if len(labels) > 1:
        findings_matrix(cohort.frame, labels)
        _refuse_one_sided(training, labels, config)
        _refuse_idle_uncertain(cohort, labels, config)
        return Question("findings", labels, labels, config.uncertain)
    summary = summarise_label(training.frame, labels[0])
    if summary.kind not in ("binary", "classes"):
        reason = ONE_SIDED.get(summary.kind, "is a number, not a class")
        raise ScanweaveError(f"label {labels[0]}", reason, "Name another by --labels, or split the cohort anew")
    _refuse_idle_uncertain(cohort, labels, config)
    return Question("classes", labels, tuple(map(text_of, summary.classes)), config.uncertain)


def _refuse_one_sided(training: Cohort, labels: Sequence[str], config: Asked) -> None:
    """Refuse findings of which the training studies hold one side only: nothing is learnt, and all is answered."""
    known = findings_matrix(training.frame, labels, COUNTS_AS[config.uncertain])
    for name, values in zip(labels, known.T, strict=True):
        sides = len(set(values[~np.isnan(values)].tolist()))
        if sides < 2:
            reason = ONE_SIDED["one class" if sides else "none"]
            raise ScanweaveError(f"label {name}", reason, "Leave it out of --labels, or split the cohort anew")


def _refuse_idle_uncertain(cohort: Cohort, labels: Sequence[str], config: Asked) -> None:
    values = cohort.frame[[f"label:{name}" for name in labels]].astype(object)
    if config.uncertain != "ignore" and not any(is_finding(values[column]) for column in values):
        reason = f"has no effect: {' and '.join(labels)} hold no uncertain finding (-1)"
        raise ScanweaveError("uncertain", reason, "Leave it out")


def class_texts(frame: pd.DataFrame, name: str, uncertain: str) -> pd.Series:
    """Return a label as text, None where it is absent; of a finding (-1, 0, 1) the uncertain ones as they count."""
    values = frame[f"label:{name}"].astype(object)
    if is_finding(values):
        values = pd.Series(findings_matrix(frame, [name], COUNTS_AS[uncertain])[:, 0], dtype=object)
    return pd.Series([None if pd.isna(value) else text_of(value) for value in values], dtype=object)


def text_of(value: Any) -> str:
    """Return a class as text: 1.0 and True are 1."""
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _labels(cohort: Cohort, config: Asked) -> tuple[str, ...]:
    there = cohort.names("label")
    for name in config.labels:
        if name not in there and name in cohort.names("table"):
            raise ScanweaveError("labels", f"'{name}' is a variable, no label", how_to_label(cohort, name))
    names = tuple(chosen_names(config.labels, there, "labels"))
    if not names and not there:
        raise ScanweaveError(cohort.folder, "has no label", how_to_label(cohort))
    if not names and len(there) > 1:
        words = f"has several labels ({', '.join(there)})"
        raise ScanweaveError(cohort.folder, words, "Name one, or several findings, by --labels")
    return names or tuple(there)


def known_rows(answers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which studies have any answer."""
    return np.asarray(~np.isnan(answers).all(axis=1))


def shares_of(answers: NDArray[np.float64], question: Question) -> tuple[float, ...]:
    """Return the share of each class, or how often each finding is there where it is known."""
    if question.kind == "findings":
        known = ~np.isnan(answers)
        return tuple((np.nansum(answers, axis=0) / np.maximum(known.sum(axis=0), 1)).tolist())
    counts = np.bincount(answers[known_rows(answers), 0].astype(int), minlength=len(question.outputs))
    return tuple((counts / counts.sum()).tolist())


def counted(answers: NDArray[np.float64], question: Question) -> str:
    """Return how many studies have what, in words."""
    if question.kind == "findings":
        return " · ".join(
            f"{name} {int(np.nansum(row))} of {int((~np.isnan(row)).sum())}"
            for name, row in zip(question.outputs, answers.T, strict=True)
        )
    counts: Sequence[int] = np.bincount(
        answers[known_rows(answers), 0].astype(int), minlength=len(question.outputs)
    ).tolist()
    return " · ".join(f"{name} {number}" for name, number in zip(question.outputs, counts, strict=True))
