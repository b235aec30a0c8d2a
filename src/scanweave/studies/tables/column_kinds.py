"""Kinds of the values of a column, and the column in that kind: numbers, categories, dates, text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.studies.tables.decimal_marks import (
    LEAST_NUMBER_FRACTION,
    LIMIT,
    Evidence,
    mark_of_table,
    marks_in,
    pointed,
)
from scanweave.studies.tables.missing_words import ABSENT, VOID
from scanweave.studies.tables.schema import Kind, Said

SENTINELS = (-9, -99, -999, -9999, 999, 9999, 99999)
"""Numbers that often stand for a missing value; they are told, not replaced."""
_NUMERIC = (None, "number")
MOSTLY = "say number to count them as missing"
DOUBT = "may stand for missing"
MOST_CATEGORIES = 20
"""Categories of a column, at most; with more it is text."""
_NUMBER = re.compile(r"[-+]?(?:(?:[1-9]\d*|0)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_ISO = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?|\d{4}/\d{1,2}/\d{1,2}"
)
_DAY = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})")
_ORDERS = {"dmy": "%d-%m-%Y", "mdy": "%m-%d-%Y"}


@dataclass(frozen=True, eq=False)
class Values:
    """A column in its kind.

    Attributes:
        kind: What its values are.
        values: Floats, text, or dates; missing ones as NaN, None or NaT.
        notes: What was mended, and what a person should know.
        order: Of day, month and year, of dates in numbers.
        decimal: What stands before decimals, if a cell tells.
    """

    kind: Kind
    values: pd.Series
    notes: tuple[str, ...] = ()
    order: str | None = None
    decimal: str | None = None


def with_decimals(frame: pd.DataFrame, said: Mapping[str, Said], separator: str | None) -> dict[str, Said]:
    """Return what is said of each column, with what stands before decimals in all of the table.

    Args:
        frame: The table.
        said: What is said of columns, by heading.
        separator: What stands between cells, of a table of text.

    Raises:
        ScanweaveError: Numbers can be read in two ways, and nothing in the table says which.
    """
    told = {heading: said.get(heading, Said()) for heading in frame}
    open_ones = {h for h, one in told.items() if one.role not in ("-", "patient", "study") and one.kind in _NUMERIC}
    evidence: dict[str, Evidence] = {}
    for heading in open_ones:
        if frame[heading].dtype == object and told[heading].decimal is None:
            texts = frame[heading].dropna().drop_duplicates().map(_text).dropna()
            evidence[heading] = marks_in(texts[~texts.str.lower().isin(ABSENT)])
    mark = mark_of_table(evidence, separator)
    return {
        heading: one.model_copy(update={"decimal": mark})
        if mark and heading in evidence and not evidence[heading].marks
        else one
        for heading, one in told.items()
    }


def understood(heading: str, column: pd.Series, said: Said) -> Values:
    """Find the kind of a column and convert it; of one that is said to be left out its text.

    Raises:
        ScanweaveError: What the user says of it does not fit, or dates could be read in two ways.
    """
    if said.role == "-":
        return Values("text", column.map(_text).astype(object))
    column, emptied = _emptied(column, said)
    found = _understood(heading, column, said)
    return replace(found, notes=(*emptied, *found.notes))


def _emptied(column: pd.Series, said: Said) -> tuple[pd.Series, tuple[str, ...]]:
    """Return the column without the values that are said to stand for none."""
    if not said.missing_values:
        return column, ()
    texts = column.map(_text).astype(object)
    numbers = pd.to_numeric(pointed(texts.dropna(), said.decimal)[0], errors="coerce").reindex(texts.index)
    notes = []
    for word in said.missing_values:
        meant = texts == word
        if _NUMBER.fullmatch(word):
            meant |= numbers == float(word)
        column = column.mask(meant)
        notes.append(f"{int(meant.sum())} × {word} count as missing")
    return column, tuple(notes)


def _understood(heading: str, column: pd.Series, said: Said) -> Values:
    kind = column.dtype
    if pd.api.types.is_datetime64_any_dtype(kind) and said.kind in (None, "date"):
        return Values("date", column.dt.tz_localize(None) if column.dt.tz is not None else column)
    if pd.api.types.is_bool_dtype(kind) and not said.known:
        return _categories(column.map({True: "yes", False: "no"}).astype(object))
    if pd.api.types.is_numeric_dtype(kind) and said.kind in (None, "number"):
        return _finite(column.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan), column, [])
    texts = column.map(_text).astype(object)
    if texts.isna().all():
        return Values("empty", texts)
    bare = texts.mask(texts.str.lower().isin(ABSENT), None)
    if said.known and not (said.kind in (None, "category", "text") or _fitting(bare, said).any()):
        return Values("empty", bare.mask(bare.notna(), None), tuple(_strange(bare.dropna())))
    if said.kind is not None:
        return _forced(heading, texts if said.kind in ("category", "text") else bare, said)
    if bare.isna().all():
        return Values("empty", bare)
    for convert in (_numbers, _dates):
        found = convert(heading, bare, said)
        if found is not None:
            return found
    return _categories(texts)


def named_as_it_stands(column: pd.Series) -> Values:
    """Return names of patients or studies: no number, no rounding, no joining of capitals."""
    whole = pd.api.types.is_float_dtype(column.dtype) and (column.dropna() % 1 == 0).all()
    texts = (column.astype("Int64") if whole else column).astype(object).map(_text).astype(object)
    return Values("identifier", texts)


def _text(value: object) -> str | None:
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(str(value).split())
    return None if text.lower() in VOID else text


def _forced(heading: str, texts: pd.Series, said: Said) -> Values:
    if said.kind == "category":
        usual = {_plain(known): known for known in said.categories}
        if len(usual) == len(said.categories) > 0:
            meant = texts.map(lambda text: usual.get(_plain(text), text), na_action="ignore")
            texts = meant.astype(object).where(meant.notna(), None)
        return _categories(texts, forced=True)
    if said.kind == "text":
        return Values("text", texts)
    convert = _numbers if said.kind == "number" else _dates
    found = convert(heading, texts, said)
    if found is None:
        example = texts.dropna().iloc[0]
        raise ScanweaveError(f"column '{heading}'", f"does not hold {said.kind}s, such as '{example}'", "Say category")
    return found


def _plain(text: str) -> str:
    """Return a category without what programs change in writing it."""
    text = {"true": "yes", "false": "no"}.get(text.casefold(), text.casefold())
    return f"{float(text):.15g}" if _NUMBER.fullmatch(text) else text


def _numbers(heading: str, texts: pd.Series, said: Said) -> Values | None:
    there, notes = texts.dropna(), list[str]()
    bare = there.str.replace(LIMIT, "", n=1, regex=True)
    limits = there[bare != there]
    below = there.str[0].isin(["<", "≤"])
    if said.kind is None and set(bare[below]) & set(bare[(bare != there) & ~below]):
        return None  # such as <65 and >=65: groups, not limits of detection
    bare, decimal, changed = pointed(bare, said.decimal)
    notes += changed
    fits = bare.str.fullmatch(_NUMBER)
    enough = fits.any() if said.kind == "number" else fits.mean() >= LEAST_NUMBER_FRACTION
    if not enough or (said.kind is None and there.str.fullmatch(r"0\d+").any()):
        return None
    if len(limits):
        notes.append(f"{len(limits)} beyond a limit of detection, such as '{limits.iloc[0]}', taken at it")
    notes += _strange(there[~fits])
    values = pd.to_numeric(bare.where(fits), errors="coerce").reindex(texts.index)
    return replace(_finite(values.to_numpy(dtype=np.float64), texts, notes), decimal=decimal)


def _fitting(cells: pd.Series, said: Said) -> pd.Series:
    """Tell of each cell whether it is of the kind that is said, numbers or dates."""
    there = cells.dropna()
    if said.kind == "number":
        return pointed(there.str.replace(LIMIT, "", n=1, regex=True), said.decimal)[0].str.fullmatch(_NUMBER)
    return there.str.fullmatch(_DAY) | there.str.fullmatch(_ISO)


def _strange(cells: pd.Series) -> list[str]:
    """Return the note on cells that do not fit and count as missing."""
    if cells.empty:
        return []
    shown = ", ".join(f"'{cell[:20]}'" for cell in cells.unique()[:3])
    return [f"{len(cells)} cells count as missing: {shown}"]


def _finite(values: np.ndarray, like: pd.Series, notes: list[str]) -> Values:
    infinite = int(np.isinf(values).sum())
    if infinite:
        notes = [*notes, f"{infinite} infinite values count as missing"]
    values = np.where(np.isfinite(values), values, np.nan)
    known = values[~np.isnan(values)]
    rest = known[~np.isin(known, SENTINELS)]
    for code in SENTINELS:
        number = int((known == code).sum())
        if number and len(rest) > 1 and not rest.min() - np.ptp(rest) <= code <= rest.max() + np.ptp(rest):
            notes = [*notes, f"{number} × {code:g} {DOUBT}: say missing:{code:g} if so"]
    return Values("number" if len(known) else "empty", pd.Series(values, index=like.index), tuple(notes))


def _dates(heading: str, texts: pd.Series, said: Said) -> Values | None:
    there = texts.dropna()
    parts = there.str.extract(_DAY)
    numeric, iso = parts[0].notna(), there.str.fullmatch(_ISO)
    if not ((numeric | iso).any() if said.kind == "date" else (numeric | iso).mean() >= LEAST_NUMBER_FRACTION):
        return None
    order = said.order
    if numeric.any() and order not in _ORDERS:
        order = _day_order(heading, parts[numeric])
    known = pd.Series(pd.NaT, index=texts.index, dtype="datetime64[us]")
    if numeric.any():
        joined = parts[0] + "-" + parts[2] + "-" + parts[3]
        read = pd.to_datetime(joined[numeric], format=_ORDERS[str(order)], errors="coerce")
        known.loc[read.index] = read.astype("datetime64[us]")
    if iso.any():
        read = pd.to_datetime(there[iso], format="mixed", errors="coerce", utc=True).dt.tz_localize(None)
        known.loc[read.index] = read.astype("datetime64[us]")
    return Values("date", known, tuple(_strange(there[known[there.index].isna()])), order)


def _day_order(heading: str, parts: pd.DataFrame) -> str:
    """Tell whether day or month comes first; never guessed."""
    first, second = parts[0].astype(int).max(), parts[2].astype(int).max()
    if first > 12 >= second:
        return "dmy"
    if second > 12 >= first:
        return "mdy"
    day, mark, month, year = parts.iloc[0]
    raise ScanweaveError(
        f"column '{heading}'",
        f"dates such as '{day}{mark}{month}{mark}{year}' can be read in two ways",
        f"Say which by --columns '{heading}=date dmy' (or mdy)",
    )


def _usual_spellings(folded: pd.Series, there: pd.Series) -> dict[str, str]:
    """The most frequent spelling of each text, the first of equally frequent ones."""
    most: dict[str, tuple[str, int]] = {}
    for (text, spelling), number in Counter(zip(folded, there, strict=True)).items():
        if text not in most or number > most[text][1]:
            most[text] = spelling, number
    return {text: spelling for text, (spelling, _) in most.items()}


def _categories(texts: pd.Series, forced: bool = False) -> Values:
    there = texts.dropna()
    if not forced and set(there.str.casefold()) <= {"true", "false"}:  # as text and as what other readers make of it
        there = there.str.casefold().map({"true": "yes", "false": "no"})
    folded = there if forced else there.str.casefold()
    usual = _usual_spellings(folded, there)
    merged = there.nunique() - len(usual)
    notes = (f"{merged} spellings that differ in capitals only were joined",) if merged else ()
    numbers = _fitting(there, Said(kind="number"))
    if not forced and 0.5 <= numbers.mean() < LEAST_NUMBER_FRACTION:
        left = there[~numbers]
        notes = (*notes, f"{len(left)} of {len(there)} cells are no number, such as '{left.iloc[0][:20]}': {MOSTLY}")
    values = folded.map(usual).reindex(texts.index).astype(object)
    values = values.where(values.notna(), None)
    distinct = len(usual)
    if not forced and distinct == len(there) and len(there) >= 5:
        return Values("identifier", values, notes)
    if not forced and (distinct > MOST_CATEGORIES and distinct > 0.05 * len(there)):
        return Values("text", values, notes)
    return Values("category", values, notes)
