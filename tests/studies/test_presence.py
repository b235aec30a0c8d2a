"""Leaks by absence: what is told by the presence of a scan, mask or variable alone, and what is not."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

import scanweave as sw
from scanweave.studies.checks.presence_check import presence_leaks
from scanweave.studies.tables.table_check import check_table


def leaks(there, truth, patients=None):
    names = patients or [f"p{n}" for n in range(len(truth))]
    return presence_leaks(pd.DataFrame(there).astype(bool), {"ill": np.array(truth, dtype=float)}, names)


def test_area_and_p_are_those_of_the_fourfold_table():
    truth = [1] * 20 + [0] * 20
    [leak] = leaks({"scan:dce": [1] * 16 + [0] * 4 + [1] * 4 + [0] * 16}, truth)
    assert leak.auroc == pytest.approx(0.8)
    assert leak.p == pytest.approx(fisher_exact([[16, 4], [4, 16]]).pvalue)
    assert leak.counts == (16, 20, 4, 20)
    assert "tells ill (AUROC 0.80, p 0.0004): there in 16 of 20 such studies and in 4 of 20 others" in leak.words()


def test_holm_counts_each_pattern_of_presence_once():
    truth, rng = [1] * 20 + [0] * 20, np.random.default_rng(0)
    telling = [1] * 16 + [0] * 4 + [1] * 4 + [0] * 16
    noise = {f"table:n{k}": rng.permutation(telling) for k in range(3)}
    [leak] = leaks({"table:a": telling, "table:b": telling, **noise}, truth)
    assert leak.columns == ("table:a", "table:b")
    assert leak.p == pytest.approx(4 * fisher_exact([[16, 4], [4, 16]]).pvalue)


def test_a_few_patients_raise_nothing_and_many_studies_of_one_are_one():
    assert leaks({"scan:dce": [1, 1, 0, 0, 0]}, [1, 1, 0, 0, 0]) == []
    truth, there = [1] * 20 + [0] * 30, [1] * 20 + [0] * 30
    of_five = ["a"] * 10 + ["b"] * 10 + ["c"] * 10 + ["d"] * 10 + ["e"] * 10
    assert leaks({"scan:dce": there}, truth, of_five) == []
    assert leaks({"scan:dce": there}, truth)[0].auroc == 1.0


def test_what_one_class_alone_has_is_told_even_where_few_have_it():
    truth = [1] * 50 + [0] * 50
    [leak] = leaks({"scan:pet": [1] * 12 + [0] * 88}, truth)
    assert leak.auroc == pytest.approx(0.62)
    assert leaks({"scan:pet": [1] * 30 + [0] * 20 + [1] * 14 + [0] * 36}, truth) == []  # goes with it, tells it not


def test_unknown_answers_and_columns_that_all_have_are_passed_over():
    truth = [1] * 15 + [0] * 15 + [np.nan] * 30
    assert leaks({"scan:t1": [1] * 30 + [0] * 30, "scan:t2": [1] * 60}, truth) == []


def test_the_check_tells_a_scan_and_a_mask_of_one_class(tmp_path):
    rows = [
        {"study": f"s{n}", "patient": f"p{n}", "label:grade": "high" if n % 2 else "low", "scan:t1": "t1.nii"}
        | ({"scan:dce": "d.nii"} if n % 2 or n < 4 else {})
        | ({"mask:lesion": "m.nii"} if n % 2 == 0 else {})
        for n in range(40)
    ]
    cohort = sw.Cohort.create(tmp_path, rows, root=".", name="x", source="test", layout="test")
    found = {verdict.study: verdict.findings[0] for verdict in check_table(cohort)}
    assert set(found) == {"scan:dce", "mask:lesion"}
    assert found["scan:dce"].kind == "presence"
    assert "tells grade 'low' (AUROC 0.95" in found["scan:dce"].words
    assert "there in 2 of 20 such studies and in 20 of 20 others" in found["scan:dce"].words
    assert found["mask:lesion"].status == "suspect"
