"""Identifiers stay the user's own: a study is a file name, and what the source calls it is kept beside."""

import pandas as pd

from scanweave.studies.cohort import Cohort, safe_id
from scanweave.studies.layouts import import_cohort, list_studies


def quiet(line):
    """Say nothing."""


def test_a_clinical_table_keeps_its_identifiers(tmp_path):
    table = pd.DataFrame({"MRN": ["2019/0042", "2020/0001", "plain"], "age": [30, 41, 52]})
    table.to_csv(tmp_path / "labs.csv", index=False)
    cohort = import_cohort(tmp_path / "labs.csv", tmp_path / "cohort", say=quiet)
    study = safe_id("2019/0042")
    assert cohort[study].table == {"age": 30}
    assert cohort.own_names[study] == {"patient_name": "2019/0042"}
    joined = cohort.frame.merge(table, left_on="patient_name", right_on="MRN")
    assert joined["table:age"].tolist() == joined["age"].tolist()
    assert len(joined) == 3


def test_images_keep_their_identifiers(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"")
    (tmp_path / "list.csv").write_text("case,patient,t1\n2019/0042,Müller,a.nii.gz\n")
    cohort = import_cohort(tmp_path / "list.csv", tmp_path / "cohort", say=quiet)
    assert cohort.own_names == {safe_id("2019/0042"): {"study_name": "2019/0042", "patient_name": "Müller"}}
    assert Cohort.open(cohort.folder).own_names == cohort.own_names


def test_names_that_are_file_names_need_no_column(tmp_path):
    (tmp_path / "p1_t1.nii.gz").write_bytes(b"")
    assert "study_name" not in list_studies(tmp_path).rows()[0]


def test_a_patient_found_by_a_pattern_keeps_his_name(tmp_path):
    for name in ("Müller_1_t1", "Müller_2_t1"):
        (tmp_path / f"{name}.nii.gz").write_bytes(b"")
    rows = list_studies(tmp_path, patient="^[^_]+").rows()
    assert {row["patient_name"] for row in rows} == {"Müller"}
