import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.physics.spectral.detectors import EnergyIntegrating, PhotonCounting

ENERGIES = np.arange(20.5, 120.0)


def test_ideal_thresholds_put_each_photon_into_one_bin():
    response = PhotonCounting((20.0, 40.0, 60.0)).response([30.0, 40.0, 59.9, 100.0, 19.0])
    np.testing.assert_array_equal(response, [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0]])


def test_resolution_shares_a_photon_at_a_threshold_and_keeps_the_sum():
    blurred = PhotonCounting((0.0, 40.0), resolution=6.0).response([40.0, 43.0, 46.0])
    np.testing.assert_allclose(blurred.sum(axis=0), 1, atol=1e-9)
    assert blurred[1, 0] == pytest.approx(0.5)
    assert blurred[1, 1] == pytest.approx(0.8803, abs=1e-3)  # half a full width at half maximum above it


def test_charge_sharing_moves_photons_down_and_loses_those_below_the_lowest_threshold():
    ideal, sharing = (PhotonCounting((20.0, 60.0), charge_sharing=share).response([100.0]) for share in (0.0, 0.3))
    np.testing.assert_allclose(ideal[:, 0], [0, 1])
    np.testing.assert_allclose(sharing[:, 0], [0.3 * 0.4, 0.7 + 0.3 * 0.4])


@pytest.mark.parametrize("resolution", [0.0, 5.0])
def test_response_is_a_chance(resolution):
    detector = PhotonCounting((20.0, 35.0, 50.0, 65.0), resolution, charge_sharing=0.2, efficiency=0.9)
    response = detector.response(ENERGIES)
    assert response.shape == (4, len(ENERGIES))
    assert response.min() >= -1e-12
    assert response.sum(axis=0).max() <= 0.9 + 1e-12


def test_energy_is_summed():
    np.testing.assert_allclose(EnergyIntegrating(efficiency=0.5).response([40.0, 80.0]), [[20, 40]])


@pytest.mark.parametrize(
    "wrong",
    [
        {"thresholds": ()},
        {"thresholds": (40.0, 30.0)},
        {"thresholds": (30.0, np.nan)},
        {"thresholds": (-5.0, 30.0)},
        {"thresholds": (30.0,), "resolution": -1.0},
        {"thresholds": (30.0,), "charge_sharing": 1.5},
        {"thresholds": (30.0,), "efficiency": 0.0},
        {"thresholds": (30.0,), "limit": 0.0},
    ],
)
def test_impossible_detectors_are_refused(wrong):
    with pytest.raises(ScanweaveError) as caught:
        PhotonCounting(**wrong)
    assert "\n" not in str(caught.value)
