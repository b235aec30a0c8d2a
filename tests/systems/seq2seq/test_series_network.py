"""Series through the network: any number of frames in and out, told by their times, and batches of several shapes."""

import numpy as np
import pytest
import torch
from float_bounds import EQUAL_IN_FLOAT64
from torch.utils.data import default_collate

from scanweave.studies.preparing.series_frames import SeriesFrames
from scanweave.systems.seq2seq.config import NetworkSettings, ObjectiveSettings, SamplingSettings, SynthesisSettings
from scanweave.systems.seq2seq.frame_values import SeriesNodes, SomeFrames, frame_values
from scanweave.systems.seq2seq.fusion_network import NO_NODES, make_network
from scanweave.systems.seq2seq.fusion_objective import FusionObjective
from scanweave.systems.seq2seq.objective import Seq2SeqObjective
from scanweave.systems.seq2seq.shape_groups import GROUPS, grouped
from scanweave.systems.seq2seq.synthesis import means_of_others, predictions, ready_synthesizer

NAMES = ("t2", "t1", "dce")
DCE = SeriesFrames(frames=3, times=(0.0, 60.0, 120.0))
SIZES = {"channels": (4, 6), "blocks": 1, "lstm_layers": 1, "rank": 2, "kernel_size": 3, "code_length": 4}
FUSIONS = pytest.mark.parametrize("fusion", ["mean", "latent"])
DIMENSIONS = pytest.mark.parametrize("dimensions", [2, 3])


def network(*, shaken=True, nodes=NO_NODES, **settings):
    torch.manual_seed(0)
    made = make_network(NetworkSettings(**(SIZES | {"source_code": True} | settings)), len(NAMES), nodes).eval()
    for parameter in made.parameters() if shaken else ():
        if parameter.numel() > 1 and parameter.std() == 0:  # what starts at nothing would hide everything
            torch.nn.init.normal_(parameter, std=0.2)
    return made


def synthesizer(net, batch_size=4):
    sampling = SamplingSettings(crop=(8, 8), depth=4)
    return ready_synthesizer(net, NAMES, SynthesisSettings(batch_size=batch_size), sampling, {}, {"dce": DCE})


def volume(name, *frames):
    shape = (9, 8, 5, *frames)
    return np.random.default_rng([NAMES.index(name), *frames]).uniform(-0.9, 0.9, shape).astype(np.float32)


def images(seed, *shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 1.8 - 0.9


def test_a_frame_is_told_by_its_b_value_else_its_time_else_its_place():
    dwi = SeriesFrames(frames=2, b_values=(0.0, 800.0), times=(0.0, 5.0))
    assert frame_values(dwi, dwi) == [0.0, 0.8]
    late = SeriesFrames(frames=3, times=(30.0, 60.0, 150.0))
    assert frame_values(late, DCE) == [0.0, 0.25, 1.0]
    assert frame_values(SeriesFrames(frames=3), DCE) == [0.0, 0.5, 1.0]
    assert frame_values(SeriesFrames(frames=1), DCE) == [0.0]
    assert frame_values(SeriesFrames(frames=2, times=(7.0, 7.0)), SeriesFrames(frames=2)) == [0.0, 1.0]


@FUSIONS
def test_weights_and_static_answers_are_the_same_to_the_bit_whether_frames_are_told(fusion):
    told, untold = (network(shaken=False, fusion=fusion, frame_values=value) for value in (True, False))
    ours, theirs = told.state_dict(), untold.state_dict()
    assert set(theirs) < set(ours)
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    given = {name: volume(name) for name in ("t2", "t1")}
    made = [synthesizer(net).combine(given, ["t1", "t2"]) for net in (told, untold)]
    for name in given:
        np.testing.assert_array_equal(made[0][name], made[1][name])


@DIMENSIONS
def test_some_frames_of_a_series_are_those_of_the_whole(dimensions):
    net = network(dimensions=dimensions, frame_values=True).double()
    latent = images(0, 2, 6, *[4] * dimensions)
    places, values = torch.tensor([[0, 2], [0, 3]]), torch.linspace(0, 1, 5, dtype=torch.float64).expand(2, -1)
    sequence = torch.tensor([2])
    whole = net.unroll_some(latent, sequence, 1, SomeFrames(torch.arange(5)[None], values))
    some = net.unroll_some(latent, sequence, 1, SomeFrames(places, values))
    for row, chosen in enumerate(places):
        torch.testing.assert_close(some[row], whole[row, chosen], atol=EQUAL_IN_FLOAT64, rtol=0)


@DIMENSIONS
@FUSIONS
def test_frames_one_by_one_equal_frames_together(dimensions, fusion):
    net = network(dimensions=dimensions, fusion=fusion).double()
    x = images(1, 1, 4, *((3, 8, 8) if dimensions == 2 else (1, 4, 8, 8)))
    kernels, sequence = net.source(torch.tensor([0])), torch.tensor([2])

    def made():
        if fusion == "latent":
            return net.correct({0: net.ready(0, x, kernels)}, 2, net.target_parts(2), -1.0, frames=3)[0]
        return net.decode(net.encode(x, kernels), net.target(sequence), 3)

    singly, together = made(), (net.train(), made())[1]
    torch.testing.assert_close(singly, together, atol=EQUAL_IN_FLOAT64, rtol=0)


NODES = {1: SeriesNodes("time", (0.0, 0.5, 1.0)), 2: SeriesNodes("time", (0.0, 0.4, 1.0))}


def corrected(net, frames, values, wanted, sources=(0, 1)):
    """Target 2 at some values, from a volume and a series whose frames are also those that the regression knows."""
    images_of = {0: images(5, 2, 1, 3, 8, 8), 1: frames}
    sources = {n: images_of[n] for n in sources}
    told = {0: None, 1: torch.tensor([values], dtype=torch.float64)}
    ready = {}
    for n, x in sources.items():
        known = x[:, [0, x.shape[1] // 2, -1]] if n == 1 else None
        shifts = net.shifts_in(torch.tensor([n]), told[n])
        ready[n] = net.ready(n, x, net.source(torch.tensor([n])), shifts, known, told[n])
    some = SomeFrames.whole(wanted, torch.device("cpu"))
    return net.correct(ready, 2, net.target_parts(2), -1.0, some=some)[0]


def test_frames_between_others_one_by_one_equal_frames_together():
    net = network(dimensions=2, fusion="latent", frame_values=True, nodes=NODES).double()
    x, values = images(3, 2, 4, 3, 8, 8), [0.0, 0.2, 0.5, 1.0]
    singly = corrected(net, x, values, [0.0, 0.1, 0.9])
    together = corrected(net.train(), x, values, [0.0, 0.1, 0.9])
    torch.testing.assert_close(singly, together, atol=EQUAL_IN_FLOAT64, rtol=0)


def test_features_of_a_source_are_those_of_the_time_that_is_asked_for():
    """Halfway between two frames of a source they are the mean of those of both; of other kinds the mean of all.

    How these differ from the mean of all frames is added, as far as that was learnt.
    """
    net = network(dimensions=2, fusion="latent", frame_values=True, nodes=NODES).double()
    change = net.changes[0]
    learnt = change.weight.detach().clone()
    torch.nn.init.zeros_(change.weight)
    torch.nn.init.zeros_(change.bias)
    x, values = images(3, 2, 4, 3, 8, 8), torch.tensor([[0.0, 0.2, 0.6, 1.0]], dtype=torch.float64)
    ready = {1: net.ready(1, x, net.source(torch.tensor([1])), None, x[:, :3], values)}
    some = SomeFrames.whole([0.0, 0.4], torch.device("cpu"))
    between = net._between(ready, 2, some)
    skips = net._skips(ready, 2, net.target_parts(2), between, 2, attended=True)
    frames = skips[0].view(2, 2, *ready[1].levels[0].shape[1:])
    torch.testing.assert_close(frames[:, 0], ready[1].moments[0][:, 0])
    torch.testing.assert_close(frames[:, 1], ready[1].moments[0][:, 1:3].mean(1), atol=1e-6, rtol=0)
    with torch.no_grad():
        change.weight.copy_(learnt)
    first = ready[1].moments[0][:, 0]
    expected = first + change(ready[1].levels[0] - first)
    skips = net._skips(ready, 2, net.target_parts(2), between, 2, attended=True)
    torch.testing.assert_close(skips[0].view_as(frames)[:, 0], expected)
    longer = network(dimensions=2, fusion="latent", nodes={**NODES, 1: NODES[1]._replace(unit=2.0)}).double()
    half = longer._between(ready, 2, SomeFrames.whole([0.4], torch.device("cpu")))[1]  # a fifth of the longer series
    torch.testing.assert_close(half[0, 0], torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64), atol=1e-6, rtol=0)
    other = network(fusion="latent", nodes={**NODES, 1: SeriesNodes("b-value", (0.0, 0.5, 1.0))}).double()
    assert other._between({1: ready[1]}, 2, some) == {}


@DIMENSIONS
@FUSIONS
def test_series_go_in_and_come_out_whole(dimensions, fusion):
    made = synthesizer(network(dimensions=dimensions, fusion=fusion, frame_values=True))
    from_static = made.combine({"t2": volume("t2"), "t1": volume("t1")}, ["dce"])["dce"]
    assert from_static.shape == (9, 8, 5, 3)  # as is typical
    assert np.abs(np.diff(from_static, axis=3)).max() > 1e-4
    own = made.of_study({"dce": SeriesFrames(frames=5, times=(0.0, 10.0, 20.0, 60.0, 90.0))})
    given = {"t2": volume("t2"), "dce": volume("dce", 5)}
    answer = own.combine(given, ["t1", "dce"])
    assert answer["t1"].shape == (9, 8, 5)
    assert answer["dce"].shape == (9, 8, 5, 5)
    assert made.combine({"dce": volume("dce", 1)}, ["t1"])["t1"].shape == (9, 8, 5)


def test_times_change_what_is_made_where_they_are_told_and_only_there():
    given = {"t2": volume("t2")}
    early, late = (SeriesFrames(frames=3, times=times) for times in ((0.0, 5.0, 10.0), (0.0, 60.0, 200.0)))
    for told in (True, False):
        made = synthesizer(network(frame_values=told))
        first, second = (made.of_study({"dce": one}).combine(given, ["dce"])["dce"] for one in (early, late))
        assert (np.abs(first - second).max() > 1e-4) == told


@FUSIONS
def test_a_series_among_the_targets_changes_no_bit_of_the_others(fusion):
    made = synthesizer(network(fusion=fusion, frame_values=True))
    given = {"t2": volume("t2")}
    np.testing.assert_array_equal(made.combine(given, ["t1", "dce"])["t1"], made.combine(given, ["t1"])["t1"])


def test_the_control_shows_the_mean_of_the_others_at_every_frame():
    volumes = {"t2": volume("t2"), "t1": volume("t1"), "dce": volume("dce", 3)}
    made = {one.target: one.volume for one in means_of_others(volumes, list(volumes))}
    mean = (volumes["t1"] + volumes["t2"]) / 2
    np.testing.assert_allclose(made["dce"], np.repeat(mean[..., None], 3, axis=3), rtol=1e-6)
    np.testing.assert_allclose(made["t1"], (volumes["t2"] + volumes["dce"].mean(axis=3)) / 2, rtol=1e-5, atol=1e-6)


def test_a_series_counts_only_where_it_covers():
    made, given = synthesizer(network()), {"t2": volume("t2"), "dce": volume("dce", 3)}
    given["dce"][0, 0, 0] = np.nan
    found = {one.source: one.volume for one in predictions(made.of_study({"dce": DCE}), given, ["t1"])}
    np.testing.assert_array_equal(found["all"][0, 0, 0], found["t2"][0, 0, 0])


def sample(number, source, target):
    """Sample `number`, of some frames of a source and a target; 0: it is no series."""
    made = {"case": "s", "number": number, "from": 0 if not source else 2, "to": 1 if not target else 2}
    for place, (name, frames) in enumerate((("source", source), ("target", target))):
        made[name] = images(10 * number + place, max(frames, 1), 3, 12, 12)
        made[f"{name}_covered"] = torch.ones_like(made[name]).bool()
        if frames:
            made[f"{name}_places"] = torch.arange(frames) * 2 - torch.arange(frames).clamp(max=1)
            made[f"{name}_values"] = torch.linspace(0, 1, 8, dtype=torch.float64)
    return made


def fused_sample(number, source, target):
    """The same for fused sources: t2 and, if `source`, dce are given."""
    one = sample(number, source, target)
    nothing, here = torch.zeros(1, 3, 12, 12, dtype=torch.float64), source and not target
    scans = [images(100 + number, 1, 3, 12, 12), nothing, one["source"] if here else nothing]
    values = [torch.zeros(0, dtype=torch.float64)] * 2
    values += [one["source_values"][one["source_places"]] if here else values[0]]
    kept = {name: value for name, value in one.items() if name.startswith("target") or name in ("case", "number", "to")}
    given = torch.tensor([True, False, bool(here)])
    return kept | {"scans": scans, "given": given, "scan_values": values, "around": -1.0}


SHAPES = ((0, 0), (3, 0), (0, 3), (0, 0), (2, 0), (0, 3))


@FUSIONS
def test_a_batch_of_several_shapes_has_the_mean_loss_of_its_samples(fusion):
    net = network(fusion=fusion, frame_values=True).double().train()
    weights = {"perceptual": 0.0, "structural": 0.5, "self_share": 0.5}
    if fusion == "latent":
        objective, make = (
            FusionObjective(net, ObjectiveSettings(**weights, gradient=1.0, unattended=2.0)),
            fused_sample,
        )
    else:
        objective, make = Seq2SeqObjective(net, ObjectiveSettings(**weights)), sample
    samples = [make(number, *shape) for number, shape in enumerate(SHAPES)]
    batch = grouped(samples)
    assert [len(group["number"]) for group in batch[GROUPS]] == [2, 1, 2, 1]
    whole, singly = objective(batch), [objective(default_collate([one])) for one in samples]
    assert set(whole) == set(singly[0])
    for name, value in whole.items():
        torch.testing.assert_close(value, torch.stack([one[name] for one in singly]).mean().to(value.dtype))
    whole["loss"].backward()
    silent = {name for name, parameter in net.named_parameters() if parameter.grad is None}
    assert silent == set()


def test_samples_of_one_shape_are_joined_as_before():
    samples = [sample(number, 0, 0) for number in range(3)]
    joined, before = grouped(samples), default_collate(samples)
    assert list(joined) == list(before)
    for name, value in before.items():
        assert joined[name] == value if isinstance(value, list) else torch.equal(joined[name], value)
