"""Biopsies that a run would have spared, below thresholds that its validation studies chose."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.classification.answers import Answering
from scanweave.framework.classification.operating_points import validation_table
from scanweave.framework.classification.settings import EvaluateOptions
from scanweave.framework.classification.tried import truth_and_score
from scanweave.framework.table_columns import plain_column
from scanweave.framework.trial import Trial
from scanweave.measures.biopsy_sparing import BiopsySparing, ScoredStudies, biopsy_sparing
from scanweave.measures.bootstrap import Interval
from scanweave.report.saving import save_table
from scanweave.studies.cohort import Cohort
from scanweave.wording import listed, nearest

SPARING = "sparing.csv"


def spare_biopsies(fitted: Answering, run: Run, trial: Trial, table: pd.DataFrame, options: EvaluateOptions) -> None:
    """Write `sparing.csv`, a row a share of the positive that is to be kept, and tell it; see `biopsy_sparing`.

    Args:
        fitted: The fitted run.
        run: Its folder.
        trial: Where the table goes.
        table: What is predicted and known, see `predictions_table`.
        options: The output whose biopsies are spared, and among whom.

    Raises:
        ScanweaveError: There is no such output, nobody is left, or a patient chose the threshold.
    """
    output, words, chosen = options.sparing, "", validation_table(run)
    if options.among:
        every = Cohort.open(trial.cohort.folder)
        if not set(chosen["study"]) <= set(every.studies):
            reason = "is not known of the validation studies, which are of another cohort"
            raise ScanweaveError("among", reason, "Leave it out, or evaluate on the cohort of the fit")
        asked = among(every, options.among)
        words = f" among {options.among.replace('=', ' ')}"
        table, chosen = (one[one["study"].isin(asked)] for one in (table, chosen))
        if table.empty or chosen.empty:
            where = "tried" if table.empty else "of validation"
            raise ScanweaveError("among", f"no study {where} has {options.among}", "Choose another value, or all")
    before, after = (_scored(fitted, one, output) for one in (chosen, table))
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
    return {name: one.value, f"{name} low": one.low, f"{name} high": one.high, f"{name} of": one.n}


def _scored(fitted: Answering, table: pd.DataFrame, output: str) -> ScoredStudies:
    truth, scores = truth_and_score(fitted.plan, table, output)
    return ScoredStudies(truth, scores.to_numpy(), list(table.loc[scores.index, "patient"]))


def among(cohort: Cohort, asked: str) -> set[str]:
    """Return the studies of which a variable has a value.

    Args:
        cohort: The studies.
        asked: `VARIABLE=VALUE`.

    Raises:
        ScanweaveError: There is no such variable, or no study has the value.
    """
    name, _, value = asked.partition("=")
    if f"table:{name}" not in cohort.frame or not value:
        there = cohort.names("table")
        raise ScanweaveError("among", f"'{asked}' is no VARIABLE=VALUE of the cohort", nearest(name, there))
    texts = plain_column(cohort.frame[f"table:{name}"]).map(_text)
    chosen = set(cohort.frame["study"].astype(str)[(texts == value).to_numpy()])
    if not chosen:
        raise ScanweaveError("among", f"no study has {name} {value}", f"It has {listed(sorted(set(texts) - {''}))}")
    return chosen


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
