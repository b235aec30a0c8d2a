"""Runs that learn from series keep the promises of every system, with single sources and with fused ones."""

import json

import numpy as np
import pandas as pd
import pytest

import scanweave as sw
from scanweave.studies.splits import make_splits, write_splits

SETTINGS = {
    "training": {"steps": 4, "warm_up": 0, "validate_every": 4, "batch_size": 2, "log_every": 1},
    "network": {"channels": [2, 4], "blocks": 1, "lstm_layers": 1, "rank": 2},
    "objective": {"structural": 0.0},  # its window is wider than these images
    "sampling": {"crop": [8, 8], "frames": 2},
    "synthesis": {"validation_slices": 2, "validation_studies": 1},
}
TIMES = (0.0, 90.0, 300.0)


def breast_cohort(folder):
    """Simulate breasts of 8³ voxels with a series of three frames."""
    made = sw.simulate_breast(
        folder / "c",
        subjects=4,
        seed=0,
        spacing=4.0,
        field=(32, 32, 32),
        sequences=("t2", "dce"),
        dce_times=TIMES,
        lesion_share=1.0,
    )
    write_splits(made.folder, make_splits(made.patients, 3, seed=1))


@pytest.fixture(scope="module")
def cohort(made_once):
    return sw.Cohort.open(made_once(breast_cohort) / "c")


@pytest.mark.parametrize("preset", ["small", "best"])
def test_series_keep_the_promises(cohort, tmp_path, preset):
    sw.check_system("seq2seq", cohort, tmp_path / "runs", SETTINGS, preset=preset)


def test_curves_of_series_are_predicted_measured_and_shown(cohort, tmp_path):
    system = sw.fit("seq2seq", cohort, tmp_path / "run", preset="best", config=[SETTINGS], say=str)
    study = next(iter(cohort.part("test")))
    made = system.predict(study.without("dce"))["dce"]
    assert made.frames == 3
    np.testing.assert_allclose(made.times, TIMES)
    pairs = system.evaluate(cohort, say=str)
    dce = pairs[(pairs["target"] == "dce") & (pairs["region"] == "brain")]
    assert dce[["psnr", "ssim", "curve_rmse", "wash_in_error", "wash_out_error"]].notna().all(axis=None)
    assert pairs.loc[pairs["target"] == "t2", "curve_rmse"].isna().all()
    lesions = pd.read_csv(tmp_path / "run" / "evaluation" / "lesion_curves.csv")
    assert set(lesions["type_real"]) <= {"persistent", "plateau", "washout"}
    assert (tmp_path / "run" / "evaluation" / "curves.png").is_file()
    assert "Curves of dce, real and made, by region." in system.report().read_text()
    summary = json.loads((tmp_path / "run" / "evaluation" / "summary.json").read_text())
    assert {"curve_rmse", "type_match"} <= {row["measure"] for row in summary["rows"]}
