"""Figures of a shortcut audit in sentences."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from scanweave.audit.mark_trials import INSERTION
from scanweave.audit.shortcut_tables import main_rows
from scanweave.measures.bootstrap import Interval
from scanweave.report.values import MINUS


def verdicts(flips: pd.DataFrame, found: bool | None = None) -> list[str]:
    """Return a sentence for each run, finding and mark: whether it leans on it, and by which figures.

    Args:
        flips: See `shortcut_tables.flip_table`.
        found: Whether those only in which a shortcut was found, or was not; None: all.
    """
    several = flips["run"].nunique() > 1
    return [verdict(row, named=several) for row in main_rows(flips) if found in (None, row["leans"])]


def verdict(row: dict[str, Any], *, named: bool = False) -> str:
    """Return a row of `main_rows` as a sentence, which begins with the name of the run if it is `named`."""
    begun = f"{row['run']}: " if named else ""
    begun += f"{row['finding']} {'leans' if row['leans'] else 'is not seen to lean'} on {row['mark']}"
    sides = [row, *([] if row["removal"] is None else [row["removal"]])]
    shown = [side for side in sides if side["found"]] or sides[:1]
    told = "; ".join(_rates(side) for side in shown)
    if not row["leans"]:
        told += f", an excess of {percent(row['excess'])}"
    return f"{begun}: {told}."


def _rates(side: dict[str, Any]) -> str:
    """Return how often calls flip at the mark and in the control, and to which side."""
    mark = side["mark"]
    if side["direction"] == INSERTION:
        how, other = f"when {article(mark)} is pasted in", "for a patch without one"
    else:
        how, other = f"when the {mark} is masked", "when as much is masked elsewhere"
    told = (
        f"in {percent(side['flips'])} of {side['films']} films the call flips {how}, {percent(side['control'])} {other}"
    )
    shift = side["shift"].value
    if not side["found"] or not shift:
        return told
    return f"{told}, and {'more' if shift > 0 else 'fewer'} films are called then"


def percent(share: Interval) -> str:
    """Return a share as `41 % [30, 52]`; without the interval where it is not known."""
    if math.isnan(share.value):
        return "–"
    ends = "" if math.isnan(share.low) else f" [{_hundred(share.low)}, {_hundred(share.high)}]"
    return f"{_hundred(share.value)} %{ends}"


def article(name: str) -> str:
    """Return a name with its article: `a marker`, `an electrode`."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _hundred(share: float) -> str:
    return f"{round(100 * share):d}".replace("-", MINUS)
