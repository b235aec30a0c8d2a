"""Schema of a clinical table: the meaning of its columns."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from scanweave.errors import ScanweaveError
from scanweave.files import read_json, write_json

FILE = "table.json"
HEADING = re.compile(r"(?P<name>.*\S)\s*[(\[](?P<unit>[^()\[\]]{1,20})[)\]]")
"""A heading with a unit behind its name."""
Role = Literal["patient", "study", "time", "label", "split", "feature", "-"]
Kind = Literal["number", "category", "date", "text", "identifier", "empty"]
ROLES: tuple[Role, ...] = ("patient", "study", "time", "label", "split", "feature", "-")
KINDS: tuple[Kind, ...] = ("number", "category", "date", "text")
ORDERS = ("dmy", "mdy", "ymd")
DECIMALS = {"decimal:comma": ",", "decimal:point": "."}
_ADVICE = "Make the cohort again with: scanweave cohort import TABLE --out COHORT"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Column(_Frozen):
    """One column of a table, as it was understood.

    Attributes:
        source: Its heading in the file.
        name: Its name in the cohort.
        role: What it is for; `-`: left out.
        kind: What its values are.
        unit: Unit of its numbers, empty where none is told.
        categories: Categories in order, of a column of them.
        missing: Rows without a value.
        missing_values: Values that were said to stand for none.
        order: Of day, month and year, if they were numbers.
        decimal: What stands before decimals, if a cell tells.
        notes: What was mended, and what a person should know.
    """

    source: str
    name: str
    role: Role
    kind: Kind
    unit: str = ""
    categories: tuple[str, ...] = ()
    missing: int = 0
    missing_values: tuple[str, ...] = ()
    order: str | None = None
    decimal: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def field(self) -> str | None:
        """Its column in the manifest; None where it has none of its own."""
        if self.role == "label":
            return f"label:{self.name}"
        return f"table:{self.name}" if self.role in ("feature", "time") else None

    def line(self) -> str:
        """Describe it in one line."""
        what = " ".join(filter(None, [self.kind, self.unit and f"[{self.unit}]"]))
        shown = ", ".join(self.categories[:6]) + (" …" if len(self.categories) > 6 else "")
        parts = [self.role if self.role != "-" else "left out", what, shown]
        missing = f"{self.missing} missing" if self.missing else ""
        return f"{self.source or '(no heading)'}: " + " · ".join(filter(None, [*parts, missing, *self.notes]))


class Schema(_Frozen):
    """All columns of a table.

    Attributes:
        format: Version of the file.
        rows: Rows of the table.
        columns: In the order of the file.
    """

    format: Literal[1] = 1
    rows: int
    columns: tuple[Column, ...]

    def of_role(self, role: Role) -> list[Column]:
        """Return the columns of a role."""
        return [column for column in self.columns if column.role == role]

    @property
    def time(self) -> Column | None:
        """The column that tells when a visit was."""
        return next(iter(self.of_role("time")), None)

    def bare(self) -> Schema:
        """Return what another table of the same columns needs: no notes, and no cells of what is left out."""
        return Schema(
            rows=0,
            columns=tuple(
                column.model_copy(
                    update={"notes": (), "missing": 0} | ({"categories": ()} if column.role == "-" else {})
                )
                for column in self.columns
            ),
        )

    def save(self, folder: Path) -> None:
        """Write it beside the manifest."""
        write_json(folder / FILE, self.model_dump(mode="json"))


def read_schema(folder: Path) -> Schema | None:
    """Read the schema of a cohort; None where it came from no clinical table.

    Raises:
        ScanweaveError: The file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        return Schema.model_validate(read_json(path, _ADVICE))
    except ValidationError as error:
        fault = error.errors()[0]
        raise ScanweaveError(path, f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}", _ADVICE) from None


class Said(_Frozen):
    """Statements on a column; None leaves it to inference.

    Attributes:
        role: What it is for.
        kind: What its values are; cells that are not count as missing.
        unit: Of its numbers.
        order: Of day, month and year.
        missing_values: Those that stand for none, such as `-999`.
        name: Of the column in the cohort.
        decimal: What stands before decimals.
        categories: Known ones; capitals, `1.0` for `1` and `true` for `yes` do not tell apart from these.
        known: Whether all of this is known of another cohort: then no cell need be of the kind.
    """

    role: Role | None = None
    kind: Kind | None = None
    unit: str | None = None
    order: str | None = None
    missing_values: tuple[str, ...] = ()
    name: str | None = None
    decimal: str | None = None
    categories: tuple[str, ...] = ()
    known: bool = False


def said_like(folder: Path, say: Callable[[str], None], headings: Sequence[str]) -> dict[str, Said]:
    """Return what a cohort, or a run that was fitted on one, knows of the columns of a table.

    Args:
        folder: Of the cohort or run.
        say: Is told of headings that only one of the two has.
        headings: Of the table.

    Raises:
        ScanweaveError: The folder holds no schema, or a column has another unit.
    """
    schema = read_schema(folder)
    if schema is None:
        raise ScanweaveError("--like", f"{folder} holds no {FILE}", "Name a cohort of a clinical table, or its run")
    there = {column.source: column for column in schema.columns}
    strange = [heading for heading in headings if heading not in there]
    for name in (name for name, column in there.items() if name not in headings and column.role == "feature"):
        near = difflib.get_close_matches(name, strange, n=1)
        _refuse_other_unit(name, near)
        say(f"  absent: '{name}'{f': is it the column {near[0]!r}?' if near else ''}")
    return {
        name: Said(
            role=column.role,
            unit=column.unit,
            kind=column.kind if column.kind in KINDS else None,
            name=column.name,
            order=column.order,
            decimal=column.decimal,
            missing_values=column.missing_values,
            categories=column.categories,
            known=True,
        )
        for name, column in there.items()
        if name in headings
    } | {name: Said(role="-") for name in strange}


def _refuse_other_unit(known: str, near: Sequence[str]) -> None:
    for heading in near:
        mine, other = HEADING.fullmatch(known), HEADING.fullmatch(heading)
        if mine and other and mine["name"].casefold() == other["name"].casefold():
            reason = f"is in {other['unit']}, the run or cohort has it in {mine['unit']}"
            raise ScanweaveError(f"column '{heading}'", reason, f"Convert it, and head it '{known}'")


def parse_columns(text: str | None) -> dict[str, Said]:
    """Parse `"id=patient,visit date=time dmy,bili=number mg/dl,sno.=-"` to what is said of each heading.

    Words are roles (patient, study, time, label, split, feature, -), kinds (number, category, date, text), orders of
    dates (dmy, mdy, ymd), values that stand for none (missing:-999) and what stands before decimals (decimal:comma,
    decimal:point); of a number also its unit, `number mg/dl`. An item whose
    heading has a comma begins with a double quote: `'"Bilirubin, total"=number mg/dl'`.

    Raises:
        ScanweaveError: Not of that form.
    """
    advice = 'Write such as: --columns "id=patient,stage=label category,bili=number mg/dl,row=-"'
    said: dict[str, Said] = {}
    for item in filter(str.strip, chain(*csv.reader((text or "").splitlines(), skipinitialspace=True))):
        heading, equals, value = item.partition("=")
        if not (heading.strip() and equals and value.strip()) or "," in value:
            raise ScanweaveError("--columns", f"'{item.strip()}' is not HEADING=WORDS", advice)
        said[heading.strip()] = _said(value.split())
    return said


def _said(words: Sequence[str]) -> Said:
    fields: dict[str, str] = {}
    marks = [word.lower() for word in words if word.lower().startswith("decimal:")]
    if any(mark not in DECIMALS for mark in marks) or len(set(marks)) > 1:
        raise ScanweaveError("--columns", f"'{marks[0]}' is no decimal mark", f"Write {' or '.join(DECIMALS)}")
    words = [word for word in words if word.lower() not in DECIMALS]
    if marks:
        fields["decimal"] = DECIMALS[marks[0]]
    missing = tuple(word.partition(":")[2] for word in words if word.lower().startswith("missing:"))
    if "" in missing:
        raise ScanweaveError("--columns", "'missing:' names no value", "Write such as missing:-999")
    for word in (word for word in words if not word.lower().startswith("missing:")):
        kinds: Mapping[str, Sequence[str]] = {"role": ROLES, "kind": KINDS, "order": ORDERS}
        name = next((name for name, known in kinds.items() if word.lower() in known), "unit")
        if name == "unit":
            _refuse_strange(word, words)
        fields[name] = f"{fields['unit']} {word}" if name == "unit" and "unit" in fields else word
        if name != "unit":
            fields[name] = word.lower()
    return Said.model_validate({**fields, "missing_values": missing})


def _refuse_strange(word: str, words: Sequence[str]) -> None:
    """Refuse a word that is no role, kind or order, unless it can be the unit of a number."""
    near = difflib.get_close_matches(word.lower(), [*ROLES, *KINDS], n=1, cutoff=0.8)
    if near:
        raise ScanweaveError("--columns", f"'{word}' is no role or kind", f"Did you mean {near[0]}?")
    if "number" not in map(str.lower, words):
        known = ", ".join([*ROLES, *KINDS, *ORDERS, "missing:VALUE", *DECIMALS])
        raise ScanweaveError("--columns", f"'{word}' means nothing", f"Words are {known}, and number UNIT")
