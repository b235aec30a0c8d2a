"""Contributions of modalities to an answer, exact Shapley values over all subsets; and maps of where in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.files import write_json
from scanweave.framework.trial import Trial
from scanweave.measures.shapley import shapley_shares, shapley_values
from scanweave.measures.summary import summarise
from scanweave.report.saving import save_figure, save_table
from scanweave.studies.study import Study
from scanweave.systems.mome.config import ExplainOptions
from scanweave.systems.mome.figures import contribution_bars
from scanweave.systems.mome.fitted import FittedMome
from scanweave.systems.mome.gradients import map_study
from scanweave.systems.mome.subsets import log_odds, prior_log_odds, refuse_many, subset_logits
from scanweave.wording import nearest

FILE, TABLE, PICTURE = "explanation.json", "contributions.csv", "contributions.png"


def explain(fitted: FittedMome, trial: Trial, options: ExplainOptions) -> pd.DataFrame:
    """Measure what each modality gives the answers of studies, and map where in the images of some.

    A contribution is in log-odds: by how much a modality moves the answer from the prevalence in training towards an
    output, averaged over all orders in which modalities can come. Absent ones take no part.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: What is explained, and of how many studies maps are made.

    Returns:
        One row a study, output and modality, as in `contributions.csv`.

    Raises:
        ScanweaveError: There is no such output, there are too many modalities, or no study could be explained.
    """
    plan = fitted.plan
    if options.of and options.of not in plan.outputs:
        raise ScanweaveError("of", f"the run does not tell '{options.of}'", nearest(options.of, plan.outputs))
    refuse_many(plan.modalities)
    numbers = _explained(fitted, options)
    drawn: list[str] = []
    rows: list[dict[str, Any]] = []
    maps: list[dict[str, Any]] = []

    def told(study: Study) -> dict[str, Any]:
        given = fitted.input(study)
        logits = subset_logits(fitted.diagnoser, given)
        mapped: list[dict[str, Any]] = []
        if len(drawn) < options.maps and given.images:
            mapped = [map_study(fitted, study, given, n, trial.folder, options) for n in numbers]
        return {
            "rows": [row for n in numbers for row in contributions(logits, given.there, n, study, fitted)],
            "maps": mapped,
        }

    for name, found in trial.each(told, options):
        rows += found["rows"]
        maps += found["maps"]
        drawn += [name] * bool(found["maps"])
        trial.say(_in_words(name, found["rows"]))
    table = pd.DataFrame(rows)
    save_table(table, trial.folder / TABLE)
    summary = summarise(table, ["output", "modality"], ("contribution", "size", "share"), 0)
    save_figure(contribution_bars(summary, plan.modalities), trial.folder / PICTURE)
    about = {**trial.about, "left_out": trial.left_out, "studies": table["study"].nunique()}
    about["missed"] = float(table["missed"].max())  # sum of the contributions against the answer: rounding alone
    plain = summary.astype(object).where(summary.notna(), None).to_dict("records")
    write_json(trial.folder / FILE, {"format": 1, "about": about, "rows": plain, "maps": maps})
    trial.note()
    return table


def contributions(
    logits: NDArray[np.float64], there: Sequence[str], number: int, study: Study, fitted: FittedMome
) -> list[dict[str, Any]]:
    """Return what each modality that is there gives to one output of a study, a row each.

    Args:
        logits: From every subset `(2^M, K)`, see `subset_logits`.
        there: Modalities of the study.
        number: Of the output.
        study: The study.
        fitted: The fitted run.
    """
    plan = fitted.plan
    values = log_odds(logits, plan)[:, number]
    values[0] = prior_log_odds(plan)[number]
    present = np.array([name in there for name in plan.modalities])
    found = shapley_values(values, present)
    whole = values[sum(2**n for n, here in enumerate(present) if here)]
    missed = abs(float(np.nansum(found) - (whole - values[0])))
    shares = shapley_shares(found)
    return [
        {
            "study": study.id,
            "patient": study.patient,
            "output": plan.outputs[number],
            "modality": name,
            "contribution": float(found[n]),
            "size": abs(float(found[n])),
            "share": float(shares[n]),
            "log_odds": float(whole),
            "missed": missed,
        }
        for n, name in enumerate(plan.modalities)
        if present[n]
    ]


def _explained(fitted: FittedMome, options: ExplainOptions) -> list[int]:
    """The outputs that are explained: the one that is asked for, of two classes the second, else all."""
    outputs = fitted.plan.outputs
    if options.of:
        return [outputs.index(options.of)]
    return [1] if fitted.plan.kind == "classes" and len(outputs) == 2 else list(range(len(outputs)))


def _in_words(name: str, rows: Sequence[dict[str, Any]]) -> str:
    first = rows[0]["output"]
    each = ", ".join(f"{row['modality']} {row['contribution']:+.2f}" for row in rows if row["output"] == first)
    return f"{name}: {first}, log-odds {rows[0]['log_odds']:.2f}: {each}"
