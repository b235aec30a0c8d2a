"""The part of a run's plan that says what is told: classes or findings, and how often each is true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

from scanweave.engine.saved_plan import EMBEDDING, SavedPlan
from scanweave.framework.classification.question import Kind, Question, counted, shares_of
from scanweave.framework.classification.settings import LossSettings

if TYPE_CHECKING:
    from torch import Tensor

LEAST_SHARE = 1e-6
"""Share that no output counts as rarer than, nor its opposite, so that logits are finite."""


class AnswerFields(TypedDict):
    """Fields of an `AnswerPlan` that follow from the question and the training studies."""

    kind: Kind
    labels: tuple[str, ...]
    outputs: tuple[str, ...]
    uncertain: str
    shares: tuple[float, ...]
    balanced: bool


def answer_fields(question: Question, answers: NDArray[np.float64], loss: LossSettings) -> tuple[AnswerFields, str]:
    """Return the fields of a plan that the question settles, and a line about it.

    Args:
        question: What is asked.
        answers: What is known of the training studies `(N, 1)` or `(N, K)`.
        loss: How classes weigh.
    """
    what = "label" if question.kind == "classes" else "findings"
    fields = AnswerFields(
        kind=question.kind,
        labels=question.labels,
        outputs=question.outputs,
        uncertain=question.uncertain,
        shares=shares_of(answers, question),
        balanced=loss.class_weights == "balanced",
    )
    return fields, f"{what}: {', '.join(question.labels)}; training studies: {counted(answers, question)}"


def finding_outputs(kind: Kind, labels: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    """Return the output of each finding that a run tells, by the name that a box or another run knows it by.

    Of two classes the second one is the finding; of a label that is 0 or 1 it has the name of the label. Each of more
    classes is one too.

    Args:
        kind: As in a question.
        labels: Likewise.
        outputs: Likewise.
    """
    if kind == "classes" and tuple(outputs) == ("0", "1"):
        return {labels[0]: "1"}
    return {name: name for name in (outputs[1:] if kind == "classes" and len(outputs) == 2 else outputs)}


class AnswerPlan(SavedPlan):
    """The question of a run; systems add what their network sees.

    Attributes:
        kind: One of several classes, or several findings.
        labels: Labels of the cohort that are learnt.
        outputs: Classes or findings, in the order of the network's numbers.
        uncertain: What an uncertain finding counts as.
        shares: Share of each class, or frequency of each finding, in the training studies.
        reasons: Why, a line each.
        balanced: Whether classes weighed the same in training: probabilities are then those of such a cohort.
        cautions: Modalities that tell an answer in the training studies by their presence alone, a line each.
    """

    kind: Kind
    labels: tuple[str, ...]
    outputs: tuple[str, ...]
    uncertain: str
    shares: tuple[float, ...]
    reasons: tuple[str, ...]
    balanced: bool = False
    cautions: tuple[str, ...] = ()

    @property
    def question(self) -> Question:
        """Question of the run."""
        return Question(self.kind, self.labels, self.outputs, self.uncertain)

    @property
    def findings(self) -> dict[str, str]:
        """The output of each finding by the name that others know it by; see `finding_outputs`."""
        return finding_outputs(self.kind, self.labels, self.outputs)

    @property
    def targets(self) -> tuple[str, ...]:
        """The labels, and the embedding, which is made only when it is asked for."""
        return (*self.labels, EMBEDDING)

    @property
    def prior_logits(self) -> NDArray[np.float64]:
        """Logits of the answer without any input `(K,)`: how often each output is true in training.

        Where classes, or both sides of a finding, weighed the same, they are even: so answers a network that sees
        nothing.
        """
        even = 1 / len(self.outputs) if self.kind == "classes" else 0.5
        shares = np.full(len(self.outputs), even) if self.balanced else np.array(self.shares)
        shares = np.clip(shares, LEAST_SHARE, 1 - LEAST_SHARE)
        return np.log(shares) if self.kind == "classes" else np.log(shares / (1 - shares))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probability of each class, or of each finding, from logits `(B, K)`."""
        return logits.softmax(dim=1) if self.kind == "classes" else logits.sigmoid()
