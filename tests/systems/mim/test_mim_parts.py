"""Levels, masks, reconstructions and alignment of MiM, each against what it is said to be."""

import numpy as np
import pytest
import torch
from tiny_mim import tiny_config
from torch.utils.data import default_collate

from scanweave.errors import ScanweaveError
from scanweave.nets.sizes import parameter_count
from scanweave.systems.mim.config import MAE, PAPER, SIMMIM, SMALL, LevelSettings
from scanweave.systems.mim.inference import hidden_in_turn
from scanweave.systems.mim.levels import blocks_hidden, cut_views, draw_masks, plan_levels, unit_blocks, views_of
from scanweave.systems.mim.network import MimNetwork, Reconstruction
from scanweave.systems.mim.objective import MimObjective, block_values, masks_as_tensors
from scanweave.systems.mim.task import feature_spread

CONFIGS = {
    "two levels": tiny_config(),
    "three levels": tiny_config(
        levels={"extent": 32, "view": 16, "units": (2, 1, 1), "ratios": (0.5, 0.6, 0.5), "children": (4, 2)},
        loss={"reconstruction": (1.0, 1.0, 1.0), "alignment": (0.1, 0.1)},
    ),
    "parents": tiny_config(loss={"form": "parents"}),
    "filled": tiny_config(network={"hidden": "filled"}),
    "another encoder": tiny_config(
        network={"encoder": "resnet10", "encoder_width": 0.125, "block": 4, "hidden": "filled", "decoder": "linear"}
    ),
}


def made(config, crops=2, seed=0):
    torch.manual_seed(seed)
    network = MimNetwork(config)
    objective, rng = MimObjective(network, config), np.random.default_rng(seed)
    edge = config.levels.extent
    samples = [
        {
            "crop": torch.from_numpy(rng.normal(size=(1, edge, edge, edge)).astype(np.float32)),
            **masks_as_tensors(draw_masks(objective.levels, rng)),
        }
        for _ in range(crops)
    ]
    return objective, default_collate(samples)


def test_levels_of_the_paper():
    """1 + 4 + 16 views; octants of 96 voxels, then tokens of 16."""
    levels = plan_levels(PAPER.levels, 16)
    assert views_of(levels) == (1, 4, 16)
    assert [level.extent for level in levels] == [192, 96, 16]
    assert [level.unit_extent for level in levels[:2]] == [96, 16]
    assert [level.hidden for level in levels] == [4, 130, 108]


def test_parameters_of_the_paper():
    """71 million: 33.9 of the encoder, 34.5 of the decoder, 2.7 of the heads."""
    published = PAPER.model_copy(update={"network": PAPER.network.model_copy(update={"fusion": "convolution"})})
    with torch.device("meta"):
        network = MimNetwork(published)
    counts = [parameter_count(part) for part in (network.encoder, network.decoder)]
    heads = parameter_count(network.parent_heads) + parameter_count(network.child_heads)
    assert [round(count / 1e6, 1) for count in [*counts, heads]] == [33.9, 34.5, 2.7]
    assert parameter_count(network) == 71_047_696


@pytest.mark.parametrize("name", CONFIGS)
def test_children_lie_in_what_their_parents_hide(name):
    config = CONFIGS[name]
    levels = plan_levels(config.levels, 4)
    for seed in range(5):
        masks = draw_masks(levels, np.random.default_rng(seed))
        assert [len(one.hidden) for one in masks] == list(views_of(levels))
        for level, one in zip(levels, masks, strict=True):
            assert (one.hidden.sum(axis=1) == level.hidden).all()
            assert np.take_along_axis(one.hidden, one.children, axis=1).all()
        for level, parent, child in zip(levels, masks, masks[1:], strict=False):
            inside = (child.start.reshape(len(parent.start), -1, 3) - parent.start[:, None]) // level.unit_extent
            units = np.ravel_multi_index(tuple(np.moveaxis(inside, -1, 0)), (level.units,) * 3)
            assert (units == parent.children).all()


def test_units_are_blocks_of_space_and_not_of_a_list():
    level = plan_levels(LevelSettings(extent=16, view=16, units=(2,), ratios=(0.5,), children=()), 4)[0]
    hidden = torch.zeros(1, 8, dtype=torch.bool)
    hidden[0, 5] = True  # the far half of the first and of the last axis
    cube = blocks_hidden(hidden, level).view(4, 4, 4)
    assert cube[2:, :2, 2:].all()
    assert cube.sum() == 8
    assert torch.equal(unit_blocks(level)[5].sort().values, cube.flatten().nonzero()[:, 0])


def test_a_view_of_a_child_is_that_part_of_the_crop():
    crops, start = torch.randn(1, 1, 16, 16, 16), torch.tensor([[[8, 0, 8], [0, 8, 0]]])
    views = cut_views(crops, start, 8, 8)
    assert torch.equal(views[0], crops[0, :, 8:, :8, 8:])
    assert torch.equal(views[1], crops[0, :, :8, 8:, :8])
    assert cut_views(crops, start, 8, 16).shape == (2, 1, 16, 16, 16)
    halved = cut_views(crops, torch.zeros(1, 1, 3, dtype=torch.long), 16, 8)
    assert torch.allclose(halved[0, 0, 0, 0, 0], crops[0, 0, :2, :2, :2].mean(), atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_step_learns_every_weight(name):
    objective, batch = made(CONFIGS[name])
    found = objective(batch)
    found["loss"].backward()
    assert [key for key, one in objective.network.named_parameters() if one.grad is None] == []
    weights = {"loss", *(f"level {k}" for k in range(1, len(objective.levels) + 1))}
    assert weights <= set(found)


@pytest.mark.parametrize("name", ["two levels", "three levels", "parents"])
def test_the_loss_does_not_depend_on_the_order_of_the_crops(name):
    objective, batch = made(CONFIGS[name], crops=3)
    turned = {key: value[[2, 0, 1]] for key, value in batch.items()}
    one, other = objective(batch), objective(turned)
    assert {key: float(value) for key, value in one.items()} == pytest.approx(
        {key: float(value) for key, value in other.items()}, abs=1e-5
    )


def test_a_doubled_batch_is_the_mean_of_two():
    """So two processes learn as one does from the doubled batch."""
    objective, batch = made(CONFIGS["three levels"], crops=4)
    halves = [objective({key: value[part] for key, value in batch.items()}) for part in (slice(0, 2), slice(2, 4))]
    for key, value in objective(batch).items():
        assert float(value) == pytest.approx(np.mean([float(half[key]) for half in halves]), abs=1e-5)


def test_views_one_after_the_other_learn_the_same():
    gradients = []
    for count in (None, 1):
        objective, batch = made(CONFIGS["three levels"].model_copy(update={}))
        objective.views_at_once = count
        objective(batch)["loss"].backward()
        gradients.append([one.grad.clone() for one in objective.network.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_a_marker_moves_the_feature_of_its_own_region_alone(monkeypatch):
    """Of the parent, where the child lies, and of that child; by features that are the means of blocks."""
    objective, batch = made(CONFIGS["two levels"], crops=1)

    def means(views, hidden):
        values = block_values(views, 4, objective.settings.model_copy(update={"target": "values"}))
        return Reconstruction(values, values.mean(dim=2, keepdim=True))

    monkeypatch.setattr(objective.network, "forward", means)
    before = [objective.look(batch, number) for number in range(2)]
    level, child = objective.levels[0], 1
    start = batch["start1"][0, child]
    marked = batch["crop"].clone()
    x, y, z = (start + level.unit_extent // 2).tolist()
    marked[:, :, x, y, z] += 100
    after = [objective.look({**batch, "crop": marked}, number) for number in range(2)]
    moved = ((after[0].regions - before[0].regions).abs().sum(dim=2) > 1e-4)[0].nonzero()[:, 0].tolist()
    assert moved == [int(batch["children0"][0, 0, child])]
    assert ((after[1].whole - before[1].whole).abs()[:, 0] > 1e-4).tolist() == [False, True]


def test_the_parents_feature_gets_no_gradient_from_the_alignment():
    objective, batch = made(CONFIGS["two levels"])
    seen = [objective.look(batch, number) for number in range(2)]
    seen[0].regions.retain_grad()
    seen[1].whole.retain_grad()
    objective._alignment(0, *seen, batch["children0"]).backward()
    assert seen[0].regions.grad is None
    assert seen[1].whole.grad.abs().sum() > 0


def test_the_alignment_is_low_where_child_and_region_are_alike(monkeypatch):
    """With heads that change nothing, and features that are equal: 0; which parent's region it is, told at once."""
    for form, wanted in (("cosine", 0.0), ("parents", 0.0)):
        objective, batch = made(tiny_config(loss={"form": form, "temperature": 0.01}))
        objective.network.child_heads[0] = objective.network.parent_heads[0] = torch.nn.Identity()
        parent, child = (objective.look(batch, number) for number in range(2))
        apart = torch.eye(8).expand(2, -1, -1)
        children = batch["children0"]
        own = apart[0][children.flatten()]
        found = objective._alignment(0, parent._replace(regions=apart), child._replace(whole=own), children)
        assert float(found) == pytest.approx(wanted, abs=1e-5)


def test_blocks_are_standardised_one_by_one():
    views = 5 + 3 * torch.randn(2, 1, 8, 8, 8)
    values = block_values(views, 4, SMALL.loss)
    assert torch.allclose(values.mean(dim=2), torch.zeros(2, 8), atol=1e-5)
    assert torch.allclose(values.var(dim=2), torch.ones(2, 8), atol=1e-3)
    assert (block_values(torch.ones(1, 1, 8, 8, 8), 4, SMALL.loss) == 0).all()
    assert torch.equal(block_values(views, 4, SIMMIM.loss)[0, 7].view(4, 4, 4), views[0, 0, 4:, 4:, 4:])


def test_presets_that_are_controls_have_one_level():
    for config in (MAE, SIMMIM):
        assert views_of(plan_levels(config.levels, 8)) == (1,)
    assert plan_levels(MAE.levels, 8)[0].hidden == 48


@pytest.mark.parametrize(("count", "at_once"), [(8, 4), (8, 3), (64, 38), (7, 6)])
def test_every_block_is_hidden_once_at_least(count, at_once):
    masks = hidden_in_turn(count, at_once, np.random.default_rng(0))
    assert (masks.sum(dim=1) == at_once).all()
    assert masks.any(dim=0).all()


def test_collapsed_features_are_told():
    alike = torch.ones(20, 8) + 1e-6 * torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    apart = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    assert feature_spread(alike)["feature deviation"] < 1e-4
    assert feature_spread(apart)["feature deviation"] > 0.9
    assert feature_spread(apart)["feature rank"] > 7
    line = torch.linspace(-1, 1, 20)[:, None] * torch.tensor([[1.0, 0, 0]]) + torch.tensor([[0.0, 1, 0]])
    assert feature_spread(line)["feature rank"] < 2
    assert feature_spread(torch.ones(1, 3)) == {}


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ({"view": 18}, "levels.view"),
        ({"units": (3, 1)}, "levels.units"),
        ({"children": (5,)}, "levels.children"),
        ({"units": (4, 1)}, "one unit alone"),
        ({"extent": 17}, "levels.units"),
    ],
)
def test_levels_that_do_not_fit_are_one_line(levels, words):
    settings = tiny_config().levels.model_copy(update=levels)
    with pytest.raises(ScanweaveError, match=words):
        plan_levels(settings, 4)


@pytest.mark.parametrize(
    "network",
    [{"encoder": "resnet10"}, {"decoder": "linear"}, {"depths": [1]}],
)
def test_parts_that_do_not_go_together_are_refused(network):
    with pytest.raises(ValueError, match=r"hidden filled|depth for each"):
        tiny_config(network=network)
