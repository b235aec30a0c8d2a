from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.proportions import proportion
from scanweave.measures.subgroups import subgroup_table


def share_of(positive):
    return lambda rows: proportion(int(np.asarray(positive)[rows].sum()), len(rows))


def table_of(groups, positive, fewest=10, patients=None):
    patients = range(len(positive)) if patients is None else patients
    return subgroup_table(groups, patients, share_of(positive), positive, fewest=fewest)


def shown(table):
    return {(line.variable, line.level): line.patients for line in table.itertuples() if not line.hidden}


def test_each_cell_has_n_and_interval():
    positive = np.tile([0, 1], 50)
    table = table_of({"sex": np.repeat(["f", "m"], [60, 40])}, positive)
    assert list(table.columns) == ["variable", "level", "patients", "positives", "value", "low", "high", "hidden"]
    assert shown(table) == {("all", "all"): 100, ("sex", "f"): 60, ("sex", "m"): 40}
    line = table.loc[table.level == "m"].squeeze()
    expected = proportion(20, 40)
    assert (line.positives, line.value, line.low, line.high) == (20, expected.value, expected.low, expected.high)


def test_a_small_cell_takes_the_next_smallest_with_it():
    sites = np.repeat(["a", "b", "c", "d"], [50, 30, 14, 6])
    table = subgroup_table({"site": sites}, range(100), lambda rows: Interval(1.0, 1.0, 1.0, len(rows)))
    assert shown(table) == {("all", "all"): 100, ("site", "a"): 50, ("site", "b"): 30}
    hidden = table[table.hidden]
    assert hidden.level.tolist() == ["c", "d"]
    assert hidden[["patients", "value", "low", "high"]].isna().all(axis=None)


def test_few_positives_or_negatives_are_too_few():
    site = np.repeat(["a", "b", "c"], [40, 40, 40])
    rare = np.concatenate([np.repeat([1, 0], [5, 35]), np.tile([1, 0], 40)])
    assert shown(table_of({"site": site}, rare)) == {("all", "all"): 120, ("site", "c"): 40}
    assert shown(table_of({"site": site}, 1 - rare)) == {("all", "all"): 120, ("site", "c"): 40}


def test_two_small_cells_whose_sum_is_small_take_a_third():
    site = np.repeat(["a", "b", "c", "d"], [40, 20, 4, 3])
    table = subgroup_table({"site": site}, range(67), lambda rows: Interval(1.0, 1.0, 1.0, len(rows)))
    assert shown(table) == {("all", "all"): 67, ("site", "a"): 40}


def test_a_cell_cannot_be_found_through_another_variable():
    """Sites 1 and 2 share scanner A; scanner B is site 3 alone: B − site 3 and A − site 1 would tell of site 2."""
    site = np.repeat(["1", "2", "3", "4"], [40, 4, 15, 30])
    scanner = np.repeat(["A", "A", "B", "C"], [40, 4, 15, 30])
    table = subgroup_table(
        {"site": site, "scanner": scanner}, range(89), lambda rows: Interval(1.0, 1.0, 1.0, len(rows))
    )
    assert ("site", "2") not in shown(table)
    assert spans(table, {"site": site, "scanner": scanner})[("site", "2")] > 1


def test_sites_within_a_country_do_not_leave_few():
    """Of country X all but 4 patients are those of site 1: X less site 1 would tell how many are at sites 2 and 3."""
    sizes = [60, 2, 2, 30, 6, 20]
    site = np.repeat(["1", "2", "3", "4", "5", "6"], sizes)
    country = np.repeat(["X", "X", "X", "Y", "Y", "Y"], sizes)
    table = subgroup_table(
        {"country": country, "site": site}, range(120), lambda rows: Interval(1.0, 1.0, 1.0, len(rows))
    )
    cells = shown(table)
    assert not {("country", "X"), ("site", "1")} <= set(cells)
    assert not {("site", "2"), ("site", "3"), ("site", "5")} & set(cells)


def spans(table, groups):
    """Return how far apart the smallest and largest count of every hidden cell are that fit all counts shown, by linear
    programming over the joint groups of patients."""
    names = np.stack([np.asarray(levels, dtype=str) for levels in groups.values()], axis=1)
    joint = np.unique(names, axis=0)
    columns = dict(zip(groups, joint.T, strict=True))

    def member(line):
        return np.ones(len(joint)) if line.variable == "all" else (columns[line.variable] == line.level).astype(float)

    lines = list(table.itertuples())
    known = [line for line in lines if not line.hidden]
    system = {"A_eq": [member(line) for line in known], "b_eq": [float(line.patients) for line in known]}
    bounds = (0, len(names))
    ends = {}
    for line in lines:
        if line.hidden:
            low, high = (linprog(sign * member(line), **system, bounds=bounds).fun for sign in (1, -1))
            ends[line.variable, line.level] = -high - low
    return ends


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**16), st.integers(30, 120))
def test_no_hidden_count_follows_from_the_shown_ones(seed, size):
    rng = np.random.default_rng(seed)
    site = rng.choice(6, size=size, p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    groups = {"site": site, "scanner": site // 2, "sex": rng.choice(2, size=size, p=[0.9, 0.1])}
    table = subgroup_table(groups, range(size), lambda rows: Interval(1.0, 1.0, 1.0, len(rows)))
    if not table.hidden.iloc[0] and table.hidden.any():
        assert min(spans(table, groups).values()) > 0.5
    for name in groups:
        rest = size - sum(count for (variable, _), count in shown(table).items() if variable == name)
        assert rest == 0 or rest >= 10


def test_patients_are_counted_not_rows():
    patients = np.repeat(np.arange(24), 10)
    sex = np.where(patients < 12, "f", "m")
    positive = patients % 2
    assert shown(table_of({"sex": sex}, positive, fewest=6, patients=patients)) == {
        ("all", "all"): 24,
        ("sex", "f"): 12,
        ("sex", "m"): 12,
    }
    assert shown(table_of({"sex": sex}, positive, fewest=7, patients=patients)) == {("all", "all"): 24}


def test_what_was_not_recorded_is_a_level():
    sex = np.array(["f"] * 20 + [None] * 20 + [np.nan] * 5, dtype=object)
    table = subgroup_table({"sex": sex}, range(45), lambda rows: Interval(0.0, 0.0, 0.0, len(rows)))
    assert shown(table)["sex", "not recorded"] == 25


def test_hidden_cells_are_never_estimated():
    seen = []

    def estimate(rows):
        seen.append(len(rows))
        return Interval(0.0, 0.0, 0.0, len(rows))

    subgroup_table({"site": np.repeat(["a", "b", "c"], [30, 12, 3])}, range(45), estimate)
    assert sorted(seen) == [30, 45]


def test_too_few_patients_at_all():
    assert table_of({"sex": ["f"] * 5}, [1, 0, 1, 0, 1]).hidden.all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: table_of({"sex": ["f"]}, [1, 0]), "sex: 1 levels for 2 rows"),
        (lambda: table_of({"sex": ["f", "m"]}, [1, 0], fewest=0), "fewest"),
        (lambda: table_of({"sex": ["f", "m"]}, [1, 0], patients=["a"]), "positive"),
        (lambda: table_of({"sex": ["f", "m"]}, [1, 3]), "other than 0 and 1"),
        (lambda: table_of({"sex": ["f", "m"]}, [1, 0], patients=["a", None]), "1 rows have none"),
    ],
)
def test_faults(call, words):
    with pytest.raises(ScanweaveError, match=words):
        call()
