"""Samples of series: some frames in order, the first always, and all else drawn as it would be without them."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scanweave.studies.preparing.series_frames import SeriesFrames
from scanweave.systems.seq2seq.config import NetworkSettings, SamplingSettings
from scanweave.systems.seq2seq.frame_values import MOST_NODES, frame_values, resampling, series_nodes
from scanweave.systems.seq2seq.fusion_samples import SubsetSamples
from scanweave.systems.seq2seq.samples import CropSamples

SEQUENCES = ("t1", "t2", "dce")
SERIES = {"dce": SeriesFrames(frames=6)}
NODES = series_nodes(SEQUENCES, SERIES)[2].values


@dataclass(eq=False)
class Held:
    """A prepared study in memory; a voxel tells of which sequence and frame it is."""

    id: str
    frames: int | None = None
    shape: tuple = (16, 18, 9)
    names: tuple = SEQUENCES

    @property
    def series(self):
        return {} if self.frames is None else {"dce": SeriesFrames(frames=self.frames)}

    @property
    def backgrounds(self):
        return dict.fromkeys(self.names, -1.0)

    @property
    def frame(self):
        return SimpleNamespace(shape=self.shape)

    def slices(self, name, start, stop, frames=None):
        x, y, z = np.meshgrid(*map(np.arange, self.shape), indexing="ij")
        volume = ((x * 100 + y) * 100 + z + 1e6 * SEQUENCES.index(name)).astype(np.float32)[:, :, start:stop]
        if name not in self.series:
            return volume
        chosen = range(self.frames) if frames is None else frames
        return np.stack([volume + 1e7 * number for number in chosen], axis=-1)


def samples(kind, studies, series=SERIES, dimensions=2, told=True, **settings):
    network = NetworkSettings(channels=(4, 8), dimensions=dimensions, frame_values=told)
    chosen = {"crop": (8, 12), "depth": 4, "balance": 1.0, "frames": 3, "crops_per_study": 1} | settings
    return kind(studies, SEQUENCES, network=network, settings=SamplingSettings(**chosen), seed=0, series=series)


KINDS = pytest.mark.parametrize("kind", [CropSamples, SubsetSamples])


@KINDS
def test_frames_are_some_in_order_and_the_first_is_one(kind):
    made, seen = samples(kind, [Held("s", 6)]), set()
    for k in range(60):
        sample = made[k]
        if sample["to"] == 2:
            places = sample["target_places"].tolist()
            assert places[0] == 0
            assert places == sorted(set(places))
            assert len(places) == len(sample["target"]) == 3
            shown = (sample["target"][:, 0, 0, 0] // 1e7).int().tolist()
            assert shown == places
            assert len(sample["target_values"]) == 6
            seen.add(tuple(places))
        else:
            assert "target_places" not in sample
            assert len(sample["target"]) == 1
    assert len(seen) > 4


@KINDS
def test_a_short_series_is_whole_and_one_frame_is_a_series_too(kind):
    for frames in (1, 2):
        made = samples(kind, [Held("s", frames)])
        lengths = {len(made[k]["target"]) for k in range(20) if made[k]["to"] == 2}
        assert lengths == {frames}


def test_volumes_keep_their_axes_with_frames():
    made = samples(CropSamples, [Held("s", 6)], dimensions=3)
    shapes = {made[k]["target"].shape for k in range(20)}
    assert shapes == {(1, 1, 4, 8, 12), (3, 1, 4, 8, 12)}


@KINDS
def test_nothing_else_is_drawn_otherwise_than_without_series(kind):
    with_series, without = samples(kind, [Held("s", 6)]), samples(kind, [Held("s")], series={})
    for k in range(30):
        ours, theirs = with_series[k], without[k]
        assert (ours["to"], ours["case"]) == (theirs["to"], theirs["case"])
        if ours["to"] != 2:
            assert torch.equal(ours["target"], theirs["target"])
        else:
            np.testing.assert_array_equal(ours["target"][0], theirs["target"][0])


def test_fused_samples_tell_the_frames_that_are_given():
    made = samples(SubsetSamples, [Held("s", 6)], all_share=1.0)
    for k in range(20):
        sample = made[k]
        assert [len(values) for values in sample["scan_values"]] == [0, 0, 0 if sample["to"] == 2 else 3]
        assert len(sample["scans"][2]) == (1 if sample["to"] == 2 else 3)
    assert "scan_values" not in samples(SubsetSamples, [Held("s", 6)], told=False)[0]


def test_the_regression_is_learnt_from_the_frames_that_it_knows():
    """Of a series with other times the frames between them; the sums are those over volumes that are these frames."""
    found = samples(SubsetSamples, [Held("s", 6)]).moments(3)
    assert found.owners == [0, 1, *[2] * len(NODES)]
    products, _ = found.sums[frozenset({0, 1, 2})]
    study = Held("s", 6)
    values = frame_values(study.series["dce"], SERIES["dce"])
    assert products.shape == (len(found.pairs),) * 2
    weights = resampling(values, NODES)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)


def test_samples_hold_the_frames_that_the_regression_knows():
    made = samples(SubsetSamples, [Held("s", 6)], all_share=1.0)
    for k in range(10):
        sample = made[k]
        assert len(sample["nodes"][2]) == (1 if sample["to"] == 2 else len(NODES))
        assert ("target_values" in sample) == (sample["to"] == 2)


@pytest.mark.parametrize(
    ("values", "wanted", "weights"),
    [
        ([0, 1], [0, 0.25, 1], [[1, 0], [0.75, 0.25], [0, 1]]),
        ([0, 1], [-1, 2], [[1, 0], [0, 1]]),
        ([1, 0], [0.25], [[0.25, 0.75]]),
        ([0, 1, 1], [1], [[0, 0.5, 0.5]]),
        ([3], [0, 9], [[1], [1]]),
    ],
)
def test_frames_between_others_are_linear(values, wanted, weights):
    np.testing.assert_allclose(resampling(values, wanted), weights, atol=1e-6)


def test_long_series_are_known_by_few_frames():
    many = {"dce": SeriesFrames(frames=60, times=tuple(float(t) for t in range(60)))}
    nodes = series_nodes(["t1", "dce"], many)[1].values
    assert len(nodes) == MOST_NODES
    assert (nodes[0], nodes[-1]) == (0, 1)
    twice = SeriesFrames(frames=3, b_values=(0.0, 800.0, 800.0))
    assert series_nodes(["dwi"], {"dwi": twice}) == {0: ("b-value", (0.0, 0.8), 1.0)}
