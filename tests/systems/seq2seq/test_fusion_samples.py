"""Samples of fused sources: a target, and some of the others, each a pure function of its number."""

import numpy as np
import torch
from test_samples import NETWORK, SEQUENCES, Held, many

from scanweave.systems.seq2seq.config import SamplingSettings
from scanweave.systems.seq2seq.fusion_samples import SubsetSamples


def samples(studies, **settings):
    chosen = {"crop": (8, 12), "together": 1, "flip": False, "balance": 0.5, **settings}
    return SubsetSamples(studies, SEQUENCES, network=NETWORK, settings=SamplingSettings(**chosen), seed=0)


class Grey(Held):
    """A study with a different grey everywhere, so that a power changes it."""

    def slices(self, name, start, stop):
        shape = (*self.shape[:2], stop - start)
        return np.full(shape, 0.1 * (SEQUENCES.index(name) + 1), np.float32)


def test_a_sample_depends_on_its_number_alone():
    first, second = samples(many(), gamma=0.2), samples(many(), gamma=0.2)
    backwards = {k: second[k] for k in reversed(range(20))}
    for k in range(20):
        made = first[k]
        assert made["case"] == backwards[k]["case"] == first.case(k)
        assert torch.equal(made["given"], backwards[k]["given"])
        assert torch.equal(torch.stack(made["scans"]), torch.stack(backwards[k]["scans"]))


def test_the_target_is_never_given_and_something_always_is():
    made = samples(many(rare=10), balance=0.0)
    for k in range(60):
        sample = made[k]
        assert sample["given"].any()
        assert not sample["given"][sample["to"]]
        for number, scan in enumerate(sample["scans"]):
            assert sample["given"][number] or not scan.any()


def test_all_others_are_given_in_a_share_of_the_samples():
    whole = [Held("s", (16, 18, 9), SEQUENCES)]
    assert all(int(samples(whole, all_share=1.0)[k]["given"].sum()) == 2 for k in range(20))
    counts = [int(samples(whole, all_share=0.0)[k]["given"].sum()) for k in range(60)]
    assert set(counts) == {1, 2}


def test_a_power_changes_what_is_given_and_never_the_target():
    study = [Grey("s", (16, 18, 9), ("t1", "t2"))]
    plain, varied = samples(study), samples(study, gamma=0.5)
    changed = 0
    for k in range(10):
        a, b = plain[k], varied[k]
        assert torch.equal(a["target"], b["target"])
        changed += not torch.equal(torch.stack(a["scans"]), torch.stack(b["scans"]))
    assert changed == 10


def test_moments_hold_each_combination_of_sequences():
    found = samples([Grey("s", (16, 18, 9), ("t1", "t2")), Grey("r", (16, 18, 9), SEQUENCES)]).moments(10)
    assert set(found.sums) == {frozenset({0, 1}), frozenset({0, 1, 2})}


def test_samples_of_a_step_ask_for_the_same():
    whole = [Held(name, (16, 18, 9), SEQUENCES) for name in "rs"]
    made = samples(whole, together=4, all_share=0.3)
    steps = [[made[4 * step + k] for k in range(4)] for step in range(12)]
    asked = [{(sample["to"], tuple(sample["given"].tolist())) for sample in step} for step in steps]
    assert all(len(of_step) == 1 for of_step in asked)
    assert len(set().union(*asked)) > 4
    assert any(len({sample["case"] for sample in step}) == 2 for step in steps)


def test_a_study_without_what_was_drawn_gives_what_it_has():
    made = samples([Held("s", (16, 18, 9), SEQUENCES), Held("r", (16, 18, 9), ("t1", "t2"))], together=2, all_share=0.0)
    for k in range(40):
        sample = made[k]
        held = {"s": set(SEQUENCES), "r": {"t1", "t2"}}[sample["case"]]
        given = {name for name, there in zip(SEQUENCES, sample["given"].tolist(), strict=True) if there}
        assert given
        assert given <= held


def test_the_middle_slice_of_a_stack_is_asked_for():
    sample = samples([Held("s", (16, 18, 9), SEQUENCES)])[0]
    assert sample["scans"][0].shape[:2] == (1, NETWORK.slices)
    assert sample["target"].shape[:2] == sample["target_covered"].shape[:2] == (1, 1)
