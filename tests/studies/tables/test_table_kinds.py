"""One table in every kind of file is one cohort; what stands round a table of text is no part of it."""

import datetime
import gzip
import struct
import sys

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.layouts import import_cohort
from scanweave.studies.tables.reading import read_any_table
from scanweave.studies.tables.schema import read_schema

pyreadstat = pytest.importorskip("pyreadstat")
HEADER = ["id", "steatosis", "age", "smokes", "seen"]
ROWS = [
    [f"P{i:02d}", ["None", "Mild", "Severe", "n/a"][i % 4], 40 + i * 7 % 31, i % 3 == 0, f"2020-03-{i + 1:02d}"]
    for i in range(24)
]


def old_excel(path, rows):
    """A sheet as Excel 2 wrote it: records of labels and numbers."""
    parts = [struct.pack("<HHHH", 9, 4, 2, 16)]
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            place = struct.pack("<HH3x", r, c)
            if isinstance(cell, str):
                parts.append(struct.pack("<HH", 4, 8 + len(cell)) + place + bytes([len(cell)]) + cell.encode("ascii"))
            else:
                parts.append(struct.pack("<HH", 3, 15) + place + struct.pack("<d", float(cell)))
    path.write_bytes(b"".join(parts) + struct.pack("<HH", 10, 0))


def write(path, kind):
    frame = pd.DataFrame(ROWS, columns=HEADER)
    if kind == "xls":
        old_excel(path, [HEADER, *([*row[:3], "TRUE" if row[3] else "FALSE", row[4]] for row in ROWS)])
    elif kind == "xlsx":
        book = openpyxl.Workbook()
        for row in [HEADER, *([*row[:4], datetime.date.fromisoformat(row[4])] for row in ROWS)]:
            book.active.append(row)
        book.save(path)
    elif kind == "parquet":
        frame.assign(seen=pd.to_datetime(frame["seen"])).to_parquet(path)
    elif kind in ("sav", "dta"):
        frame = frame.assign(smokes=frame["smokes"].map({True: "TRUE", False: "FALSE"}))
        (pyreadstat.write_sav if kind == "sav" else pyreadstat.write_dta)(frame, str(path))
    else:
        text = frame.to_csv(index=False, sep={"tsv": "\t"}.get(kind, ","))
        path.write_bytes(gzip.compress(text.encode()) if kind == "csv.gz" else text.encode())


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "tsv", "xlsx", "xls", "parquet", "sav", "dta"])
def test_one_table_is_one_cohort(tmp_path, kind):
    write(tmp_path / f"t.{kind}", kind)
    cohort = import_cohort(tmp_path / f"t.{kind}", tmp_path / "cohort", say=lambda line: None)
    known = {c.source: (c.role, c.kind, c.categories, c.missing) for c in read_schema(cohort.folder).columns}
    assert known == {
        "id": ("patient", "identifier", (), 0),
        "steatosis": ("feature", "category", ("Mild", "None", "Severe"), 6),
        "age": ("feature", "number", (), 0),
        "smokes": ("feature", "category", ("no", "yes"), 0),
        "seen": ("feature", "date", (), 0),
    }
    assert cohort["P05"].table["seen"].date() == datetime.date(2020, 3, 6)
    assert cohort["P05"].table["age"] == 44
    assert "steatosis" not in cohort["P03"].table


MISSING = ["", "NA", "n/a", "NaN", "null", ".", "?", "#N/A", "#DIV/0!", "<NA>"]


@pytest.mark.parametrize("kind", ["csv", "xlsx", "parquet", "sav"])
def test_one_vocabulary_of_missing_values(tmp_path, kind):
    cells = [*MISSING, *["None", "mild"] * 4]
    frame = pd.DataFrame({"id": [f"p{i}" for i in range(len(cells))], "x": cells, "n": [*MISSING, *"12345678"]})
    path = tmp_path / f"t.{kind}"
    if kind == "sav":
        pyreadstat.write_sav(frame, str(path))
    else:
        {"csv": frame.to_csv, "xlsx": frame.to_excel}.get(kind, frame.to_parquet)(path, index=False)
    cohort = import_cohort(path, tmp_path / "cohort", say=lambda line: None)
    columns = {c.name: (c.kind, c.categories, c.missing) for c in read_schema(cohort.folder).columns}
    assert columns["x"] == ("category", ("None", "mild"), len(MISSING))
    assert columns["n"] == ("number", (), len(MISSING))


@pytest.mark.parametrize("kind", ["csv", "xlsx", "parquet"])
def test_a_table_of_images_in_every_kind(tmp_path, kind):
    for name in "abc":
        (tmp_path / f"{name}.nii.gz").write_bytes(b"")
    frame = pd.DataFrame({"case": list("abc"), "t1": ["a.nii.gz", "b.nii.gz", "c.nii.gz"], "age": [30, None, 50]})
    {"csv": frame.to_csv, "xlsx": frame.to_excel, "parquet": frame.to_parquet}[kind](
        tmp_path / f"t.{kind}", index=False
    )
    cohort = import_cohort(tmp_path / f"t.{kind}", tmp_path / "cohort", say=lambda line: None)
    assert cohort.counts() == {"t1": 3}
    assert cohort.frame["table:age"].fillna(0).tolist() == [30, 0, 50]


FORMS = {
    "the separator in the first line": "sep=;\nid;x\na;1,5\nb;2,5\n",
    "the separator in quotes": '"sep=;"\r\nid;x\r\na;1,5\r\nb;2,5\r\n',
    "comments above": "# exported 2020-01-01, by hand\n# second, line\nid,x\na,1.5\nb,2.5\n",
    "comments below and between": "id,x\na,1.5\n# a note\nb,2.5\n# end\n",
    "headings after a mark": "#id,x\na,1.5\nb,2.5\n",
    "comments, then headings after a mark": "## made by y\n#id\tx\na\t1.5\nb\t2.5\n",
    "a byte-order mark": "\ufeffsep=,\nid,x\na,1.5\nb,2.5\n",
    "separators at the end of lines": "id,x,,\na,1.5,,\nb,2.5,,\n",
    "more of them than headings": "id,x\na,1.5,,\nb,2.5,\n",
    "blanks before quotes": 'id, x\n"a", 1.5\n"b", 2.5\n',
}


@pytest.mark.parametrize("name", FORMS)
def test_what_stands_round_a_table_is_no_part_of_it(tmp_path, name):
    (tmp_path / "t.csv").write_text(FORMS[name])
    cohort = import_cohort(tmp_path / "t.csv", tmp_path / "cohort", say=lambda line: None)
    assert [(study.patient, study.table) for study in cohort] == [("a", {"x": 1.5}), ("b", {"x": 2.5})]


HEADINGS = {
    "commas between commas": '"id","Bilirubin, total","Age, years"\na,1.5,30\nb,2.5,40\n',
    "commas between semicolons": 'id;"Bilirubin, total";"Age, years"\na;1,5;30\nb;2,5;40\n',
    "commas without quotes between semicolons": "id;Bilirubin, total;Age, years\na;1,5;30\nb;2,5;40\n",
}


@pytest.mark.parametrize("name", HEADINGS)
def test_headings_may_hold_separators(tmp_path, name):
    (tmp_path / "t.csv").write_text(HEADINGS[name])
    frame = read_any_table(tmp_path / "t.csv").frame
    assert list(frame.columns) == ["id", "Bilirubin, total", "Age, years"]
    cohort = import_cohort(tmp_path / "t.csv", tmp_path / "cohort", say=lambda line: None)
    assert cohort["b"].table == {"bilirubin_total": 2.5, "age_years": 40}


def test_labels_of_values_become_categories_where_all_have_one(tmp_path):
    frame = pd.DataFrame({"id": [f"p{i}" for i in range(8)], "sex": [1.0, 2.0] * 4, "pain": [*range(7), 99.0]})
    labels = {"sex": {1.0: "male", 2.0: "female"}, "pain": {99.0: "unknown"}}
    pyreadstat.write_sav(frame, str(tmp_path / "t.sav"), variable_value_labels=labels)
    lines: list[str] = []
    cohort = import_cohort(tmp_path / "t.sav", tmp_path / "cohort", say=lines.append)
    assert cohort["p0"].table["sex"] == "male"
    assert cohort["p3"].table["pain"] == 3
    assert "pain: some of its values have labels (99 = unknown)" in "\n".join(lines)


@pytest.mark.parametrize(("suffix", "library"), [("sav", "pyreadstat"), ("dta", "pyreadstat"), ("xls", "xlrd")])
def test_an_absent_reader_is_named(tmp_path, monkeypatch, suffix, library):
    write(tmp_path / f"t.{suffix}", suffix)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ScanweaveError, match=r'pip install "scanweave\[tables\]"'):
        read_any_table(tmp_path / f"t.{suffix}")


def test_dates_that_no_calendar_has_are_missing_and_told(tmp_path):
    days = pa.array([2**30, 0, -(2**30), 10] * 3, pa.date32())
    hours = pa.array([2**60, 0, -(2**62), 10] * 3, pa.timestamp("ms"))
    table = {"id": [f"p{i}" for i in range(12)], "day": days, "hour": hours, "x": np.arange(12) % 5}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    lines: list[str] = []
    cohort = import_cohort(tmp_path / "t.parquet", tmp_path / "cohort", say=lines.append)
    assert {c.source: c.missing for c in read_schema(cohort.folder).columns} == {"id": 0, "day": 6, "hour": 6, "x": 0}
    assert "day: 6 dates before year 1 or after 9999 count as missing" in "\n".join(lines)


STRANGE = {
    "records": pa.array([{"a": 1}, {"a": 2}]),
    "lists": pa.array([[1], [2]]),
    "bytes": pa.array([b"a", b"b"]),
    "maps": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
}


@pytest.mark.parametrize("name", STRANGE)
def test_columns_of_other_things_are_refused_by_name(tmp_path, name):
    pq.write_table(pa.table({"id": ["a", "b"], "odd": STRANGE[name]}), tmp_path / "t.parquet")
    with pytest.raises(ScanweaveError, match="column 'odd' holds"):
        read_any_table(tmp_path / "t.parquet")


SENSELESS = {
    "another separator": ("id*age\n" + "".join(f"p{i}*{i}\n" for i in range(9)), "no column is a variable"),
    "names of patients alone": ("id\na\nb\nc\n", "no column is a variable"),
    "names of files": ("id,slide\n" + "".join(f"p{i},s{i % 3}.svs\n" for i in range(9)), "no column is a variable"),
}


@pytest.mark.parametrize("name", SENSELESS)
def test_a_cohort_of_nothing_is_refused(tmp_path, name):
    text, words = SENSELESS[name]
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ScanweaveError, match=words):
        import_cohort(tmp_path / "t.csv", tmp_path / "cohort", say=lambda line: None)
    assert not (tmp_path / "cohort").exists()


def test_names_of_files_are_no_categories(tmp_path):
    (tmp_path / "t.csv").write_text("id,age,slide\n" + "".join(f"p{i},{i * 7 % 9},x/s{i % 3}.svs\n" for i in range(9)))
    lines: list[str] = []
    cohort = import_cohort(tmp_path / "t.csv", tmp_path / "cohort", say=lines.append)
    assert cohort.names("table") == ["age"]
    assert "names files, so no variable" in "\n".join(lines)
