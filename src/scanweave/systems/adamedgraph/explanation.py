"""Explanations on disk: for each study its neighbours; for the run homophily and permutation importance."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanweave.files import read_json, write_json
from scanweave.framework.run_outputs import newest_output
from scanweave.framework.trial import Trial
from scanweave.report.saving import save_figure, save_table
from scanweave.systems.adamedgraph import similar
from scanweave.systems.adamedgraph.config import ExplainOptions
from scanweave.systems.adamedgraph.ensemble import Choice as Graph
from scanweave.systems.adamedgraph.figures import patient_page
from scanweave.systems.adamedgraph.fitted import Answer, FittedAdaMedGraph
from scanweave.wording import studies

Say = Callable[[str], None]
NEIGHBOURS, SHOWN = 15, 8
"""Similar patients that are listed, and drawn."""
FEWEST = 20
"""Patients with a known outcome below which no importance is measured."""
ADVICE = "Remove it, and make it again"
FILE, TABLE = "explanation.json", "explanation.csv"
NAMED = "explanation-named"
"""Folder in a run of the explanations of named studies, which take no other's place."""


def explain(fitted: FittedAdaMedGraph, trial: Trial, options: ExplainOptions) -> pd.DataFrame:
    """Say whom each patient resembles, by what, and what became of them; into a folder of tables and pictures.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: How many studies get a page.

    Returns:
        One row a study and similar patient.
    """
    answer = fitted.answer(trial.cohort, trial.say)
    _clear(trial.folder)
    rows: list[dict[str, Any]] = []
    pages = [f"{study}.png" for study in answer.samples.studies[: options.pictures]]
    for number, study in enumerate(answer.samples.studies):
        own = own_rows(fitted, answer.samples.patients[number])
        found = similar_patients(fitted, answer.matrix[number], own)
        rows += [{"study": study, **row} for row in found]
        if number < len(pages):
            save_figure(page_of(fitted, answer, number, own, found), trial.folder / pages[number])
    table = pd.DataFrame(rows, columns=["study", "similar", "outcome", "likeness", "by"])
    save_table(table, trial.folder / TABLE)
    of_run = _of_run(fitted, answer)
    write_json(trial.folder / FILE, {"about": trial.about, "pages": pages, **of_run})
    if of_run["importance"] or newest_output(trial.run, "explanation") is None:  # few patients take no other's place
        trial.note()
    trial.say(f"explained {studies(len(answer.matrix))}, {len(pages)} with a page")
    return table


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


def similar_patients(fitted: FittedAdaMedGraph, row: np.ndarray, own: np.ndarray) -> list[dict[str, Any]]:
    """Return the most similar training patients of a study, as rows of a table; `own` nodes are not among them."""
    names, classes = fitted.record.studies, fitted.record.classes
    found = similar.most_similar(fitted.ensemble, row, NEIGHBOURS, own)
    return [
        {"similar": names[one.node], "outcome": classes[one.target], "likeness": one.likeness, "by": ", ".join(one.by)}
        for one in found
    ]


def page_of(
    fitted: FittedAdaMedGraph, answer: Answer, number: int, own: np.ndarray, found: list[dict[str, Any]]
) -> Any:
    """Return the picture of one study."""
    classes = fitted.record.classes
    shares = dict(zip(classes, answer.probabilities[number].tolist(), strict=True))
    counts = similar.outcomes(fitted.ensemble, answer.matrix[number], own)
    graphs = [
        (
            around_words(fitted, answer.matrix[number], learner.choice),
            {name: around[str(k)] for k, name in enumerate(classes)},
        )
        for learner, around in zip(fitted.ensemble.learners, counts, strict=True)
    ]
    listed = [(row["similar"], row["outcome"], row["by"], row["likeness"]) for row in found[:SHOWN]]
    truth = answer.samples.labels[number]
    notes = [f"known {fitted.record.label}: {truth}" if isinstance(truth, str) else ""]
    if disagrees(shares, found):
        common = Counter(row["outcome"] for row in found).most_common(1)[0][0]
        notes.append(f"more of the {len(found)} most similar patients had {common}: graphs join by one variable each")
    missing = int(np.isnan(answer.matrix[number]).sum())
    notes.append(f"{missing} of {answer.matrix.shape[1]} variables missing" if missing else "")
    title = answer.samples.studies[number]
    return patient_page(title, fitted.record.label, shares, graphs, listed, " · ".join(filter(None, notes)))


def disagrees(shares: Mapping[str, float], found: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether the most probable class is not the most common one among the similar patients."""
    outcomes = Counter(row["outcome"] for row in found)
    best = max(shares, key=lambda name: shares[name])
    return bool(outcomes) and outcomes[best] < max(outcomes.values())


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
    known = answer.samples.labels.isin(classes).to_numpy()
    importance: dict[str, Any] = {}
    if known.sum() >= FEWEST:
        numbers = {name: number for number, name in enumerate(classes)}
        target = answer.samples.labels[known].map(numbers).to_numpy(dtype=np.int64)
        rises = similar.permutation_importance(ensemble, answer.matrix[known], target)
        importance = {name: {"rise": rise, "spread": spread} for name, (rise, spread) in rises.items()}
    return json.loads(json.dumps({"graphs": graphs, "importance": importance, "patients": int(known.sum())}))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
