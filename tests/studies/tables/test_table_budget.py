"""The size of a table is judged before it fills the memory, whatever packs it."""

import gzip
import io
import os
import zipfile

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.checks.cohort_check import check_all
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats import header_limits
from scanweave.studies.formats.parquet_files import read_arrow
from scanweave.studies.tables import workbooks
from scanweave.studies.tables.reading import read_any_table

psutil = pytest.importorskip("psutil")
BUDGET_BYTES = 48 * 2**20
"""Of the program in these tests, of which a table may take a sixth: 8 MiB."""


@pytest.fixture(autouse=True)
def small_budget(monkeypatch):
    monkeypatch.setattr(header_limits, "MEMORY_BUDGET", BUDGET_BYTES)


def one_text_many_times(path):
    words = pa.array(["x" * 2000]).take(pa.array([0] * 200_000))
    pq.write_table(pa.table({"id": words, "x": words}), path)


def many_rows_of_nothing(path):
    pq.write_table(pa.table({"x": pa.nulls(10**7, pa.int8())}), path)


def packed_text(path):
    path.write_bytes(gzip.compress(b"id,x\n" + b"a,1\n" * 2**22))


def packed_blanks(path):
    path.write_bytes(gzip.compress(b"id,x\n" + b"\n" * 2**26))


def one_long_line(path):
    path.write_bytes(gzip.compress(b"id" + b"x" * 2**26))


def sheet(path, xml):
    stream = io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["id", "x"])
    book.save(stream)
    with zipfile.ZipFile(stream) as whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name in whole.namelist():
            made.writestr(name, xml if "sheet1" in name else whole.read(name))


HEAD = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'


def packed_sheet(path):
    rows = '<row><c t="n"><v>1</v></c></row>' * 10**6
    sheet(path, f"{HEAD}<sheetData>{rows}</sheetData></worksheet>")


def far_cell(path):
    rows = '<row r="1"><c r="XFD1" t="n"><v>1</v></c></row><row r="9000"><c r="A9000" t="n"><v>1</v></c></row>'
    sheet(path, f"{HEAD}<sheetData>{rows}</sheetData></worksheet>")


LARGE = {
    "parquet: one text many times": ("t.parquet", one_text_many_times),
    "parquet: rows of nothing": ("t.parquet", many_rows_of_nothing),
    "text: packed": ("t.csv.gz", packed_text),
    "text: packed blanks": ("t.csv.gz", packed_blanks),
    "text: one line": ("t.csv.gz", one_long_line),
    "excel: packed": ("t.xlsx", packed_sheet),
    "excel: a cell far out": ("t.xlsx", far_cell),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_small_file_of_a_large_table_is_refused(tmp_path, name):
    file, make = LARGE[name]
    make(tmp_path / file)
    assert (tmp_path / file).stat().st_size < 2**21
    process = psutil.Process()
    before = process.memory_info().rss
    with pytest.raises(ScanweaveError, match=r"takes more than the 8 MiB|unpacks to"):
        read_any_table(tmp_path / file)
    assert process.memory_info().rss - before < 10 * BUDGET_BYTES


def test_a_row_that_no_sheet_has_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(workbooks, "MOST_ROWS", 1000)
    rows = '<row r="1"><c r="A1" t="n"><v>1</v></c></row><row r="2000000000"><c t="n"><v>1</v></c></row>'
    sheet(tmp_path / "t.xlsx", f"{HEAD}<sheetData>{rows}</sheetData></worksheet>")
    with pytest.raises(ScanweaveError, match="claims more than 1000 rows, which no sheet has"):
        read_any_table(tmp_path / "t.xlsx")


@pytest.mark.parametrize("name", ["manifest.parquet", "check.parquet"])
def test_what_a_cohort_unpacks_to_is_judged_before_it_is(tmp_path, name):
    rows = [{"study": f"s{i}", "patient": f"p{i}", "label:x": "y"} for i in range(3)]
    cohort = Cohort.create(tmp_path / "c", rows, root=".", name="c", source="s", layout="table")
    check_all(cohort)
    path = cohort.folder / name
    metadata = pq.read_schema(path).metadata
    whole = pq.read_table(path).take(pa.array([0] * 10**6)).append_column("x", pa.array(["x" * 200]).take([0] * 10**6))
    pq.write_table(whole.replace_schema_metadata(metadata), path, use_dictionary=True)
    assert path.stat().st_size < 2**21
    process = psutil.Process()
    before = process.memory_info().rss
    said = []
    if name == "manifest.parquet":
        with pytest.raises(ScanweaveError, match="takes more than the 8 MiB"):
            Cohort.open(cohort.folder)
    else:
        assert len(check_all(cohort, say=said.append).studies) == 3
        assert any("takes more than the 8 MiB" in line for line in said)
    assert process.memory_info().rss - before < 10 * BUDGET_BYTES


@pytest.mark.parametrize("name", ["manifest.parquet", "table.parquet"])
def test_bytes_that_are_no_text_are_refused(tmp_path, name):
    rows = [{"study": f"s{i}", "patient": f"p{i}", "label:x": "abcdefgh"} for i in range(3)]
    cohort = Cohort.create(tmp_path / "c", rows, root=".", name="c", source="s", layout="table")
    table = pq.read_table(cohort.folder / "manifest.parquet")
    path = cohort.folder / name
    pq.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)
    path.write_bytes(path.read_bytes().replace(b"abcdefgh", b"abc\xff\xfefgh"))
    with pytest.raises(ScanweaveError, match=rf"{name}: not a readable Parquet file .*UTF8"):
        Cohort.open(cohort.folder) if name.startswith("manifest") else read_any_table(path)


def test_texts_of_all_kinds_of_a_parquet_file_are_read(tmp_path):
    words = ["a", None, "a", "b"]
    kinds = {"s": pa.string(), "l": pa.large_string(), "v": pa.string_view()}
    made = {name: pa.array(words, kind) for name, kind in kinds.items()}
    made |= {"d": pa.array(words).dictionary_encode(), "n": pa.array([1, 2, None, 4])}
    pq.write_table(pa.table(made), tmp_path / "t.parquet")
    read = read_arrow(tmp_path / "t.parquet")
    assert read.to_pydict() == pa.table(made).to_pydict()
    assert [read.schema.field(name).type for name in "slv"] == [pa.string(), pa.large_string(), pa.large_string()]
    assert read_arrow(tmp_path / "t.parquet", ["s", "n"]).to_pydict() == {"s": words, "n": [1, 2, None, 4]}


def test_what_a_sheet_claims_is_not_believed(tmp_path):
    rows = '<row r="1"><c r="A1" t="inlineStr"><is><t>x</t></is></c></row><row r="2"><c r="A2" t="n"><v>1</v></c></row>'
    sheet(tmp_path / "t.xlsx", f'{HEAD}<dimension ref="A1:XFD1048576"/><sheetData>{rows}</sheetData></worksheet>')
    assert read_any_table(tmp_path / "t.xlsx").frame.to_dict("list") == {"x": [1]}


def test_the_first_rows_of_a_large_table_can_be_read(tmp_path):
    packed_text(tmp_path / "t.csv.gz")
    assert len(read_any_table(tmp_path / "t.csv.gz", most_rows=50).frame) == 50


def test_a_pipe_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(ScanweaveError, match="no plain file"):
        read_any_table(tmp_path / "t.csv")
