"""Sharpness and noise power: planted blur and planted noise are found."""

import numpy as np
import pytest
from scipy import ndimage

from scanweave.measures.resolution import edge_mtf50, noise_power, noise_summary

ROWS, COLUMNS = np.mgrid[:128, :128]
DISC = ndimage.gaussian_filter((np.hypot(ROWS - 60, COLUMNS - 66) < 40).astype(float), 0.7)


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.5])
def test_planted_blur_is_found_under_noise(sigma):
    noise = np.random.default_rng(0).normal(0, 0.02, DISC.shape)
    expected = np.sqrt(np.log(2) / 2) / (np.pi * sigma * 0.5)  # exp(−2 π² σ² f²) = 1/2
    assert edge_mtf50(ndimage.gaussian_filter(DISC, sigma) + noise, DISC, 0.5) == pytest.approx(expected, rel=0.12)


def test_truth_is_as_sharp_as_the_grid():
    assert edge_mtf50(DISC, DISC, 0.5) == 1.0


def test_white_noise_has_its_power_at_every_frequency():
    error = np.random.default_rng(2).normal(0, 0.3, (128, 128))
    _, power = noise_power(error, np.ones(error.shape, bool), 0.5)
    np.testing.assert_allclose(power[3:].mean(), 0.3**2 * 0.5**2, rtol=0.05)


def test_smooth_noise_is_at_lower_frequencies():
    error, region = np.random.default_rng(3).normal(0, 1, (96, 96)), np.ones((96, 96), bool)
    smooth = ndimage.gaussian_filter(error, 2)
    fine, coarse = (noise_summary(one, region, 1.0)["noise_frequency"] for one in (error, smooth))
    assert coarse < 0.5 * fine


def test_empty_region_has_no_noise():
    assert np.isnan(noise_summary(DISC, DISC < -1, 1.0)["noise"])
