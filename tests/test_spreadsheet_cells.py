"""CSV files that people open in a spreadsheet: no cell is a formula there, and what was written is read back."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanweave.report.saving import save_table
from scanweave.spreadsheet_cells import quoted, read_csv, unquoted, write_csv
from scanweave.studies.boxes import Boxes
from scanweave.studies.formats.table_boxes import read_box_table, write_box_table

FORMULAS = ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\tx", '=HYPERLINK("x")', "＝1+1"]


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_formula_is_written_as_text(tmp_path, cell):
    save_table(pd.DataFrame({"study": ["p"], "answer": [cell], cell: [1.5]}), tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        heading, row = csv.reader(file)
    assert heading[2] == f"'{cell}"
    assert row == ["p", f"'{cell}", "1.5"]


@pytest.mark.parametrize("cell", ["-1.5", "+3", "-inf", "1e-3", "-", "p1", "a=b", "", "'quoted'"])
def test_everything_else_stays(cell):
    assert quoted(cell) == cell


@given(st.text(alphabet="'=+-@\t ab1.", max_size=6))
def test_what_is_read_back_is_what_was_written(text):
    assert unquoted(quoted(text)) == text


def test_a_table_comes_back(tmp_path):
    table = pd.DataFrame({"=class": ["=a", "'=b", "-1", "ok"], "share": [0.5, np.nan, -2.0, 1.0], "n": [1, -2, 3, 4]})
    write_csv(tmp_path / "t.csv", table)
    back = read_csv(tmp_path / "t.csv", dtype={"'=class": str})
    assert back["=class"].tolist() == table["=class"].tolist()
    np.testing.assert_array_equal(back["share"], table["share"])
    assert back["n"].tolist() == table["n"].tolist()


def test_boxes_come_back(tmp_path):
    boxes = Boxes(np.array([[[1.0, 2.0], [3.0, 4.0]]]), ["=finding"], "pixel")
    write_box_table(tmp_path / "boxes.csv", {"@film": boxes})
    text = (tmp_path / "boxes.csv").read_text()
    assert "'@film,'=finding" in text
    found = read_box_table(tmp_path / "boxes.csv", sizes={"@film": (9, 9)})
    assert list(found.boxes) == ["@film"]
    assert list(found.boxes["@film"].labels) == ["=finding"]
