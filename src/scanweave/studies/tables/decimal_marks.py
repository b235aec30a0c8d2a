"""Decimal marks, decided for a whole table: `1,037` is one or a thousand, and `20,5` beside it tells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.studies.tables.missing_words import is_absent

Mark = Literal[".", ","]
LEAST_NUMBER_FRACTION = 0.95
"""Share of the cells of a column that must be numbers, one way or the other, for it to tell."""
LIMIT = re.compile(r"[<>≤≥]=?\s*")
"""Signs before a number that lies beyond a limit of detection."""
_GROUPED = r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?"
_COMMA = r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?"
_POINTS = r"[-+]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?"
_FORMS = re.compile(
    r"(?P<group>[-+]?[1-9]\d{0,2}[.,]\d{3})"
    r"|(?P<point>[-+]?(?:[1-9]\d{0,2}(?:,\d{3})+\.\d+|[1-9]\d{0,2}(?:,\d{3}){2,}))"
    r"|(?P<comma>[-+]?(?:[1-9]\d{0,2}(?:\.\d{3})+,\d+|[1-9]\d{0,2}(?:\.\d{3}){2,}))"
    r"|(?P<whole>[-+]?\d+(?:[eE][-+]?\d+)?)"
    r"|(?P<point_>[-+]?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<comma_>[-+]?\d*,\d+(?:[eE][-+]?\d+)?)"
)
"""Numbers by what they tell: one group of three digits tells nothing, more of them or other decimals do."""


@dataclass(frozen=True)
class Evidence:
    """Evidence of the cells of one column.

    Attributes:
        marks: What must stand before decimals in some cell.
        doubtful: A cell that is read in two ways, by what stands in it.
    """

    marks: frozenset[Mark]
    doubtful: Mapping[Mark, str]


def marks_in(cells: pd.Series, least: float = LEAST_NUMBER_FRACTION) -> Evidence:
    """Return what the texts of a column tell of their decimal mark.

    Args:
        cells: Texts, none of them missing.
        least: Share of the cells that must be numbers.
    """
    distinct = cells.unique()
    found, numbers = set[Mark](), 0
    doubtful: dict[Mark, str] = {}
    for cell in distinct:
        form = _FORMS.fullmatch(LIMIT.sub("", cell, count=1))
        numbers += form is not None
        kind = str(form.lastgroup).rstrip("_") if form else None
        if kind in ("point", "comma"):
            found.add("." if kind == "point" else ",")
        elif form and kind == "group":
            doubtful.setdefault("." if "." in form[0] else ",", cell)
    if numbers < least * len(distinct):
        return Evidence(frozenset(), {})
    return Evidence(frozenset(found), doubtful)


def mark_of_table(columns: Mapping[str, Evidence], separator: str | None) -> Mark | None:
    """Return what stands before decimals in all of a table; None where no cell depends on it.

    Args:
        columns: What the columns tell, by heading.
        separator: What stands between cells, of a table of text.

    Raises:
        ScanweaveError: Cells can be read in two ways, and nothing in the table says which.
    """
    told = {mark for one in columns.values() for mark in one.marks}
    doubtful = {heading: one.doubtful for heading, one in columns.items() if one.doubtful and not one.marks}
    if len(told) == 1:
        return next(iter(told))
    if not doubtful:
        return None
    if not told and separator == ",":  # cells with commas were quoted, or there are none
        return "."
    commas = any("," in one for one in doubtful.values())
    points = any("." in one for one in doubtful.values())
    if not told and separator == ";" and not points:
        return ","
    if not told and separator != ";" and not commas:
        return "."
    heading, cells = next(iter(doubtful.items()))
    raise ScanweaveError(
        f"column '{heading}'",
        f"numbers such as '{next(iter(cells.values()))}' can be read in two ways",
        f"Say which by --columns '{heading}=number decimal:comma' (or decimal:point)",
    )


def write_points(rows: list[dict[str, str]], headings: Sequence[str], separator: str | None) -> list[str]:
    """Write the numbers of some columns of rows of text with a decimal point, in place; return what was changed.

    Args:
        rows: Of the table, by heading.
        headings: Of the columns.
        separator: What stands between cells, of a table of text.
    """
    columns = {h: pd.Series([row[h] for row in rows if not is_absent(row[h])], dtype=object) for h in headings}
    evidence = {h: marks_in(cells) for h, cells in columns.items() if len(cells)}
    try:
        mark = mark_of_table(evidence, separator)
    except ScanweaveError as error:
        return [f"{error.where}: {error.reason}, so the column is no column of numbers"]
    changed = dict[str, list[str]]()
    for heading, one in evidence.items():
        if one.marks or (mark and one.doubtful):
            cells, _, what = pointed(columns[heading], None if one.marks else mark)
            written = dict(zip(columns[heading], cells, strict=True))
            for row in rows if what else ():
                row[heading] = written.get(row[heading], row[heading])
            for words in what:
                changed.setdefault(words, []).append(heading)
    return [f"{', '.join(names)}: {words}" for words, names in changed.items()]


def pointed(cells: pd.Series, decimal: str | None) -> tuple[pd.Series, str | None, list[str]]:
    """Return numbers with a decimal point and nothing between thousands.

    Args:
        cells: Texts.
        decimal: What stands before decimals, if it is known: `2.610` and `3,512` alone do not tell.

    Returns:
        The cells, what stands before decimals if they tell, and what was changed.
    """
    grouped, comma = cells.str.fullmatch(_GROUPED), cells.str.fullmatch(_COMMA)
    points = cells.str.fullmatch(_POINTS)
    if decimal is None:
        marks = marks_in(cells, 0).marks
        decimal = "." if "." in marks else "," if marks else None
    if decimal == "," and (points | comma).any():
        told = "points between thousands taken out, " if points.any() else ""
        plain = cells.mask(points, cells.str.replace(".", "")).str.replace(",", ".")
        return cells.mask(points | comma, plain), decimal, [f"{told}decimal commas read as points"]
    if decimal != "," and grouped.any():
        return cells.mask(grouped, cells.str.replace(",", "")), decimal, ["commas between thousands taken out"]
    return cells, decimal, []
