"""Line integrals as a linear operator wants them."""

from dataclasses import replace

import numpy as np
import pytest

from scanweave.physics.spectral.corrected import beam_of, corrected_lines, same_beam
from scanweave.physics.spectral.counts import air_counts, expected_counts
from scanweave.physics.spectral.decomposition import binned_attenuation
from scanweave.physics.spectral.detectors import PhotonCounting
from scanweave.physics.spectral.materials import density
from scanweave.physics.spectral.spectra import tube_spectrum
from scanweave.studies.sinogram import Sinogram

DETECTOR = PhotonCounting((20.0, 51.0), resolution=4.0, charge_sharing=0.05)
LENGTHS = np.array([0.0, 5.0, 20.0, 80.0, 160.0])


def _water(kvp=120, detector=DETECTOR):
    """Noiseless counts behind some millimetres of water, a detector element each."""
    beam = tube_spectrum(kvp)
    area = (0.1 * density("water") * LENGTHS)[None, None]
    return Sinogram(
        expected_counts(area, ("water",), beam, detector, 1e6),
        "counts",
        {"views": 1},
        air=air_counts(beam, detector, 1e6),
        thresholds=np.array(detector.thresholds),
        energies=beam.energies,
        photons=beam.photons,
        response=detector.response(beam.energies),
    )


def test_water_of_any_thickness_attenuates_in_proportion():
    lines = corrected_lines(_water())
    slopes = 0.1 * density("water") * binned_attenuation(("water",), tube_spectrum(120), DETECTOR)
    np.testing.assert_allclose(lines[:, 0], slopes * LENGTHS, rtol=1e-3, atol=1e-5)


def test_without_a_spectrum_they_are_left_as_they_are():
    bare = replace(_water(), energies=None, photons=None, response=None)
    np.testing.assert_allclose(corrected_lines(bare), -np.log(bare.values / bare.air[:, None, None]), rtol=1e-6)
    assert beam_of(bare) is None
    assert corrected_lines(bare)[0, 0, -1] < 0.95 * corrected_lines(_water())[0, 0, -1]


@pytest.mark.parametrize("other", [_water(80), _water(detector=replace(DETECTOR, thresholds=(20.0, 60.0)))])
def test_another_voltage_or_threshold_is_another_beam(other):
    assert not same_beam(beam_of(_water()), beam_of(other))


def test_dose_and_rounding_make_no_other_beam():
    beam = _water()
    dimmer = replace(beam, photons=beam.photons.astype(np.float32) / 7)
    assert same_beam(beam_of(beam), beam_of(dimmer))
