import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.physics.spectral.materials import (
    attenuation_matrix,
    density,
    known_materials,
    linear_attenuation,
    mass_attenuation,
)

NIST = {  # Hubbell and Seltzer, NISTIR 5632 (1995), at 60 keV [cm²/g]
    "water": 0.2059,
    "soft_tissue": 0.2048,
    "adipose": 0.1974,
    "bone": 0.3148,
    "blood": 0.2057,
    "aluminium": 0.2778,
    "iodine": 7.579,
    "gold": 4.528,
}


@pytest.mark.parametrize(("material", "wanted"), NIST.items())
def test_attenuation_at_60_kev_is_that_of_nist(material, wanted):
    assert mass_attenuation(material, 60.0) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize(
    ("material", "edge", "jump"), [("iodine", 33.1694, 5.4), ("gadolinium", 50.2391, 4.8), ("gold", 80.7249, 4.1)]
)
def test_attenuation_jumps_at_the_k_edge_and_nowhere_else(material, edge, jump):
    below, above = mass_attenuation(material, [edge - 0.01, edge + 0.01])
    assert above / below == pytest.approx(jump, rel=0.05)
    for energies in (np.arange(15, edge - 0.1, 0.05), np.arange(edge + 0.1, 150, 0.05)):
        assert (np.diff(mass_attenuation(material, energies)) < 0).all()


def test_interpolation_between_rows_is_that_of_xraylib():
    xraylib = pytest.importorskip("xraylib")
    energies = np.array([10.5, 17.3, 33.0, 33.4, 59.7, 121.6])
    computed = [xraylib.CS_Total(53, energy) for energy in energies]
    np.testing.assert_allclose(mass_attenuation("iodine", energies), computed, rtol=5e-3)


def test_matrix_has_a_row_a_material():
    matrix = attenuation_matrix(("water", "bone"), [40.0, 60.0, 80.0])
    assert matrix.shape == (2, 3)
    assert matrix[1, 1] == mass_attenuation("bone", 60.0)


def test_linear_attenuation_of_water_in_millimetres():
    assert linear_attenuation("water", 60.0) == pytest.approx(0.02059, rel=0.002)
    assert linear_attenuation("water", 60.0, 2.0) == pytest.approx(2 * linear_attenuation("water", 60.0))


def test_densities_are_physical():
    assert all(0.9 < density(name) < 20 for name in known_materials())


@pytest.mark.parametrize("call", [lambda: mass_attenuation("unobtainium", 60), lambda: density("air")])
def test_unknown_material_names_the_known_ones(call):
    with pytest.raises(ScanweaveError, match="water, soft_tissue") as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("energy", [5.0, 151.0, np.nan])
def test_energy_outside_the_table_is_refused(energy):
    with pytest.raises(ScanweaveError, match="10 to 150 keV"):
        mass_attenuation("water", [60.0, energy])
