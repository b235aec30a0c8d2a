"""More that an evaluation answers when it is asked: spared biopsies, subgroups, readers, another run; a table each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.classification.answers import Answering
from scanweave.framework.classification.evaluation import PREDICTIONS
from scanweave.framework.classification.operating_points import VALIDATION, load_points
from scanweave.framework.classification.settings import EvaluateOptions
from scanweave.framework.classification.tried import Tried, predictions_table, truth_and_score
from scanweave.framework.run_outputs import find_output, result_table
from scanweave.framework.table_columns import plain_column
from scanweave.framework.trial import Trial
from scanweave.measures.biopsy_sparing import BiopsySparing, ScoredStudies, biopsy_sparing
from scanweave.measures.bootstrap import Interval
from scanweave.measures.reader_comparison import compare_with_readers
from scanweave.measures.run_comparison import compare_runs
from scanweave.measures.subgroup_interaction import subgroup_aurocs
from scanweave.report.saving import save_table
from scanweave.spreadsheet_cells import read_csv
from scanweave.studies.cohort import Cohort
from scanweave.wording import count, listed, nearest

SPARING, SUBGROUPS, INTERACTIONS = "sparing.csv", "subgroups.csv", "interactions.csv"
READERS, COMPARISON = "readers.csv", "comparison.csv"
STUDY = "study"
"""Column of a table of readers' answers that names the study; one for each reader follows."""


def analyse(fitted: Answering, run: Run, trial: Trial, tried: Tried, options: EvaluateOptions) -> None:
    """Answer what the options ask beyond the summary, a table each in the folder of the trial.

    Args:
        fitted: The fitted run.
        run: Its folder, which keeps what was predicted of its validation studies.
        trial: Where the results go.
        tried: What is predicted and what is known.
        options: What is asked.

    Raises:
        ScanweaveError: An output, a variable or a file is not there, or too few studies are left for an answer.
    """
    table = predictions_table(fitted.plan, tried)
    if options.sparing:
        _spared(fitted, run, trial, table, options)
    if options.by:
        _subgroups(fitted, trial, table, options)
    if options.readers is not None:
        _readers(fitted, run, trial, table, options)
    if options.against is not None:
        _against(fitted, trial, table, options)


def _spared(fitted: Answering, run: Run, trial: Trial, table: pd.DataFrame, options: EvaluateOptions) -> None:
    output = _known_output(fitted, options.sparing, "sparing")
    among, words = _among(trial.cohort, options.among)
    kept = table[table["study"].isin(among)] if among is not None else table
    before, after = (_scored(fitted, one, output) for one in (_validation(run), kept))
    found = biopsy_sparing(before, after, seed=options.seed, repeats=options.repeats)
    save_table(pd.DataFrame(list(map(_sparing_row, found))), trial.folder / SPARING)
    for one in found:
        spared, benign = one.spared, one.spared_benign
        trial.say(
            f"{output}{words}, kept {one.target:.0%} of them on validation: {spared.value:.1%} of {spared.n} "
            f"{one.unit}s spared ({benign.value:.1%} of the {benign.n} others), {one.missed_count} of {one.missed.n} "
            f"missed, at most {one.missed_at_most:.1%}"
        )


def _sparing_row(one: BiopsySparing) -> dict[str, Any]:
    shares = {
        "on validation": one.on_validation,
        "spared": one.spared,
        "spared of the others": one.spared_benign,
        "missed": one.missed,
        "NPV": one.npv,
        "sensitivity": one.sensitivity,
    }
    row: dict[str, Any] = {"target": one.target, "threshold": one.point.threshold, "unit": one.unit}
    for name, share in shares.items():
        row |= _columns(name, share)
    row |= {"missed count": one.missed_count, "missed at most": one.missed_at_most}
    for benefit in one.net_benefits:
        row |= _columns(f"net benefit over biopsy for all at {benefit.threshold:.0%}", benefit.against_all)
    return row


def _columns(name: str, one: Interval) -> dict[str, float]:
    return {name: one.value, f"{name} low": one.low, f"{name} high": one.high, f"{name} n": one.n}


def _subgroups(fitted: Answering, trial: Trial, table: pd.DataFrame, options: EvaluateOptions) -> None:
    frame = trial.cohort.frame.set_index("study")
    for name in options.by:
        if f"table:{name}" not in frame:
            there = trial.cohort.names("table")
            raise ScanweaveError("by", f"'{name}' is no variable of the cohort", nearest(name, there))
    groups, tests = [], []
    for output in _shown_outputs(fitted):
        truth, scores = truth_and_score(fitted.plan, table, output)
        rows = table.loc[scores.index]
        levels = {name: _levels(frame[f"table:{name}"].loc[rows["study"]]) for name in options.by}
        told, test = subgroup_aurocs(
            levels, list(rows["patient"]), truth, scores.to_numpy(), seed=options.seed, permutations=options.repeats
        )
        groups.append(told.assign(output=output))
        tests.append(test.assign(output=output))
        for row in test.to_dict("records"):
            trial.say(f"{output} by {row['variable']}: {row['levels']} subgroups compared, p {row['p']:.3f}")
    save_table(_output_first(pd.concat(groups)), trial.folder / SUBGROUPS)
    save_table(_output_first(pd.concat(tests)), trial.folder / INTERACTIONS)


def _levels(column: pd.Series) -> list[Any]:
    """The levels of a variable; of numbers the halves below and from the median on."""
    plain = plain_column(column)
    if not pd.api.types.is_numeric_dtype(plain.dtype) or plain.nunique() <= 2:
        return list(plain)
    middle = float(plain.median())
    halves = np.where(plain < middle, f"below {middle:g}", f"from {middle:g} on").astype(object)
    return list(pd.Series(halves).where(plain.notna().to_numpy(), None))


def _readers(fitted: Answering, run: Run, trial: Trial, table: pd.DataFrame, options: EvaluateOptions) -> None:
    if len(fitted.points) != 1:
        reason = f"cannot be compared: the run tells {listed(fitted.plan.outputs)}, a reader yes or no"
        raise ScanweaveError("readers", reason, "Give a run of one finding, or of two classes")
    [output] = fitted.points
    truth, scores = truth_and_score(fitted.plan, table, output)
    rows = table.loc[scores.index].assign(truth=truth, score=scores.to_numpy())
    answers = _reader_answers(Path(str(options.readers)), list(rows["study"]))
    answers = answers[~rows["patient"].duplicated().to_numpy()]
    rows = _one_a_patient(rows, trial)
    before = truth_and_score(fitted.plan, _validation(run), output)
    validation = (before[0], before[1].to_numpy()) if before[0].any() and not before[0].all() else None
    found = compare_with_readers(
        rows["truth"].to_numpy(),
        rows["score"].to_numpy(),
        fitted.points[output],
        {name: answers[name].to_numpy() for name in answers},
        cut=options.cut,
        validation=validation,
        seed=options.seed,
        repeats=options.repeats,
    )
    save_table(found, trial.folder / READERS)
    for row in found.to_dict("records"):
        trial.say(
            f"{row['reader']}: sensitivity {row['reader sensitivity']:.2f}, specificity "
            f"{row['reader specificity']:.2f} ({count(row['patients'], 'patient')}); the run "
            f"{row['frozen sensitivity']:.2f}, {row['frozen specificity']:.2f}"
        )


def _reader_answers(path: Path, studies: Sequence[str]) -> pd.DataFrame:
    table = read_csv(path, dtype={STUDY: str})
    if STUDY not in table:
        raise ScanweaveError(path, f"has no column '{STUDY}'", "Name the studies in one, and give one a reader")
    table = table.set_index(STUDY)
    if table.index.duplicated().any():
        twice = table.index[table.index.duplicated()][0]
        raise ScanweaveError(path, f"names the study {twice} twice", "Give each one row")
    missing = set(table.index).isdisjoint(studies)
    if missing:
        raise ScanweaveError(path, "names no study of this evaluation", "Use the names of: scanweave cohort show")
    try:
        return table.reindex(list(studies)).astype(float)
    except ValueError as error:
        raise ScanweaveError(
            path, f"holds an answer that is no number ({error})", "Give numbers, or nothing"
        ) from error


def _against(fitted: Answering, trial: Trial, table: pd.DataFrame, options: EvaluateOptions) -> None:
    other = Run.open(Path(str(options.against)))
    folder = find_output(other, "evaluation")
    if folder is None:
        raise ScanweaveError(other.folder, "is not evaluated", f"First: scanweave evaluate {other.folder}")
    names = {"truth": str, "study": str, "patient": str}
    theirs = result_table(folder, PREDICTIONS, dtype=names, keep_default_na=False)
    both = table.merge(theirs, on="study", suffixes=("", " other"))
    points = load_points(other.folder)
    outputs = [name for name in fitted.points if f"probability_{name} other" in both and name in points]
    if not outputs or both.empty:
        reason = "has no study and no finding or class in common with this one"
        raise ScanweaveError(other.folder, reason, "Evaluate both on the same studies")
    both = _one_a_patient(both, trial)
    positive, first, second = {}, {}, {}
    for name in outputs:
        truth, scores = truth_and_score(fitted.plan, both, name)
        whole = pd.Series(np.nan, index=both.index)
        whole.loc[scores.index] = truth.astype(float)
        positive[name] = whole.to_numpy()
        first[name] = both[f"probability_{name}"].to_numpy(dtype=float)
        second[name] = pd.to_numeric(both[f"probability_{name} other"]).to_numpy()
    found = compare_runs(positive, first, second, {name: (fitted.points[name], points[name]) for name in outputs})
    save_table(found, trial.folder / COMPARISON)
    for row in found.to_dict("records"):
        words = f"AUROC {row['first AUROC']:.3f}, of {other.folder.name} {row['second AUROC']:.3f}"
        trial.say(f"{row['outcome']}: {words}, p {row['AUROC p']:.3f} ({count(row['patients'], 'patient')})")


def _one_a_patient(rows: pd.DataFrame, trial: Trial) -> pd.DataFrame:
    """The first study of each patient: tests of pairs hold for patients."""
    first = ~rows["patient"].duplicated()
    if not first.all():
        trial.say(f"of patients with several studies the first counts: {int((~first).sum())} left out here")
    return rows[first].reset_index(drop=True)


def _validation(run: Run) -> pd.DataFrame:
    names = {"truth": str, "study": str, "patient": str}
    return result_table(run.folder, VALIDATION, dtype=names, keep_default_na=False)


def _scored(fitted: Answering, table: pd.DataFrame, output: str) -> ScoredStudies:
    truth, scores = truth_and_score(fitted.plan, table, output)
    return ScoredStudies(truth, scores.to_numpy(), list(table.loc[scores.index, "patient"]))


def _among(cohort: Cohort, asked: str) -> tuple[set[str] | None, str]:
    """The studies of which a variable has a value, and words for them."""
    if not asked:
        return None, ""
    name, _, value = asked.partition("=")
    if f"table:{name}" not in cohort.frame or not value:
        there = cohort.names("table")
        raise ScanweaveError("among", f"'{asked}' is no VARIABLE=VALUE of the cohort", nearest(name, there))
    texts = plain_column(cohort.frame[f"table:{name}"]).map(_text)
    chosen = set(cohort.frame["study"].astype(str)[(texts == value).to_numpy()])
    if not chosen:
        raise ScanweaveError("among", f"no study has {name} {value}", f"It has {listed(sorted(set(texts) - {''}))}")
    return chosen, f" among {name} {value}"


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _shown_outputs(fitted: Answering) -> Iterator[str]:
    outputs = fitted.plan.outputs
    yield from outputs[1:] if fitted.plan.kind == "classes" and len(outputs) == 2 else outputs


def _known_output(fitted: Answering, name: str, option: str) -> str:
    if name not in fitted.plan.outputs:
        raise ScanweaveError(option, f"the run does not tell '{name}'", nearest(name, fitted.plan.outputs))
    return name


def _output_first(table: pd.DataFrame) -> pd.DataFrame:
    return table[["output", *(name for name in table if name != "output")]]
