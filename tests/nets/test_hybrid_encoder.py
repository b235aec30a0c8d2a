"""The hybrid encoder: hidden blocks reach nothing that is visible, and are left out without changing it."""

import pytest
import torch

from scanweave.errors import ScanweaveError
from scanweave.nets.axis_order import reverse_axes
from scanweave.nets.hybrid_encoder import HybridEncoder, blocks_of, spread, taken, whole_of
from scanweave.nets.positions import grid_positions
from scanweave.nets.sizes import parameter_count

GRID, BLOCKS = (2, 3, 2), 12


def encoder(**more):
    torch.manual_seed(0)
    sizes = {"widths": (4, 8, 12), "depths": (1, 2, 2), "heads": 2, **more}
    return HybridEncoder(1, 3, **sizes)


def volume(requires_grad=False):
    return torch.randn(2, 1, *(8 * count for count in GRID), generator=torch.Generator().manual_seed(1)).requires_grad_(
        requires_grad
    )


def some_visible():
    draw = torch.Generator().manual_seed(2)
    return torch.stack([torch.randperm(BLOCKS, generator=draw)[:5].sort().values for _ in range(2)])


def hidden_of(visible):
    hidden = torch.ones(2, BLOCKS, dtype=torch.bool)
    return hidden.scatter(1, visible, False)


@pytest.mark.parametrize("fusion", ["pooled", "convolution"])
def test_no_gradient_flows_from_a_hidden_block_to_a_visible_token(fusion):
    """At the output, and at every stage of convolutions."""
    made, x, visible = encoder(fusion=fusion), volume(requires_grad=True), some_visible()
    stages = []
    for stage in made.stages:
        stage.register_forward_hook(lambda module, given, found: stages.append(found))
    token = made.visible_tokens(x, visible)
    for feature in [*stages, token]:
        (gradient,) = torch.autograd.grad(feature.square().sum(), x, retain_graph=True)
        of_blocks = blocks_of(gradient.movedim(1, -1), GRID).flatten(2).abs().sum(dim=2)
        assert of_blocks[hidden_of(visible)].max() == 0
        assert of_blocks[~hidden_of(visible)].min() > 0


def test_visible_blocks_are_computed_as_by_a_whole_pass_that_multiplies_by_the_mask():
    """The published form, on all voxels: the mask before every depthwise convolution."""
    made, x, visible = encoder(), volume(), some_visible()
    shown = (~hidden_of(visible)).float().view(2, BLOCKS, 1, 1, 1, 1)

    def masked(values, convolution):
        edge = values.shape[1] // GRID[0]
        mask = whole_of(shown.expand(-1, -1, edge, edge, edge, 1), GRID)
        return convolution((values * mask).movedim(-1, 1)).movedim(1, -1)

    whole = made._stages(x.movedim(1, -1), masked)
    parts = [taken(blocks_of(one, GRID), visible) for one in whole]
    tokens = made.halvings[-1](parts[-1]).flatten(2)
    wanted = made._fused(made._transformed(tokens, grid_positions(GRID, 12)[visible]), parts)
    assert torch.allclose(made.visible_tokens(x, visible), wanted, atol=1e-5)


def test_all_blocks_visible_is_a_forward_pass():
    made, x = encoder(), volume()
    whole = made(x)[-1].flatten(2).transpose(1, 2)
    assert torch.allclose(made.visible_tokens(x, torch.arange(BLOCKS).expand(2, -1)), whole, atol=1e-5)


def test_blocks_make_the_volume_again():
    x = torch.arange(2 * 16 * 24 * 16 * 3.0).view(2, 16, 24, 16, 3)
    blocks = blocks_of(x, GRID)
    assert blocks.shape == (2, BLOCKS, 8, 8, 8, 3)
    assert torch.equal(whole_of(blocks, GRID), x)
    assert torch.equal(blocks[0, 1], x[0, :8, :8, 8:])  # the last axis of the grid is the fastest


def test_spread_and_taken_are_inverse():
    values, places = torch.randn(2, 5, 3), some_visible()
    wide = spread(values, places, BLOCKS)
    assert torch.equal(taken(wide, places), values)
    assert (wide.abs().sum(dim=2) > 0).sum() == 10


def test_sizes_are_those_of_the_paper():
    """33.9 million with the published fusion, of which the kernel of 8³ has 9.4."""
    with torch.device("meta"):
        published, pooled = HybridEncoder(1, 3, fusion="convolution"), HybridEncoder(1, 3)
    assert parameter_count(published) == 33_891_600
    assert parameter_count(published.fusions[0]) == pytest.approx(9.4e6, rel=0.01)
    assert parameter_count(pooled) < 22e6


@pytest.mark.parametrize("dimensions", [2, 3])
def test_any_size_goes_through(dimensions):
    made = HybridEncoder(2, dimensions, (4, 8), (1, 1), heads=2)
    features = made(torch.randn(1, 2, *(9, 13, 6)[:dimensions]))
    assert [tuple(one.shape[2:]) for one in features] == [(5, 7, 3)[:dimensions], (3, 4, 2)[:dimensions]]


def test_axes_in_another_order_give_the_same_features():
    made, x = encoder(), volume()
    wanted = [one.transpose(2, 4) for one in made(x)]
    reverse_axes(made)
    for one, other in zip(made(x.transpose(2, 4)), wanted, strict=True):
        assert torch.equal(one, other)


def test_positions_tell_every_token_apart():
    positions = grid_positions((3, 4, 5), 24)
    assert positions.shape == (60, 24)
    assert torch.cdist(positions, positions).add(torch.eye(60)).min() > 0.1


@pytest.mark.parametrize("sizes", [{"widths": (4,), "depths": (1,)}, {"heads": 5}, {"kernel": 4}, {"depths": (1, 1)}])
def test_sizes_that_do_not_fit_are_one_line(sizes):
    with pytest.raises(ScanweaveError, match="hybrid encoder"):
        encoder(**sizes)
