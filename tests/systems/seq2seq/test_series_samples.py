"""Samples of series: some frames in order, the first always, and all else drawn as it would be without them."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scanweave.studies.preparing.series_frames import SeriesFrames
from scanweave.systems.seq2seq.config import NetworkSettings, SamplingSettings
from scanweave.systems.seq2seq.fusion_samples import SubsetSamples
from scanweave.systems.seq2seq.samples import CropSamples

SEQUENCES = ("t1", "t2", "dce")
SERIES = {"dce": SeriesFrames(frames=6)}


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


def test_the_regression_is_learnt_from_mean_frames():
    """The sums over a series are those over a volume that is the mean of its frames."""

    class Small(Held):
        def slices(self, name, start, stop, frames=None):
            return Held.slices(self, name, start, stop) * np.float32(1e-8)

    class Mean(Small):
        def slices(self, name, start, stop, frames=None):
            return Small.slices(self, name, start, stop) + np.float32(0.05 * (name == "dce"))

    found, expected = (
        samples(SubsetSamples, [study], series=series).moments(3).sums[frozenset({0, 1, 2})]
        for study, series in ((Small("s", 2), SERIES), (Mean("s"), {}))
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)
