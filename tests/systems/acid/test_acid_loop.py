"""The iteration, its parts and its warnings, against results by hand."""

import pytest
import torch
from deepinv.physics import LinearPhysics
from torch import nn

from scanweave.errors import ScanweaveError
from scanweave.systems.acid.config import LoopSettings, NetworkSettings
from scanweave.systems.acid.error_norm import bren_ratio, choose_feedback, feedback_map, measure_bren
from scanweave.systems.acid.loop import Acid, Record
from scanweave.systems.acid.network import Reconstruction, ScaleEquivariant, make_network


class Gains(LinearPhysics):
    """A measures each pixel with a gain of its own: 1, 2, 1, 2 …"""

    def __init__(self):
        super().__init__()
        self.gain = torch.tensor([1.0, 2.0], dtype=torch.float64).repeat(8).reshape(1, 1, 4, 4)

    def A(self, x, **_):  # noqa: N802
        return self.gain * x

    def A_adjoint(self, y, **_):  # noqa: N802
        return self.gain * y

    def A_dagger(self, y, **_):  # noqa: N802
        return y / self.gain


def times(factor):
    return lambda measurement: factor * measurement


@pytest.fixture
def images():
    return torch.rand(3, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5


def settings(**fields):
    return LoopSettings(**{"iterations": 3, "step": 0.5, "sparsifier": "none", "discrepancy": 0.0} | fields)


def test_loop_is_the_recursion_by_hand(images):
    physics = Gains()
    measurement = physics.A(images)
    record = Record()
    made = Acid(times(0.25), physics, settings())(measurement, record, keep=True)
    by_hand = 0.25 * measurement
    for number in range(3):
        assert torch.allclose(record.images[number], by_hand)
        by_hand = by_hand + 0.5 * 0.25 * (measurement - physics.gain * by_hand)
    assert torch.allclose(made, by_hand)
    left = (measurement - physics.gain * by_hand).flatten(1).norm(dim=1) / measurement.flatten(1).norm(dim=1)
    assert torch.allclose(record.residual[-1], left)
    assert record.rounds.tolist() == [3, 3, 3]
    assert len(list(record.rows())) == 12


def test_line_rule_makes_the_residual_smallest_along_its_direction(images):
    physics = Gains()
    measurement = physics.A(images)
    made = Acid(times(0.25), physics, settings(iterations=1, step=1.0, rule="line"))(measurement)
    first = 0.25 * measurement
    back = 0.25 * (measurement - physics.A(first))
    sizes = torch.linspace(-2, 12, 2801, dtype=torch.float64)
    residuals = torch.stack([(measurement[0] - physics.A(first[:1] + s * back[:1])).norm() for s in sizes])
    assert torch.allclose(made[0], first[0] + sizes[residuals.argmin()] * back[0], atol=2e-2)


def test_samples_stop_at_the_noise_each_for_itself(images):
    physics = Gains()
    measurement = physics.A(images)
    signs = torch.tensor([3.0, -1.0], dtype=torch.float64).repeat(8).reshape(1, 4, 4)
    measurement[1] = 0.01 * measurement[1].sum() * signs
    record = Record()
    acid = Acid(times(0.25), physics, settings(iterations=40, discrepancy=1.0), noise=0.3)
    made = acid(measurement, record)
    assert (record.residual[-1] <= 0.3).all()
    assert len(set(record.rounds.tolist())) > 1
    alone = torch.cat([acid(one[None]) for one in measurement])
    assert torch.allclose(made, alone)


def test_derivative_passes_the_whole_workflow(images):
    physics = Gains()
    acid = Acid(times(0.25), physics, settings(sparsifier="tv-inverse", threshold=0.02))
    measurement = physics.A(images).requires_grad_()
    assert torch.autograd.gradcheck(acid, measurement, eps=1e-6, atol=1e-4)


def test_divergence_is_told(images):
    acid = Acid(times(1e200), Gains(), settings(iterations=5))
    with pytest.raises(ScanweaveError, match="diverged"):
        acid(Gains().A(images))


def test_scale_equivariant_network_has_no_scale_of_its_own():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1)).double()
    image = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    wrapped = ScaleEquivariant(net)
    assert not torch.allclose(net(1e-3 * image), 1e-3 * net(image), rtol=1e-2)
    assert torch.allclose(wrapped(1e-3 * image), 1e-3 * wrapped(image), rtol=1e-9)
    assert wrapped(0 * image).abs().max() < 1e-100


def test_whole_workflow_is_homogeneous(images):
    physics = Gains()
    phi = Reconstruction(make_network(1, NetworkSettings(width=4, levels=2)).double(), physics)
    acid = Acid(phi, physics, settings(sparsifier="tv-inverse", threshold=0.05))
    measurement = physics.A(images)
    with torch.no_grad():
        assert torch.allclose(acid(100 * measurement), 100 * acid(measurement), rtol=1e-9)


def test_bren_of_a_linear_network_is_known(images):
    physics = Gains()
    # Φ A multiplies pixels by 0.25 and 0.5, so leaves out 0.75 and 0.5 of them.
    alternating = torch.tensor([1.0, 0.0], dtype=torch.float64).repeat(8).reshape(1, 1, 4, 4)
    assert bren_ratio(times(0.25), physics, alternating).item() == pytest.approx(0.75)
    assert bren_ratio(times(0.25), physics, 1 - alternating).item() == pytest.approx(0.5)
    assert bren_ratio(times(0.25), physics, 0 * alternating).item() == 0
    ratios = measure_bren(times(0.25), physics, images, physics.A(images), torch.Generator().manual_seed(0))
    assert set(ratios) == {"truth", "errors", "random 0.1", "random 0.01", "random 0.001"}
    assert all(0.5 <= ratio.mean <= ratio.worst <= 0.75 for ratio in ratios.values())


@pytest.mark.parametrize(("factor", "kind"), [(0.25, "network"), (2.0, "dagger")])
def test_feedback_falls_back_with_a_warning_where_bren_reaches_one(images, factor, kind):
    physics, lines = Gains(), []
    ratios = measure_bren(times(factor), physics, images, physics.A(images), torch.Generator().manual_seed(0))
    chosen, reason = choose_feedback(ratios, "auto", lines.append)
    assert chosen == kind
    assert "BREN ratio" in reason
    assert any(line.startswith("warning") for line in lines) == (kind == "dagger")


def test_fallback_converges_where_the_network_does_not(images):
    physics = Gains()
    measurement = physics.A(images)
    for kind, good in (("network", False), ("dagger", True), ("adjoint", True)):
        feedback = feedback_map(kind, times(2.0), physics, torch.zeros(1, 1, 4, 4)) if kind != "adjoint" else None
        feedback = feedback or (lambda residual: physics.A_adjoint(residual) / 4.0)
        plain = settings(iterations=60, step=1.0, safeguard=False)
        made = Acid(times(2.0), physics, plain, feedback=feedback)(measurement)
        assert torch.allclose(made, images, atol=1e-3) == good


def test_network_feedback_as_asked_is_kept_but_warned_of(images):
    physics, lines = Gains(), []
    ratios = measure_bren(times(2.0), physics, images, physics.A(images), torch.Generator().manual_seed(0))
    assert choose_feedback(ratios, "network", lines.append)[0] == "network"
    assert len(lines) == 1


def test_negative_noise_is_refused():
    with pytest.raises(ScanweaveError, match="noise"):
        Acid(times(1.0), Gains(), settings(), noise=-1.0)


def test_safeguard_takes_the_pseudo_inverse_where_the_network_expands(images):
    physics = Gains()
    measurement = physics.A(images)
    phi = times(-3.0)  # as a network may on a scan unlike those it was trained on
    plain, kept = Record(), Record()
    Acid(phi, physics, settings(safeguard=False))(measurement, plain)
    made = Acid(phi, physics, settings(step=1.0))(measurement, kept)
    assert (plain.residual[-1] > plain.residual[0]).all()
    assert torch.allclose(made, images)
    assert (kept.residual[-1] < 1e-12).all()


def test_safeguard_is_a_matter_of_each_sample(images):
    physics = Gains()
    measurement = physics.A(images)

    def phi(residual):
        sign = torch.tensor([1.0, -1.0, 1.0], dtype=residual.dtype).reshape(3, 1, 1, 1)
        return sign * 0.5 * physics.A_dagger(residual)

    made = Acid(phi, physics, settings())(measurement)
    without = Acid(phi, physics, settings(safeguard=False))(measurement)
    assert torch.allclose(made[[0, 2]], without[[0, 2]])
    assert (made[1] - images[1]).norm() < (without[1] - images[1]).norm()
