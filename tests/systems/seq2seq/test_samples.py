"""A training sample is a pure function of its number, drawn as the settings say."""

from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from scanweave.systems.seq2seq.config import NetworkSettings, SamplingSettings
from scanweave.systems.seq2seq.samples import CropSamples

NETWORK = NetworkSettings(channels=(4, 8, 8), blocks=1, rank=2)
SEQUENCES = ("t1", "t2", "rare")


@dataclass(eq=False)
class Held:
    """A prepared study in memory; a voxel tells where it lies and of which sequence it is."""

    id: str
    shape: tuple
    names: tuple
    dark: bool = False
    background: float = -1.0

    @property
    def backgrounds(self):
        return dict.fromkeys(self.names, self.background)

    @property
    def frame(self):
        return SimpleNamespace(shape=self.shape)

    def slices(self, name, start, stop):
        x, y, z = np.meshgrid(*map(np.arange, self.shape), indexing="ij")
        volume = ((x * 100 + y) * 100 + z + 1e6 * SEQUENCES.index(name)).astype(np.float32)
        if self.dark:
            volume[: self.shape[0] // 2] = self.background
        return volume[:, :, start:stop]


def samples(studies, network=NETWORK, seed=0, **settings):
    chosen = {"crop": (8, 12), "crops_per_study": 2, "flip": False, **settings}
    return CropSamples(studies, SEQUENCES, network=network, settings=SamplingSettings(**chosen), seed=seed)


def many(rare=1, total=20):
    both = ("t1", "t2")
    return [Held(f"s{i}", (16, 18, 9), (*both, "rare") if i < rare else both) for i in range(total)]


def test_a_sample_depends_on_its_number_alone():
    first, second = samples(many(), balance=0.5, flip=True), samples(many(), balance=0.5, flip=True)
    backwards = {k: second[k] for k in reversed(range(30))}
    for k in range(30):
        made = first[k]
        assert made["case"] == backwards[k]["case"] == first.case(k)
        for name in ("source", "target", "from", "to"):
            np.testing.assert_array_equal(made[name], backwards[k][name])
    other = samples(many(), seed=1)
    assert any(not np.array_equal(samples(many())[k]["source"], other[k]["source"]) for k in range(5))


def test_source_and_target_are_the_same_place():
    drawn = samples(many(rare=20), balance=1.0)
    for k in range(40):
        made = drawn[k]
        assert made["source"].shape == made["target"].shape == (1, 3, 8, 12)
        shift = 1e6 * (made["to"] - made["from"])
        assert shift != 0
        np.testing.assert_array_equal(made["target"] - made["source"], np.float32(shift))


def test_flip_mirrors_both_along_x_in_half_the_samples():
    plain, flipped = samples(many()), samples(many(), flip=True)
    turned = 0
    for k in range(200):
        a, b = plain[k], flipped[k]
        same = np.array_equal(a["source"], b["source"])
        turned += not same
        for name in ("source", "target"):
            np.testing.assert_array_equal(b[name] if same else b[name].flip(-1), a[name])
    assert 70 < turned < 130


def test_rows_run_along_y_and_columns_along_x():
    made = samples(many())[0]["source"].numpy()[0] % 1e6
    rise = [float(np.diff(made, axis=axis).mean()) for axis in range(3)]
    assert rise == [1.0, 100.0, 10000.0]


def test_balance_starves_no_sequence():
    drawn = samples(many(rare=1, total=20), balance=1.0)
    count = 600
    targets = Counter(drawn._draw(k, np.random.default_rng([0, 1, k]))[2] for k in range(count))
    expected = count / len(SEQUENCES)
    chi_square = sum((targets[name] - expected) ** 2 / expected for name in SEQUENCES)
    assert chi_square < 13.8  # 0.1 % with 2 degrees of freedom
    unbalanced = samples(many(rare=1, total=20))
    rare = sum(unbalanced._draw(k, np.random.default_rng([0, 1, k]))[2] == "rare" for k in range(count))
    assert rare < count / 20


def test_paper_draws_source_and_target_evenly_with_equal_ones():
    drawn = samples([Held("s", (16, 18, 9), SEQUENCES)])
    count = 900
    pairs = Counter(drawn._draw(k, np.random.default_rng([0, 1, k]))[1:] for k in range(count))
    assert len(pairs) == 9
    assert sum((n - 100) ** 2 / 100 for n in pairs.values()) < 26.1  # 0.1 % with 8 degrees of freedom


def test_paper_takes_every_study_once_an_epoch_with_its_crops_in_a_row():
    drawn = samples(many(total=5), crops_per_study=3)
    cases = [drawn.case(k) for k in range(30)]
    for epoch in (cases[:15], cases[15:]):
        assert Counter(epoch) == dict.fromkeys((f"s{i}" for i in range(5)), 3)
        assert all(len(set(epoch[i : i + 3])) == 1 for i in range(0, 15, 3))
    assert cases[:15] != cases[15:]


@pytest.mark.parametrize("balance", [0.0, 1.0])
def test_only_present_sequences_are_drawn(balance):
    drawn = samples([Held("a", (16, 18, 9), ("t1",)), Held("b", (16, 18, 9), ("t2", "rare"))], balance=balance)
    for k in range(60):
        made = drawn[k]
        names = {SEQUENCES[made["from"]], SEQUENCES[made["to"]]}
        assert names <= ({"t1"} if made["case"] == "a" else {"t2", "rare"})


@pytest.mark.parametrize("background", [-1.0, 0.25])
def test_background_is_avoided(background):
    study = Held("s", (48, 18, 9), ("t1", "t2"), dark=True, background=background)
    once, often = (samples([study], attempts=attempts) for attempts in (1, 20))
    dark = [sum(bool((drawn[k]["source"] == background).all()) for k in range(100)) for drawn in (once, often)]
    assert dark[0] > 20
    assert dark[1] == 0


def test_a_study_without_foreground_ends():
    study = Held("s", (16, 18, 9), ("t1",), dark=True)
    study.slices = lambda name, start, stop: np.full((16, 18, stop - start), -1, np.float32)
    assert float(samples([study])[0]["source"].max()) == -1


def test_small_volumes_are_set_in_background():
    drawn = samples([Held("big", (20, 20, 9), ("t1",)), Held("small", (5, 6, 2), ("t1",))], crop=(64, 64))
    assert drawn.size == (20, 20, 3)  # no larger than the largest volume, whole strides
    for k in range(12):
        made = drawn[k]
        values = made["source"].numpy()
        inside = values[values > -1]
        assert values.shape == (1, 3, 20, 20)
        if made["case"] == "small":
            assert inside.size == 5 * 6 * 2
        assert len(np.unique(inside)) == inside.size


def test_what_is_around_a_small_volume_is_the_background_of_its_sequence():
    small = Held("small", (5, 6, 2), ("t1",), background=0.25)
    drawn = samples([Held("big", (20, 20, 9), ("t1",)), small], crop=(64, 64))
    made = next(made for made in map(drawn.__getitem__, range(12)) if made["case"] == "small")
    for name in ("source", "target"):
        assert (made[name] == 0.25).sum() == 3 * 20 * 20 - 5 * 6 * 2


def test_volumes_with_three_dimensions():
    network = NETWORK.model_copy(update={"dimensions": 3, "slices": 1})
    made = samples(many(), network=network, depth=4)[0]
    assert made["source"].shape == (1, 1, 4, 8, 12)
