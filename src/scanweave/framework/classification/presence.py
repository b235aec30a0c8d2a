"""Caution about leaks by absence: what the presence of a modality alone tells in the training studies of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from scanweave.framework.classification.answer_plan import AnswerPlan
from scanweave.framework.classification.question import Question
from scanweave.framework.classification.validation import binary_truths
from scanweave.report.blocks import Caution
from scanweave.studies.checks.presence_check import presence_leaks


def telling_presence(
    training: pd.DataFrame, modalities: Mapping[str, Sequence[str]], question: Question
) -> tuple[str, ...]:
    """Return in words which modalities tell an answer by their presence alone; see `presence_leaks`.

    Args:
        training: The manifest of the training studies.
        modalities: Columns of each by what it is called; it is there where any of them is.
        question: What is asked.
    """
    there = pd.DataFrame({name: training[list(own)].notna().any(axis=1) for name, own in modalities.items()})
    truths = binary_truths(question.answers(training), question)
    names = [name if question.kind == "findings" else f"{question.labels[0]} {name}" for name in question.outputs]
    asked = dict(zip(names, truths, strict=True))
    if question.kind == "classes" and len(names) == 2:
        del asked[names[0]]  # the other side of the same question
    leaks = presence_leaks(there, asked, training["patient"].astype(str).tolist())
    return tuple(f"{leak.columns[0]}: {leak.words()}" for leak in leaks)


def presence_cautions(plan: AnswerPlan) -> Iterator[Caution]:
    """Yield a caution for each modality whose presence alone told an answer in training."""
    for line in plan.cautions:
        yield Caution(
            f"Leak by absence: in the training studies, {line}. Answers may rest on what was recorded, not on what it "
            "shows: trust them only where patients to come have it by the same rule."
        )
