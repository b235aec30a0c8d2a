"""Kinds of columns: one table that cohort, check, import and show loop over."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from scanweave.cli.cohort import CheckCohort, ShowCohort
from scanweave.errors import ScanweaveError
from scanweave.external import resolve
from scanweave.studies.checks.cohort_check import check_cohort, check_study
from scanweave.studies.cohort import Cohort
from scanweave.studies.columns import KINDS, cells, columns_of, file_cells, parse_column
from scanweave.studies.study import Study


def test_headings_are_read_as_they_are_written():
    for heading in ("scan:t1", "mask:lesion", "label:grade", "text:findings", "report", "boxes", "table:a:b"):
        column = parse_column(heading)
        assert column is not None
        assert column.heading == heading
    for heading in ("study", "patient", "split", "scan", "report:x", "boxes:x", "scan:", "other:x", 7):
        assert parse_column(heading) is None


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_every_kind_can_do_what_its_row_says(kind):
    assert kind.field in Study.__dataclass_fields__
    for path in (kind.gather, kind.reader, kind.check, kind.writer):
        assert path is None or callable(resolve(path))
    assert kind.files == (kind.reader is not None)
    assert (kind.writer is None) == (kind.file is None)


def test_empty_cells_are_absent():
    row = {
        "study": "s",
        "scan:t1": "a.nii",
        "scan:t2": None,
        "table:age": float("nan"),
        "label:x": 0,
        "report": "r.txt",
    }
    assert {column.heading: value for column, value in cells(row)} == {
        "scan:t1": "a.nii",
        "label:x": 0,
        "report": "r.txt",
    }
    assert file_cells(row) == {"scan:t1": "a.nii", "report": "r.txt"}
    assert [column.name for column in columns_of(row, "scan")] == ["t1", "t2"]


def cohort(folder, rows, **files):
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    nib.save(
        nib.Nifti1Image(np.random.default_rng(1).normal(size=(9, 9, 9)), np.diag([9, 9, 9, 1])), folder / "a.nii.gz"
    )
    return Cohort.create(folder, rows, root=".", name="c", source="test", layout="table")


def test_names_and_counts_by_kind(tmp_path):
    rows = [
        {"study": "a", "patient": "a", "table:age": 3, "mask:m": None, "scan:t1": "a.nii.gz", "report": "r.txt"},
        {"study": "b", "patient": "b", "table:age": 4, "mask:m": None, "scan:t1": None, "text:findings": "clear"},
    ]
    made = cohort(tmp_path, rows, r_txt="no lesion")
    assert made.names() == ["t1"]
    assert (made.names("mask"), made.names("report"), made.counts("text")) == ([], ["report"], {"findings": 1})
    assert [column.heading for column in made.present()] == ["scan:t1", "report", "text:findings", "table:age"]
    assert made["a"].report.text == "no lesion"
    assert made["b"].report.text == "FINDINGS: clear"
    assert made["b"].report.sections == {"findings": "clear"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[{]", "JSON"),
        ('[{"label": "x", "start": [0, 0], "stop": [1, 1]}]', "not two corners"),
        ('[{"label": "x", "start": [0, 0, 5], "stop": [1, 1, 5]}]', "no extent along z"),
        ("{}", "not a list of boxes"),
    ],
)
def test_check_finds_boxes_that_cannot_be_read(tmp_path, content, words):
    made = cohort(tmp_path, [{"study": "s", "patient": "p", "scan:t1": "a.nii.gz", "boxes": "b.json"}], b_json=content)
    [verdict] = check_cohort(made)
    assert verdict.status == "refused"
    assert words in str(next(f for f in verdict.findings if f.scan == "boxes"))


def test_check_finds_reports_that_cannot_be_read(tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"\xfa\xfb words")
    (tmp_path / "empty.txt").write_text("  \n")

    def kinds(name):
        found = check_study({"study": "s", "patient": "p", "report": name}, tmp_path)
        return {finding.kind: finding.status for finding in found.findings}

    assert kinds("bad.txt") == {"report-unread": "refused"}
    assert kinds("absent.txt") == {"report-unread": "refused"}
    assert kinds("empty.txt") == {"report-empty": "suspect"}


def test_good_boxes_and_reports_are_ok(tmp_path):
    boxes = json.dumps([{"label": "x", "start": [0, 0, 0], "stop": [9, 9, 9]}])
    row = {"study": "s", "patient": "p", "scan:t1": "a.nii.gz", "boxes": "b.json", "report": "r.txt"}
    made = cohort(tmp_path, [row], b_json=boxes, r_txt="ü")
    assert [verdict.status for verdict in check_cohort(made)] == ["ok"]
    assert len(made["s"].boxes) == 1


def test_show_lists_every_kind_of_file_and_the_labels(tmp_path, capsys):
    rows = [{"study": "a", "patient": "a", "scan:t1": "a.nii.gz", "report": "r.txt", "label:x": n} for n in (-1,)]
    rows += [{"study": f"b{n}", "patient": f"b{n}", "label:x": n % 2, "report": None} for n in range(11)]
    cohort(tmp_path, rows, r_txt="words")
    assert ShowCohort(tmp_path).run() == 0
    said = capsys.readouterr().out
    assert "t1 1 · report 1" in said
    assert "label x: 0 in 6 studies · 1 in 5, 1 uncertain (−1)" in said
    assert CheckCohort(tmp_path).run() == 0
    assert "12 ok" in capsys.readouterr().out


def test_check_finds_a_label_of_one_class(tmp_path, capsys):
    rows = [{"study": f"s{n}", "patient": f"s{n}", "scan:t1": "a.nii.gz", "label:x": 1} for n in range(6)]
    cohort(tmp_path, rows)
    assert CheckCohort(tmp_path).run() == 1
    assert "fewer than two classes" in capsys.readouterr().out


def test_an_unknown_label_is_named(tmp_path):
    from scanweave.studies.label_values import summarise_label

    made = cohort(tmp_path, [{"study": "s", "patient": "p", "scan:t1": "a.nii.gz", "label:grade": 1}])
    with pytest.raises(ScanweaveError, match=r"has no label 'grad'\. Choose from grade"):
        summarise_label(made.frame, "grad")
