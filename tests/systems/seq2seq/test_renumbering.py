"""Weights moved to other numbers of the same sequences make the same images."""

from __future__ import annotations

import pytest
import torch

from scanweave.systems.seq2seq.config import BEST
from scanweave.systems.seq2seq.fusion_network import FusionNetwork
from scanweave.systems.seq2seq.renumbering import REGRESSION, renumbered

BEFORE = ("t1", "t1c", "t2", "flair")
SETTINGS = BEST.network.model_copy(update={"channels": (4, 6), "rank": 2, "slices": 1, "code_length": 8})


def drawn(sequences, seed):
    """A network in which every number counts."""
    torch.manual_seed(seed)
    network = FusionNetwork(SETTINGS, len(sequences)).double().eval()
    for value in network.state_dict().values():
        value.copy_(0.3 * torch.randn_like(value))
    network.regression.coefficients.zero_()  # what follows from the patients at hand is never taken over
    network.regression.centre.zero_()
    network.regression.spread.fill_(1)
    return network


def answered(network, sequences, images, target):
    """The target made from images by name."""
    with torch.no_grad():
        given = {sequences.index(name): image for name, image in images.items()}
        ready = {n: network.ready(n, image, network.source(torch.tensor([n]))) for n, image in given.items()}
        number = sequences.index(target)
        return network.correct(ready, number, network.target_parts(number), -1.0)[0]


@pytest.mark.parametrize("after", [("flair", "t1c", "t1", "t2"), ("t2", "t1"), ("flair", "pd", "t2", "t1c")])
def test_the_same_images_are_made_after_sequences_get_other_numbers(after):
    old, new = drawn(BEFORE, 0), drawn(after, 1)
    moved = renumbered(old.state_dict(), BEFORE, after, new.state_dict())
    new.load_state_dict({name: value for name, value in moved.items() if not name.startswith(REGRESSION)}, strict=False)
    known = [name for name in after if name in BEFORE]
    images = {name: torch.rand(1, 1, 1, 8, 8, dtype=torch.float64) for name in known[1:]}
    expected = answered(old, BEFORE, images, known[0])
    torch.testing.assert_close(answered(new, after, images, known[0]), expected)  # sources add up in another order
    swapped = drawn(after, 1)
    swapped.load_state_dict({**new.state_dict(), "code.weight": old.state_dict()["code.weight"]})
    assert not torch.allclose(answered(swapped, after, images, known[0]), expected)


def test_a_sequence_that_is_new_keeps_what_the_network_began_with():
    old, new = drawn(BEFORE, 0), drawn(("t1", "pd"), 1)
    own = {name: value.clone() for name, value in new.state_dict().items()}
    moved = renumbered(old.state_dict(), BEFORE, ("t1", "pd"), own)
    assert torch.equal(moved["code.weight"][:, 1], own["code.weight"][:, 1])
    assert torch.equal(moved["code.weight"][:, 0], old.state_dict()["code.weight"][:, 0])
