"""Evaluation: findings told by sentences, films found by reports, whether both have the same prototypes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import normalized_mutual_info_score

from scanweave.errors import ScanweaveError
from scanweave.framework.classification import evaluation
from scanweave.framework.classification.analyses import analyse, refuse_unknown
from scanweave.framework.classification.tried import Tried
from scanweave.framework.localisation.evaluation import MIDDLE, summary_row
from scanweave.framework.reported.prompts import read_prompts
from scanweave.framework.reported.retrieval import measure_retrieval
from scanweave.framework.reported.zero_shot import unit
from scanweave.framework.told_rows import outcome_lines
from scanweave.framework.trial import Trial
from scanweave.measures.bootstrap import Interval, bootstrap
from scanweave.studies.study import Study
from scanweave.systems.mgca.config import EvaluateOptions
from scanweave.systems.mgca.fitted import FittedMgca
from scanweave.systems.mgca.pointing import pointing_hits, pointing_rows
from scanweave.wording import nearest

AGREE, SHARED = "same prototype", "shared information with the findings (NMI)"
PROTOTYPES = "prototypes of film and report"
Found = dict[str, Any]


def evaluate(fitted: FittedMgca, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
    """Measure what is told without labels where labels are known, and retrieval where there are reports.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: Other sentences, keys of reports, the pointing game, and what all that tell findings offer.

    Returns:
        The summary: a row an outcome and measure.

    Raises:
        ScanweaveError: An option is at fault, or no study could be tried.
    """
    _refuse(fitted, trial, options)
    prompts = fitted.plan.prompts
    if options.prompts is not None:
        prompts = read_prompts(options.prompts, fitted.plan.outputs)

    def told(study: Study) -> Found:
        found: Found = {"patient": study.patient, "image": fitted.image(study).tolist()}
        found |= _read(fitted, study, trial)
        if options.pointing and study.boxes is not None:
            try:
                found["hits"] = pointing_hits(fitted, study, prompts)
            except ScanweaveError as error:
                trial.say(f"no pointing game: {error}")
        return found

    plain = {name: one.model_dump(mode="json") for name, one in prompts.items()}
    found = dict(trial.each(told, {"prompts": plain, "pointing": options.pointing}))
    played = pointing_rows(found, options)
    for line in outcome_lines(played, MIDDLE):
        trial.say(line)
    more = [*_of_pairs(fitted, trial, found, options), *played]
    tried = _tried(fitted, trial, found, fitted.directions_of(prompts))
    if tried is not None:
        summary = evaluation.measure(fitted, trial, tried, options, more)
        analyse(fitted, fitted.run, trial, tried, options)
        return summary
    if not more:
        step = "Predict instead, or import reports or labels"
        raise ScanweaveError(trial.cohort.folder, "has no report, and no label of the run", step)
    summary = pd.DataFrame(more)
    trial.conclude(summary, kind="findings", points={})
    return summary


def _refuse(fitted: FittedMgca, trial: Trial, options: EvaluateOptions) -> None:
    """Refuse what cannot be answered, before the first study is tried.

    Raises:
        ScanweaveError: Names the option.
    """
    refuse_unknown(fitted, trial, options)
    for name in options.keys:
        if name not in trial.cohort.names("label"):
            raise ScanweaveError("keys", f"there is no label '{name}'", nearest(name, trial.cohort.names("label")))
    if options.pointing and not trial.cohort.present("boxes"):
        raise ScanweaveError("pointing", "has no effect: the studies have no boxes", "Import them, or leave it out")


def _read(fitted: FittedMgca, study: Study, trial: Trial) -> Found:
    """Return the vector and the words of a study's report; nothing where it has none that can be read."""
    try:
        text = fitted.text(study)
    except ScanweaveError as error:
        trial.say(f"no retrieval: {study.id}: its report {error.reason}")
        return {}
    if text is None:
        return {}
    return {"report": fitted.reader.reports([text.sentences])[0].tolist(), "key": text.key}


def _tried(
    fitted: FittedMgca, trial: Trial, found: Mapping[str, Found], directions: NDArray[np.float64]
) -> Tried | None:
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
    fitted: FittedMgca, trial: Trial, found: Mapping[str, Found], options: EvaluateOptions
) -> list[dict[str, Any]]:
    """Return rows on retrieval and on prototypes of the studies with a report."""
    pairs = {name: one for name, one in found.items() if "report" in one}
    images, reports = (np.array([one[side] for one in pairs.values()]) for side in ("image", "report"))
    patients, keys = [one["patient"] for one in pairs.values()], _keys(trial, pairs, options.keys)
    settings = {"seed": options.seed, "repeats": options.repeats}
    table = measure_retrieval(trial, images, reports, patients, keys, **settings)
    if table is None:
        return []
    rows = []
    for row in table.to_dict("records"):
        interval = Interval(row["value"], row["low"], row["high"], row["patients"])
        outcome = f"{row['direction']}, {row['right']}"
        rows.append(summary_row(outcome, row["measure"], interval, row["queries"], row["chance"]))
    return rows + _of_prototypes(fitted, trial, (images, reports), list(pairs), patients, options)


def _keys(trial: Trial, pairs: Mapping[str, Found], labels: Sequence[str]) -> list[str]:
    """Return what each report says: its words, or the values of labels."""
    if not labels:
        return [one["key"] for one in pairs.values()]
    frame = trial.cohort.frame.set_index("study")[[f"label:{name}" for name in labels]]
    known = frame.notna().all(axis=1)  # who is not known is like nobody else
    return [" ".join(map(str, frame.loc[name])) if known[name] else f"alone {name}" for name in pairs]


def _of_prototypes(
    fitted: FittedMgca,
    trial: Trial,
    vectors: tuple[NDArray[np.float64], NDArray[np.float64]],
    names: Sequence[str],
    patients: Sequence[str],
    options: EvaluateOptions,
) -> list[dict[str, Any]]:
    """Return how often a film and its report have the same prototype, and what these tell of the known findings.

    The control of the first is what shuffled pairs would reach; of the second, a film's with shuffled findings.
    """
    if not fitted.config.objective.prototype:
        return []
    centres = unit(fitted.reader.network.prototypes.cpu().double().numpy())  # averaged ones are shorter than 1
    films, texts = ((side @ centres.T).argmax(axis=1) for side in vectors)
    same = bootstrap((films == texts).astype(float), patients, seed=options.seed, repeats=options.repeats)
    shares = [np.bincount(side, minlength=len(centres)) / len(side) for side in (films, texts)]
    rows = [summary_row(PROTOTYPES, AGREE, same, len(names), float(shares[0] @ shares[1]))]
    frame, labels = trial.cohort.frame.set_index("study"), [f"label:{name}" for name in fitted.plan.labels]
    if labels and all(label in frame for label in labels) and frame.loc[list(names), labels].notna().all(axis=None):
        sets = [" ".join(map(str, row)) for row in frame.loc[list(names), labels].to_numpy()]
        shuffled = np.random.default_rng(options.seed).permutation(sets)
        value, control = (float(normalized_mutual_info_score(truth, films)) for truth in (sets, shuffled))
        alone = Interval(value, float("nan"), float("nan"), same.n)
        rows.append(summary_row(PROTOTYPES, SHARED, alone, len(names), control))
    return rows
