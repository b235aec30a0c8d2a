"""Reports drafted from images: what they say of the findings, beside the report of the most similar training study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torchmetrics.functional.text import bleu_score

from scanweave.engine.cohort_parts import part_of
from scanweave.errors import ScanweaveError
from scanweave.framework.localisation.evaluation import summary_row
from scanweave.framework.reported.fitted_pairs import FittedPairs
from scanweave.framework.reported.image_index import index_images
from scanweave.framework.reported.prompts import Prompts
from scanweave.framework.reported.settings import EvaluateOptions
from scanweave.framework.reported.study_texts import texts_of
from scanweave.framework.reported.text_plan import LANGUAGES
from scanweave.framework.trial import Trial
from scanweave.measures.bootstrap import bootstrap_ratio
from scanweave.studies.cohort import Cohort
from scanweave.studies.report_languages import Language
from scanweave.studies.report_negation import is_denied
from scanweave.studies.report_sentences import split_sentences

DRAFTS = "drafted reports"
F1, BLEU = "F1 of the findings that they name", "BLEU-4"
NEIGHBOUR = "the report of the most similar training study"
Fitted = FittedPairs[Any]
Row = dict[str, Any]


class Neighbours:
    """Reports of the training studies, by the likeness of their images.

    Args:
        fitted: The fitted run.
        cohort: Where its training studies are.
        say: Takes lines on studies that are left out.

    Raises:
        ScanweaveError: None of them has a report.
    """

    def __init__(self, fitted: Fitted, cohort: Path, say: Any) -> None:
        training = part_of(fitted.run, Cohort.open(cohort), "train")
        settings = fitted.plan.text
        texts, _ = texts_of(training, settings.sections, settings.language)
        if not texts:
            raise ScanweaveError("neighbours", f"{cohort} holds no training study with a report", "Name the cohort")
        known = np.array([name in texts for name in training.studies])
        self.texts, self.index = texts, index_images(fitted, training.where(known), say)

    def report(self, image: np.ndarray) -> tuple[str, ...]:
        """Return the sentences of the report of the study whose image is most like a vector `(d,)`."""
        return self.texts[str(self.index.likest(image, 1)["study"].iloc[0])].sentences


def drafted(fitted: Fitted, study: Any, neighbours: Neighbours | None) -> dict[str, Any]:
    """Return the drafted sentences of a study, and those of its neighbour, as plain values."""
    found: dict[str, Any] = {"draft": list(split_sentences(fitted.draft(study), LANGUAGES[fitted.plan.text.language]))}
    if neighbours is not None:
        found["neighbour"] = list(neighbours.report(fitted.image(study)))
    return found


def named_findings(sentences: Sequence[str], terms: Mapping[str, Sequence[str]], language: Language) -> dict[str, bool]:
    """Return of each finding whether a report says that it is there: a sentence names it and does not deny it.

    Args:
        sentences: Of the report.
        terms: Names of each finding.
        language: Of the report.
    """
    return {
        name: any(is_denied(sentence, words, language) is False for sentence in sentences)
        for name, words in terms.items()
    }


def draft_rows(
    fitted: Fitted, trial: Trial, found: Mapping[str, Mapping[str, Any]], prompts: Prompts, options: EvaluateOptions
) -> list[Row]:
    """Return rows on what drafts say of known findings, and on how like the true reports they are.

    Args:
        fitted: The fitted run.
        trial: The studies.
        found: Of each study `patient`, `draft`, and where they are known `sentences` and `neighbour`.
        prompts: Findings, with their terms.
        options: Of the resampling.
    """
    own = {name: one for name, one in found.items() if "draft" in one}
    rows = [*_of_findings(fitted, trial, own, prompts, options)]
    both = [one for one in own.values() if one.get("sentences")]
    if both:
        truths = [[" ".join(one["sentences"]).lower()] for one in both]
        values = [
            float(bleu_score([" ".join(one.get(side, ())).lower() for one in both], truths))
            for side in ("draft", "neighbour")
        ]
        control = values[1] if all("neighbour" in one for one in both) else float("nan")
        figures = {"value": values[0], "low": float("nan"), "high": float("nan"), "patients": len(both)}
        rows.append({"outcome": DRAFTS, "measure": BLEU, **figures, "studies": len(both), "control": control})
    return rows


def _of_findings(
    fitted: Fitted, trial: Trial, own: Mapping[str, Mapping[str, Any]], prompts: Prompts, options: EvaluateOptions
) -> list[Row]:
    language, rows = LANGUAGES[fitted.plan.text.language], list[Row]()
    terms = {name: one.terms or (name.replace("_", " "),) for name, one in prompts.items()}
    frame = trial.cohort.frame.set_index("study")
    for name in terms:
        if f"label:{name}" not in frame:
            continue
        known = {study: one for study, one in own.items() if str(frame.loc[study, f"label:{name}"]) in ("0", "1")}
        if not known:
            continue
        truth = np.array([int(frame.loc[study, f"label:{name}"]) for study in known])
        patients, shares = [one["patient"] for one in known.values()], list[Any]()
        for side in ("draft", "neighbour"):
            if not all(side in one for one in known.values()):
                continue
            said = np.array([named_findings(one[side], terms, language)[name] for one in known.values()], dtype=int)
            hits, wholes = 2 * truth * said, truth + said
            if wholes.any():
                shares.append(bootstrap_ratio(hits, wholes, patients, seed=options.seed, repeats=options.repeats))
        if shares:
            control = shares[1].value if len(shares) > 1 else float("nan")
            rows.append(summary_row(f"{DRAFTS}: {name}", F1, shares[0], len(known), control))
    return rows
