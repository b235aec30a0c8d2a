"""Sections of a page that all systems have that tell classes or findings: what was learnt, how good the answers are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanweave.framework.classification.answer_plan import AnswerPlan
from scanweave.framework.classification.answers import Answering
from scanweave.framework.classification.cohorts import across_cohorts
from scanweave.framework.classification.compared_answers import COMPARISON, READERS
from scanweave.framework.classification.evaluation import ALL, CLASSES, CONFUSION, PREDICTIONS
from scanweave.framework.classification.presence import presence_cautions
from scanweave.framework.classification.spared_biopsies import SPARING
from scanweave.framework.classification.subgroup_answers import INTERACTIONS, SUBGROUPS
from scanweave.framework.classification.tried import truth_and_score
from scanweave.framework.localisation.evaluation import MEASURES
from scanweave.framework.run_outputs import result_file, result_table
from scanweave.framework.run_page import RunPage
from scanweave.measures.bootstrap import Interval
from scanweave.measures.calibration import reliability
from scanweave.measures.decision_curve import decision_curve
from scanweave.measures.outcomes import TOLD
from scanweave.measures.summary import estimate, sureness
from scanweave.report.blocks import Block, Caution, Figure, Section, Table
from scanweave.report.calibration_plot import reliability_diagram
from scanweave.report.confusion import confusion_plot
from scanweave.report.decision_plot import decision_plot
from scanweave.report.roc import roc_plot
from scanweave.report.runs import tried_on
from scanweave.wording import count, listed

METRICS = {
    "auroc": ("higher", "mean over classes or findings, on validation studies"),
    "log loss": ("lower", "of the truth, on validation studies"),
    "loss": ("lower", "what is minimised, on training samples"),
    "joint": ("lower", "cross-entropy of training samples, from all modalities that a sample shows"),
}
"""Curves of the learning."""
ANALYSES: dict[str, tuple[str, dict[str, str]]] = {
    SPARING: (
        "Who scores below the threshold, which was chosen on validation studies to keep the target share of the "
        "positive ones, is spared. Beside each share the number that it is of; 95 % intervals are exact, those of net "
        "benefits resampled. Of fewer than 100 positive ones, keeping 99 % is "
        "keeping all.",
        {},
    ),
    SUBGROUPS: ("AUROC by subgroup with DeLong's 95 % intervals; cells of few patients are hidden.", {}),
    INTERACTIONS: ("Whether the AUROC differs between the subgroups of a variable, by permutation.", {}),
    READERS: ("The run beside readers, at its frozen threshold and at one as specific as the reader.", {}),
    COMPARISON: ("The run beside another one on the same patients: DeLong's and McNemar's tests, Holm's p.", {}),
}
"""Tables of an evaluation beyond its summary: caption and formats of each."""
POOR_AUROC = 0.55
"""Below it an answer is hardly more than a guess."""
BINS, MOST_CURVES, FEW_PATIENTS = 10, 6, 100
"""Of the reliability diagram; lines in a figure; patients below which a page warns."""
THRESHOLDS, BENEFIT_REPEATS = tuple(percent / 100 for percent in range(2, 80, 2)), 500
"""Of the decision curve, and resamples of patients behind its interval."""
QUALITY = "How good it is"
"""Title of the section."""


def quality(run: Answering, page: RunPage) -> list[Section]:
    """Return the section on how good the answers are, or one that tells how to measure it; and of other cohorts."""
    found = page.results(QUALITY, "evaluation", lambda folder, record: _quality(run, folder, record))
    return [*found, *across_cohorts(page)]


def shares_table(plan: AnswerPlan) -> Table:
    """Return the shares of the classes or findings in the training studies."""
    shares = [
        {"class or finding": name, "share of training studies": share}
        for name, share in zip(plan.outputs, plan.shares, strict=True)
    ]
    return Table(shares, "What one would say without any image.", {"share of training studies": "{:.3f}"})


def cautions(run: Answering, page: RunPage) -> Iterator[Caution]:
    """Yield what a reader must know first: what was plainly not learnt, and what presence alone told in training."""
    yield from _not_learnt(page)
    yield from presence_cautions(run.plan)


def _not_learnt(page: RunPage) -> Iterator[Caution]:
    record = page.record("evaluation")
    rows = record["rows"] if record else []
    areas = {row["outcome"]: row["value"] for row in rows if row["measure"] == "AUROC" and row["value"] is not None}
    poor = [f"{outcome} {value:.2f}" for outcome, value in areas.items() if value < POOR_AUROC]
    if poor:
        yield Caution(
            f"Plainly not learnt: AUROC of {listed(poor)}, where 0.5 is chance. Do not use these answers; train for "
            "more steps, or on more studies."
        )


def _quality(run: Answering, folder: Path, record: dict[str, Any]) -> Section:
    plan = run.plan
    own = {ALL, *plan.labels, *plan.outputs, *(f"{plan.labels[0]}: {name}" for name in plan.outputs)}
    about = [row for row in record["rows"] if row["outcome"] in own and not row["measure"].startswith("pointing")]
    told = [row for row in about if row["measure"] not in MEASURES]  # those of boxes have their own section
    rows = [
        {
            "outcome": row["outcome"],
            "measure": row["measure"],
            "value": estimate(row, row["patients"], "value") if row["low"] is not None else row["value"],
            "class shares alone": row["control"],
        }
        for row in told
    ]
    patients = max(row["patients"] for row in told)
    caution = f"{count(patients, 'patient')} only: the intervals are wide, and another split may tell another story."
    blocks: list[Block] = [Caution(caution)] if patients < FEW_PATIENTS else []
    formats = {"value": "{:.3f}", "class shares alone": "{:.3f}"}
    caption = "Beside it what the class shares of the training studies reach, which look at no image."
    blocks += [Table(rows, caption, formats), *_curves(run, folder, record)]
    if run.plan.kind == "classes":
        blocks += _classes(run, folder)
    blocks += _analyses(folder)
    lead = f"{tried_on(record)} {sureness([row['patients'] for row in told])}"
    return Section(QUALITY, lead, blocks)


def _curves(run: Answering, folder: Path, record: dict[str, Any]) -> Iterator[Block]:
    """Show ROC and reliability of the classes or findings that have studies of both sides."""
    plan = run.plan
    names = {"truth": str, "study": str, "patient": str}
    table = result_table(folder, PREDICTIONS, dtype=names, keep_default_na=False)
    pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    shown = plan.outputs[1:] if plan.kind == "classes" and len(plan.outputs) == 2 else plan.outputs
    for name in shown:
        shares = table[f"probability_{name}"].to_numpy(dtype=float)
        if plan.kind == "classes":
            pairs[name] = ((table["truth"] == name).to_numpy(), shares)
        else:
            truth = pd.to_numeric(table[f"truth {name}"], errors="coerce").to_numpy()
            pairs[name] = (truth[~np.isnan(truth)] > 0, shares[~np.isnan(truth)])
    pairs = {name: pair for name, pair in pairs.items() if pair[0].any() and not pair[0].all()}
    pairs = dict(list(pairs.items())[:MOST_CURVES])
    if not pairs:
        return
    points = {name: run.points[name].threshold for name in pairs if name in run.points}
    areas = {row["outcome"]: estimate(row, row["patients"], "value") for row in record["rows"] if _is_area(row)}
    named = {name: areas[name] for name in pairs if name in areas} if plan.kind == "findings" else {}
    if plan.kind == "classes" and len(pairs) == 1 and plan.labels[0] in areas:
        named = {next(iter(pairs)): areas[plan.labels[0]]}
    caption = "Sensitivity against false alarms; the ring is the operating point that validation studies chose."
    yield Figure(roc_plot(pairs, named, points), caption, "ROC curves.", vector=True)
    bins = {name: reliability(truth, shares, BINS, "mass") for name, (truth, shares) in pairs.items()}
    caption = "What was observed where what was predicted; on the line the probabilities are right."
    yield Figure(reliability_diagram(bins), caption, "Reliability diagram.", vector=True)
    if len(points) == 1 and not plan.balanced:  # it needs probabilities of the cohort as it is
        yield _benefit(plan, table, next(iter(points)))


def _benefit(plan: AnswerPlan, table: pd.DataFrame, name: str) -> Figure:
    """Show what acting on the probability of the one output with a threshold is worth."""
    truth, shares = truth_and_score(plan, table, name)
    patients = table.loc[shares.index, "patient"].tolist()
    found = decision_curve(truth, shares.to_numpy(), patients, THRESHOLDS, seed=0, repeats=BENEFIT_REPEATS)
    caption = (
        f"Net benefit of acting where the probability of '{name}' is above a threshold: right calls less wrong ones, "
        "which weigh as much as the threshold says that they may."
    )
    return Figure(decision_plot(found, name), caption, "Decision curve.", vector=True)


def _is_area(row: dict[str, Any]) -> bool:
    return row["measure"] == "AUROC" and row["outcome"] != ALL and row["low"] is not None


def _classes(run: Answering, folder: Path) -> Iterator[Block]:
    """Show what is taken for what, and how well each class is told."""
    counts = result_table(folder, CONFUSION, dtype={"truth": str}, keep_default_na=False).set_index("truth")
    figure = confusion_plot(counts.to_numpy(), run.plan.outputs)
    yield Figure(figure, "Studies by what they are and what is most probable.", "Confusion matrix.", vector=True)
    rows = []
    for row in result_table(folder, CLASSES, dtype={"class": str}, keep_default_na=False).to_dict("records"):
        told: dict[str, Any] = {name: row[name] for name in ("class", "studies", "called so")}
        for name in TOLD:
            value, low, high = (_number(row[f"{name}{end}"]) for end in ("", " low", " high"))
            told[name] = Interval(value, low, high, int(row["studies"]))
        rows.append(told)
    caption = (
        "Each class against the others, if the most probable is called. A calibration slope of 1 and an intercept of 0 "
        "are right."
    )
    yield Table(rows, caption, dict.fromkeys(TOLD, "{:.2f}"))


def _analyses(folder: Path) -> Iterator[Block]:
    """Show the tables of what an evaluation was asked beyond its summary, as far as they are there."""
    for name, (caption, formats) in ANALYSES.items():
        if result_file(folder, name) is not None:
            table = result_table(folder, name)
            yield Table(list(map(_with_intervals, table.to_dict("records"))), caption, formats)


def _with_intervals(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose columns "x", "x low" and "x high" are one value with its interval."""
    ends = {f"{name} {end}" for name in row for end in ("low", "high")} & set(row)
    made = {}
    for name, value in row.items():
        if name in ends:
            continue
        low, high = (row.get(f"{name} {end}") for end in ("low", "high"))
        made[name] = value if low is None or high is None else Interval(value, float(low), float(high), 0)
    return made


def _number(text: Any) -> float:
    return float("nan") if text == "" else float(text)
