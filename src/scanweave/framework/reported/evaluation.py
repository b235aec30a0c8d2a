"""Evaluation: findings told by sentences where labels are known, images found by reports where there are reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.framework.classification import evaluation
from scanweave.framework.classification.analyses import analyse, refuse_unknown
from scanweave.framework.classification.tried import Tried
from scanweave.framework.localisation.evaluation import MIDDLE, summary_row
from scanweave.framework.reported.drafting import NEIGHBOUR, Neighbours, draft_rows, drafted
from scanweave.framework.reported.fitted_pairs import FittedPairs
from scanweave.framework.reported.pointing import pointing_hits, pointing_rows
from scanweave.framework.reported.prompts import Prompts, read_prompts
from scanweave.framework.reported.retrieval import measure_retrieval
from scanweave.framework.reported.settings import EvaluateOptions
from scanweave.framework.told_rows import outcome_lines
from scanweave.framework.trial import Trial
from scanweave.measures.bootstrap import Interval
from scanweave.studies.mask_targets import Structure, structures_of
from scanweave.studies.study import Study
from scanweave.wording import nearest

Fitted = FittedPairs[Any]
Found = dict[str, Any]
Row = dict[str, Any]


class FoundPairs(NamedTuple):
    """The studies of a trial that have a report.

    Attributes:
        studies: Their names, N.
        patients: Whose they are.
        images: Vectors of length 1 `(N, d)`.
        reports: Of their reports, likewise.
    """

    studies: list[str]
    patients: list[str]
    images: NDArray[np.float64]
    reports: NDArray[np.float64]


def evaluate_pairs(
    fitted: Fitted,
    trial: Trial,
    options: EvaluateOptions,
    *,
    look: Callable[[Study], Found] | None = None,
    depends: Mapping[str, Any] | None = None,
    more: Callable[[FoundPairs, Mapping[str, Found]], list[Row]] | None = None,
) -> pd.DataFrame:
    """Measure what is told without labels where labels are known, and retrieval where there are reports.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: Other sentences, keys of reports, the pointing game, and what all that tell findings offer.
        look: What a system finds in a study beside this, as plain values.
        depends: What that depends on, so that a call that was stopped goes on with the same.
        more: Rows of the summary that it makes of the studies with a report, and of what `look` found of each study.

    Returns:
        The summary: a row an outcome and measure.

    Raises:
        ScanweaveError: An option is at fault, or no study could be tried.
    """
    prompts = fitted.plan.prompts
    structures = _structures(trial, prompts) if options.pointing else []
    _refuse(fitted, trial, options, structures)
    if options.prompts is not None:
        prompts = read_prompts(options.prompts, fitted.plan.outputs)
    neighbours = None if options.neighbours is None else Neighbours(fitted, options.neighbours, trial.say)

    def told(study: Study) -> Found:
        found: Found = {"patient": study.patient, "image": fitted.image(study).tolist()}
        found |= _read(fitted, study, trial)
        if options.pointing:
            try:
                found["hits"] = pointing_hits(fitted, study, prompts, structures, options.maps_of)
            except ScanweaveError as error:
                trial.say(f"no pointing game: {error}")
        if options.drafts:
            found |= drafted(fitted, study, neighbours)
        return found | (look(study) if look else {})

    found = dict(trial.each(told, {**_asked(prompts, options), **(depends or {})}))
    rows = [
        *_of_pairs(fitted, trial, found, options, more),
        *_of_marks_and_drafts(fitted, trial, found, prompts, options),
    ]
    tried = _tried(fitted, trial, found, fitted.directions_of(prompts))
    if tried is not None:
        summary = evaluation.measure(fitted, trial, tried, options, rows)
        analyse(fitted, fitted.run, trial, tried, options)
        return summary
    if not rows:
        step = "Predict instead, or import reports or labels"
        raise ScanweaveError(trial.cohort.folder, "has no report, and no label of the run", step)
    summary = pd.DataFrame(rows)
    trial.conclude(summary, kind="findings", points={})
    return summary


def _asked(prompts: Prompts, options: EvaluateOptions) -> dict[str, Any]:
    """Return, as plain values, what the finds of a study depend on: a stopped call goes on with the same."""
    plain = {name: one.model_dump(mode="json") for name, one in prompts.items()}
    asked = {"prompts": plain, "pointing": options.pointing, "maps_of": options.maps_of, "drafts": options.drafts}
    return {**asked, "neighbours": "" if options.neighbours is None else str(options.neighbours)}


def _of_marks_and_drafts(
    fitted: Fitted, trial: Trial, found: Mapping[str, Found], prompts: Prompts, options: EvaluateOptions
) -> list[Row]:
    """Return rows on the pointing game and on drafted reports, and tell each beside its control."""
    played, written = pointing_rows(found, options), draft_rows(fitted, trial, found, prompts, options)
    for rows, control in ((played, MIDDLE), (written, NEIGHBOUR)):
        for line in outcome_lines(rows, control):
            trial.say(line)
    return [*played, *written]


def _structures(trial: Trial, prompts: Prompts) -> list[Structure]:
    """Return the structures of the cohort's masks that are named as findings are; none where there are boxes."""
    if trial.cohort.present("boxes"):
        return []
    return [one for one in structures_of(trial.cohort) if one.name in prompts]


def _refuse(fitted: Fitted, trial: Trial, options: EvaluateOptions, structures: Sequence[Structure]) -> None:
    """Refuse what cannot be answered, before the first study is tried.

    Raises:
        ScanweaveError: Names the option.
    """
    refuse_unknown(fitted, trial, options)
    for name in options.keys:
        if name not in trial.cohort.names("label"):
            raise ScanweaveError("keys", f"there is no label '{name}'", nearest(name, trial.cohort.names("label")))
    if options.pointing and options.maps_of == "words" and not fitted.looks_for_words:
        raise ScanweaveError("maps_of", "words: the run did not learn where words look", "Take places")
    if options.drafts and not fitted.plan.drafts:
        raise ScanweaveError("drafts", "this run did not learn to write reports", "Fit with --objective.draft 1")
    if options.pointing and not (trial.cohort.present("boxes") or structures):
        reason = "has no effect: the studies have no boxes, and no mask of a finding's name"
        raise ScanweaveError("pointing", reason, "Import them, or leave it out")


def _read(fitted: Fitted, study: Study, trial: Trial) -> Found:
    """Return the vector and the words of a study's report; nothing where it has none that can be read."""
    text = fitted.readable(study, lambda why: trial.say(f"no retrieval: {study.id}: {why}"))
    if text is None:
        return {}
    return {
        "report": fitted.reader.reports([text.sentences])[0].tolist(),
        "key": text.key,
        "sentences": [*text.sentences],
    }


def _tried(fitted: Fitted, trial: Trial, found: Mapping[str, Found], directions: NDArray[np.float64]) -> Tried | None:
    """Return what is told of the studies of which a label is known; None where there is none."""
    question, frame = fitted.plan.question, trial.cohort.frame
    absent = {f"label:{name}": None for name in question.labels if f"label:{name}" not in frame}
    if len(absent) == len(question.labels):
        return None
    answers = dict(zip(trial.cohort.studies, question.answers(frame.assign(**absent)), strict=True))
    names = [name for name in found if not np.isnan(answers[name]).all()]
    if not names:
        return None
    shares = [fitted.shares(np.array(found[name]["image"]), directions) for name in names]
    patients = [found[name]["patient"] for name in names]
    return Tried(names, patients, np.stack([answers[name] for name in names]), np.stack(shares), [])


def _of_pairs(
    fitted: Fitted,
    trial: Trial,
    found: Mapping[str, Found],
    options: EvaluateOptions,
    more: Callable[[FoundPairs, Mapping[str, Found]], list[Row]] | None,
) -> list[Row]:
    """Return rows on retrieval, and what a system has to say of the studies with a report."""
    own = {name: one for name, one in found.items() if "report" in one}
    images, reports = (np.array([one[side] for one in own.values()]) for side in ("image", "report"))
    pairs = FoundPairs(list(own), [one["patient"] for one in own.values()], images, reports)
    settings = {"seed": options.seed, "repeats": options.repeats}
    table = measure_retrieval(trial, images, reports, pairs.patients, _keys(trial, own, options.keys), **settings)
    if table is None:
        return []
    rows = []
    for row in table.to_dict("records"):
        interval = Interval(row["value"], row["low"], row["high"], row["patients"])
        outcome = f"{row['direction']}, {row['right']}"
        rows.append(summary_row(outcome, row["measure"], interval, row["queries"], row["chance"]))
    return rows + (more(pairs, found) if more else [])


def _keys(trial: Trial, pairs: Mapping[str, Found], labels: Sequence[str]) -> list[str]:
    """Return what each report says: its words, or the values of labels."""
    if not labels:
        return [one["key"] for one in pairs.values()]
    frame = trial.cohort.frame.set_index("study")[[f"label:{name}" for name in labels]]
    known = frame.notna().all(axis=1)  # who is not known is like nobody else
    return [" ".join(map(str, frame.loc[name])) if known[name] else f"alone {name}" for name in pairs]
