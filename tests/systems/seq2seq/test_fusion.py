"""Fused sources: what is absent and the order change nothing, frames do not matter, and shares add up."""

import numpy as np
import pytest
import torch
from float_bounds import float32_bound

from scanweave.systems.seq2seq.config import NetworkSettings, ObjectiveSettings, SamplingSettings, SynthesisSettings
from scanweave.systems.seq2seq.fusion_network import FusionNetwork, make_network
from scanweave.systems.seq2seq.fusion_objective import FusionObjective, gradient_difference
from scanweave.systems.seq2seq.network import Seq2SeqNetwork
from scanweave.systems.seq2seq.regression import Moments
from scanweave.systems.seq2seq.synthesis import FusingSynthesizer, predictions, ready_synthesizer

NAMES = ("a", "b", "c")
SETTINGS = {
    "channels": (4, 6, 8),
    "blocks": 1,
    "lstm_layers": 1,
    "rank": 2,
    "kernel_size": 3,
    "code_length": 4,
    "fusion": "latent",
    "source_code": True,
}


def moments():
    rng = np.random.default_rng(0)
    found = {n: rng.uniform(-0.9, 0.9, 100).astype(np.float32) for n in range(3)}
    made = Moments(3)
    made.add(found, {n: (found[n] + found[(n + 1) % 3]) / 2 for n in found})
    return made


def network(**settings):
    torch.manual_seed(0)
    made = FusionNetwork(NetworkSettings(**(SETTINGS | settings)), 3).eval()
    for parameter in made.parameters():
        if parameter.numel() > 1 and parameter.std() == 0:  # what starts at nothing would hide everything
            torch.nn.init.normal_(parameter, std=0.2)
    made.regression.learn(moments())
    return made


def synthesizer(batch_size=4, **settings):
    sampling = SamplingSettings(crop=(16, 16), depth=8)
    return ready_synthesizer(network(**settings), NAMES, SynthesisSettings(batch_size=batch_size), sampling, {})


def volume(seed=0, shape=(13, 18, 7)):
    return np.random.default_rng([seed, *shape]).uniform(-0.9, 0.9, shape).astype(np.float32)


def volumes(*names):
    return {name: volume(NAMES.index(name)) for name in names or NAMES}


def frames(count, seed=0, size=16, dimensions=2):
    spatial = (3, size, size) if dimensions == 2 else (1, 8, size, size)
    return torch.rand((1, count, *spatial), generator=torch.Generator().manual_seed(seed)) * 1.8 - 0.9


def made_from(net, sources, target=2, **about):
    ready = {n: net.ready(n, x, net.source(torch.tensor([n]))) for n, x in sources.items()}
    return net.answer(ready, target, net.target_parts(target), -1.0, **about)


def test_the_settings_choose_the_network():
    plain = {**SETTINGS, "fusion": "mean"}
    assert type(make_network(NetworkSettings(**plain), 3)) is Seq2SeqNetwork
    assert isinstance(make_network(NetworkSettings(**SETTINGS), 3), FusionNetwork)
    assert isinstance(synthesizer(), FusingSynthesizer)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_order_does_not_change_a_bit(dimensions):
    made, given = synthesizer(dimensions=dimensions), volumes()
    turned = {name: given[name] for name in reversed(NAMES)}
    forward = made.fuse(given, NAMES)
    backward = made.fuse(turned, NAMES[::-1])
    for name in NAMES:
        np.testing.assert_array_equal(forward[name], backward[name])


def test_what_is_not_given_does_not_change_a_bit():
    made, given = synthesizer(), volumes()
    wanted = [(("a",), "c")]
    alone = made.from_subsets({"a": given["a"]}, wanted)["c"]
    np.testing.assert_array_equal(made.from_subsets(given, wanted)["c"], alone)
    np.testing.assert_array_equal(made.from_subsets(given | {"b": volume(9)}, wanted)["c"], alone)


def test_a_target_does_not_shape_its_own_prediction():
    made, given = synthesizer(), volumes()
    before = made.fuse(given, ["c"])["c"]
    np.testing.assert_array_equal(made.fuse(given | {"c": volume(9)}, ["c"])["c"], before)


def test_another_source_changes_the_answer():
    made, given = synthesizer(), volumes()
    assert np.abs(made.fuse(given, ["c"])["c"] - made.fuse(volumes("a", "c"), ["c"])["c"]).max() > 0.01


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_number_of_frames_goes_in_and_out(dimensions, count):
    net = network(dimensions=dimensions)
    sources = {0: frames(count, dimensions=dimensions), 1: frames(1, 1, dimensions=dimensions)}
    for wanted in (1, 3):
        with torch.no_grad():
            made = made_from(net, sources, frames=wanted)
        assert made.shape == (1, wanted, 1, *sources[1].shape[3:])
        assert made.abs().max() <= 1


def test_latents_have_one_size_whatever_the_number_of_frames():
    net = network()
    sizes = {
        tuple(level.shape for level in net.ready(0, frames(t), net.source(torch.tensor([0]))).levels) for t in (1, 4)
    }
    assert len(sizes) == 1


def test_shares_are_one_together_and_none_is_negative():
    shares, effect = synthesizer().contributions(volumes(), "c")
    assert list(shares) == ["a", "b"]
    np.testing.assert_allclose(sum(shares.values()), 1, atol=1e-6)
    assert min(share.min() for share in shares.values()) >= 0
    assert effect.min() >= 0
    assert effect.max() > 0


def test_a_single_source_has_the_whole_share_and_attention_no_effect():
    shares, effect = synthesizer().contributions(volumes("a", "c"), "c")
    np.testing.assert_array_equal(shares["a"], 1)
    np.testing.assert_array_equal(effect, 0)


def test_stacks_do_not_depend_on_the_batch():
    one, many = (synthesizer(batch_size=size).fuse(volumes(), ["c"])["c"] for size in (1, 5))
    net, sources = synthesizer().network, {0: frames(1, size=16), 1: frames(1, 1, size=16)}

    def evaluate(wide):
        return made_from(wide, {n: x.to(wide.code.weight) for n, x in sources.items()})

    _, bound = float32_bound(net, evaluate)
    np.testing.assert_allclose(one, many, rtol=0, atol=max(bound, 1e-6))


def test_the_first_and_last_slice_are_made_like_those_within():
    """No stack in training holds an empty slice: beside the last slice stands itself, whatever lies beyond."""
    same = {name: np.repeat(one[:, :, :1], 5, axis=2) for name, one in volumes("a", "b").items()}
    made = synthesizer().fuse(same, ["c"])["c"]
    np.testing.assert_allclose(made, np.repeat(made[:, :, 2:3], 5, axis=2), rtol=0, atol=1e-5)


def test_pairs_come_from_one_source_and_all_from_all():
    made = {(m.kind, m.source, m.target): m.volume for m in predictions(synthesizer(), volumes(), list(NAMES))}
    assert len(made) == 6 + 3
    fused = synthesizer().fuse(volumes(), NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(made["all", "all", name], fused[name])
    single = synthesizer().from_subsets(volumes("a"), [(("a",), "b")])["b"]
    np.testing.assert_array_equal(made["pair", "a", "b"], single)


def test_the_answer_is_the_regression_of_the_middle_slice_and_what_the_decoder_adds():
    net = network()
    sources = {0: frames(1), 1: frames(1, 1)}
    with torch.no_grad():
        added = made_from(net, sources)
        net.decoder.last.bank.zero_()
        net.decoder.last.bias_bank.zero_()
        made = made_from(net, sources)
        expected = net.regression({n: x[:, 0, 1:2] for n, x in sources.items()}, 2, -1.0)
    np.testing.assert_array_equal(made[:, 0], expected)
    assert (added - made).abs().max() > 0.01


def test_a_fresh_network_is_closer_to_its_regression_than_to_the_mean():
    torch.manual_seed(0)
    net = FusionNetwork(NetworkSettings(**SETTINGS), 3).eval()
    net.regression.learn(moments())
    sources = {0: frames(1), 1: frames(1, 1)}
    with torch.no_grad():
        regression = net.regression({n: x[:, 0, 1:2] for n, x in sources.items()}, 2, -1.0)
        off = (made_from(net, sources)[:, 0] - regression).std()
    assert 0 < off < regression.std()


def test_sources_in_one_batch_are_those_one_by_one():
    net = network().double().train()
    scans = {n: frames(1, n).double() for n in range(3)}
    together = net.ready_together(scans)
    for number, x in scans.items():
        alone = net.ready(number, x, net.source(torch.tensor([number])))
        torch.testing.assert_close(together[number].frames, alone.frames, rtol=0, atol=0)
        for found, expected in zip(together[number].levels, alone.levels, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_sequences_are_standardised_by_the_training_studies():
    net, values = network(), np.random.default_rng(0)
    found = torch.from_numpy(values.uniform(-0.9, 0.9, 100).astype(np.float32))
    scaled = net.regression.standardised(found, 0)
    assert float(scaled.mean()) == pytest.approx(0, abs=1e-6)
    assert float(scaled.std(correction=0)) == pytest.approx(1, rel=1e-5)


def test_the_answer_is_background_where_no_source_shows_anything():
    net, sources = network().train(), {0: frames(1), 1: frames(1, 1)}
    for x in sources.values():
        x[..., :4] = -1
    ready = {n: net.ready(n, x, net.source(torch.tensor([n]))) for n, x in sources.items()}
    made, _ = net.correct(ready, 2, net.target_parts(2), -0.8)
    assert torch.equal(made[..., :4], torch.full_like(made[..., :4], -0.8))
    assert not (made[..., 4:] == -0.8).any()


def batch(count=3):
    draw = torch.Generator().manual_seed(1)
    scans = [torch.rand((count, 1, 3, 16, 16), generator=draw).double() * 1.8 - 0.9 for _ in NAMES]
    given = torch.tensor([[True, True, False], [False, True, False], [True, False, False]])
    scans = [torch.where(given[:, n].view(-1, 1, 1, 1, 1), scan, 0.0) for n, scan in enumerate(scans)]
    return {
        "scans": scans,
        "given": given,
        "target": torch.rand((count, 1, 1, 16, 16), generator=draw).double() * 1.8 - 0.9,
        "target_covered": torch.ones(count, 1, 1, 16, 16, dtype=torch.bool),
        "to": torch.tensor([2, 2, 1]),
        "around": torch.full((count,), -1.0, dtype=torch.float64),
        "number": torch.arange(count),
    }


def test_the_loss_is_that_of_each_sample_by_itself():
    net, data = network().double().train(), batch()
    weights = ObjectiveSettings(cross=3.0, beta=0.1, gradient=0.5, unattended=2.0, self_share=1.0)
    terms = FusionObjective(net, weights)(data)
    made, plain = [], []
    for row, target in enumerate(data["to"].tolist()):
        present = data["given"][row].nonzero()[:, 0].tolist()
        ready = {n: net.ready(n, data["scans"][n][row : row + 1], net.source(torch.tensor([n]))) for n in present}
        parts = net.target_parts(target)
        made.append(net.correct(ready, target, parts, -1.0)[0])
        plain.append(net.correct(ready, target, parts, -1.0, attended=False)[0])
    real = data["target"]
    cross = torch.nn.functional.smooth_l1_loss(torch.cat(made), real, beta=0.1)
    unattended = torch.nn.functional.smooth_l1_loss(torch.cat(plain), real, beta=0.1)
    gradient = gradient_difference(torch.cat(made), real)
    expected = {"cross": 3 * cross, "unattended": 2 * unattended, "gradient": 0.5 * gradient}
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(terms["loss"].double(), sum(expected.values()), rtol=1e-6, atol=0)


def test_every_trained_part_gets_a_gradient():
    net = network().double().train()
    FusionObjective(net, ObjectiveSettings(unattended=1.0, self_share=1.0))(batch())["loss"].backward()
    silent = {name for name, parameter in net.named_parameters() if parameter.grad is None}
    assert silent == set()


def test_what_a_target_does_not_cover_counts_as_right():
    net, data = network().double().train(), batch()
    data["target_covered"][:] = False
    terms = FusionObjective(net, ObjectiveSettings(gradient=1.0, unattended=1.0, self_share=1.0))(data)
    assert float(terms["loss"].detach()) == 0


def test_values_of_a_single_frame_are_told_in_training_as_in_use():
    net, data = network(frame_values=True).double().train(), batch()
    with_values = {**data, "scan_values": [torch.full((3, 1), 0.5).double(), *[torch.zeros(3, 0).double()] * 2]}
    objective = FusionObjective(net, ObjectiveSettings(unattended=0.0))
    rows = torch.tensor([True, False, False])
    sequence = torch.tensor([0])
    shifts = net.shifts_in(sequence, with_values["scan_values"][0][rows])
    expected = net.ready(0, data["scans"][0][rows], net.source(sequence), shifts).levels[-1]
    torch.testing.assert_close(objective._encoded(with_values, rows)[0].levels[-1], expected)
    assert not torch.allclose(objective._encoded(data, rows)[0].levels[-1], expected)
