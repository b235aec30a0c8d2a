"""Answers of a run beside those of readers, and of another run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import is_plain, read_json
from scanweave.framework.classification.answer_plan import finding_outputs
from scanweave.framework.classification.answers import Answering
from scanweave.framework.classification.evaluation import PREDICTIONS
from scanweave.framework.classification.operating_points import load_points, validation_table
from scanweave.framework.classification.settings import EvaluateOptions
from scanweave.framework.classification.tried import truth_and_score
from scanweave.framework.compared_runs import evaluated_alike
from scanweave.framework.run_outputs import result_table, shape_faults
from scanweave.framework.trial import Trial
from scanweave.measures.reader_comparison import compare_with_readers
from scanweave.measures.run_comparison import compare_runs
from scanweave.report.saving import save_table
from scanweave.spreadsheet_cells import read_csv
from scanweave.wording import count, listed

READERS, COMPARISON = "readers.csv", "comparison.csv"
QUESTION = "question.json"
"""File in which a run keeps its question."""
STUDY = "study"
"""Column of a table of readers' answers that names the study; one for each reader follows."""


def compare_readers(fitted: Answering, run: Run, trial: Trial, table: pd.DataFrame, options: EvaluateOptions) -> None:
    """Write `readers.csv`, a row a reader, and tell it; see `compare_with_readers`.

    Args:
        fitted: The fitted run, of one finding or two classes.
        run: Its folder.
        trial: Where the table goes.
        table: What is predicted and known, see `predictions_table`.
        options: The file of answers, and from where on one is positive.

    Raises:
        ScanweaveError: The run tells more, or the file names no study, or holds what is no number.
    """
    if len(fitted.points) != 1:
        reason = f"cannot be compared: the run tells {listed(fitted.plan.outputs)}, a reader yes or no"
        raise ScanweaveError("readers", reason, "Give a run of one finding, or of two classes")
    [output] = fitted.points
    truth, scores = truth_and_score(fitted.plan, table, output)
    rows = table.loc[scores.index].assign(truth=truth, score=scores.to_numpy())
    answers = read_answers(Path(str(options.readers)), list(rows["study"]))
    answers = answers[~rows["patient"].duplicated().to_numpy()]
    rows = _one_a_patient(rows, trial)
    chosen = validation_table(run)
    before = truth_and_score(fitted.plan, chosen[~chosen["patient"].duplicated()], output)
    validation = (before[0], before[1].to_numpy()) if before[0].any() and not before[0].all() else None
    found = compare_with_readers(
        rows["truth"].to_numpy(),
        rows["score"].to_numpy(),
        fitted.points[output],
        {name: answers[name].to_numpy() for name in answers},
        cut=options.positive_from,
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


def read_answers(path: Path, studies: Sequence[str]) -> pd.DataFrame:
    """Return the answers of readers: a row a study, a column a reader, NaN where there is none.

    Args:
        path: The table.
        studies: Names, in order.

    Raises:
        ScanweaveError: It names no study, one twice, or none of these; or holds what is no number.
    """
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


def compare_with_run(fitted: Answering, trial: Trial, table: pd.DataFrame, options: EvaluateOptions) -> None:
    """Write `comparison.csv`, a row an output that both runs tell, and tell it; see `compare_runs`.

    Args:
        fitted: The fitted run.
        trial: Where the table goes.
        table: What is predicted and known, see `predictions_table`.
        options: The other run.

    Raises:
        ScanweaveError: The other is no run, is not evaluated, or tells nothing of the same studies.
    """
    other, folder, common = other_run(fitted, trial, Path(str(options.against)))
    names = {"truth": str, "study": str, "patient": str}
    theirs = result_table(folder, PREDICTIONS, dtype=names, keep_default_na=False).set_index("study")
    both = table.merge(theirs.add_suffix(" other"), left_on="study", right_index=True)
    points = load_points(other.folder)
    common = {name: pair for name, pair in common.items() if pair[0] in fitted.points and pair[1] in points}
    if not common:
        reason = f"cannot be compared with it: of {len(fitted.plan.outputs)} classes the most probable is called"
        raise ScanweaveError(other.folder, reason, "Compare runs of findings, or of two classes")
    if both.empty:
        raise ScanweaveError(other.folder, "was tried on none of these studies", "Evaluate both on the same")
    both = _one_a_patient(both, trial)
    positive, first, second = {}, {}, {}
    for name, (own, other_name) in common.items():
        truth, scores = truth_and_score(fitted.plan, both, own)
        whole = pd.Series(np.nan, index=both.index)
        whole.loc[scores.index] = truth.astype(float)
        positive[name] = whole.to_numpy()
        first[name] = both[f"probability_{own}"].to_numpy(dtype=float)
        second[name] = pd.to_numeric(both[f"probability_{other_name} other"]).to_numpy()
    frozen = {name: (fitted.points[own], points[other_name]) for name, (own, other_name) in common.items()}
    found = compare_runs(positive, first, second, frozen)
    save_table(found, trial.folder / COMPARISON)
    for row in found.to_dict("records"):
        words = f"AUROC {row['first AUROC']:.3f}, of {other.folder.name} {row['second AUROC']:.3f}"
        trial.say(f"{row['outcome']}: {words}, p {row['AUROC p']:.3f} ({count(row['patients'], 'patient')})")


def other_run(fitted: Answering, trial: Trial, place: Path) -> tuple[Run, Path, dict[str, tuple[str, str]]]:
    """Return another run, the folder of its evaluation on the same studies, and what both tell.

    The other may be of another system: a detector beside a classifier. They are compared in the findings that both
    tell; of each, by its name, the output of this run and that of the other is returned.

    Args:
        fitted: This run.
        trial: What it is tried on.
        place: Folder of the other.

    Raises:
        ScanweaveError: It is no run, answers another question, is not evaluated, or on studies that it has seen, on
            other ones, or on some slices alone.
    """
    other = Run.open(place)
    theirs, ours = _findings_of(other), fitted.plan.findings
    common = {name: (output, theirs[name]) for name, output in ours.items() if name in theirs}
    if not common:
        raise ScanweaveError(other.folder, "answers another question", f"This run tells {listed(ours)}")
    return other, evaluated_alike(other, trial), common


def _findings_of(run: Run) -> dict[str, str]:
    """Return the outputs of the findings that a run tells; none of a run that tells something else."""
    path = run.folder / QUESTION
    plan = read_json(path, "Name a run of Classify, Detect or MOME") if is_plain(path) else {}
    with shape_faults(path):
        return finding_outputs(plan["kind"], plan["labels"], plan["outputs"]) if "kind" in plan else {}


def _one_a_patient(rows: pd.DataFrame, trial: Trial) -> pd.DataFrame:
    """The first study of each patient: tests of pairs hold for patients."""
    first = ~rows["patient"].duplicated()
    if not first.all():
        trial.say(f"of patients with several studies the first counts: {int((~first).sum())} left out here")
    return rows[first].reset_index(drop=True)
