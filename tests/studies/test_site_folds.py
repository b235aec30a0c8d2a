"""Leave one site out: every value of a column is the test part of one fold, and validation comes from the others."""

import pytest

from scanweave.cli.main import main
from scanweave.engine.cohort_parts import splits_digest
from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.cohort_splits import split_by_column
from scanweave.studies.splits import PARTS, read_splits, write_splits


def cohort_of(folder, sites, **columns):
    rows = [
        {"study": f"s{n:02d}", "patient": f"p{n:02d}", "table:site": site, "label:ill": n % 2}
        | {f"table:{name}": values[n] for name, values in columns.items()}
        for n, site in enumerate(sites)
    ]
    return Cohort.create(folder, rows, root=".", name="x", source="test", layout="test")


def test_each_site_is_tested_alone_and_one_in_five_of_the_others_validates(tmp_path, capsys):
    cohort = cohort_of(tmp_path, ["north"] * 20 + ["south"] * 10 + ["west"] * 10)
    assert main(["cohort", "split", str(cohort.folder), "--by", "site"]) == 0
    said = capsys.readouterr().out
    assert "40 patients in 3 folds from seed 0; fold 0: 16 train, 4 validation, 20 test" in said
    assert "fold 1 tests site south" in said
    validating = set()
    for fold, site in enumerate(("north", "south", "west")):
        parts = cohort.part_names(fold)
        tested = cohort.frame.loc[cohort.frame["table:site"] == site, "patient"]
        assert parts["test"] == sorted(tested)
        assert sorted(name for part in PARTS for name in parts[part]) == cohort.patients
        assert len(parts["validation"]) == 8 - {"north": 4, "south": 2, "west": 2}[site]
        splits = cohort.splits()
        assert parts == {part: splits.patients(part, fold) for part in PARTS}
        validating |= set(parts["validation"])
    assert validating == set(cohort.splits().validating)
    assert read_splits(cohort.folder) == split_by_column(cohort, "site")


def test_two_sites_have_a_validation_part_too(tmp_path):
    cohort = cohort_of(tmp_path, ["a", "b"] * 10)
    write_splits(cohort.folder, split_by_column(cohort, "site", stratify=["label:ill"]))
    for fold in range(2):
        parts = cohort.part_names(fold)
        assert {part: len(names) for part, names in parts.items()} == {"train": 8, "validation": 2, "test": 10}
    digest = splits_digest(cohort)
    write_splits(cohort.folder, split_by_column(cohort, "site", seed=1, stratify=["label:ill"]), again=True)
    assert splits_digest(cohort) != digest  # the seed is not all that differs: see who validates
    write_splits(cohort.folder, split_by_column(cohort, "site", validation=False), again=True)
    assert [len(cohort.part(part, 0)) for part in PARTS] == [10, 0, 10]


def test_those_whom_a_user_sets_aside_test_in_every_fold(tmp_path):
    cohort = cohort_of(tmp_path, ["a"] * 10 + ["b"] * 9 + ["lone"])
    write_splits(cohort.folder, split_by_column(cohort, "site", test=["p19"]))
    assert cohort.splits().folds == 2
    assert all("p19" in cohort.part_names(fold)["test"] for fold in range(2))


def test_what_cannot_be_divided_so_is_an_error_in_one_line(tmp_path, capsys):
    rows = [{"study": f"s{n}", "patient": f"p{n // 2}", "table:site": "ab"[n == 5], "table:one": 1} for n in range(8)]
    rows += [{"study": "s8", "patient": "p8", "table:site": None, "table:one": 1}]
    cohort = Cohort.create(tmp_path / "c", rows, root=".", name="x", source="test", layout="test")
    with pytest.raises(ScanweaveError, match="site: is a in one study of patient 'p2' and b in another"):
        split_by_column(cohort, "site")
    with pytest.raises(ScanweaveError, match="site: is absent of 1 patient, such as 'p8'"):
        split_by_column(cohort, "site", test=["p2"])
    with pytest.raises(ScanweaveError, match="one: has 1 value among the patients to divide"):
        split_by_column(cohort, "one")
    folder = str(cohort.folder)
    for options, words in (
        (["--by", "hospital"], "has no column 'hospital'"),
        (["--by", "site", "--folds", "3"], "--folds: has no effect with --by"),
        (["--by", "site", "--group", "one"], "--group: has no effect with --by"),
        (["--by", "site", "--no-validation", "--stratify", "one"], "--stratify: has no effect with --by"),
    ):
        assert main(["cohort", "split", folder, *options]) == 2
        told = capsys.readouterr().err
        assert words in told
        assert told.count("\n") == 1
    assert cohort.splits() is None
