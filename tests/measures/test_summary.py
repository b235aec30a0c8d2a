import numpy as np
import pandas as pd
import pytest

from scanweave.measures.summary import LEAST_PATIENTS_FOR_INTERVAL, estimate, row_of, summarise, sureness


def _table(rows):
    return pd.DataFrame(
        [{"study": f"{p}{n}", "patient": p, "method": m, "psnr": v} for n, (m, p, v) in enumerate(rows)]
    )


def test_means_are_over_rows_and_intervals_over_patients():
    found = summarise(_table([("a", "x", 1.0), ("a", "x", 3.0), ("a", "y", 5.0)]), ["method"], ["psnr"])
    row = found.iloc[0]
    assert row["mean"] == pytest.approx(3.0)
    assert (row["patients"], row["studies"]) == (2, 3)


def test_what_was_not_measured_is_left_out():
    table = _table([("a", "x", 1.0), ("b", "x", np.nan)])
    found = summarise(table, ["method"], ["psnr", "ssim"])
    assert list(zip(found["method"], found["measure"], strict=True)) == [("a", "psnr")]
    assert row_of(found, "psnr", method="b") is None
    assert row_of(found, "psnr", method="a").value == 1.0


def test_few_patients_have_no_interval():
    row = {"mean": 1.0, "low": 0.5, "high": 1.5}
    assert estimate(row, LEAST_PATIENTS_FOR_INTERVAL).low == 0.5
    assert np.isnan(estimate(row, LEAST_PATIENTS_FOR_INTERVAL - 1).low)
    assert "No intervals" in sureness([LEAST_PATIENTS_FOR_INTERVAL - 1])
    assert sureness([LEAST_PATIENTS_FOR_INTERVAL]).startswith("In brackets")
    assert "none of fewer" in sureness([LEAST_PATIENTS_FOR_INTERVAL, LEAST_PATIENTS_FOR_INTERVAL - 1])
