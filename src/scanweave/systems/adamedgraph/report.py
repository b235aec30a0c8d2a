"""The report of a run: one page of what was learnt, how good it is, and why."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanweave.files import is_folder, lies_within, read_json
from scanweave.framework.run_outputs import (
    numbered_folders,
    output_folder,
    result_file,
    result_picture,
    result_table,
    shape_faults,
)
from scanweave.framework.run_page import RunPage
from scanweave.measures.bootstrap import Interval
from scanweave.measures.calibration import reliability
from scanweave.measures.decision_curve import decision_curve
from scanweave.measures.summary import estimate
from scanweave.report.blocks import Block, Caution, Figure, KeyNumbers, Section, Table, Text
from scanweave.report.calibration_plot import reliability_diagram
from scanweave.report.curves import learning_curve
from scanweave.report.decision_plot import decision_plot
from scanweave.report.runs import not_made, tried_on
from scanweave.systems.adamedgraph.evaluation import CLASSES, MODELS, PREDICTIONS, TOLD, cautions
from scanweave.systems.adamedgraph.explanation import ADVICE, EFFECTS, FILE, SHOWN, TABLE, graph_words
from scanweave.systems.adamedgraph.figures import DRAWN, NEAREST, patient_graph, patient_network
from scanweave.systems.adamedgraph.fitted import FittedAdaMedGraph
from scanweave.systems.adamedgraph.patient_picture import STEPS
from scanweave.systems.adamedgraph.plain_models import JUDGED_BY, OURS, verdict
from scanweave.systems.adamedgraph.record import Record
from scanweave.systems.adamedgraph.similar import homophily, likeness_of
from scanweave.wording import count

PAPER = """\
@article{lian2023adamedgraph,
  author  = {Lian, Jie and others},
  title   = {AdaMedGraph: Adaboosting Graph Neural Networks for Personalized Medicine},
  year    = {2023},
  note    = {arXiv:2311.14304}
}"""
THRESHOLDS = tuple(percent / 100 for percent in range(2, 80, 2))
SHARES = {"level": "{:.4g}", "homophily": "{:.2f}"}
REASONS = "Which variables matter"
AHEAD = f"{OURS} ahead by ({JUDGED_BY})"
HOW_TO_READ = (
    "Typical patients and extreme ones in turn. An answer is made of what graphs say, each by its share of the vote; "
    "what they add sums to the answer, before the temperature that validation patients gave it. A graph hears the "
    "patient's own values and those of its neighbours, never their outcomes: these are shown beside it. What each own "
    "value adds leads from the mean answer over training patients to this one (Shapley values: through the graphs that "
    "it makes and through what is read of it). Weight is a training patient's share in the answer, over all graphs."
)
BINS = 5
"""Of the reliability diagram."""
FEW_PATIENTS = 100
"""Patients below which a page warns of wide intervals."""


def write(fitted: FittedAdaMedGraph, page: RunPage, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        fitted: The fitted run.
        page: Its page.
        path: The file; None: `report.html` in the run.
    """
    record, course = fitted.record, fitted.record.question.course
    return page.write(
        path,
        f"AdaMedGraph: {f'course of {course.settings.of}' if course else record.label}",
        f"Predicts {record.label} ({', '.join(record.classes)}) from {count(len(record.features), 'variable')}.",
        [
            _learnt(fitted),
            *page.results("How good it is", "evaluation", lambda folder, found: _quality(fitted, folder, found)),
            *page.results(REASONS, "explanation", lambda _, found: _reasons(found), FILE),
            _patients(fitted, page),
        ],
        paper=PAPER,
        provenance={"Seed": fitted.config.boosting.random_state},
    )


def _learnt(fitted: FittedAdaMedGraph) -> Section:
    record = fitted.record
    blocks: list[Block] = [
        KeyNumbers(
            [
                ("patients learnt from", len(set(record.patients)), _of_whom(record)),
                ("graphs", len(fitted.ensemble.learners), "one column each"),
                ("variables offered", len(record.features), ""),
            ]
        ),
        *_graphs(fitted),
    ]
    blocks += [Caution(f"The variable “{name}” {words}.") for name, words in record.suspects.items()]
    if record.question.course is not None:
        blocks.insert(0, Text(f"The outcome is the course of {record.question.course}."))
    metrics = fitted.run.metrics()
    if metrics:
        blocks.append(
            Figure(
                learning_curve(metrics, {"error": "lower", "log loss": "lower"}, of="round"),
                "Boosting, round by round: the weighted error of each learner on training patients, and the log loss "
                "of all learners so far on validation patients.",
                "Boosting curves.",
                vector=True,
            )
        )
    return Section(
        "What was learnt", "Which patients count as alike, chosen by boosting.", [*blocks, *_pictures(fitted)]
    )


def _of_whom(record: Record) -> str:
    """Say how many of those who were learnt from trained from the start, and how many chose the rounds first."""
    if not record.validated:
        return ""
    trained = len(set(record.patients)) - record.validated
    return f"{trained} trained on; {record.validated} validated on, then learnt from too"


def _graphs(fitted: FittedAdaMedGraph) -> list[Block]:
    """Return the chosen graphs, and a word about those that join patients of any outcome."""
    rows, chance = [], []
    for number, learner in enumerate(fitted.ensemble.learners, 1):
        found = homophily(learner.choice, fitted.ensemble.nodes)
        if found.by_chance:
            chance.append(str(number))
        rows.append(
            {
                "round": number,
                "patients are alike with": graph_words(fitted, learner.choice),
                "level": learner.choice.level or "equal",
                "vote": learner.vote,
                "error": learner.error,
                "homophily": found.share,
                "by chance": f"{found.low:.2f} – {found.high:.2f}",
            }
        )
    caption = (
        "The graphs in the order in which boosting chose them. Homophily: share of a patient's neighbours with its own "
        "outcome, beside what 95 % of random deals of the outcomes give. Votes and errors are of "
        "the learners that answer; the curve below is of the search for them."
    )
    if not chance:
        return [Table(rows, caption, SHARES)]
    return [
        Table(rows, caption, SHARES),
        Caution(
            f"In the graphs of these rounds neighbours have no more alike outcomes than chance gives: "
            f"{', '.join(chance)}. They may still help to predict; do not read a reason into them."
        ),
    ]


def _pictures(fitted: FittedAdaMedGraph) -> list[Block]:
    """Return the network of patients, and the band that the first graph is, if its column holds numbers."""
    ensemble, record = fitted.ensemble, fitted.record
    everyone = len(record.studies)
    some = np.random.default_rng(0).permutation(everyone)[:DRAWN]
    network = Figure(
        patient_network(likeness_of(ensemble, some), ensemble.nodes.target[some], record.classes),
        f"{len(some)} of {count(everyone, 'study', 'studies')}, each joined to the {NEAREST} that share "
        f"most votes with it, coloured by {record.label}.",
        "Network of patients, coloured by outcome.",
    )
    first = ensemble.learners[0].choice
    if first.feature is None or not first.threshold:
        return [network]
    name = ensemble.columns.names[first.feature]
    band = Figure(
        patient_graph(
            ensemble.nodes.matrix[:, first.feature], ensemble.nodes.target, record.classes, name, first.threshold
        ),
        f"The first graph. Patients are neighbours if their {name} differs by at most half the shaded band.",
        f"Patients by {name}, coloured by outcome.",
        vector=True,
    )
    return [network, band]


def _quality(fitted: FittedAdaMedGraph, folder: Path, found: dict[str, Any]) -> Section:
    rows = [
        {"measure": row["measure"], "value": estimate(row, row["patients"], "value"), "patients": row["patients"]}
        for row in found["rows"]
    ]
    table = _read(folder, PREDICTIONS, "truth", "predicted", "study", "patient", "set")
    table = table[table["truth"] != ""]
    blocks: list[Block] = [
        Table(
            rows,
            "Measures with 95 % intervals over patients. Coverage: share of conformal sets that hold the truth. Gain: "
            "how much lower the log loss is than that of the class shares of the training patients.",
            {"value": "{:.3f}"},
        )
    ]
    blocks[:0] = _models(folder)
    blocks += _by_class(table, folder, fitted.record.classes)
    for words in cautions(found["rows"], fitted.record):
        blocks.insert(0, Caution(f"{words[0].upper()}{words[1:]}."))
    patients = table["patient"].nunique()
    if patients < FEW_PATIENTS:
        blocks.insert(
            0, Caution(f"{patients} patients only: the intervals are wide, and another split may tell another story.")
        )
    classes = fitted.record.classes
    shares = {name: table[f"probability_{name}"].to_numpy() for name in classes}
    rarest = classes[int(fitted.class_shares().argmin())]  # mostly the outcome that one would act on
    shown = (rarest,) if len(classes) == 2 else classes
    curves = {name: reliability(table["truth"] == name, shares[name], BINS, "mass") for name in shown}
    blocks.append(
        Figure(
            reliability_diagram(curves),
            "What was observed where what was predicted; on the line the probabilities are right.",
            "Reliability diagram.",
            vector=True,
        )
    )
    acted = rarest
    points = decision_curve(
        table["truth"] == acted, shares[acted], table["patient"].tolist(), THRESHOLDS, seed=0, repeats=500
    )
    blocks.append(
        Figure(
            decision_plot(points, acted),
            f"Net benefit of acting where the probability of '{acted}' is above a threshold.",
            "Decision curve.",
            vector=True,
        )
    )
    return Section("How good it is", tried_on(found), blocks)


def _models(folder: Path) -> list[Block]:
    """Show whether a plain model does better."""
    if result_file(folder, MODELS) is None:
        return []
    table = _read(folder, MODELS, "model", "measure")
    rows: list[dict[str, Any]] = []
    for model, group in table.groupby("model", sort=False):
        row: dict[str, Any] = {"model": model}
        for one in group.to_dict("records"):
            row[one["measure"]] = Interval(one["value"], one["low"], one["high"], int(one["patients"]))
            if one["measure"] == JUDGED_BY:
                value, low, high = (one[f"ahead{end}"] for end in ("", "_low", "_high"))
                row[AHEAD] = "–" if np.isnan(value) else Interval(value, low, high, int(one["patients"]))
        rows.append(row)
    words, doubt = verdict(table)
    caption = (
        "The run beside plain models that learnt from the same training patients and are tried on the same ones; folds "
        "of the training patients chose the penalty and the number of trees. The last column is by how much the log "
        f"loss of {OURS} is lower, with its interval over patients: + where it is better, − where the plain model is."
    )
    formats = {**dict.fromkeys(table["measure"].unique(), "{:.3f}"), AHEAD: "{:+.3f}"}
    told: list[Block] = [(Caution if doubt else Text)(f"{words}.")] if words else []
    return [*told, Table(rows, caption, formats)]


def _by_class(answers: pd.DataFrame, folder: Path, classes: Sequence[str]) -> list[Block]:
    """Show how well each class is told, and what is taken for what."""
    if result_file(folder, CLASSES) is None:
        return []
    rows = []
    for row in _read(folder, CLASSES, "class").to_dict("records"):
        told = {name: row[name] for name in ("class", "studies", "called so")}
        for name in TOLD:
            told[name] = Interval(row[name], row[f"{name} low"], row[f"{name} high"], int(row["studies"]))
        rows.append(told)
    counts = pd.crosstab(answers["truth"], answers["predicted"]).reindex(index=classes, columns=classes, fill_value=0)
    mixed = [
        {"truth": truth, **{f"called {name}": int(n) for name, n in row.items()}} for truth, row in counts.iterrows()
    ]
    return [
        Table(
            rows,
            "Each class against the others: AUROC of its probability; sensitivity and specificity if the most probable "
            "class is called; calibration: a slope of 1 and an intercept of 0 are right, a slope below 1 is too sure; "
            "coverage: share of its patients whose conformal set holds it.",
            dict.fromkeys(TOLD, "{:.2f}"),
        ),
        Table(mixed, "Studies by what they are and what they are called."),
    ]


def _reasons(found: dict[str, Any]) -> Section:
    importance, seen = found["importance"], found["about"]["seen"]
    rows = [
        {"variable": name, "rise of the log loss": one["rise"], "± deals": one["spread"]}
        for name, one in importance.items()
    ]
    if not rows:
        return Section(REASONS, "", [Text("Not measured: of too few explained studies the outcome is known.")])
    caption = "How much worse answers get if a variable is dealt out anew. Variables that tell the same share it."
    of = f"Permutation importance on {count(found.get('patients', 0), 'study', 'studies')}"
    words = (
        f"{of}, of which the fit saw {seen}: it looks larger than it is." if seen else f"{of} that the fit did not see."
    )
    return Section(REASONS, words, [Table(rows, caption, limit=20)])


def _read(folder: Path, name: str, *texts: str) -> pd.DataFrame:
    """Read a table whose columns of text are as they were written: a class may be called None or NA."""
    table = result_table(folder, name, dtype=str, keep_default_na=False)
    with shape_faults(folder / name):
        return table.assign(**{name: pd.to_numeric(table[name]) for name in table if name not in texts})


def _patients(fitted: FittedAdaMedGraph, page: RunPage) -> Section:
    title, newest = "Patients, one by one", page.folder("explanation")
    named = numbered_folders(output_folder(fitted.run.folder, "explanation", named=True))
    there = takewhile(lambda folder: is_folder(folder) and lies_within(fitted.run.folder, folder), named)
    folders = dict.fromkeys([*([] if newest is None else [newest]), *there])
    blocks = [block for folder in folders for block in _pages(folder, fitted.record.label)]
    if not blocks:
        return not_made(title, "explain", fitted.run.folder, fitted.run.record)
    return Section(title, HOW_TO_READ, blocks)


def _pages(folder: Path, label: str) -> list[Block]:
    """Return the pages of one explanation; none where there is none."""
    path = result_file(folder, FILE)
    if path is None:
        return []
    record = read_json(path, ADVICE)
    table = _read(folder, TABLE, "study", "similar", "outcome", "by")
    effects = _read(folder, EFFECTS, "study", "variable", "value") if result_file(folder, EFFECTS) else None
    blocks: list[Block] = []
    for page in (folder / Path(name).name for name in record.get("pages", ())):
        picture = result_picture(folder, page.name)
        if picture is None:
            continue
        mine, why = table[table["study"] == page.stem], record.get("chosen", {}).get(page.stem, "")
        caption = f"{page.stem}{f', {why}' if why else ''}. {label}: the answer, and what it is made of."
        blocks.append(Figure(picture, caption, f"Explanation of {page.stem}."))
        if effects is not None and (effects["study"] == page.stem).sum() > STEPS:
            rows = effects[effects["study"] == page.stem].drop(columns="study").to_dict("records")
            caption = f"All values of {page.stem}, and what each adds to the probability of its answer."
            blocks.append(Table(rows, caption, {"effect": "{:+.3f}"}, folded=True))
        if len(mine) > SHOWN:
            rows = mine.drop(columns="study").to_dict("records")
            formats = {"likeness": "{:.0%}", "weight": "{:.2%}"}
            caption = f"The patients of most weight in the answer for {page.stem}."
            blocks.append(Table(rows, caption, formats, folded=True))
    return blocks
