"""Patients who train and test are told by name, can be said by name, and a part that is none is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scanweave.cli.cohort import ShowCohort, SplitCohort
from scanweave.engine.cohort_parts import splits_digest
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import ensure_splits
from scanweave.framework.study_selection import select_studies
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import PARTS, make_splits, read_splits, write_splits


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Ten studies of nine patients, with a label only."""
    rows = [{"study": f"s{i}", "patient": f"p{min(i, 8)}", "label:x": i % 2} for i in range(10)]
    return Cohort.create(tmp_path / "own", rows, root=".", name="own", source="x", layout="records")


@pytest.mark.parametrize("part", ["tests", "Train", "all", ""])
def test_a_part_that_is_none_is_refused(cohort: Cohort, part: str) -> None:
    write_splits(cohort.folder, make_splits(cohort.patients, 3))
    with pytest.raises(ScanweaveError, match=f"part: there is no part '{part}'"):
        cohort.part(part)  # type: ignore[arg-type]
    with pytest.raises(ScanweaveError, match="there is no part"):
        make_splits(cohort.patients, 3).patients(part, 0)  # type: ignore[arg-type]


def test_a_trial_of_a_part_that_is_none_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    refused = pytest.raises(ScanweaveError, match="there is no part 'tset'")
    with Run.start(tmp_path / "run", "any", {"fold": 0}) as run, refused:
        select_studies(run, cohort, "tset", print)  # type: ignore[arg-type]


def test_named_patients_test_in_every_fold(cohort: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    assert SplitCohort(cohort.folder, folds=3, test=("p8", "p0")).run() == 0
    said = capsys.readouterr().out
    assert "2 patients test in every fold, as --test says" in said
    assert said.startswith("7 patients in 3 folds")
    tested: set[str] = set()
    for fold in range(3):
        parts = cohort.part_names(fold)
        assert {"p0", "p8"} <= set(parts["test"])
        assert not {"p0", "p8"} & {*parts["train"], *parts["validation"]}
        assert sorted(name for part in PARTS for name in parts[part]) == cohort.patients
        tested |= set(parts["test"])
    assert tested == set(cohort.patients)
    assert {"s0", "s8", "s9"} <= set(cohort.part("test", 1).studies)


def test_a_test_patient_must_be_in_the_cohort(cohort: Cohort) -> None:
    with pytest.raises(ScanweaveError, match=r"test: the cohort has no patient 'P0'.*p0"):
        SplitCohort(cohort.folder, folds=3, test=("P0",)).run()
    assert cohort.splits() is None


def test_test_patients_are_part_of_what_a_run_remembers(cohort: Cohort) -> None:
    plain = make_splits(cohort.patients, 3)
    write_splits(cohort.folder, plain)
    before = splits_digest(cohort)
    assert read_splits(cohort.folder) == plain
    assert SplitCohort(cohort.folder, folds=3, test=("p1",), again=True).run() == 0
    first = splits_digest(cohort)
    assert SplitCohort(cohort.folder, folds=3, test=("p2",), again=True).run() == 0
    assert len({before, first, splits_digest(cohort)}) == 3


def test_other_splits_are_replaced_where_that_is_asked_for(cohort: Cohort) -> None:
    first, second = (make_splits(cohort.patients, 3, seed=seed) for seed in (0, 1))
    write_splits(str(cohort.folder), first)
    write_splits(cohort.folder, first)
    for write in (lambda: write_splits(cohort.folder, second), SplitCohort(cohort.folder, folds=4).run):
        with pytest.raises(
            ScanweaveError, match=r"is split already, into 3 folds from seed 0\. Give --again \(again=True"
        ):
            write()
        assert cohort.splits() == first
    write_splits(cohort.folder, second, again=True)
    assert cohort.splits() == second
    (cohort.folder / "splits.json").write_text("{")
    with pytest.raises(ScanweaveError, match=r"not valid JSON.*cohort split COHORT --again"):
        SplitCohort(cohort.folder, folds=4).run()
    assert SplitCohort(cohort.folder, folds=4, again=True).run() == 0


@pytest.mark.parametrize("option", [{"folds": 3}, {"stratify": ("label",)}])
def test_options_of_several_folds_are_refused_where_a_patient_is_one(cohort: Cohort, option: dict[str, Any]) -> None:
    with pytest.raises(ScanweaveError, match=f"--{next(iter(option))}: has no effect with --leave-one-out"):
        SplitCohort(cohort.folder, leave_one_out=True, **option).run()
    assert cohort.splits() is None


def test_show_and_split_name_who_is_where(cohort: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    ShowCohort(cohort.folder).run()
    assert "not split yet" in capsys.readouterr().out
    SplitCohort(cohort.folder, folds=3).run()
    split = capsys.readouterr().out
    ShowCohort(cohort.folder).run()
    show = capsys.readouterr().out
    for fold in range(3):
        for part, patients in cohort.part_names(fold).items():
            line = next(line for line in split.splitlines() if line.startswith(f"  fold {fold}:"))
            assert f"{part} {len(patients)}: {' '.join(patients)}" in line
            assert line in show


@pytest.mark.parametrize("patients", [2, 4, 5, 6])
def test_of_few_patients_each_is_a_fold_unless_folds_are_asked_for(
    patients: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"study": f"s{i}", "patient": f"p{i}", "label:x": 1} for i in range(patients)]
    split, fitted = (
        Cohort.create(tmp_path / name, rows, root=".", name="c", source="x", layout="records") for name in "ab"
    )
    assert SplitCohort(split.folder).run() == 0
    said = capsys.readouterr().out
    ensure_splits(fitted, print)
    assert read_splits(split.folder) == read_splits(fitted.folder)
    few = f"{patients} patients only: one a fold, and none set aside for validation"
    assert (few in said) == (patients <= 5)
    assert (f"--folds {patients} sets one aside" in said) == (3 <= patients <= 5)
    if patients < 5:
        with pytest.raises(ScanweaveError, match=f"folds: 5 folds of {patients} patients cannot be made"):
            SplitCohort(split.folder, folds=5, again=True).run()


def test_of_many_patients_some_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"study": f"s{i:03}", "patient": f"p{i:03}", "label:x": 1} for i in range(60)]
    made = Cohort.create(tmp_path, rows, root=".", name="c", source="x", layout="records")
    SplitCohort(made.folder, folds=12).run()
    said = capsys.readouterr().out
    assert "train 50: " in said
    assert "and 44 more" in said
    assert "… and 2 more folds" in said


def test_splits_of_other_patients_hinder_no_look(cohort: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    write_splits(cohort.folder, make_splits(cohort.patients[:-1], 3))
    assert ShowCohort(cohort.folder).run() == 0
    assert "does not say where patient 'p8' belongs" in capsys.readouterr().out
