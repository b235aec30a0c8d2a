"""A clinical table as a cohort: one row a visit, each a study; what every column is, told and overridable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.files import file_sha256, real_path
from scanweave.studies.cohort import ABOUT, Cohort, safe_id
from scanweave.studies.layouts.names import slug
from scanweave.studies.split_words import numbers_folds, parts_of, says_split
from scanweave.studies.tables.column_kinds import MOSTLY, Values, named_as_it_stands, understood, with_decimals
from scanweave.studies.tables.file_names import are_files
from scanweave.studies.tables.missing_words import is_void
from scanweave.studies.tables.reading import cell_text, read_any_table
from scanweave.studies.tables.schema import HEADING, Column, Role, Said, Schema, said_like
from scanweave.wording import count, listed, nearest, studies

PATIENTS = (
    "patient",
    "patient_id",
    "patientid",
    "patno",
    "subject",
    "subject_id",
    "subjid",
    "usubjid",
    "participant",
    "participant_id",
    "pid",
    "patient_no",
    "patient_nr",
    "patient_number",
    "patienten_nr",
    "patientennummer",
    "pat_id",
    "patid",
    "pat_nr",
    "randid",
    "mrn",
    "case_id",
    "rid",
    "id",
)
STUDIES = ("study", "study_id", "visit_id", "exam_id", "accession")
TIMES = (
    "visit_date",
    "exam_date",
    "date",
    "visit_time",
    "test_time",
    "time",
    "visit",
    "year",
    "years",
    "month",
    "months",
    "day",
    "days",
    "week",
    "period",
)
LABELS = ("label", "outcome", "target", "class")
MARK = 4
"""Characters of a file's hash in the names of its rows, by which those of two files are told apart."""
Say = Callable[[str], None]


def import_table(
    src: str | Path,
    out: str | Path,
    *,
    columns: Mapping[str, Said] | None = None,
    like: str | Path | None = None,
    sheet: str | None = None,
    name: str | None = None,
    features: Mapping[str, Mapping[str, float]] | None = None,
    say: Say = print,
) -> Cohort:
    """Make a cohort in the folder `out` of a clinical table; the table itself stays where it is.

    Args:
        src: A CSV, TSV, Parquet or Excel file with headings, one row a patient or visit.
        out: A new folder.
        columns: What the user says of columns, by heading; the rest is inferred.
        like: A cohort, or a run that was fitted on one, that knows what the columns are.
        sheet: Which sheet of an Excel file.
        name: Name of the cohort; that of the file if not given.
        features: Further numbers of each patient by column, such as `run_features` makes of images.
        say: Takes a line for each column, and what was mended.

    Raises:
        ScanweaveError: The table is at fault, or a heading is not in it.
    """
    src = Path(src)
    table = read_any_table(src, sheet)
    frame = table.frame
    joined = {name for own in (features or {}).values() for name in own}
    taken = said_like(Path(like), say, [*frame.columns, *joined]) if like else {}
    said = _said(list(frame.columns), taken, columns or {}, joined)
    known = with_decimals(frame, said, table.separator)
    values = {heading: understood(heading, frame[heading], known[heading]) for heading in frame.columns}
    _refuse_idle_words(frame, values, columns or {})
    useless = _no_variables(values)
    values |= {h: replace(values[h], notes=(*values[h].notes, words)) for h, words in useless.items()}
    roles = _roles(frame, values, said, useless)
    values = {h: named_as_it_stands(frame[h]) if roles[h] in ("patient", "study") else v for h, v in values.items()}
    described = _described(values, roles, known)
    spoilt = next((c.source for c in described if c.role in ("patient", "study") and c.missing_values), None)
    if spoilt is not None:
        raise ScanweaveError("--columns", f"'{spoilt}' names who a row is of, and misses nothing", "Leave out missing:")
    rows = _rows(src, frame, values, described)
    if features:
        described += _joined(src, rows, described, features, say)
    else:
        _refuse_no_variable(src, described)
    root = str(real_path(src).parent)
    if not any(
        (Path(out) / name).exists() for name in (ABOUT, "run.json")
    ):  # else the next line refuses; cohort.json comes last, when all is there
        Schema(rows=len(frame), columns=tuple(described)).save(Path(out))
    cohort = Cohort.create(out, rows, root=root, name=name or real_path(out).name, source=src.name, layout="records")
    _tell(cohort, described, table.notes, say)
    if not like:
        _ask(described, say)
    return cohort


def _said(
    headings: Sequence[str], taken: Mapping[str, Said], columns: Mapping[str, Said], joined: set[str]
) -> dict[str, Said]:
    """Return what is said of columns, by the user on top of what is taken over; those that are joined later left out.

    Raises:
        ScanweaveError: The table has no column of a heading.
    """
    said = {heading: told for heading, told in taken.items() if heading not in joined - {*headings}}
    for heading, told in columns.items():
        said[heading] = said.get(heading, Said()).model_copy(update=told.model_dump(exclude_defaults=True))
    unknown = next((heading for heading in said if heading not in headings), None)
    if unknown is not None:
        raise ScanweaveError("--columns", f"the table has no column '{unknown}'", nearest(unknown, headings))
    return said


def _refuse_no_variable(src: Path, described: Sequence[Column]) -> None:
    if not any(column.role in ("feature", "label") for column in described):
        shown = listed((column.source for column in described), 3)
        step = "Check the separator and the headings, or say what a column is: --columns 'HEADING=feature'"
        raise ScanweaveError(src, f"no column is a variable or a label (its columns: {shown})", step)


def _joined(
    src: Path,
    rows: Sequence[dict[str, Any]],
    described: Sequence[Column],
    features: Mapping[str, Mapping[str, float]],
    say: Say,
) -> list[Column]:
    """Add the numbers of each patient to his rows, and return what the new columns are."""
    patients = {str(row["patient"]) for row in rows}
    there = patients & set(features)
    names = sorted({name for patient in there for name in features[patient]})
    if not names:
        step = "Name the patient's column, --columns 'HEADING=patient', or the cohort of their images, --images COHORT"
        raise ScanweaveError(src, "none of its patients is described by the runs", step)
    taken = next((column.name for column in described if column.name in names), None)
    if taken is not None:
        raise ScanweaveError(src, f"has a column '{taken}' itself", f"Leave it out: --columns '{taken}=-'")
    for row in rows:
        own = features.get(str(row["patient"]), {})
        row.update({f"table:{name}": own.get(name) for name in names})
    say(f"features: {len(names)} of each of {len(there)} of {count(len(patients), 'patient')}")
    missing = {name: sum(row[f"table:{name}"] is None for row in rows) for name in names}
    return [Column(source=name, name=name, role="feature", kind="number", missing=missing[name]) for name in names]


def _refuse_idle_words(frame: pd.DataFrame, values: Mapping[str, Values], columns: Mapping[str, Said]) -> None:
    """Refuse words of the user's that nothing in their column needs."""
    for heading, told in columns.items():
        typed = pd.api.types.is_numeric_dtype(frame[heading].dtype) or pd.api.types.is_datetime64_any_dtype(
            frame[heading]
        )
        kind = values[heading].kind
        if told.role == "-" and told.model_dump(exclude_defaults=True, exclude={"role"}):
            idle, why = "what is said beside it", "the column is left out"
        elif told.order and kind != "empty" and (typed or kind != "date"):
            idle, why = told.order, "its dates are dates already" if kind == "date" else "it holds no dates"
        elif told.decimal and kind != "empty" and (typed or kind != "number"):
            idle, why = "decimal:", "its numbers are numbers already" if kind == "number" else "it holds no numbers"
        else:
            continue
        raise ScanweaveError("--columns", f"'{heading}': {idle} has no effect, since {why}", "Leave it out")


def _no_variables(values: Mapping[str, Values]) -> dict[str, str]:
    """Columns that look like variables and are none, unless the user says so, and why."""
    found = {h: "numbers folds, so no variable" for h in values if numbers_folds(h)}
    listed = (h for h, one in values.items() if one.kind == "category" and are_files(one.values.dropna()))
    return found | dict.fromkeys(listed, "names files, so no variable")


def _roles(
    frame: pd.DataFrame, values: Mapping[str, Values], said: Mapping[str, Said], useless: Mapping[str, str]
) -> dict[str, Role]:
    roles: dict[str, Role] = {heading: told.role for heading, told in said.items() if told.role is not None}
    usable = {h: v for h, v in values.items() if v.kind in ("number", "category")}
    timed = {h: v for h, v in values.items() if v.kind in ("number", "date")}
    named: list[tuple[Role, Mapping[str, Values], Sequence[str]]] = [
        ("patient", values, PATIENTS),
        ("study", values, STUDIES),
        ("time", timed, TIMES),
        ("label", usable, LABELS),
    ]
    for role, offered, words in named:
        found = None if role in roles.values() else _first(offered, words, roles)
        if found is not None and (role != "time" or _tells_visits(values, roles, found)):
            roles[found] = role
    for heading in values:
        if heading not in roles and says_split(heading, _texts(frame[heading])):
            roles[heading] = "split"
    _refuse_claimed_twice(roles)
    for heading, one in values.items():
        if heading not in roles:
            learnable = one.kind in ("number", "category", "date") and bool(heading) and not _counts_rows(one)
            roles[heading] = "feature" if learnable and heading not in useless else "-"
    return roles


def _texts(column: pd.Series) -> list[str]:
    """The different cells of a column that are not missing."""
    return [text for text in map(cell_text, column.drop_duplicates()) if not is_void(text)]


def _refuse_claimed_twice(roles: Mapping[str, Role]) -> None:
    for one in ("patient", "study", "time", "split"):
        claimed = [heading for heading, role in roles.items() if role == one]
        if len(claimed) > 1:
            raise ScanweaveError("--columns", f"'{claimed[0]}' and '{claimed[1]}' are both {one}", "Name one of them")


def _first(values: Mapping[str, Values], known: Sequence[str], taken: Mapping[str, Role]) -> str | None:
    """Return the first heading that is one of the known words, in the order of these."""
    named = {slug(heading): heading for heading in reversed(list(values)) if heading not in taken}
    return next((named[word] for word in known if word in named), None)


def _tells_visits(values: Mapping[str, Values], roles: Mapping[str, Role], time: str) -> bool:
    """Tell whether patients have several rows and no two at the same time."""
    patient = next((heading for heading, role in roles.items() if role == "patient"), None)
    if patient is None:
        return False
    there = pd.DataFrame({"patient": values[patient].values, "time": values[time].values}).dropna()
    return bool(there["patient"].duplicated().any()) and not there.duplicated().any()


def _counts_rows(one: Values) -> bool:
    """Tell whether a column only numbers the rows."""
    numbers = one.values
    if one.kind != "number" or len(numbers) < 10 or numbers.isna().any():
        return False
    return bool((np.diff(numbers.to_numpy()) == 1).all())


def _described(values: Mapping[str, Values], roles: Mapping[str, Role], said: Mapping[str, Said]) -> list[Column]:
    split = {heading: HEADING.fullmatch(heading) for heading in values}
    short = {h: slug(found["name"] if found else h) or "column" for h, found in split.items()}
    described, taken = list[Column](), {told.name for heading, told in said.items() if told.name and heading in values}
    for heading, one in values.items():
        clash = list(short.values()).count(short[heading]) > 1
        name = slug(heading) or "column" if clash else short[heading]
        number = 2
        if (kept := said.get(heading, Said()).name) is not None:
            taken.discard(kept)  # such names are each of one column, and nobody else's
            name = kept
        while name in taken:
            name, number = f"{slug(heading)[:36]}_{number}", number + 1
        taken.add(name)
        found, known = split[heading], said.get(heading, Said())
        unit = (
            known.unit
            if known.unit is not None
            else (found["unit"] if found and not clash and one.kind == "number" else "")
        )
        categories = tuple(sorted(one.values.dropna().unique())) if one.kind == "category" else ()
        described.append(
            Column(
                source=heading,
                name=name,
                role=roles[heading],
                kind=one.kind,
                unit=unit,
                categories=categories,
                missing=int(one.values.isna().sum()),
                notes=one.notes,
                missing_values=known.missing_values,
                order=one.order or known.order,
                decimal=one.decimal or known.decimal,
            )
        )
    return described


def _rows(
    src: Path, frame: pd.DataFrame, values: Mapping[str, Values], described: Sequence[Column]
) -> list[dict[str, Any]]:
    """Return rows of the manifest: visits numbered within their patient, in the order of time where it is known."""
    by_role = {column.role: column.source for column in described}
    number = len(next(iter(values.values())).values)
    table = pd.DataFrame(index=range(number))
    patient = by_role.get("patient")
    owner = (
        _named(values[patient].values)
        if patient
        else pd.Series([f"row-{file_sha256(src)[:MARK]}-{i:0{len(str(number))}d}" for i in range(1, number + 1)])
    )
    nobody = owner.isna()
    if nobody.any():
        row = int(nobody.to_numpy().argmax())
        raise ScanweaveError(src, f"row {row + 2} has no {patient}", "Name whom every row belongs to")
    table["patient"] = owner.map(safe_id)
    time, study, named = by_role.get("time"), by_role.get("study"), None
    if study:
        named = _named(values[study].values)
        if named.isna().any() or named.duplicated().any():
            raise ScanweaveError(src, f"column '{study}' does not name each row once", f"Say --columns '{study}=-'")
        table.insert(0, "study", named.map(safe_id))
    else:
        order = table.assign(time=values[time].values if time else 0).sort_values("time", kind="stable").index
        visit = table["patient"].loc[order].groupby(table["patient"].loc[order]).cumcount().reindex(table.index) + 1
        single = not table["patient"].duplicated().any()
        names = table["patient"] if single else table["patient"] + visit.map("-v{:02d}".format)
        table.insert(0, "study", names)
    fields = {c.field: values[c.source].values for c in described if c.field is not None and c.kind != "empty"}
    if "split" in by_role:
        heading = by_role["split"]
        cells = [None if is_void(text) else text for text in map(cell_text, frame[heading])]
        fields["split"] = pd.Series(parts_of(src, heading, cells), dtype=object)
    for whose, own in (("study", named), ("patient", owner)):
        if own is not None and not own.equals(own.map(safe_id)):
            fields[f"{whose}_name"] = own
    return pd.concat([table, pd.DataFrame(fields)], axis=1).pipe(_plain)


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows of plain values; whole numbers as such, so that a label of 0 and 1 reads so."""
    whole = {column: table[column].astype("Int64") for column in table if _is_whole(table[column])}
    made = table.assign(**whole).astype(object)
    return made.where(made.notna(), None).to_dict("records")


def _is_whole(column: pd.Series) -> bool:
    numbers = column.dropna()
    return bool(
        pd.api.types.is_float_dtype(column.dtype) and (numbers % 1 == 0).all() and (numbers.abs() < 2**53).all()
    )


def _named(column: pd.Series) -> pd.Series:
    """Return names of patients or studies as text; `7.0` is `7`."""

    def name(value: Any) -> str | None:
        if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
            return None
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    return column.map(name).astype(object)


def _tell(cohort: Cohort, described: Sequence[Column], notes: Sequence[str], say: Say) -> None:
    say(f"{studies(len(cohort))} of {count(len(cohort.patients), 'patient')} from a clinical table")
    for note in notes:
        say(f"  note: {note}")
    for column in described:
        say(f"  {column.line()}")
    doubtful = [column.source for column in described if any(note.endswith(MOSTLY) for note in column.notes)]
    if doubtful:
        say(f"  look at {', '.join(doubtful)}: numbers but for some cells, and so not taken for numbers")


def _ask(described: Sequence[Column], say: Say) -> None:
    """Name what only the user can know."""
    dates = [column.source for column in described if column.role == "feature" and column.kind == "date"]
    if len(dates) == 1 and not any(column.role == "time" for column in described):
        say(f"  no column tells when a visit was: is it '{dates[0]}'? Then say --columns '{dates[0]}=time'")
    if not any(column.role == "label" for column in described):
        say("  no label: name one by --columns 'HEADING=label', or at the fit by --label NAME")
    if not any(column.role == "patient" for column in described):
        say("  no column names the patients, so each row is one: say who by --columns 'HEADING=patient'")
