"""Tables of a shortcut audit with intervals by patient: flips, log-odds, AUROC with marks masked, evidence, site."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scanweave.audit.mark_trials import INSERTION, REMOVAL
from scanweave.measures.bootstrap import Interval, bootstrap
from scanweave.measures.delong import auroc_interval, compare_aurocs
from scanweave.measures.proportions import compare_paired_proportions, proportion
from scanweave.measures.summary import LEAST_PATIENTS_FOR_INTERVAL

UNKNOWN = float("nan")
PAIR = ["run", "finding", "mark"]
TRANSPLANTS = [*PAIR, "direction"]
SIDES = {"to positive": False, "to negative": True}
"""Ways to flip, and whether a film was called before."""


def flip_table(changes: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return how often calls flip, a row a run, finding, mark and direction.

    A rate is the share of films, one a patient, whose call at the frozen operating point is another one after the
    change, with Wilson's interval. The excess is the rate less that of the control on the same films, with the interval
    of Tango (1998).

    Args:
        changes: Rows of `MarkTrials.rows`.
        seed: Of resamples.

    Returns:
        Columns that hold an `Interval`: `flips`, `control`, `excess`; `shift`: the share of films called with the
        change less that with the control, which flips to and fro by chance leave alone; `to positive` and `to
        negative`: rates among the films that were called negative, or positive, before, and these two with ` control`;
        `log-odds`, `log-odds control`, `log-odds excess`: the mean change. `found`: whether the interval of the excess
        lies above 0.
    """
    rows = []
    for key, group in changes.groupby(TRANSPLANTS, sort=False):
        before = group["called before"].astype(bool)
        flips, control = group["called after"] != before, group["called control"] != before
        row: dict[str, Any] = dict(zip(TRANSPLANTS, key, strict=True))
        row |= {"films": len(group), "flips": _rate(flips), "control": _rate(control)}
        row["excess"] = _excess(flips, control)
        row["shift"] = _excess(group["called after"], group["called control"])
        for side, was in SIDES.items():
            of = before == was
            row |= {side: _rate(flips[of]), f"{side} control": _rate(control[of])}
        row |= _log_odds(group, seed, lambda change: change)
        row["found"] = bool(row["excess"].low > 0)
        rows.append(row)
    return pd.DataFrame(rows)


def masking_table(changes: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return what masking does, a row a run, finding and mark: the mean size of the change of log-odds, and AUROC.

    AUROCs are of all films that were tried with the mark: those that have it are masked, there or at a free place,
    those that lack it stay. They are NaN where no film of one side is known.

    Args:
        changes: Rows of `MarkTrials.rows`.
        seed: Of resamples.

    Returns:
        Columns that hold an `Interval`: `log-odds`, `log-odds control`, `log-odds excess` of sizes; `AUROC`, `AUROC
        masked`, `AUROC control`; `drop` and `drop control`: what the AUROC loses (DeLong et al. 1988, paired).
    """
    rows = []
    for key, group in changes.groupby(PAIR, sort=False):
        masked = group[group["direction"] == REMOVAL]
        if masked.empty:
            continue
        row: dict[str, Any] = dict(zip(PAIR, key, strict=True))
        row |= {"films": len(masked)} | _log_odds(masked, seed, np.abs)
        rows.append(row | _areas(group))
    return pd.DataFrame(rows)


def evidence_table(maps: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return where evidence lies, a row a run and finding: mean shares over films, and what an even map has.

    Args:
        maps: Rows of `evidence_rows`.
        seed: Of resamples.

    Returns:
        Columns that hold an `Interval`: `inside`, `inside, even`, `inside, excess`, and the same of `on marks`; `films`
        counts those with any evidence, `without evidence` the others.
    """
    rows = []
    for key, group in maps.groupby(["run", "finding"], sort=False):
        row: dict[str, Any] = dict(zip(("run", "finding"), key, strict=True))
        telling = group[group["inside"].notna()]
        row |= {"films": len(telling), "without evidence": len(group) - len(telling)}
        for where in ("inside", "on marks"):
            known, even = group[where], group[f"{where}, even"]
            row[where] = _mean(known, group["patient"], seed)
            row[f"{where}, even"] = _mean(even.where(known.notna()), group["patient"], seed)
            row[f"{where}, excess"] = _mean(known - even, group["patient"], seed)
        rows.append(row)
    return pd.DataFrame(rows)


def dose_table(flips: pd.DataFrame, masking: pd.DataFrame, doses: dict[str, float]) -> pd.DataFrame:
    """Return excess flip rate and AUROC by dose: one row a finding, mark, direction and run, doses in order.

    Args:
        flips: See `flip_table`.
        masking: See `masking_table`.
        doses: The dose of each run.
    """
    areas = {} if masking.empty else masking.set_index(PAIR)["AUROC"].to_dict()
    rows = [
        {
            "finding": row["finding"],
            "mark": row["mark"],
            "direction": row["direction"],
            "dose": doses[row["run"]],
            "run": row["run"],
            "excess": row["excess"],
            "AUROC": areas.get((row["run"], row["finding"], row["mark"]), nothing()),
        }
        for row in flips.to_dict("records")
    ]
    return pd.DataFrame(rows).sort_values(["finding", "mark", "direction", "dose"], ignore_index=True)


def main_rows(flips: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each run, finding and mark: that of the insertion, or of the removal where there was none.

    Args:
        flips: See `flip_table`.

    Returns:
        Rows of it, each with `removal`: the row of the removal beside an insertion, or None; and `leans`: whether a
        shortcut was found in either.
    """
    rows = []
    for _, group in flips.groupby(PAIR, sort=False):
        by_direction = {row["direction"]: row for row in group.to_dict("records")}
        direction = INSERTION if INSERTION in by_direction else REMOVAL
        removal = by_direction.get(REMOVAL) if direction == INSERTION else None
        leans = any(row["found"] for row in by_direction.values())
        rows.append({**by_direction[direction], "removal": removal, "leans": leans})
    return rows


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose intervals are columns of their own: value, ` low` and ` high`."""
    return pd.DataFrame([dict(_plain(row)) for row in table.to_dict("records")])


def _plain(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Interval):
            yield from ((name, value.value), (f"{name} low", value.low), (f"{name} high", value.high))
        else:
            yield name, value


def nothing() -> Interval:
    """Return the estimate of what could not be measured."""
    return Interval(UNKNOWN, UNKNOWN, UNKNOWN, 0)


def told(found: Interval) -> Interval:
    """Return an estimate without its interval where the patients are few, as in every report, or resamples alike."""
    sure = found.n >= LEAST_PATIENTS_FOR_INTERVAL and found.low < found.high
    return found if sure else Interval(found.value, UNKNOWN, UNKNOWN, found.n)


def _rate(hits: pd.Series) -> Interval:
    return told(proportion(int(hits.sum()), len(hits))) if len(hits) else nothing()


def _excess(hits: pd.Series, control: pd.Series) -> Interval:
    pairs = (side.to_numpy(dtype=bool) for side in (hits, control))
    return told(compare_paired_proportions(*pairs).difference)


def _mean(values: pd.Series, patients: pd.Series, seed: int) -> Interval:
    if not values.notna().any():
        return nothing()
    return told(bootstrap(values, list(patients), seed=seed))


def _log_odds(group: pd.DataFrame, seed: int, size: Callable[[pd.Series], pd.Series]) -> dict[str, Interval]:
    """Return the mean change of the log-odds, or its size, that of the control, and the first less the second."""
    change = size(group["log-odds after"] - group["log-odds before"])
    control = size(group["log-odds control"] - group["log-odds before"])
    pairs: dict[str, ArrayLike] = {"": change, " control": control, " excess": change - control}
    return {
        f"log-odds{name}": told(bootstrap(values, list(group["patient"]), seed=seed)) for name, values in pairs.items()
    }


def _areas(group: pd.DataFrame) -> dict[str, Interval]:
    known = group[group["truth"].notna()]
    truth = (known["truth"] > 0).to_numpy()
    names = ("AUROC", "AUROC masked", "AUROC control", "drop", "drop control")
    if truth.all() or not truth.any():
        return dict.fromkeys(names, nothing())
    patients = list(known["patient"])
    masked = (known["direction"] == REMOVAL).to_numpy()
    before = known["log-odds before"].to_numpy()
    after, control = (np.where(masked, known[f"log-odds {state}"], before) for state in ("after", "control"))
    areas = [auroc_interval(truth, scores, patients) for scores in (before, after, control)]
    drops = [compare_aurocs(truth, before, scores, patients).difference for scores in (after, control)]
    return dict(zip(names, map(told, [*areas, *drops]), strict=True))
