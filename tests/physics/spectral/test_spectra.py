import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.physics.spectral.spectra import (
    TUBES,
    Spectrum,
    half_value_layer,
    monoenergetic,
    spekpy_spectrum,
    tube_spectrum,
)

SPEKPY = {50: (31.37, 1.544), 80: (47.76, 4.376), 120: (59.66, 6.364)}
"""Mean energy [keV] and first half-value layer [mm Al] that spekpy 2.5.4 gives for the same tubes."""


@pytest.mark.parametrize("kvp", TUBES)
def test_shipped_spectrum_has_mean_and_half_value_layer_of_spekpy(kvp):
    spectrum = tube_spectrum(kvp)
    mean, layer = SPEKPY[kvp]
    assert spectrum.mean_energy == pytest.approx(mean, abs=0.02)
    assert half_value_layer(spectrum) == pytest.approx(layer, rel=0.01)
    assert spectrum.energies.max() < kvp


def test_lines_of_tungsten_stand_out_above_70_kv_only():
    for kvp, there in ((50, False), (120, True)):
        spectrum = tube_spectrum(kvp)
        shares = dict(zip(spectrum.energies, spectrum.shares, strict=True))
        assert (shares.get(59.5, 0) > 2 * shares.get(61.5, np.inf)) == there


def test_half_value_layer_of_one_energy_is_closed_form():
    wanted = np.log(2) / (0.27781 * 2.699) * 10
    assert half_value_layer(monoenergetic(60.0)) == pytest.approx(wanted, rel=1e-3)


def test_filter_hardens_the_beam():
    spectrum = tube_spectrum(120)
    harder = spectrum.filtered("copper", 0.5)
    assert harder.mean_energy > spectrum.mean_energy + 5
    assert harder.photons.sum() < spectrum.photons.sum()
    assert harder.shares.sum() == pytest.approx(1)


def test_voltage_that_does_not_ship_is_refused():
    with pytest.raises(ScanweaveError, match="Choose 50, 80, 120"):
        tube_spectrum(100)


@pytest.mark.parametrize(
    ("energies", "photons"),
    [([60, 50], [1, 1]), ([50, 60], [1, -1]), ([50, 60], [0, 0]), ([50, 60], [1, np.nan]), ([50, 60], [1]), ([], [])],
)
def test_wrong_spectra_are_refused(energies, photons):
    with pytest.raises(ScanweaveError):
        Spectrum(np.array(energies, float), np.array(photons, float))


def test_spekpy_gives_what_ships():
    pytest.importorskip("spekpy")
    shipped, computed = tube_spectrum(120), spekpy_spectrum(120)
    np.testing.assert_allclose(computed.photons, shipped.photons, rtol=1e-4)
