"""Evaluation: what all systems of images and reports measure, and whether a report helps to fill in hidden blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.framework.localisation.evaluation import summary_row
from scanweave.framework.reported.evaluation import Found, FoundPairs, Row, evaluate_pairs
from scanweave.framework.reported.study_texts import StudyText, texts_of
from scanweave.framework.told_rows import outcome_lines
from scanweave.framework.trial import Trial
from scanweave.measures.bootstrap import bootstrap
from scanweave.report.reconstructions import reconstruction_figure
from scanweave.report.saving import save_figure
from scanweave.studies.study import Study
from scanweave.systems.mg3d.config import VolumeEvaluateOptions
from scanweave.systems.mg3d.fitted import FittedMg3d

HIDDEN = "hidden blocks"
OWN, LESS = "error with the own report", "error less that with another patient's report"
CONTROL = "the other report"
DRAWS = 4
"""Times that blocks of a study are hidden: which ones they are matters."""


def evaluate(fitted: FittedMg3d, trial: Trial, options: VolumeEvaluateOptions) -> pd.DataFrame:
    """Measure findings, retrieval and, if that is asked for, hidden blocks; see `evaluate_pairs`.

    Raises:
        ScanweaveError: An option is at fault, or no study could be tried.
    """
    if not options.filling:
        return evaluate_pairs(fitted, trial, options)
    if not fitted.config.objective.blocks:
        raise ScanweaveError("filling", "has no effect: the run did not learn to fill in blocks", "Leave it out")
    others = _others(fitted, trial)
    if not others:
        lack = (
            "the studies have no reports"
            if not trial.cohort.names("text") and "report" not in trial.cohort.frame
            else ("no two patients have reports that say different things")
        )
        reason = f"has no effect: {lack}"
        raise ScanweaveError("filling", reason, "Leave it out")

    def look(study: Study) -> Found:
        text = fitted.readable(study)
        if text is None or study.id not in others:
            return {}
        reports, own = [text.sentences, others[study.id].sentences], crc32(study.id.encode())
        draws = [fitted.filled(study, reports, (options.seed, own, k)).errors for k in range(DRAWS)]
        return {"filled": np.mean(draws, axis=0).tolist()}

    def more(pairs: FoundPairs, found: Mapping[str, Found]) -> list[Row]:
        rows = _rows(found, options)
        for line in outcome_lines(rows, CONTROL):
            trial.say(line)
        _draw(fitted, trial, [name for name in pairs.studies if "filled" in found[name]], others, options)
        return rows

    return evaluate_pairs(fitted, trial, options, look=look, depends={"filling": options.seed}, more=more)


def _others(fitted: FittedMg3d, trial: Trial) -> dict[str, StudyText]:
    """Return for each study the report of the next study of another patient who has other findings.

    Where the labels of the run's findings are not all known, of one whose report has other words.
    """
    settings, frame = fitted.plan.text, trial.cohort.frame.set_index("study")
    texts, _ = texts_of(trial.cohort, settings.sections, settings.language)
    owners = frame["patient"].astype(str).to_dict()
    labels = [f"label:{name}" for name in fitted.plan.labels]
    told = bool(labels) and all(label in frame for label in labels)
    known = told and bool(frame.loc[list(texts), labels].notna().all(axis=None))
    says = {name: tuple(map(str, frame.loc[name, labels])) if known else texts[name].key for name in texts}
    names, found = list(texts), dict[str, StudyText]()
    for place, name in enumerate(names):
        for other in (*names[place + 1 :], *names[:place]):
            if owners[other] != owners[name] and says[other] != says[name]:
                found[name] = texts[other]
                break
    return found


def _rows(found: Mapping[str, Found], options: VolumeEvaluateOptions) -> list[Row]:
    own = [(one["filled"], one["patient"]) for one in found.values() if "filled" in one]
    if not own:
        return []
    errors, patients = np.array([pair for pair, _ in own]), [patient for _, patient in own]
    right, less = (
        bootstrap(values, patients, seed=options.seed, repeats=options.repeats)
        for values in (errors[:, 0], errors[:, 0] - errors[:, 1])
    )
    return [
        summary_row(HIDDEN, OWN, right, len(own), float(errors[:, 1].mean())),
        summary_row(HIDDEN, LESS, less, len(own)),
    ]


def _draw(
    fitted: FittedMg3d,
    trial: Trial,
    names: list[str],
    others: Mapping[str, StudyText],
    options: VolumeEvaluateOptions,
) -> None:
    """Draw the first studies, their hidden blocks filled in by the own report and by another patient's."""
    for name in names[: options.pictures]:
        study = trial.study(name)
        text: Any = fitted.text(study)
        reports = [text.sentences, others[name].sentences]
        shown = fitted.filled(study, reports, (options.seed, crc32(name.encode()), 0))
        own, other = shown.made
        titles = ("as it is", "what the network saw", "by its own report", "by another's")
        figure = reconstruction_figure(shown.image, shown.hidden, own, shown.spacing, other=other, titles=titles)
        save_figure(figure, trial.folder / name / f"{name}_filled.png")
