"""Stems: the norm over what is there, and how much is kept for the gradient."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from scanweave.systems.mome.network import Stream, joined
from scanweave.systems.mome.stems import InstanceNorm, Stem

SIZE = (8, 16, 24)


def make_stem(norm="instance"):
    torch.manual_seed(0)
    return Stem(2, SIZE, (16, 8), 12, 8, norm)


def images(count=2):
    return torch.randn(count, 2, *SIZE, generator=torch.Generator().manual_seed(1))


def kept_bytes(work):
    """Bytes of the tensors that a gradient keeps, each once."""
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        made = work()
    assert made.requires_grad
    return sum(kept.values())


def test_the_norm_is_that_of_torch_over_what_is_there():
    torch.manual_seed(0)
    norm, x = InstanceNorm(3), torch.randn(2, 3, 6, 8) * 5 + 2
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    expected = torch.nn.functional.instance_norm(x, weight=norm.weight, bias=norm.bias)
    torch.testing.assert_close(norm(x, None), expected, rtol=0, atol=1e-5)
    there = torch.zeros(2, 1, 6, 8, dtype=torch.bool)
    there[..., :5, :4] = True
    small = torch.nn.functional.instance_norm(x[..., :5, :4], weight=norm.weight, bias=norm.bias)
    torch.testing.assert_close(norm(x, there)[..., :5, :4], small, rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_extents_of_whole_images_mask_nothing(norm):
    stem, x = make_stem(norm), images()
    whole = torch.tensor([SIZE, SIZE])
    made, plain = stem(x, whole, torch.full((2, 3), 0.3)), stem(x)
    assert made.there is None
    assert torch.equal(made.values, plain.values)
    lesser = stem(x, whole - torch.tensor([[0, 0, 0], [0, 0, 9]]))
    assert lesser.there is not None
    assert lesser.there.sum(1).tolist() == [6, 4]


def test_a_stem_keeps_two_tensors_of_each_stage_for_the_gradient():
    stem, x = make_stem(), images()
    stages = x.itemsize * len(x) * (16 * 4 * 8 * 12 + 8 * 2 * 4 * 6 + 12 * 1 * 2 * 3)
    weights = sum(p.numel() for p in stem.parameters()) * 4
    for extent in (None, torch.tensor([SIZE, (8, 16, 17)])):
        kept = kept_bytes(lambda extent=extent: stem(x, extent).values)
        copies = 1 if extent is None else 2  # where something lies beside an image, it is cleared in a copy
        assert 2 * stages <= kept <= 2 * stages + weights + copies * x.nbytes + 10_000


def test_tokens_that_are_all_there_need_no_mask():
    tokens, rows = torch.randn(2, 3, 4), torch.arange(2)
    some = torch.tensor([[True, True, True], [True, False, True]])
    assert joined([Stream("a", tokens, None, rows), Stream("b", tokens, None, rows)], 2)[1] is None
    found = joined([Stream("a", tokens, None, rows), Stream("b", tokens, some, rows)], 2)[1]
    assert found is not None
    assert found.tolist() == torch.cat([torch.ones_like(some), some], 1).tolist()
    lacking = joined([Stream("a", tokens, None, rows), Stream("b", tokens[:1], None, rows[:1])], 2)[1]
    assert lacking is not None
    assert lacking[1].tolist() == [True] * 3 + [False] * 3
