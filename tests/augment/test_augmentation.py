"""Augmented samples: the same for the same seed and index, aligned, absent channels untouched."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from scanweave.augment.augmentation import augmented
from scanweave.augment.crops import Crop
from scanweave.augment.intensity import blurred, coarsened, contrast_changed, gamma_changed, vary_intensity
from scanweave.augment.settings import FILM, AugmentationSettings

SHARES = [name for name in AugmentationSettings.model_fields if name.endswith("_share")]
EVERYTHING = AugmentationSettings(**dict.fromkeys(SHARES, 1.0), blur_per_channel=1, low_resolution_per_channel=1)
NOTHING = AugmentationSettings(**dict.fromkeys(SHARES, 0.0), flip_shares=0)
CROP = {2: Crop((4, 5), (16, 20)), 3: Crop((2, 3, 4), (10, 12, 8))}
SHAPE = {2: (24, 30), 3: (16, 18, 14)}


def image_and_mask(dimensions, channels=2):
    rng = np.random.default_rng(0)
    image = rng.standard_normal((channels, *SHAPE[dimensions])).astype(np.float32)
    return image, (image[:1] > 0.5).astype(np.uint8)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_sample_is_a_function_of_seed_and_index(dimensions):
    image, mask = image_and_mask(dimensions)
    crop = CROP[dimensions]
    made = [augmented(image, mask, crop, 1, 7, EVERYTHING) for _ in range(2)]
    assert torch.equal(made[0].image, made[1].image)
    assert torch.equal(made[0].mask, made[1].mask)
    assert made[0].image.shape == (2, *crop.size)
    assert made[0].image.dtype == torch.float32
    assert torch.isfinite(made[0].image).all()
    for seed, index in ((1, 8), (2, 7)):
        assert not torch.equal(made[0].image, augmented(image, mask, crop, seed, index, EVERYTHING).image)


def test_global_generators_are_left_alone():
    image, mask = image_and_mask(3)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    augmented(image, mask, CROP[3], 0, 0, EVERYTHING)
    assert np.array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(before[1], torch.get_rng_state())


def test_no_share_gives_the_crop_and_leaves_the_image():
    image, mask = image_and_mask(3)
    kept = image.copy()
    made = augmented(image, mask, CROP[3], 0, 0, NOTHING)
    assert np.array_equal(made.image.numpy(), CROP[3].read(image))
    assert np.array_equal(made.mask.numpy(), CROP[3].read(mask))
    augmented(image, mask, CROP[3], 0, 0, EVERYTHING)
    assert np.array_equal(image, kept)


def test_absent_channel_stays_zero_and_changes_nothing():
    image, mask = image_and_mask(3)
    other = image.copy()
    other[1] = np.nan
    for index in range(5):
        made = [augmented(one, mask, CROP[3], 0, index, EVERYTHING, [True, False]).image for one in (image, other)]
        assert torch.equal(made[0], made[1])
        assert (made[0][1] == 0).all()
        assert torch.equal(made[0][0], augmented(image, mask, CROP[3], 0, index, EVERYTHING).image[0])


def test_films_never_stand_on_their_head():
    image = np.linspace(0, 1, 40, dtype=np.float32)[None, :, None].repeat(40, axis=2)
    mirrored = set()
    for index in range(60):
        made = augmented(image, None, Crop((0, 0), (40, 40)), 0, index, FILM)
        assert made.matrix[0, 0] > 0.8
        mirrored.add(bool(made.matrix[1, 1] < 0))
    assert mirrored == {True, False}


def test_shares_are_met():
    settings = NOTHING.model_copy(update={"noise_share": 0.25})
    x = torch.zeros(1, 4, 4)
    hits = [bool(vary_intensity(np.random.default_rng(k), x, settings).any()) for k in range(1000)]
    assert abs(np.mean(hits) - 0.25) < 0.05


def test_gamma_keeps_mean_deviation_and_order():
    x = torch.from_numpy(np.random.default_rng(0).gamma(2.0, size=(6, 7, 8)).astype(np.float32))
    for inverted in (False, True):
        made = gamma_changed(x, 1.4, inverted)
        assert type(made) is torch.Tensor
        assert abs(float(made.mean() - x.mean())) < 1e-4
        assert abs(float(made.std() - x.std())) < 1e-4
        assert torch.equal(made.flatten().argsort(), x.flatten().argsort())
    assert gamma_changed(x, 1.4).max() > x.max()
    assert gamma_changed(x, 1.4, inverted=True).min() < x.min()
    assert torch.equal(gamma_changed(torch.full((4, 4), 2.0), 1.3), torch.full((4, 4), 2.0))


def test_contrast_spreads_from_the_mean_within_the_range():
    x = torch.tensor([[0.0, 4.0, 5.0, 6.0, 10.0]])
    assert torch.allclose(contrast_changed(x, 2.0), torch.tensor([[0.0, 3.0, 5.0, 7.0, 10.0]]))


def test_blur_agrees_with_scipy():
    x = np.random.default_rng(0).standard_normal((9, 10, 11))
    made = blurred(torch.from_numpy(x).float(), [0.5, 0.8, 1.0]).numpy()
    assert np.abs(made - ndimage.gaussian_filter(x, (0.5, 0.8, 1.0), mode="nearest")).max() < 1e-5


def test_coarse_image_holds_no_more_than_its_fraction():
    x = torch.rand(16, 16)
    made, other = coarsened(x, [0.5, 0.5]), x.clone()
    other[::2], other[:, ::2] = 9, 9
    assert made.shape == x.shape
    assert torch.equal(made, coarsened(other, [0.5, 0.5]))
    assert not torch.equal(made, x)
    assert torch.equal(coarsened(x, [1.0, 1.0]), x)
