"""The correction for water makes water of any thickness exact."""

import numpy as np

from scanweave.physics.spectral.decomposition import binned_attenuation
from scanweave.physics.spectral.detectors import PhotonCounting
from scanweave.physics.spectral.hardening import correct_for_water
from scanweave.physics.spectral.materials import density, linear_attenuation
from scanweave.physics.spectral.spectra import tube_spectrum

SPECTRUM = tube_spectrum(120)
DETECTOR = PhotonCounting((20.0, 50.0, 70.0), resolution=5.0)
WEIGHTS = DETECTOR.response(SPECTRUM.energies) * SPECTRUM.shares


def test_water_is_exact():
    lengths = np.array([0.0, 1.0, 30.0, 150.0, 300.0])
    passed = WEIGHTS @ np.exp(-np.outer(linear_attenuation("water", SPECTRUM.energies), lengths))
    hardened = -np.log(passed / WEIGHTS.sum(axis=1, keepdims=True))
    mean = 0.1 * density("water") * binned_attenuation(("water",), SPECTRUM, DETECTOR)
    corrected = correct_for_water(hardened, SPECTRUM.energies, WEIGHTS)
    np.testing.assert_allclose(corrected, mean * lengths, rtol=2e-3, atol=1e-6)
    assert (hardened[0, -1] - corrected[0, -1]) < -0.5  # there was something to correct


def test_noise_below_zero_is_kept():
    noise = np.full((3, 2), -0.05)
    np.testing.assert_array_equal(correct_for_water(noise, SPECTRUM.energies, WEIGHTS), noise)
