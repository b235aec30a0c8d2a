"""Losses, composition and samples of FreeTumor; each fault of the released code is a test here or in the system's."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scanweave.nets.segmentation_network import plain_unet
from scanweave.systems.freetumor.config import BEST, FAITHFUL, GeneratorSettings, SynthesisSettings
from scanweave.systems.freetumor.looks import RealTumour
from scanweave.systems.freetumor.network import Frozen, Generator, Inserter, make_discriminator
from scanweave.systems.freetumor.objective import (
    GeneratorObjective,
    MixedObjective,
    accepted_tumours,
    masked_mean,
    masked_means,
    tumour_share,
)
from scanweave.systems.freetumor.samples import CopyLook

SIZE = (16, 16, 16)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    hard = torch.zeros(3, 2, *SIZE, dtype=torch.bool)
    hard[:, 0, 4:9, 4:9, 4:9] = True
    hard[:, 1, 9:13, 9:13, 9:13] = True
    tumour = torch.zeros(3, *SIZE, dtype=torch.bool)
    tumour[2, :3, :3, :3] = True
    return {
        "image": torch.randn(3, 1, *SIZE, generator=generator),
        "present": torch.ones(3, 1, dtype=torch.bool),
        "tumour": tumour,
        "organ": torch.ones(3, *SIZE, dtype=torch.bool),
        "offered": torch.tensor([True, True, False]),
        "hard": hard,
        "soft": hard.float(),
        "texture": torch.full((3, 2, *SIZE), 0.5),
        "change": torch.full((3, 2, *SIZE), -0.25),
        "radius": torch.full((3, 2), 2.0),
        "contrast": torch.full((3, 2), -0.2),
        "gain": torch.ones(3, 2),
    }


class Answer(torch.nn.Module):
    """A judge whose logits of tumour are a number everywhere."""

    def __init__(self, logit):
        super().__init__()
        self.logit = logit

    def forward(self, image, present):
        share = torch.full_like(image, self.logit)
        return torch.cat([torch.zeros_like(image), share], dim=1)


def settings(preset):
    return preset.generator.model_copy(update={"first_channels": 2})


def test_voxels_without_a_share_of_tumour_keep_their_value(batch):
    for inserter in (Inserter(None, 1.0), Inserter(Generator(GeneratorSettings(first_channels=2)), 2.0)):
        made = inserter(batch, 1)
        same = batch["soft"][:, 1, None] == 0
        assert torch.equal(made[same], batch["image"][same])
        assert not torch.equal(made, batch["image"])


def test_a_tumour_changes_what_the_formula_says(batch):
    by_rules = Inserter(None, 1.0)(batch, 0)
    assert torch.allclose((by_rules - batch["image"])[:, 0], -0.25 * batch["soft"][:, 0], atol=1e-6)
    generator = Generator(GeneratorSettings(first_channels=2))
    inputs = batch["image"], batch["soft"][:, 0, None], batch["radius"][:, 0], batch["contrast"][:, 0]
    wanted = batch["image"] - 3.0 * batch["soft"][:, 0, None] * 0.5 * generator(*inputs)
    assert torch.allclose(Inserter(generator, 3.0)(batch, 0), wanted, atol=1e-6)


def test_a_generator_stays_between_its_limits_and_heeds_its_condition(batch):
    told = Generator(GeneratorSettings(first_channels=2, conditioned=True)).eval()
    blind = Generator(GeneratorSettings(first_channels=2)).eval()
    for network, heeds in ((told, True), (blind, False)):
        made = [
            network(batch["image"], batch["soft"][:, 0, None], batch["radius"][:, 0], torch.full((3,), contrast))
            for contrast in (-0.1, 0.9)
        ]
        assert made[0].abs().max() <= 1
        assert torch.equal(*made) != heeds


def test_the_losses_are_those_of_the_paper(batch):
    generator = Generator(settings(FAITHFUL))
    discriminator = make_discriminator(settings(FAITHFUL))
    objective = GeneratorObjective(
        Inserter(generator, 2.0), discriminator, Frozen(Answer(1.0)), settings(FAITHFUL), (0.7, 1.0)
    )
    terms = objective(batch)
    made = Inserter(generator, 2.0)(batch)
    mask = batch["hard"][:, 0] & batch["offered"].view(-1, 1, 1, 1)
    on_made, on_real = discriminator(made).softmax(1), discriminator(batch["image"]).softmax(1)
    judged = 1 - torch.sigmoid(torch.tensor(1.0))
    adversarial = 1 - masked_mean(on_made[:, 1], mask)
    assert terms["generator"].item() == pytest.approx((judged + 0.1 * adversarial).item(), rel=1e-5)
    wanted = 0.5 * (1 - masked_mean(on_made[:, 2], mask)) + 0.5 * (1 - masked_mean(on_real[:, 1], batch["tumour"]))
    assert terms["discriminator"].item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize("preset", [FAITHFUL, BEST])
def test_crops_without_a_real_tumour_leave_no_empty_term(batch, preset):
    objective = GeneratorObjective(
        Inserter(Generator(settings(preset)), 2.0),
        make_discriminator(settings(preset)),
        Frozen(plain_unet(1, 2, 3, (1, 2), first_channels=2)),
        settings(preset),
        (0.5, 0.98),
    )
    for offered in (True, False):
        terms = objective(batch | {"tumour": torch.zeros_like(batch["tumour"]), "offered": torch.tensor([offered] * 3)})
        total = terms["generator"] + terms["discriminator"]
        assert torch.isfinite(total)
        total.backward()
        weights = [weight.grad for weight in objective.parameters() if weight.grad is not None]
        assert all(torch.isfinite(one).all() for one in weights)
        assert all(weight.grad is None for weight in objective.judge.parameters())


def test_real_tumours_of_every_study_count_as_real(batch):
    """The released code passes the label of all organs: some tumours counted as made, others never as real."""
    discriminator = make_discriminator(settings(FAITHFUL))
    objective = GeneratorObjective(
        Inserter(Generator(settings(FAITHFUL)), 2.0), discriminator, Frozen(Answer(0.0)), settings(FAITHFUL), (0.7, 1.0)
    )
    before = objective(batch)["discriminator"]
    more = batch["tumour"].clone()
    more[0, 12:, 12:, 12:] = True
    assert objective(batch | {"tumour": more})["discriminator"] != before


def test_the_mixed_batch_has_the_tumours_that_a_judge_accepts(batch):
    network = plain_unet(1, 2, 3, (1, 2), first_channels=2)
    for logit, accepted, got in ((4.0, (0.7, 1.0), [True, True, False]), (-4.0, (0.7, 1.0), [False] * 3)):
        synthesis = SynthesisSettings(accepted=accepted, tries=2, source="rules")
        objective = MixedObjective(network, Inserter(None, 1.0), Frozen(Answer(logit)), synthesis)
        image, mask, there = objective.mixed(batch)
        assert there.tolist() == got
        assert torch.equal(image[2], batch["image"][2])
        assert torch.equal(mask[2].bool(), batch["tumour"][2])
        assert torch.equal(mask[0].bool(), batch["hard"][0, 0] if got[0] else batch["tumour"][0])
        terms = objective(batch)
        assert terms["offered"].item() == pytest.approx(2 / 3)
        assert terms["accepted"].item() == pytest.approx(sum(got) / 3)


def test_tumours_that_are_too_plain_are_refused_too():
    sure = torch.stack([torch.full(SIZE, value) for value in (0.3, 0.8, 0.99)])
    hard = torch.zeros(3, *SIZE, dtype=torch.bool)
    hard[:, 4:8, 4:8, 4:8] = True
    two_sided = SynthesisSettings(measure="sure", accepted=(0.5, 0.98))
    assert accepted_tumours(sure, hard, two_sided).tolist() == [False, True, False]
    as_released = SynthesisSettings()
    assert accepted_tumours(sure, hard, as_released).tolist() == [False, True, True]
    assert not accepted_tumours(sure, torch.zeros_like(hard), as_released).any()


def test_means_over_masks():
    values = torch.arange(8.0).view(2, 4)
    mask = torch.tensor([[True, True, False, False], [False, False, False, False]])
    assert masked_mean(values, mask).item() == 0.5
    assert masked_means(values, mask).tolist() == [0.5, 0.0]
    logits = torch.tensor([[[2.0]], [[0.0]]]).permute(1, 0, 2)
    assert tumour_share(logits).item() == pytest.approx(1 - 1 / (1 + np.exp(-2.0)), rel=1e-5)


def test_frozen_networks_stay_in_evaluation():
    frozen = Frozen(torch.nn.Sequential(torch.nn.Dropout(), torch.nn.BatchNorm3d(2)))
    frozen.train()
    assert not any(module.training for module in frozen.network.modules())
    assert not any(weight.requires_grad for weight in frozen.parameters())


def test_copied_tumours_have_the_contrast_of_the_original_elsewhere():
    spacing, shape = (2.0, 2.0, 2.0), (24, 24, 24)
    rng = np.random.default_rng(0)
    values = np.full(shape, 0.2, np.float32)
    drawn = np.zeros(shape, bool)
    drawn[4:9, 4:9, 4:9] = True
    values[drawn] = -0.1
    study = SimpleNamespace(id="a", volume=lambda name: values)
    box = (slice(0, 14), slice(0, 14), slice(0, 14))
    real = RealTumour(study, box, drawn[box], -0.3)
    image, free = np.full(shape, 0.5, np.float32), np.ones(shape, bool)
    free[:2] = False
    tumour, change = CopyLook([real], "ct").tumour(rng, image, free, free, spacing)
    assert tumour.mask.sum() == drawn.sum()
    assert np.allclose(change[tumour.mask], -0.3, atol=1e-5)
    assert not tumour.soft[~free[tumour.box]].any()
