"""Labels, strata and draws: uncertain is not absent, splits are even, few labels are nested."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from scanweave.cli.cohort import SplitCohort
from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.label_values import class_numbers, findings_matrix, summarise_label
from scanweave.studies.patient_strata import find_heading, patient_values
from scanweave.studies.splits import make_splits, read_splits


def cohort(folder, number=60, **columns):
    rows = []
    for n in range(number):
        row = {"study": f"s{n:03d}", "patient": f"p{n:03d}", "report": "r.txt"}
        rows.append(row | {name.replace("__", ":"): make(n) for name, make in columns.items()})
    return Cohort.create(folder, rows, root=".", name="c", source="test", layout="table")


def test_uncertain_and_absent_are_two_things(tmp_path):
    values = [0, 1, -1, None]
    made = cohort(tmp_path, 8, label__effusion=lambda n: values[n % 4], label__change=lambda n: [-1, 0, 2][n % 3])
    summary = summarise_label(made.frame, "effusion")
    assert (summary.kind, summary.classes, summary.counts) == ("binary", (0, 1), (2, 2))
    assert (summary.uncertain, summary.absent) == (2, 2)
    assert summarise_label(made.frame, "change").classes == (-1, 0, 2)  # −1 beside 2 is a class
    expected = {"absent": np.nan, "positive": 1.0, "negative": 0.0}
    for policy, stand_in in expected.items():
        found = findings_matrix(made.frame, ["effusion"], policy)[:4, 0]
        np.testing.assert_array_equal(found, [0, 1, stand_in, np.nan])
    with pytest.raises(ScanweaveError, match="other values than 0, 1 and −1"):
        findings_matrix(made.frame, ["change"])
    np.testing.assert_array_equal(class_numbers(made.frame, "effusion", [0, 1])[:4], [0, 1, -1, -1])
    with pytest.raises(ScanweaveError, match="has the class 2"):
        class_numbers(made.frame, "change", [-1, 0])


@pytest.mark.parametrize(
    ("value", "kind"),
    [(lambda n: "ab"[n % 2], "binary"), (lambda n: f"c{n % 4}", "classes"), (lambda n: n / 7, "numbers")],
)
def test_kinds_of_labels(tmp_path, value, kind):
    made = cohort(tmp_path, label__x=value)
    assert summarise_label(made.frame, "x").kind == kind


def test_strata_are_spread_evenly_over_folds():
    patients = [f"p{n}" for n in range(103)]
    strata = {name: "rare" if n % 10 == 0 else "usual" for n, name in enumerate(patients)}
    splits = make_splits(patients, 5, seed=3, stratify=strata)
    rare = Counter(splits.assignment[name] for name in patients if strata[name] == "rare")
    sizes = Counter(splits.assignment.values())
    assert max(rare.values()) - min(rare.values()) <= 1
    assert max(sizes.values()) - min(sizes.values()) <= 1
    assert splits == make_splits(patients[::-1], 5, seed=3, stratify=strata)
    assert splits.assignment != make_splits(patients, 5, seed=4, stratify=strata).assignment


def test_groups_stay_together_and_strata_even_where_they_can():
    patients = [f"p{n}" for n in range(120)]
    group = {name: f"hospital {n % 12}" for n, name in enumerate(patients)}
    strata = {name: str(n % 12 < 3) for n, name in enumerate(patients)}  # three hospitals have all the ill
    splits = make_splits(patients, 3, stratify=strata, group=group)
    folds = {hospital: {splits.assignment[p] for p in patients if group[p] == hospital} for hospital in group.values()}
    assert all(len(own) == 1 for own in folds.values())
    assert Counter(splits.assignment[p] for p in patients if strata[p] == "True") == {0: 10, 1: 10, 2: 10}
    assert Counter(splits.assignment.values()) == {0: 40, 1: 40, 2: 40}
    with pytest.raises(ScanweaveError, match="12 groups"):
        make_splits(patients, 13, group=group)


def test_split_by_the_command_line(tmp_path, capsys):
    cohort(tmp_path, label__grade=lambda n: int(n % 6 == 0), table__site=lambda n: f"h{n // 6}")
    assert SplitCohort(tmp_path, folds=5, stratify=("label",)).run() == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1:3] == ["  label 0: 10 10 10 10 10 a fold", "  label 1: 2 2 2 2 2 a fold"]
    kept = read_splits(tmp_path)
    assert kept.stratify == ("label",)
    assert SplitCohort(tmp_path, folds=5, stratify=("label",)).run() == 0
    with pytest.raises(ScanweaveError, match="split already"):
        SplitCohort(tmp_path, folds=5).run()
    assert SplitCohort(tmp_path, folds=5, stratify=("grade",), group=("site",), again=True).run() == 0
    assert read_splits(tmp_path).group == ("site",)
    made = Cohort.open(tmp_path)
    parts = [set(made.part(part, 0).frame["table:site"]) for part in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 10


def test_what_a_patient_is_like(tmp_path):
    made = cohort(
        tmp_path, 40, table__age=lambda n: n, label__x=lambda n: None if n == 0 else n % 2, table__id=lambda n: f"i{n}"
    )
    strata = patient_values(made.frame, ["age", "x"], coarse=True)
    assert strata["p000"] == "quarter 1 · absent"
    assert Counter(value.split(" · ")[0] for value in strata.values()) == {f"quarter {k}": 10 for k in (1, 2, 3, 4)}
    with pytest.raises(ScanweaveError, match="40 different values, too many"):
        patient_values(made.frame, ["id"], coarse=True)
    with pytest.raises(ScanweaveError, match=r"has no column 'agee'\. Choose from table:age"):
        find_heading(made.frame, "agee")


def test_a_patient_of_several_studies_has_the_value_of_most():
    import pandas as pd

    frame = pd.DataFrame({"study": list("abcde"), "patient": list("pppqq"), "label:x": [1, 0, 0, 0, 1]})
    assert patient_values(frame, ["x"], coarse=True) == {"p": "0", "q": "1"}


def test_few_labelled_studies_are_nested_and_in_proportion(tmp_path):
    made = cohort(tmp_path, 100, label__x=lambda n: None if n < 20 else int(n % 4 == 0))
    draws = [made.labelled(k, seed=5) for k in (4, 12, 40)]
    assert [len(draw) for draw in draws] == [4, 12, 40]
    assert set(draws[0].studies) < set(draws[1].studies) < set(draws[2].studies)
    assert [int(draw.frame["label:x"].sum()) for draw in draws] == [1, 3, 10]
    assert set(made.labelled(4, seed=6).studies) != set(draws[0].studies)
    with pytest.raises(ScanweaveError, match="81 of 80 labelled studies"):
        made.labelled(81)


def test_masks_count_as_labels(tmp_path):
    made = cohort(tmp_path, 10, mask__organ=lambda n: f"{n}.nii.gz" if n % 2 else None)
    assert all(int(name[1:]) % 2 for name in made.labelled(3).studies)
    two = cohort(tmp_path / "two", 10, label__a=lambda n: n % 2, label__b=lambda n: n % 2)
    with pytest.raises(ScanweaveError, match="could be label:a or label:b"):
        two.labelled(3)
    assert len(two.labelled(3, by="b")) == 3
