"""Layers with experts: sums, masks, equivariance, and what is trained."""

import pytest
import torch
from tiny_network import SETTINGS, answers, make_network, make_plan, make_study
from torch.nn import functional as F

from scanweave.systems.mome.config import PAPER, InputSettings, NetworkSettings
from scanweave.systems.mome.experts import Adapter, Attention, Layer, SoftMixture
from scanweave.systems.mome.inputs import StudyInput, batch_of
from scanweave.systems.mome.network import trained_parts


def tokens(count=7, width=8, seed=0):
    return torch.randn(2, count, width, generator=torch.Generator().manual_seed(seed))


def mixture(experts=3, slots=2, width=8):
    torch.manual_seed(0)
    return SoftMixture(width, experts, slots)


def test_slots_are_means_of_tokens_that_are_there_and_tokens_means_of_slots():
    made, there = mixture(), torch.ones(2, 7, dtype=torch.bool)
    there[1, 4:] = False
    dispatch, combine = made.shares(tokens(), there)
    torch.testing.assert_close(dispatch.sum(1), torch.ones(2, 6))
    torch.testing.assert_close(combine.sum(2), torch.ones(2, 7))
    assert (dispatch[1, 4:] == 0).all()


def test_one_expert_of_one_slot_is_linear_in_the_mean_token():
    made, x = mixture(1, 1), tokens()
    share = (x @ made.phi).softmax(1)
    linear = (share.transpose(1, 2) @ x) @ made.weight[0] + made.bias[0]
    torch.testing.assert_close(made(x, None), linear.expand(2, 7, 8))


def test_all_experts_at_once_are_each_by_itself():
    made, x = mixture(), tokens()
    torch.nn.init.normal_(made.bias)
    dispatch, combine = made.shares(x, None)
    slots = dispatch.transpose(1, 2) @ x
    each = [slots[:, 2 * e : 2 * e + 2] @ made.weight[e] + made.bias[e] for e in range(3)]
    torch.testing.assert_close(made(x, None), combine @ torch.cat(each, 1))


@pytest.mark.parametrize("with_mixture", [False, True])
def test_a_layer_knows_no_order_of_tokens(with_mixture):
    torch.manual_seed(0)
    adapter = Adapter(8, 4, SoftMixture(4, 3, 1) if with_mixture else None)
    torch.nn.init.ones_(adapter.gate)
    layer, x, order = Layer(8, 2, 16, {"one": adapter}, 0.0).eval(), tokens(), torch.tensor([3, 0, 6, 1, 5, 2, 4])
    torch.testing.assert_close(layer(x[:, order], None, "one"), layer(x, None, "one")[:, order], rtol=0, atol=1e-5)


def test_attention_is_the_softmax_of_products_over_tokens_that_are_there():
    torch.manual_seed(0)
    made, x, there = Attention(8, 2), tokens(), torch.tensor([[True] * 5 + [False] * 2] * 2)
    query, key, value = (one(x).view(2, 7, 2, 4).transpose(1, 2) for one in (made.query, made.key, made.value))
    scores = (query @ key.transpose(2, 3) / 2).masked_fill(~there[:, None, None], float("-inf"))
    expected = made.out(made.inner_norm((scores.softmax(-1) @ value).transpose(1, 2).reshape(2, 7, 8)))
    torch.testing.assert_close(made(x, there), expected, rtol=0, atol=1e-5)


def test_an_adapter_begins_at_nothing_and_grows_with_its_gate():
    torch.manual_seed(0)
    made, x = Adapter(8, 4), tokens()
    assert (made(x, None) == 0).all()
    step = torch.optim.SGD(made.parameters(), lr=1e-3)
    made(x, None).square().sum().backward()
    F.mse_loss(made(x, None), x).backward()
    step.step()
    assert 0 < made(x, None).abs().max() < 0.01  # not at once of full size, as a norm behind zeros would be


def test_frozen_layers_stay_and_the_rest_learns():
    plan = make_plan()
    network, batch = make_network(plan, backbone="frozen"), batch_of([make_study(0, plan)], plan, InputSettings())
    network(batch).square().sum().backward()
    learnt = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert learnt == {name for name, p in network.named_parameters() if p.requires_grad}
    frozen = {name.split(".")[2] for name, p in network.named_parameters() if not p.requires_grad}
    assert frozen == {"attention_norm", "attention", "feed_norm", "feed"}
    parts = trained_parts(network)
    assert parts["layers"][0] == 0 < parts["layers"][1]
    assert sum(some for some, _ in parts.values()) == sum(p.numel() for p in network.parameters() if p.requires_grad)


def test_published_sizes_have_the_published_parts():
    assert (PAPER.network.width, PAPER.network.heads) == (768, 12)
    assert (PAPER.network.sparse_layers, PAPER.network.soft_layers, PAPER.network.experts) == (9, 3, 128)
    plan = make_plan(names=("t2",))
    network = make_network(plan, sparse_layers=9, soft_layers=3)
    assert len(network.layers) == 12
    assert [layer.adapters.keys() >= {"joint"} for layer in network.layers] == [False] * 9 + [True] * 3


def test_any_number_of_frames_as_time_and_when_they_were_taken_matters():
    plan = make_plan("time", names=("dce",))
    network = make_network(plan)
    made = {count: answers(network, [make_study(0, plan, frames=count)]) for count in (1, 2, 5)}
    assert all(one.shape == (1, 3) for one in made.values())
    study = make_study(0, plan, frames=3)
    later = StudyInput(study.images, {"dce": study.times["dce"] * 3}, study.values)
    turned = StudyInput({"dce": study.images["dce"].flip(0)}, {"dce": study.times["dce"].flip(0)}, study.values)
    assert not torch.equal(answers(network, [study]), answers(network, [later]))
    torch.testing.assert_close(answers(network, [study]), answers(network, [turned]), rtol=0, atol=1e-4)


def test_heads_must_part_the_width():
    with pytest.raises(ValueError, match="3 heads do not part a width of 16"):
        NetworkSettings(**{**SETTINGS, "heads": 3})
