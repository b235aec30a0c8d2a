from __future__ import annotations

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.measures.operating_points import OperatingPoint
from scanweave.measures.run_comparison import compare_runs

RNG = np.random.default_rng(0)
CANCER = np.repeat([1.0, 0.0], [40, 60])
FIRST = {"cancer": CANCER + RNG.normal(size=100), "pcr": RNG.normal(size=100)}
SECOND = {"cancer": 0.3 * CANCER + RNG.normal(size=100), "pcr": RNG.normal(size=100)}
PCR = np.where(np.arange(100) % 4 == 0, np.nan, np.arange(100) % 2)
TRUTHS = {"cancer": CANCER, "pcr": PCR}
POINTS = {name: (OperatingPoint(0.5, "given", 0), OperatingPoint(0.1, "given", 0)) for name in TRUTHS}


def delong_by_definition(truths, first, second):
    """Return difference and variance from the structural components, pair by pair (DeLong et al. 1988, eq. 1 to 6)."""
    psi = [
        (scores[truths == 1][:, None] > scores[truths == 0])
        + 0.5 * (scores[truths == 1][:, None] == scores[truths == 0])
        for scores in (first, second)
    ]
    difference = psi[0] - psi[1]
    spread = [difference.mean(axis=axis).var(ddof=1) / difference.shape[1 - axis] for axis in (0, 1)]
    return difference.mean(), sum(spread)


def test_aurocs_of_each_outcome_on_the_patients_whose_truth_is_known():
    table = compare_runs(TRUTHS, FIRST, SECOND, POINTS).set_index("outcome")
    assert table.patients.to_dict() == {"cancer": 100, "pcr": 75}
    assert table.positives.to_dict() == {"cancer": 40, "pcr": 50}
    for name, truths in TRUTHS.items():
        known = ~np.isnan(truths)
        difference, variance = delong_by_definition(truths[known], FIRST[name][known], SECOND[name][known])
        row = table.loc[name]
        assert row["AUROC difference"] == pytest.approx(difference)
        assert row["AUROC difference high"] == pytest.approx(difference + 1.959964 * np.sqrt(variance))
        assert row["first AUROC"] - row["second AUROC"] == pytest.approx(difference)


def test_each_run_is_called_at_its_own_threshold():
    row = compare_runs(TRUTHS, FIRST, SECOND, POINTS).set_index("outcome").loc["cancer"]
    assert row["first sensitivity"] == (FIRST["cancer"][:40] >= 0.5).mean()
    assert row["second specificity"] == (SECOND["cancer"][40:] < 0.1).mean()
    right = [(one["cancer"] >= at) == CANCER for one, at in ((FIRST, 0.5), (SECOND, 0.1))]
    assert row["accuracy difference"] == pytest.approx(right[0].mean() - right[1].mean())


def test_p_is_adjusted_over_outcomes_that_have_one():
    """Perfect against perfectly wrong has a difference of AUROCs without spread, so no p."""
    truths = TRUTHS | {"clear": CANCER}
    first, second = FIRST | {"clear": CANCER}, SECOND | {"clear": -CANCER}
    table = compare_runs(truths, first, second, POINTS | {"clear": POINTS["cancer"]}).set_index("outcome")
    assert np.isnan(table.loc["clear", ["AUROC p", "AUROC p Holm"]].astype(float)).all()
    low, high = sorted(table.loc[["cancer", "pcr"], "AUROC p"])
    assert sorted(table.loc[["cancer", "pcr"], "AUROC p Holm"]) == pytest.approx([2 * low, max(2 * low, high)])
    p = np.sort(table["sensitivity p"])
    assert np.sort(table["sensitivity p Holm"]) == pytest.approx(np.minimum(np.maximum.accumulate(p * [3, 2, 1]), 1))


def test_a_run_does_not_differ_from_itself():
    table = compare_runs(TRUTHS, FIRST, FIRST, {name: (at[0], at[0]) for name, at in POINTS.items()})
    assert (table[[name for name in table if name.endswith((" p", " p Holm"))]] == 1).all(axis=None)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"first": {"cancer": FIRST["cancer"]}}, "outcomes differ"),
        ({"positive": TRUTHS | {"pcr": np.where(PCR == 1, 1, np.nan)}}, "pcr: all 50 patients are of one class"),
        ({"positive": TRUTHS | {"pcr": PCR + 1}}, "pcr: it holds values other than"),
        ({"positive": TRUTHS | {"pcr": PCR[1:]}}, "pcr: truths of shape"),
        ({"second": SECOND | {"cancer": np.full(100, np.nan)}}, "scores: it holds NaN"),
    ],
)
def test_faults(changed, words):
    given = {"positive": TRUTHS, "first": FIRST, "second": SECOND, "points": POINTS} | changed
    with pytest.raises(ScanweaveError, match=words):
        compare_runs(**given)
