"""The loss terms: planted cases with known values."""

import math

import pytest
import torch

from scanweave.errors import ScanweaveError
from scanweave.systems.ultra.config import NetworkSettings, ObjectiveSettings
from scanweave.systems.ultra.objective import UltraObjective, bin_correlation, smoothed_power, total_variation
from scanweave.systems.ultra.reconstruction import Reconstruction

STEP = torch.zeros(1, 2, 8, 8)
STEP[..., 4:] = 1.0


@pytest.mark.parametrize("p", [0.5, 0.8, 1.0, 1.5, 2.0])
def test_power_is_that_of_the_error_with_a_finite_slope(p):
    error = torch.tensor([0.0, 0.5, -2.0], requires_grad=True)
    value = smoothed_power(error, p, 1e-3)
    torch.testing.assert_close(value.detach(), error.detach().abs() ** p, atol=0.04, rtol=0.01)
    (slope,) = torch.autograd.grad(value.sum(), error)
    assert slope[0] == 0
    assert slope.isfinite().all()


def test_variation_of_a_step():
    assert float(total_variation(STEP, (1.0, 1.0, 1.0), 1e-4)) == pytest.approx(1 / 8, rel=1e-3)
    assert float(total_variation(STEP, (0.0, 1.0, 1.0), 1e-4)) == pytest.approx(0, abs=1e-6)


def test_variation_along_energy_has_its_own_weight():
    bins = torch.stack([torch.zeros(6, 6), torch.ones(6, 6)])[None].double()
    full, half = (float(total_variation(bins, (1.0, 1.0, weight), 1e-4)) for weight in (1.0, 0.5))
    assert full == pytest.approx(0.5, rel=1e-3)
    assert half == pytest.approx(full / 2)


def test_guided_variation_spares_the_guides_edges():
    plain, guided = (float(total_variation(STEP, (1.0, 1.0, 0.0), 1e-4, guide, 0.1)) for guide in (None, STEP))
    assert guided < 1e-6 < plain


def test_correlation_is_zero_for_bins_of_one_structure():
    torch.manual_seed(0)
    image = torch.rand(1, 1, 12, 12)
    same, other = torch.cat([image, 1 * image], 1), torch.cat([image, torch.rand(1, 1, 12, 12)], 1)
    assert float(bin_correlation(same, 1e-4)) < 1e-3 < float(bin_correlation(other, 1e-4))


def _objective(**settings):
    network = Reconstruction(NetworkSettings(width=4, levels=2), [0.0] * 2, [1.0] * 2)
    return UltraObjective(network, ObjectiveSettings(**settings))


def test_terms_add_up_and_can_be_left_out():
    batch = {"image": torch.rand(2, 2, 16, 16), "target": torch.rand(2, 2, 16, 16)}
    terms = _objective(correlation=0.1, tv_weights="adaptive")(batch)
    assert set(terms) == {"loss", "data", "tv", "correlation"}
    total = sum(terms[name].item() for name in ("data", "tv", "correlation"))
    assert math.isclose(terms["loss"].item(), total, rel_tol=1e-5)
    assert set(_objective(tv=0.0)(batch)) == {"loss", "data"}


def test_bin_weights_decide_what_counts():
    batch = {"image": torch.zeros(1, 2, 8, 8), "target": torch.zeros(1, 2, 8, 8)}
    batch["image"][:, 0] = 1.0
    light, heavy = (float(_objective(tv=0.0, bin_weights=w)(batch)["data"]) for w in ((1.0, 3.0), (3.0, 1.0)))
    assert heavy == pytest.approx(3 * light)


def test_weights_of_other_bins_are_refused():
    with pytest.raises(ScanweaveError, match="3 weights for 2 bins"):
        _objective(bin_weights=(1.0, 1.0, 1.0))
