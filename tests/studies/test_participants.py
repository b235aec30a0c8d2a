"""participants.tsv beside images: joined by patient, told where it is not, and never a reason to refuse the images."""

import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.layouts import list_studies
from scanweave.studies.tables.schema import parse_columns


def bids(folder, content, name="participants.tsv"):
    for subject in ("sub-01", "sub-02"):
        (folder / subject / "anat").mkdir(parents=True)
        (folder / subject / "anat" / f"{subject}_T1w.nii.gz").write_bytes(b"")
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    listing = list_studies(folder)
    return listing.rows(), "\n".join(listing.report())


FAULTY = {
    "more cells": "participant_id\tage\nsub-01\t30\tx\nsub-02\t40\n",
    "no headings": "1\t30\n2\t40\n",
    "no column of participants": "subject\tage\nsub-01\t30\n",
    "two of one heading": "participant_id\tage\tage\nsub-01\t1\t2\n",
    "zero bytes": b"participant_id\tage\nsub-01\t\x00\n",
    "nothing": "",
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_table_leaves_the_images(tmp_path, name):
    rows, told = bids(tmp_path, FAULTY[name])
    assert [row["scan:t1"] for row in rows] == [f"sub-0{i}/anat/sub-0{i}_T1w.nii.gz" for i in (1, 2)]
    assert "note: participants.tsv is not used" in told


@pytest.mark.parametrize("ending", ["", "\t", "\t\t"])
def test_tabs_at_the_end_of_a_line_are_no_cells(tmp_path, ending):
    rows, _ = bids(tmp_path, f"participant_id\tage\nsub-01\t30{ending}\nsub-02\t40\n")
    assert [row["table:age"] for row in rows] == [30, 40]


def test_windows_letters_and_words_for_missing_are_read(tmp_path):
    text = "participant_id\tage\tplace\nsub-01\t30\tMünchen\nsub-02\tnone\tn/a\n"
    rows, told = bids(tmp_path, text.encode("cp1252"))
    assert [(row["table:age"], row["table:place"]) for row in rows] == [(30, "München"), (None, None)]
    assert "Windows-1252" in told


def test_a_variable_becomes_a_label_where_the_user_says_so(tmp_path):
    bids(tmp_path, "participant_id\tSex\tage\tjunk\nsub-01\tF\t30\t1\nsub-02\tM\t40\t2\n")
    rows = list_studies(tmp_path, columns=parse_columns("sex=label category,junk=-")).rows()
    assert [(row["label:sex"], row["table:age"]) for row in rows] == [("F", 30), ("M", 40)]
    assert {"table:sex", "table:junk"}.isdisjoint(rows[0])
    with pytest.raises(ScanweaveError, match=r"'age' of participants\.tsv cannot be 'patient'"):
        list_studies(tmp_path, columns=parse_columns("age=patient"))


def test_names_without_sub_are_joined(tmp_path):
    rows, _ = bids(tmp_path, "participant_id\tage\n01\t30\n02\t40\n")
    assert [row["table:age"] for row in rows] == [30, 40]


def test_a_table_that_joins_nobody_says_so(tmp_path):
    rows, told = bids(tmp_path, "participant_id\tage\nsub-1\t30\nsub-2\t40\n")
    assert "table:age" not in rows[0]
    assert "participants.tsv joins nobody: it names sub-1, sub-2 …, the folders sub-01, sub-02" in told


def test_those_who_are_not_named_are_told(tmp_path):
    _, told = bids(tmp_path, "participant_id\tage\nsub-01\t30\n")
    assert "participants.tsv does not name 1 patient (sub-02)" in told


def test_it_says_who_tests(tmp_path):
    rows, _ = bids(tmp_path, "participant_id\tSplit\nsub-01\tTrain\nsub-02\tTest\n")
    assert [row["split"] for row in rows] == ["train", "test"]
    assert not any(column.startswith("table:") for column in rows[0])


def test_a_strange_word_for_a_part_is_refused(tmp_path):
    with pytest.raises(ScanweaveError, match="says tst2"):
        bids(tmp_path, "participant_id\tsplit\nsub-01\ttrain\nsub-02\ttst2\n")


def test_decimal_commas_are_read(tmp_path):
    rows, told = bids(tmp_path, "participant_id\tbmi\tdose\nsub-01\t20,5\t1,037\nsub-02\t31,2\t2,511\n")
    assert [(row["table:bmi"], row["table:dose"]) for row in rows] == [(20.5, 1.037), (31.2, 2.511)]
    assert "decimal commas read as points" in told
