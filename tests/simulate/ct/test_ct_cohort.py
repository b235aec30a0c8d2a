"""Simulated spectral cohorts: reproducible, taken up where they stopped, true to their truth."""

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.simulate.ct.cohort import simulate_ct, simulate_slice
from scanweave.simulate.ct.maps import MATERIALS
from scanweave.simulate.ct.settings import CtSettings
from scanweave.studies.checks.cohort_check import check_cohort
from scanweave.studies.slice_scans import slice_image

SCAN = {"size": 24, "views": 40}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return simulate_ct(tmp_path_factory.mktemp("ct") / "cohort", subjects=2, seed=3, **SCAN)


def test_study_holds_counts_and_truth(cohort):
    study = cohort["sub-000000"]
    measured = study.sinogram("ct")
    assert measured.kind == "counts"
    assert measured.bins == 5
    assert list(study.scans) == ["bin1", "bin2", "bin3", "bin4", "bin5", "iodine", "gadolinium"]
    bins = [slice_image(study.scans[f"bin{number}"]).mean() for number in range(1, 6)]
    assert bins == sorted(bins, reverse=True)  # attenuation falls with energy
    assert slice_image(study.scans["gadolinium"]).max() > 0


def test_larger_number_adds_to_a_smaller_one(cohort):
    before = cohort["sub-000001"].sinogram("ct").values
    larger = simulate_ct(cohort.folder, subjects=3, seed=3, **SCAN)
    assert len(larger) == 3
    np.testing.assert_array_equal(larger["sub-000001"].sinogram("ct").values, before)


def test_counts_follow_from_seed_and_index(cohort):
    again, body = simulate_slice(3, 1, CtSettings(**SCAN))
    np.testing.assert_array_equal(cohort["sub-000001"].sinogram("ct").values, again.values)
    truth = slice_image(cohort["sub-000001"].scans["gadolinium"])
    np.testing.assert_allclose(truth, body.densities[MATERIALS.index("gadolinium")], atol=1e-7)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"subjects": 0}, "subjects: 0 is too small"),
        ({"seed": 4}, "another seed"),
        ({"thresholds": (50.0, 30.0)}, "ascend"),
        ({"thresholds": (30.0, 130.0)}, "tube voltage"),
        ({"photons": -1.0}, "photons"),
        ({"geometry": "helical"}, "geometry"),
    ],
)
def test_bad_request_is_one_line(cohort, settings, reason):
    with pytest.raises(ScanweaveError, match=reason) as caught:
        simulate_ct(cohort.folder, **{"subjects": 2, "seed": 3, **SCAN, **settings})
    assert "\n" not in str(caught.value)


def test_cohort_of_one_bin_needs_no_repair(tmp_path):
    made = simulate_ct(tmp_path / "c", subjects=2, seed=0, size=24, views=6, thresholds=(20.0,))
    assert {verdict.status for verdict in check_cohort(made)} == {"ok"}
