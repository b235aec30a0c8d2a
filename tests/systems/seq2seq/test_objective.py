"""The losses of a step, against the formula written out."""

import pytest
import torch
from torch.nn import functional as F

from scanweave.systems.seq2seq.config import NetworkSettings, ObjectiveSettings
from scanweave.systems.seq2seq.network import Seq2SeqNetwork
from scanweave.systems.seq2seq.objective import Seq2SeqObjective

NETWORK = NetworkSettings(channels=(4, 6), blocks=1, lstm_layers=1, rank=2, kernel_size=3, code_length=4)
WEIGHTS = ObjectiveSettings(cross=3.0, identity=2.0, cycle=5.0, perceptual=0.0)


@pytest.fixture(params=[False, True], ids=["blind", "told"])
def network(request):
    """In float64, so that what is equal on paper is so to 1e-7, by whatever algorithm the library convolves."""
    torch.manual_seed(0)
    return Seq2SeqNetwork(NETWORK.model_copy(update={"source_code": request.param})).double()


def covered(source, target):
    """Both covered everywhere."""
    return {"source_covered": torch.ones_like(source).bool(), "target_covered": torch.ones_like(target).bool()}


@pytest.fixture
def batch():
    draw = torch.Generator().manual_seed(1)
    source, target = torch.rand(2, 2, 1, 3, 24, 24, generator=draw, dtype=torch.float64) * 2 - 1
    return {
        "source": source,
        "target": target,
        "from": torch.tensor([0, 2]),
        "to": torch.tensor([1, 2]),
        "number": torch.arange(2),
        **covered(source, target),
    }


def test_terms_are_those_of_the_paper(network, batch):
    terms = Seq2SeqObjective(network, WEIGHTS)(batch)
    made = network(batch["source"], batch["from"], batch["to"])
    expected = {
        "cross": 3 * F.smooth_l1_loss(made, batch["target"]),
        "self": 2 * F.smooth_l1_loss(network(batch["source"], batch["from"], batch["from"]), batch["source"]),
        "cycle": 5 * F.smooth_l1_loss(network(made, batch["to"], batch["from"]), batch["source"]),
    }
    assert set(terms) == {"loss", *expected}
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)
    torch.testing.assert_close(terms["loss"], sum(expected.values()).float())


def test_self_and_cycle_of_a_share_of_the_samples(network, batch):
    settings = WEIGHTS.model_copy(update={"self_share": 0.5, "structural": 1.0})
    objective = Seq2SeqObjective(network, settings)
    first = {name: value[:1] for name, value in batch.items()}
    alone, few = Seq2SeqObjective(network, WEIGHTS)(first), objective(batch)
    torch.testing.assert_close(few["cross"], Seq2SeqObjective(network, WEIGHTS)(batch)["cross"])
    for name in ("self", "cycle"):
        torch.testing.assert_close(few[name], alone[name])  # sample 0 of 0 and 1


@pytest.mark.parametrize("share", [1.0, 0.5, 0.25, 0.3])
def test_a_batch_cut_in_two_has_the_mean_loss_of_its_halves(network, share):
    """So that two processes, or accumulated batches, learn what one doubled batch does."""
    draw = torch.Generator().manual_seed(2)
    source, target = torch.rand(2, 8, 1, 3, 12, 12, generator=draw, dtype=torch.float64) * 2 - 1
    numbers = torch.randint(4, (2, 8), generator=draw)
    batch = {"source": source, "target": target, "from": numbers[0], "to": numbers[1], "number": torch.arange(8, 16)}
    batch |= covered(source, target)
    objective = Seq2SeqObjective(network, WEIGHTS.model_copy(update={"self_share": share, "structural": 1.0}))
    whole = objective(batch)
    halves = [objective({name: value[part] for name, value in batch.items()}) for part in (slice(4), slice(4, 8))]
    for name, value in whole.items():
        torch.testing.assert_close(value, (halves[0][name] + halves[1][name]) / 2)


def test_what_was_not_acquired_carries_no_loss(network, batch):
    """Whatever stands in voxels that no scan covers."""
    objective = Seq2SeqObjective(network, WEIGHTS.model_copy(update={"structural": 1.0}))
    batch["target_covered"][..., :10] = False
    terms = objective(batch)
    batch["target"][..., :10] = torch.rand(2, 1, 3, 24, 10, dtype=torch.float64)
    changed = objective(batch)
    for name in ("cross", "self", "cycle"):
        assert changed[name] == terms[name]
    batch["source_covered"][:] = False
    assert objective(batch)["self"] == objective(batch)["cycle"] == 0


def test_cycle_teaches_the_cross_direction_too(network, batch):
    terms = Seq2SeqObjective(network, ObjectiveSettings(cross=0.0, identity=0.0, cycle=1.0, perceptual=0.0))(batch)
    torch.autograd.backward(terms["loss"])
    # Column k of the code's layer is reached by sequence k only: 1 is a target, never a source.
    assert network.code.weight.grad[:, 1].abs().sum() > 0


def test_a_batch_weighs_its_samples_alike(network, batch):
    objective = Seq2SeqObjective(network, WEIGHTS)
    halves = [{name: value[i : i + 1] for name, value in batch.items()} for i in range(2)]
    parts = [objective(half)["loss"] for half in halves]
    torch.testing.assert_close(objective(batch)["loss"], sum(parts) / 2)


def test_structural_term_falls_for_likeness(network, batch):
    settings = ObjectiveSettings(cross=0.0, identity=0.0, cycle=0.0, perceptual=0.0, structural=1.0)
    objective = Seq2SeqObjective(network, settings)
    assert objective(batch)["structural"] > 0.1
    alike = batch | {"target": network(batch["source"], batch["from"], batch["to"]).detach()}
    own = objective(alike)["structural"]
    assert own < objective(batch)["structural"]


def test_perceptual_term_is_left_out_without_weights(network, batch):
    assert "perceptual" not in Seq2SeqObjective(network, ObjectiveSettings(perceptual=1.0))(batch)


def test_a_series_is_compared_frame_by_frame(network):
    draw = torch.Generator().manual_seed(1)
    source = torch.rand(1, 2, 3, 12, 12, generator=draw, dtype=torch.float64)
    target = torch.rand(1, 4, 3, 12, 12, generator=draw, dtype=torch.float64)
    numbers = {name: torch.tensor([value]) for name, value in (("from", 0), ("to", 1), ("number", 0))}
    batch = {"source": source, "target": target, **numbers, **covered(source, target)}
    terms = Seq2SeqObjective(network, WEIGHTS)(batch)
    expected = 3 * F.smooth_l1_loss(network(source, batch["from"], batch["to"], 4), target)
    torch.testing.assert_close(terms["cross"], expected)
