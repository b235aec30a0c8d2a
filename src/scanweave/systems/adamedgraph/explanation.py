"""Explanations on disk: for each study its neighbours; for the run homophily and permutation importance."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scanweave.engine.selection import Choice, note_output, select_studies
from scanweave.files import write_json
from scanweave.report.saving import save_figure, save_table
from scanweave.studies.cohort import Cohort
from scanweave.studies.words import studies
from scanweave.systems.adamedgraph import similar
from scanweave.systems.adamedgraph.ensemble import Choice as Graph
from scanweave.systems.adamedgraph.figures import patient_page

if TYPE_CHECKING:
    from scanweave.systems.adamedgraph.system import AdaMedGraph, Answer

Say = Callable[[str], None]
PICTURES, NEIGHBOURS = 4, 15
FILE, TABLE = "explanation.json", "explanation.csv"


def explain(
    system: AdaMedGraph,
    cohort: Cohort,
    out: str | Path | None = None,
    *,
    part: Choice | None = None,
    pictures: int = PICTURES,
    say: Say = print,
) -> pd.DataFrame:
    """Say whom each patient resembles, by what, and what became of them; into a folder of tables and pictures.

    Args:
        system: The fitted system.
        cohort: Any cohort with the run's variables.
        out: The folder; that of the run if not given.
        part: Which studies; see `selection.select_studies`.
        pictures: Studies that get a page.
        say: Takes lines.

    Returns:
        One row a study and similar patient.
    """
    selection = select_studies(system.run, cohort, part, say)
    answer = system.answer(selection.cohort, say)
    folder = Path(out) if out is not None else system.run.folder / "explanation"
    matrix = system.ensemble.columns.matrix(answer.samples.table)
    rows: list[dict[str, Any]] = []
    for number, study in enumerate(answer.samples.studies):
        found = similar_patients(system, matrix[number], study)
        rows += [{"study": study, **row} for row in found]
        if number < pictures:
            save_figure(page_of(system, answer, matrix, number, found), folder / f"{study}.png")
    table = pd.DataFrame(rows, columns=["study", "similar", "outcome", "likeness", "by"])
    save_table(table, folder / TABLE)
    write_json(folder / FILE, {"about": selection.about, **_of_run(system, matrix, answer)})
    note_output(system.run, "explanation", folder)
    say(f"explained {studies(len(matrix))}, {min(pictures, len(matrix))} with a page")
    return table


def similar_patients(system: AdaMedGraph, row: np.ndarray, study: str) -> list[dict[str, Any]]:
    """The most similar training patients of a study, as rows of a table; the study itself is not among them."""
    names, classes = system.record.studies, system.record.classes
    own = names.index(study) if study in names else None
    found = similar.most_similar(system.ensemble, row, NEIGHBOURS, leave_out=own)
    return [
        {"similar": names[one.node], "outcome": classes[one.target], "likeness": one.likeness, "by": ", ".join(one.by)}
        for one in found
    ]


def page_of(system: AdaMedGraph, answer: Answer, matrix: np.ndarray, number: int, found: list[dict[str, Any]]) -> Any:
    """The picture of one study."""
    classes = system.record.classes
    shares = dict(zip(classes, answer.probabilities[number].tolist(), strict=True))
    counts = similar.outcomes(system.ensemble, matrix[number])
    graphs = [
        (graph_words(system, learner.choice), {name: around[str(k)] for k, name in enumerate(classes)})
        for learner, around in zip(system.ensemble.learners, counts, strict=True)
    ]
    listed = [(row["similar"], row["outcome"], row["by"], row["likeness"]) for row in found[:8]]
    return patient_page(answer.samples.studies[number], system.record.label, shares, graphs, listed)


def graph_words(system: AdaMedGraph, choice: Graph) -> str:
    """What a graph joins patients by."""
    if choice.feature is None:
        return "no graph"
    name = system.ensemble.columns.names[choice.feature]
    if not choice.threshold:
        return f"the same {name}"
    unit = system.record.units.get(name, "")
    return f"{name} within {choice.threshold:.3g}{' ' + unit if unit else ''}"


def _of_run(system: AdaMedGraph, matrix: np.ndarray, answer: Answer) -> dict[str, Any]:
    ensemble, classes = system.ensemble, system.record.classes
    graphs = []
    for learner in ensemble.learners:
        found = similar.homophily(learner.choice, ensemble.nodes)
        about = {"graph": graph_words(system, learner.choice), "level": learner.choice.level, "vote": learner.vote}
        about |= {
            "error": learner.error,
            **{f"homophily {key}": _number(value) for key, value in asdict(found).items()},
        }
        graphs.append(about)
    known = answer.samples.labels.isin(classes).to_numpy()
    importance: dict[str, Any] = {}
    if known.sum() >= len(classes):
        numbers = {name: number for number, name in enumerate(classes)}
        target = answer.samples.labels[known].map(numbers).to_numpy(dtype=np.int64)
        rises = similar.permutation_importance(ensemble, matrix[known], target)
        importance = {name: {"rise": rise, "spread": spread} for name, (rise, spread) in rises.items()}
    return json.loads(json.dumps({"graphs": graphs, "importance": importance}))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
