"""Quality of a slice: a fixed range, and errors for what cannot be measured."""

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.measures.slices import contrast_to_noise, slice_quality

TRUTH = np.random.default_rng(0).random((20, 30))


def test_known_error_has_its_known_psnr():
    found = slice_quality(TRUTH + 0.01, TRUTH, 1.0)
    assert found["psnr"] == pytest.approx(40)
    assert found["rmse"] == pytest.approx(0.01)


def test_psnr_does_not_follow_the_brightest_pixel():
    made = TRUTH + 0.01
    brighter = made.copy()
    brighter[0, 0] += 5
    assert slice_quality(brighter, TRUTH, 1.0)["psnr"] < slice_quality(made, TRUTH, 1.0)["psnr"]


def test_contrast_to_noise_of_a_planted_insert():
    rng = np.random.default_rng(1)
    inside = np.zeros((40, 40), bool)
    inside[10:20, 10:20] = True
    image = rng.normal(0, 0.5, inside.shape) + 3.0 * inside
    assert contrast_to_noise(image, inside, ~inside) == pytest.approx(6, rel=0.1)
    assert np.isnan(contrast_to_noise(image, inside & False, ~inside))


@pytest.mark.parametrize(
    ("made", "span", "reason"),
    [(TRUTH[:5], 1.0, "its shape"), (TRUTH * np.nan, 1.0, "NaN"), (TRUTH, 0.0, "span")],
)
def test_what_cannot_be_measured_is_refused(made, span, reason):
    with pytest.raises(ScanweaveError, match=reason):
        slice_quality(made, TRUTH, span)
