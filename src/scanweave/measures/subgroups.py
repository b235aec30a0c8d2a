"""Tables by subgroup from which no small cell can be read, nor computed from the others."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.input_checks import BoolArray, IntArray, checked_names, checked_truths

NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class _Cell:
    variable: str
    level: str
    rows: BoolArray


def subgroup_table(
    groups: Mapping[str, Sequence[Hashable]],
    patients: Sequence[Hashable],
    estimate: Callable[[IntArray], Interval],
    positive: ArrayLike | None = None,
    *,
    fewest: int = 10,
) -> pd.DataFrame:
    """Return an estimate for all patients and for every level of every variable, without cells that are too small.

    A cell is hidden if fewer than `fewest` of its patients are there, are positive, or are negative. Then more are
    hidden, the smallest first, until (1) what is left of all patients, or of a shown cell, less the shown cells within
    it of one variable (a country less its sites) is nothing or not too small; and (2) no hidden cell is a sum or
    difference of shown ones, also of other variables (a site of which a scanner is the only one). Where a variable's
    cells are all hidden, it says nothing.

    It guards the cells of this table only: two tables of almost the same patients give away their difference.

    Args:
        groups: Name of a variable and its level in each row, such as `{"sex": […], "scanner": […]}`. None and NaN make
            the level "not recorded".
        patients: The patient of each row.
        estimate: From the numbers of the rows of a cell to what is reported, such as
            `lambda rows: auroc_interval(positive[rows], scores[rows])`. It is only called on cells that are shown.
        positive: Outcome `(rows,)`, for which positive and negative patients count too.
        fewest: Patients that a shown cell has at least; also positive ones, and negative ones.

    Returns:
        Columns `variable`, `level`, `patients`, `positives` (only with `positive`), `value`, `low`, `high`, `hidden`; a
        hidden cell has nothing but its name. The first row is `all`.

    Raises:
        ScanweaveError: Lengths differ, a row without a patient, or `fewest` is below 1.
    """
    if fewest < 1:
        raise ScanweaveError("fewest", f"{fewest}", "Give at least 1; 10 is common")
    people = checked_names("patients", patients, len(patients))
    truths = None if positive is None else checked_truths("positive", positive)
    if truths is not None and len(truths) != len(people):
        raise ScanweaveError("positive", f"{len(truths)} for {len(people)} rows", "Give one a row, in the same order")
    counter = _Counter(people, truths, fewest)
    cells = _cells(groups, len(people))
    hidden = _hidden(cells, counter)
    lines = [_line(cell, counter, estimate, place in hidden) for place, cell in enumerate(cells)]
    table = pd.DataFrame(lines)
    return table.astype({name: "Int64" for name in ("patients", "positives") if name in table})


class _Counter:
    """Counts the patients of a cell, and says whether they are too few."""

    def __init__(self, people: IntArray, truths: BoolArray | None, fewest: int) -> None:
        self.people, self.truths, self.fewest = people, truths, fewest

    def counts(self, rows: BoolArray) -> dict[str, int]:
        kinds = {"patients": rows}
        if self.truths is not None:
            kinds |= {"positives": rows & self.truths, "negatives": rows & ~self.truths}
        return {kind: len(np.unique(self.people[of])) for kind, of in kinds.items()}

    def small(self, rows: BoolArray) -> bool:
        return min(self.counts(rows).values()) < self.fewest


def _cells(groups: Mapping[str, Sequence[Hashable]], size: int) -> list[_Cell]:
    cells = [_Cell("all", "all", np.ones(size, dtype=bool))]
    for variable, levels in groups.items():
        if len(levels) != size:
            raise ScanweaveError(variable, f"{len(levels)} levels for {size} rows", "Give the level of every row")
        column = pd.Series(levels, dtype=object)
        names = column.astype(str).where(column.notna(), NOT_RECORDED).to_numpy()
        cells += [_Cell(variable, str(name), np.asarray(names == name)) for name in sorted(set(names))]
    return cells


def _hidden(cells: list[_Cell], counter: _Counter) -> set[int]:
    """Return the places of the cells to hide: first those that are too small, then those that would give them away."""
    hidden = {place for place, cell in enumerate(cells) if counter.small(cell.rows)}
    if 0 in hidden:
        return set(range(len(cells)))
    while telling := _small_rest(cells, hidden, counter) or _solution(cells, hidden):
        hidden.add(min(telling, key=lambda place: counter.counts(cells[place].rows)["patients"]))
    return hidden


def _small_rest(cells: list[_Cell], hidden: set[int], counter: _Counter) -> list[int]:
    """Return shown cells of a variable that leave too few patients of a shown cell around them."""
    shown = [place for place in range(len(cells)) if place not in hidden]
    for whole in shown:
        within = [place for place in shown if place != whole and not (cells[place].rows & ~cells[whole].rows).any()]
        for variable in dict.fromkeys(cells[place].variable for place in within):
            parts = [place for place in within if cells[place].variable == variable]
            rest = cells[whole].rows & ~np.any([cells[place].rows for place in parts], axis=0)
            if rest.any() and counter.small(rest):
                return parts
    return []


def _solution(cells: list[_Cell], hidden: set[int]) -> list[int]:
    """Return shown cells from which a hidden one follows, those of its own variable if there are any."""
    places = [place for place in range(1, len(cells)) if place not in hidden]
    patterns = np.unique(np.stack([cell.rows for cell in cells], axis=1), axis=0).astype(np.float64)
    shown = patterns[:, [place for place in range(len(cells)) if place not in hidden]]
    for place in sorted(hidden):
        weights = np.linalg.lstsq(shown, patterns[:, place], rcond=None)[0]
        if np.abs(shown @ weights - patterns[:, place]).max() < 1e-6:
            return [other for other in places if cells[other].variable == cells[place].variable] or places
    return []


def _line(cell: _Cell, counter: _Counter, estimate: Callable[[IntArray], Interval], hide: bool) -> dict[str, object]:
    counts = counter.counts(cell.rows)
    counts.pop("negatives", None)
    figures: dict[str, object] = dict.fromkeys([*counts, "value", "low", "high"], None)
    if not hide:
        found = estimate(np.flatnonzero(cell.rows))
        figures = {**counts, "value": found.value, "low": found.low, "high": found.high}
    return {"variable": cell.variable, "level": cell.level, **figures, "hidden": hide}
