"""A cohort opens, filters and splits; the commands say what they did."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanweave.cli.cohort import CheckCohort, ImportCohort, ShowCohort, SplitCohort
from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import make_splits, write_splits


@pytest.fixture
def cohort(tmp_path):
    rows = [
        {"study": f"s{i}", "patient": f"p{i // 2}", "scan:t1": f"{i}.nii.gz", "scan:t2": None if i % 3 else f"{i}.nii"}
        for i in range(12)
    ]
    return Cohort.create(tmp_path, rows, root=".", name="c", source="x", layout="table")


def test_filters(cohort):
    assert cohort.counts() == {"t1": 12, "t2": 4}
    assert cohort.having("t1", "t2").studies == ["s0", "s3", "s6", "s9"]
    assert cohort.having("ct").studies == []
    assert cohort.select(["s4"]).patients == ["p2"]
    assert Cohort.open(cohort.folder).digest == cohort.digest
    assert cohort.select(["s4"]).digest != cohort.digest


def test_parts_keep_patients_together(cohort):
    write_splits(cohort.folder, make_splits(cohort.patients, 3, seed=1))
    for fold in range(3):
        parts = [cohort.part(part, fold) for part in ("train", "validation", "test")]
        assert sorted(study for part in parts for study in part.studies) == sorted(cohort.studies)
        assert sum(len(part.patients) for part in parts) == 6
        assert cohort.select(["s0"]).part("train", fold).studies in (["s0"], [])


def test_a_patient_that_the_splits_do_not_know_is_told(cohort):
    write_splits(cohort.folder, make_splits(cohort.patients[:-1], 3))
    with pytest.raises(ScanweaveError, match="where patient 'p5' belongs"):
        cohort.part("train")


def test_a_given_test_part_never_trains(tmp_path, capsys):
    rows = [
        {"study": f"s{i}", "patient": f"p{i // 2}", "split": "test" if i in (0, 11) else "train", "scan:t1": "a.nii"}
        for i in range(12)
    ]
    made = Cohort.create(tmp_path, rows, root=".", name="c", source="x", layout="nnunet")
    assert SplitCohort(made.folder, folds=4).run() == 0
    said = capsys.readouterr().out
    assert said.startswith("4 patients in 4 folds")
    assert "2 patients stay the test part of every fold, as the source says" in said
    for fold in range(4):
        parts = {part: made.part(part, fold).patients for part in ("train", "validation", "test")}
        assert sorted(name for names in parts.values() for name in names) == made.patients
        assert {"p0", "p5"} <= set(parts["test"])
        assert len(parts["train"]) == 2
    write_splits(made.folder, make_splits(made.patients, 3), again=True)
    assert not {"p0", "p5"} & {name for fold in range(3) for name in made.part("train", fold).patients}


SEEN_TWICE = [
    ("a", "test"),
    ("a", "train"),
    ("b", "validation"),
    ("b", "train"),
    ("c", "train"),
    ("c", None),
    ("d", None),
]


def marked(folder, marks) -> Cohort:
    rows = [{"study": f"s{i}", "patient": p, "split": split, "scan:t1": "x.nii"} for i, (p, split) in enumerate(marks)]
    return Cohort.create(folder, rows, root=".", name="c", source="x", layout="table")


def test_an_empty_split_column_is_none(tmp_path):
    rows = [{"study": f"s{n}", "patient": f"p{n}", "split": None, "table:age": 40.0 + n} for n in range(4)]
    made = Cohort.create(tmp_path / "c", rows, root=".", name="c", source="x", layout="records")
    assert "split" not in made.frame
    write_splits(made.folder, make_splits(made.patients, 4))
    assert len(Cohort.open(made.folder).part("test")) == 1


def test_a_patient_is_in_one_part_whatever_its_studies_say(tmp_path):
    made = marked(tmp_path, SEEN_TWICE)
    parts = {part: made.part(part).studies for part in ("train", "validation", "test")}
    assert parts == {"test": ["s0", "s1"], "validation": ["s2", "s3"], "train": ["s4", "s5"]}


def test_a_held_out_patient_stays_so_without_the_study_that_says_it(tmp_path):
    made = marked(tmp_path, [("a", "test"), ("a", "train"), *((f"p{i}", "train") for i in range(4))])
    assert SplitCohort(made.folder, folds=4).run() == 0
    rest = made.where(made.frame["study"] != "s0")  # as a check leaves a refused study out
    assert rest.held_out == ["a"]
    assert "s1" in rest.part("test", 1).studies
    assert rest.select(["s1"]).part("train").studies == []


@given(st.sets(st.integers(0, 999), min_size=3, max_size=60), st.integers(3, 12), st.integers(0, 99), st.booleans())
@settings(deadline=None)
def test_splits_are_a_partition_and_depend_on_seed_and_patients_only(numbers, folds, seed, validation):
    patients = [f"p{n}" for n in numbers]
    if folds > len(patients):
        return
    splits = make_splits(patients, folds, seed=seed, validation=validation)
    assert splits.assignment == make_splits(patients[::-1], folds, seed=seed, validation=validation).assignment
    tested = [name for fold in range(folds) for name in splits.patients("test", fold)]
    assert sorted(tested) == sorted(patients)
    sizes = [len(splits.patients("test", fold)) for fold in range(folds)]
    assert max(sizes) - min(sizes) <= 1
    assert bool(splits.patients("validation", 0)) == validation


def test_the_way_from_a_folder_to_folds(tmp_path, capsys):
    generator = np.random.default_rng(3)
    for patient in "ABC":
        (tmp_path / "src" / patient).mkdir(parents=True)
        for name in ("t1", "fla"):
            data = generator.integers(0, 500, (12, 12, 12)).astype(np.int16)
            image = nib.Nifti1Image(data, np.diag([9.0, 9.0, 9.0, 1.0]))
            nib.save(image, tmp_path / "src" / patient / f"{name}.nii.gz")
        mask = nib.Nifti1Image((data > 250).astype(np.uint8), image.affine)
        nib.save(mask, tmp_path / "src" / patient / "lesion.nii.gz")
    out = tmp_path / "cohort"
    assert ImportCohort((tmp_path / "src",), out, rename="fla=flair").run() == 0
    assert capsys.readouterr().out.startswith(
        "3 studies of 3 patients in folders layout · t1 3 · flair 3 · mask:lesion 3\n"
    )
    assert CheckCohort(out).run() == 0
    said = capsys.readouterr().out
    assert said.startswith("studies checked 0/3\nstudies checked 3/3\n")
    assert "3 ok" in said
    assert SplitCohort(out, folds=3).run() == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "3 patients in 3 folds from seed 0; fold 0: 1 train, 1 validation, 1 test"
    assert said[1] == "1 patient to train on is little: --no-validation leaves 2"
    assert SplitCohort(out, folds=3).run() == 0
    with pytest.raises(ScanweaveError, match=r"split already, into 3 folds from seed 0\. Give --again"):
        SplitCohort(out, folds=3, seed=1).run()
    assert SplitCohort(out, folds=3, seed=1, again=True).run() == 0
    capsys.readouterr()
    assert ShowCohort(out).run() == 0
    said = capsys.readouterr().out
    assert "3 studies of 3 patients" in said
    assert said.splitlines()[3].split() == ["study", "patient", "t1", "flair", "mask:lesion"]
    assert all(line == line.rstrip() for line in said.splitlines())
    assert repr(Cohort.open(out)) == "<Cohort cohort: 3 studies of 3 patients; t1 3, flair 3, mask:lesion 3>"
    shown = "t1 12×12×12, flair 12×12×12, mask lesion 12×12×12"
    study = Cohort.open(out)["A"]
    assert repr(study) == f"<Study A of patient A: {shown}>"
    assert repr(study["t1"]).startswith("<Scan 12×12×12 at 9×9×9 mm, RAS, ")
    (tmp_path / "src" / "B" / "t1.nii.gz").write_bytes(b"broken")
    assert CheckCohort(out, json=True).run() == 1
    found = {verdict["study"]: verdict for verdict in json.loads(capsys.readouterr().out)}
    assert found["B"]["status"] == "refused"
    assert found["B"]["findings"][0]["scan"] == "t1"
