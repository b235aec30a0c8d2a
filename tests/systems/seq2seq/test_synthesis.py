"""Whole volumes: overlapping stacks averaged, no work done twice, and nothing from what is absent."""

from collections import Counter

import numpy as np
import pytest
import torch
from float_bounds import float32_bound

from scanweave.errors import ScanweaveError
from scanweave.studies.scan import Scan
from scanweave.systems.seq2seq.config import NetworkSettings, SamplingSettings, SynthesisSettings
from scanweave.systems.seq2seq.network import Seq2SeqNetwork
from scanweave.systems.seq2seq.synthesis import Synthesizer

SEQUENCES = ("a", "b", "c")
NETWORK = {"channels": (4, 6, 8), "blocks": 1, "lstm_layers": 1, "rank": 2, "kernel_size": 3, "code_length": 4}


def synthesizer(batch_size=4, **settings):
    torch.manual_seed(0)
    network = Seq2SeqNetwork(NetworkSettings(**(NETWORK | settings)))
    for parameter in network.parameters():
        if parameter.std() == 0:
            torch.nn.init.normal_(parameter, std=0.2)
    sampling = SamplingSettings(crop=(16, 16), depth=8)
    return Synthesizer(network, SEQUENCES, SynthesisSettings(batch_size=batch_size), sampling, {})


def volume(shape=(13, 18, 7), seed=0):
    return np.random.default_rng([seed, *shape]).uniform(-1, 1, shape).astype(np.float32)


def by_loop(network, source, target):
    """Every stack of three slices by itself, then the mean over those that hold a slice."""
    x, y, z = source.shape
    numbers = torch.tensor([0]), torch.tensor([SEQUENCES.index(target)])
    padded = np.full((16, 20, z + 2), -1, np.float32)
    padded[:x, :y] = np.pad(source, ((0, 0), (0, 0), (1, 1)), mode="edge")
    found = [[] for _ in range(z + 2)]
    for middle in range(z):
        stack = torch.from_numpy(padded[:, :, middle : middle + 3].transpose(2, 1, 0).copy())[None, None]
        translated = network(stack.to(network.code.weight), *numbers)[0, 0]
        for offset in range(3):
            found[middle + offset].append(translated[offset].T[:x, :y])
    return torch.stack([torch.stack(found[i + 1]).mean(dim=0) for i in range(z)], dim=-1)


def assert_is(result, exact, bound):
    """A volume made in float32 is that of float64, as near as float32 can tell."""
    np.testing.assert_allclose(result, exact.numpy(), rtol=0, atol=bound)


def test_a_slice_is_the_mean_of_the_stacks_that_hold_it():
    made, source = synthesizer(), volume()
    for target, result in made.translate("a", source, ["b", "c"]).items():
        assert result.shape == source.shape
        exact, bound = float32_bound(made.network, lambda net, target=target: by_loop(net, source, target))
        assert bound < 0.01
        assert_is(result, exact, bound)


@pytest.mark.parametrize("slices", [1, 3, 4])
def test_any_number_of_slices_and_fewer_in_the_volume(slices):
    for depth in (1, 2, 5):
        result = synthesizer(slices=slices).translate("a", volume((9, 10, depth)), ["b"])["b"]
        assert result.shape == (9, 10, depth)
        assert np.isfinite(result).all()


def test_batch_size_does_not_matter():
    """But for rounding: the library convolves batches of another size by another algorithm."""
    source = volume()
    exact, bound = float32_bound(synthesizer().network, lambda net: by_loop(net, source, "b"))
    for size in (1, 2, 3, 100):
        assert_is(synthesizer(batch_size=size).translate("a", source, ["b"])["b"], exact, bound)


def test_a_target_does_not_depend_on_its_company():
    made, source = synthesizer(), volume()
    alone = made.translate("a", source, ["c"])["c"]
    np.testing.assert_array_equal(made.translate("a", source, ["b", "c"])["c"], alone)
    np.testing.assert_array_equal(made.translate("a", source, ["c", "b"])["c"], alone)


def test_sources_are_encoded_once_and_kernels_made_once(monkeypatch):
    made, calls = synthesizer(batch_size=2), Counter()
    for name in ("encode", "target"):
        original = getattr(made.network, name)

        def counted(*arguments, _name=name, _original=original):
            calls[_name] += len(arguments[0])
            return _original(*arguments)

        monkeypatch.setattr(made.network, name, counted)
    volumes = {"a": volume(), "b": volume(seed=1)}
    made.combine(volumes, ["a", "b", "c"])
    made.combine(volumes, ["b", "c"])
    assert calls == {"target": 3, "encode": 2 * (7 + 7)}


def test_several_sources_are_averaged_and_none_makes_itself():
    made = synthesizer()
    volumes = {"b": volume(seed=1), "a": volume()}
    result = made.combine(volumes, ["c", "a"])
    single = {name: made.translate(name, volumes[name], ["a", "c"]) for name in volumes}
    np.testing.assert_array_equal(result["c"], (single["a"]["c"] + single["b"]["c"]) / 2)
    np.testing.assert_array_equal(result["a"], single["b"]["a"])
    assert made.combine({"a": volume()}, ["a"]) == {}


def test_volumes_by_overlapping_windows():
    made, source = synthesizer(dimensions=3, slices=1), volume((20, 18, 13))
    result = made.translate("a", source, ["b", "c"])
    assert {name: array.shape for name, array in result.items()} == {"b": source.shape, "c": source.shape}


def test_one_window_and_one_target_equal_the_network():
    made, small = synthesizer(dimensions=3, slices=1), volume((16, 16, 8))
    stack = torch.from_numpy(small.transpose(2, 1, 0).copy())[None, None, None]
    numbers = torch.tensor([0]), torch.tensor([1])
    exact, bound = float32_bound(made.network, lambda net: net(stack.to(net.code.weight), *numbers)[0, 0, 0])
    assert_is(made.translate("a", small, ["b"])["b"], exact.permute(2, 1, 0), bound)


@pytest.fixture(scope="module")
def study(fitted):
    name = fitted.cohort.having("t1", "t1c").studies[0]
    return fitted.cohort[name].without("flair")


def bits(made):
    return {name: scan.data.tobytes() for name, scan in made.scans.items()}


def test_nothing_absent_changes_a_bit(fitted, study):
    expected = bits(fitted.system.predict(study))
    assert list(expected) == ["flair"]
    like = study.scans["t1"]
    garbage = {"NaN": np.full(like.geometry.shape, np.nan), "noise": volume(like.geometry.shape) * 1e30}
    for values in garbage.values():
        other = Scan.of(values, like.geometry.affine)
        finer = Scan.of(values, like.geometry.affine @ np.diag([0.1, 0.1, 0.1, 1]))
        for more in ({"ct": other}, {"aaa": finer, "zzz": other}):
            changed = study.with_scans({**more, **study.scans})
            assert bits(fitted.system.predict(changed, ["flair"])) == expected
    assert bits(fitted.system.predict(study)) == expected


def test_the_real_scan_of_a_target_changes_no_bit_of_its_prediction(fitted, study):
    """Neither by its voxels, nor by its grid, nor by the box that it fills."""
    like = study.scans["t1"]
    expected = bits(fitted.system.predict(study, ["flair"]))
    moved = like.geometry.affine.copy()
    moved[:3, :3] *= 0.9
    for affine in (like.geometry.affine, moved):
        real = Scan.of(volume(like.geometry.shape) * 100, affine)
        assert bits(fitted.system.predict(study.with_scans({**study.scans, "flair": real}), ["flair"])) == expected


def test_the_order_of_scans_changes_no_bit(fitted, study):
    scans = dict(study.scans)
    backwards = study.with_scans(dict(reversed(scans.items())))
    assert list(backwards.scans) != list(scans)
    assert bits(fitted.system.predict(backwards)) == bits(fitted.system.predict(study))


def test_order_of_scans_on_grids_of_equal_voxels(fitted, study):
    """Let two grids tie for the finest: the choice must not fall to the order either."""
    like = study.scans["t1c"]
    moved = like.geometry.affine.copy()
    moved[:3, 3] += 3.0
    scans = {"t1": study.scans["t1"], "t1c": Scan.of(np.asarray(like.data), moved)}
    results = [
        fitted.system.predict(study.with_scans(dict(pairs))) for pairs in (scans.items(), [*scans.items()][::-1])
    ]
    assert bits(results[0]) == bits(results[1])
    np.testing.assert_array_equal(results[0]["flair"].geometry.affine, results[1]["flair"].geometry.affine)


def test_targets_that_cannot_be_made_are_refused(fitted, study):
    only = study.only(["t1"])
    with pytest.raises(ScanweaveError, match="nothing to make t1 from"):
        fitted.system.predict(only, ["t1"])
    with pytest.raises(ScanweaveError, match="the run does not know 'pet'"):
        fitted.system.predict(only, ["pet"])
    with pytest.raises(ScanweaveError, match="nothing to make t1 from"):
        fitted.system.predict(study.with_scans({"ct": study.scans["t1"]}), ["t1"])
    assert fitted.system.predict(study, []).scans == {}
