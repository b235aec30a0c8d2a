"""Faults of series are found frame by frame, and what was mended beside a series is looked at again."""

from __future__ import annotations

import numpy as np
import pytest

from scanweave.studies.checks.cohort_check import check_all, check_study, sound_studies, sound_with_series
from scanweave.studies.checks.last_check import last_check
from scanweave.studies.cohort import Cohort
from scanweave.studies.scan import Scan

AFFINE = np.diag([9.0, 9.0, 9.0, 1.0])
FRAMES = 120
"""So many that one frame is less than a hundredth of all voxels."""


def frames(number=4, seed=0):
    return np.random.default_rng(seed).uniform(10, 99, (5, 6, 7, number)).astype(np.float32)


def verdict(folder, data, **told):
    Scan.of(data, AFFINE, **told).save(folder / "dce.nii.gz")
    return check_study({"study": "s", "patient": "p", "scan:dce": "dce.nii.gz"}, folder)


def test_a_sound_series_is_said_with_its_times_and_b_values(tmp_path):
    found = verdict(tmp_path, frames(), times=[0, 10, 30, 60], b_values=[0, 50, 400, 800])
    (finding,) = found.findings
    assert found.status == "ok"
    assert finding.words == "a series of 4 frames, 0 to 60 s, b 0 to 800 s/mm²"


@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "100 % of the voxels of frame 2 (from 0) are NaN"), (7, "every voxel of frame 2")]
)
def test_one_bad_frame_of_many_is_refused(value, words, tmp_path):
    data = frames(FRAMES)
    data[..., 2] = value
    found = verdict(tmp_path, data)
    assert found.status == "refused"
    assert words in str(found.findings[0])


def test_a_few_voxels_of_a_frame_are_repaired(tmp_path):
    data = frames()
    data[0, 0, 0, 2] = np.nan
    assert verdict(tmp_path, data).status == "repaired"


def test_times_that_do_not_rise_are_suspect(tmp_path):
    found = verdict(tmp_path, frames(), times=[0, 20, 10, 30])
    assert found.status == "suspect"
    assert "dce: its times do not rise: 0, 20, 10, 30 s" in str(found.findings[0])


@pytest.fixture
def cohort(tmp_path):
    rows = []
    for number in range(3):
        Scan.of(frames(3, number), AFFINE).save(tmp_path / f"{number}_dce.nii.gz")
        Scan.of(frames(1, number)[..., 0], AFFINE).save(tmp_path / f"{number}_t1.nii.gz")
        row = {"study": f"s{number}", "patient": f"p{number}", "scan:dce": f"{number}_dce.nii.gz"}
        rows.append(row | {"scan:t1": f"{number}_t1.nii.gz"})
    return Cohort.create(tmp_path / "c", rows, root="..", name="c", source="x", layout="table")


def test_a_mended_file_beside_a_series_is_read_again(cohort, tmp_path):
    assert {one.status for one in check_all(cohort).studies} == {"ok"}
    assert last_check(cohort.folder) is not None
    (tmp_path / "1_dce.bval").write_text("0 5")
    assert last_check(cohort.folder) is None
    assert [one.status for one in check_all(cohort).studies] == ["ok", "suspect", "ok"]
    (tmp_path / "1_dce.bval").write_text("0 5 800")
    assert {one.status for one in check_all(cohort).studies} == {"ok"}
    assert last_check(cohort.folder) is not None


def test_who_takes_series_keeps_them_and_is_told_which_they_are(cohort):
    lines = []
    assert sound_studies(cohort, 1, lines.append).counts() == {"t1": 3}
    assert lines[-1].endswith("series left out: dce 3")
    whole, series = sound_with_series(cohort, 1, lines.append)
    assert (whole.counts(), series) == ({"dce": 3, "t1": 3}, ("dce",))
    assert "series" not in lines[-1]
    assert sound_studies(cohort, 1, lines.append, series=["dce"]).counts() == {"dce": 3, "t1": 3}
    assert sound_studies(cohort, 1, lines.append, series=["dwi"]).counts() == {"t1": 3}
