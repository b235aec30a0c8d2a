"""Explanations on disk: of what each answer is made; for the run homophily and permutation importance."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from scanweave.files import read_json, write_json
from scanweave.framework.run_outputs import newest_output
from scanweave.framework.trial import Trial
from scanweave.report.saving import save_figure, save_table
from scanweave.systems.adamedgraph import similar
from scanweave.systems.adamedgraph.attribution import Effects, Voice, value_effects, voices
from scanweave.systems.adamedgraph.config import ExplainOptions
from scanweave.systems.adamedgraph.ensemble import Choice as Graph
from scanweave.systems.adamedgraph.fitted import Answer, FittedAdaMedGraph
from scanweave.systems.adamedgraph.page_choice import choose_pages
from scanweave.systems.adamedgraph.patient_picture import GraphLine, Steps, patient_page
from scanweave.wording import count, studies

Say = Callable[[str], None]
NEIGHBOURS, SHOWN = 15, 8
"""Similar patients that are listed, and drawn."""
LEAST_PATIENTS_FOR_IMPORTANCE = 20
"""Patients with a known outcome below which no importance is measured."""
ADVICE = "Remove it, and make it again"
FILE, TABLE, EFFECTS = "explanation.json", "explanation.csv", "effects.csv"


def explain(fitted: FittedAdaMedGraph, trial: Trial, options: ExplainOptions) -> pd.DataFrame:
    """Say of what each answer is made, and whom the patient resembles; into a folder of tables and pictures.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: How many studies get a page: typical ones and extreme ones, by `page_choice.choose_pages`.

    Returns:
        One row a study and similar patient: its weight in the answer, share of the votes that join the two, outcome.
    """
    answer = fitted.answer(trial.cohort, trial.say)
    _clear(trial.folder)
    truths = class_numbers(answer.samples.labels, fitted.record.classes)
    chosen = choose_pages(answer.probabilities, truths, fitted.record.classes, options.pictures)
    rows: list[dict[str, Any]] = []
    effects: list[dict[str, Any]] = []
    pages: dict[str, str] = {}
    for number, study in enumerate(answer.samples.studies):
        reason = reason_of(fitted, answer, number)
        rows += [{"study": study, **row} for row in listed(fitted, reason.similar)]
        if number in chosen:
            told = value_effects(fitted.ensemble, answer.matrix[number], int(answer.probabilities[number].argmax()))
            effects += [{"study": study, **row} for row in effect_rows(fitted, answer.matrix[number], told)]
            pages[study] = chosen[number]
            figure = page_of(fitted, answer, number, reason, told, chosen[number])
            save_figure(figure, trial.folder / f"{study}.png")
    table = pd.DataFrame(rows, columns=["study", "similar", "outcome", "weight", "likeness", "by"])
    save_table(table, trial.folder / TABLE)
    save_table(pd.DataFrame(effects, columns=["study", "variable", "value", "effect"]), trial.folder / EFFECTS)
    of_run = _of_run(fitted, answer)
    names = [f"{answer.samples.studies[number]}.png" for number in chosen]  # typical and extreme ones in turn
    write_json(trial.folder / FILE, {"about": trial.about, "pages": names, "chosen": pages, **of_run})
    if of_run["importance"] or newest_output(trial.run, "explanation") is None:  # few patients take no other's place
        trial.note()
    trial.say(f"explained {studies(len(answer.matrix))}, {len(pages)} with a page")
    return table


def class_numbers(labels: pd.Series, classes: Sequence[str]) -> np.ndarray:
    """Return the number of the class of each label `(n,)`; -1 where none of the run's is known."""
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers.get(label, -1) if isinstance(label, str) else -1 for label in labels], dtype=np.int64)


def _clear(folder: Path) -> None:
    """Remove the pages of an earlier explanation, after the file that names them."""
    if (folder / FILE).is_file():
        pages = read_json(folder / FILE, ADVICE).get("pages", ())
        (folder / FILE).unlink()
        for page in pages:
            (folder / Path(page).name).unlink(missing_ok=True)


def own_rows(fitted: FittedAdaMedGraph, patient: str) -> np.ndarray:
    """Return which nodes are visits of a patient itself `(n,)`."""
    return np.array([owner == patient for owner in fitted.record.patients])


@dataclass(frozen=True, eq=False)
class Reason:
    """Parts of the answer for one study.

    Attributes:
        voices: What each learner says.
        similar: The patients of most weight.
    """

    voices: list[Voice]
    similar: similar.Similar


def reason_of(fitted: FittedAdaMedGraph, answer: Answer, number: int) -> Reason:
    """Return what the answer for a study is made of; the patient's own visits in training count as itself."""
    row = answer.matrix[number]
    heard = voices(fitted.ensemble, row, own_rows(fitted, answer.samples.patients[number]))
    return Reason(heard, similar.most_similar(fitted.ensemble, row, heard, NEIGHBOURS))


def listed(fitted: FittedAdaMedGraph, found: similar.Similar) -> list[dict[str, Any]]:
    """Return the similar patients of a study as rows of a table."""
    names, classes = fitted.record.studies, fitted.record.classes
    return [
        {
            "similar": names[one.node],
            "outcome": classes[one.target],
            "weight": one.weight,
            "likeness": one.likeness,
            "by": ", ".join(one.by),
        }
        for one in found.listed
    ]


def effect_rows(fitted: FittedAdaMedGraph, row: np.ndarray, found: Effects) -> list[dict[str, Any]]:
    """Return a patient's own values and what each adds to the answer, the largest effect first."""
    names = fitted.ensemble.columns.names
    order = np.argsort(-np.abs(found.of), kind="stable")
    return [
        {"variable": names[i], "value": value_words(fitted, row, int(i)), "effect": float(found.of[i])} for i in order
    ]


def page_of(
    fitted: FittedAdaMedGraph, answer: Answer, number: int, reason: Reason, effects: Effects, why: str
) -> Figure:
    """Return the picture of one study."""
    classes, row, found = fitted.record.classes, answer.matrix[number], reason.similar
    shares = dict(zip(classes, answer.probabilities[number].tolist(), strict=True))
    graphs = [
        GraphLine(
            around_words(fitted, row, learner.choice),
            dict(zip(classes, similar.outcomes(fitted.ensemble.nodes, one.near, len(classes)), strict=True)),
            one.share,
            one.own,
            dict(zip(classes, one.says.tolist(), strict=True)),
            fitted.ensemble.settings.voting == "soft",
        )
        for learner, one in zip(fitted.ensemble.learners, reason.voices, strict=True)
    ]
    truth = answer.samples.labels[number]
    notes = [why, f"known {fitted.record.label}: {truth}" if isinstance(truth, str) else ""]
    missing = int(np.isnan(row).sum())
    notes.append(f"{missing} of {answer.matrix.shape[1]} variables missing" if missing else "")
    answered = max(shares, key=lambda name: shares[name])
    steps = [(f"{line['variable']} {line['value']}", line["effect"]) for line in effect_rows(fitted, row, effects)]
    return patient_page(
        answer.samples.studies[number],
        fitted.record.label,
        shares,
        Steps(effects.start, steps, effects.end),
        graphs,
        [(line["similar"], line["outcome"], line["weight"], line["by"]) for line in listed(fitted, found)[:SHOWN]],
        notes=[" · ".join(filter(None, notes)), *weight_words(fitted.record.classes, found, answered, effects)],
    )


def weight_words(classes: Sequence[str], found: similar.Similar, answered: str, effects: Effects) -> list[str]:
    """Say how an answer's weight is parted, what became of those who bear it, whether it is theirs, and who ties."""
    if not found.neighbours:
        return ["Its variables that make graphs are missing, or like nobody's: it is answered by its own values alone."]
    parts = sorted(zip(classes, found.by_class.tolist(), strict=True), key=lambda part: -part[1])
    became = ", ".join(f"{name} {share:.0%}" for name, share in parts if share >= 0.005)
    lines = [
        f"Weight: own values {found.own:.0%}, {count(found.neighbours, 'neighbour')} {1 - found.own:.0%}; "
        f"by their weight: {became}."
    ]
    if parts[0][0] != answered:
        lines.append(
            f"Most of that weight had {parts[0][0]}: learners read values, not outcomes; this patient's own take "
            f"{answered} from {effects.start:.2f} to {effects.end:.2f}."
        )
    shown = min(SHOWN, len(found.listed))
    tied = ties_of(found, shown)
    if tied:
        lines.append(
            f"{count(tied, 'more patient')} {'has' if tied == 1 else 'have'} the weight of the last one below."
        )
    return lines


def ties_of(found: similar.Similar, shown: int) -> int:
    """Count the patients beyond the first `shown` that have the weight of the last of these."""
    weights = [round(one.weight, 12) for one in found.listed]
    if not shown or shown > len(weights):
        return 0
    more = sum(weight == weights[shown - 1] for weight in weights[shown:])
    return more + (found.tied if weights[-1] == weights[shown - 1] else 0)


def value_words(fitted: FittedAdaMedGraph, row: np.ndarray, place: int) -> str:
    """Return a patient's own value of a variable, with its unit."""
    columns, value = fitted.ensemble.columns, row[place]
    if np.isnan(value):
        return "missing"
    categories = columns.categories[place]
    if categories is not None:
        return categories[int(value)]
    unit = fitted.record.units.get(columns.names[place], "")
    return f"{value:.4g}{' ' + unit if unit else ''}"


def around_words(fitted: FittedAdaMedGraph, row: np.ndarray, choice: Graph) -> str:
    """Return what joins a patient `(d,)` to its neighbours in a graph, with its own value."""
    if choice.feature is None:
        return "no graph"
    columns = fitted.ensemble.columns
    name, categories = columns.names[choice.feature], columns.categories[choice.feature]
    value = row[choice.feature]
    if np.isnan(value):
        return f"{name} missing"
    if categories is not None:
        return f"{name} {categories[int(value)]}"
    unit = fitted.record.units.get(name, "")
    return f"{name} {value:.4g}{f' ± {choice.threshold:.3g}' if choice.threshold else ''}{' ' + unit if unit else ''}"


def graph_words(fitted: FittedAdaMedGraph, choice: Graph) -> str:
    """Return what a graph joins patients by."""
    if choice.feature is None:
        return "no graph"
    name = fitted.ensemble.columns.names[choice.feature]
    if not choice.threshold:
        return f"the same {name}"
    unit = fitted.record.units.get(name, "")
    return f"{name} within {choice.threshold:.3g}{' ' + unit if unit else ''}"


def _of_run(fitted: FittedAdaMedGraph, answer: Answer) -> dict[str, Any]:
    ensemble, classes = fitted.ensemble, fitted.record.classes
    graphs = []
    for learner in ensemble.learners:
        found = similar.homophily(learner.choice, ensemble.nodes)
        about = {"graph": graph_words(fitted, learner.choice), "level": learner.choice.level, "vote": learner.vote}
        about |= {
            "error": learner.error,
            **{f"homophily {key}": _number(value) for key, value in asdict(found).items()},
        }
        graphs.append(about)
    target = class_numbers(answer.samples.labels, classes)
    known = target >= 0
    importance: dict[str, Any] = {}
    if known.sum() >= LEAST_PATIENTS_FOR_IMPORTANCE:
        rises = similar.permutation_importance(ensemble, answer.matrix[known], target[known])
        importance = {name: {"rise": rise, "spread": spread} for name, (rise, spread) in rises.items()}
    return json.loads(json.dumps({"graphs": graphs, "importance": importance, "patients": int(known.sum())}))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
