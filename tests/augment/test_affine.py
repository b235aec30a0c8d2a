"""Affine maps: exact flips, image and mask and points together, nothing more read than is seen."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from scanweave.augment.affine import draw_affine, moved, moved_points, resampled, rotation, seen_box
from scanweave.augment.crops import Crop
from scanweave.augment.settings import AugmentationSettings
from scanweave.errors import ScanweaveError

ALL = AugmentationSettings(rotation_share=1, scaling_share=1, shift_share=1, shift=0.1)
NONE = AugmentationSettings(rotation_share=0, scaling_share=0, flip_shares=0)


def drawn(seed, crop, settings):
    return draw_affine(np.random.default_rng(seed), crop, settings)


def test_nothing_drawn_is_the_crop_itself():
    image, crop = torch.rand(2, 9, 8, 7), Crop((2, 3, 1), (4, 5, 6))
    made = resampled(image, drawn(0, crop, NONE), crop.size)
    assert torch.equal(made, image[:, 2:6, 3:8, 1:7])


def test_flips_are_exact_and_may_reach_beyond():
    settings = NONE.model_copy(update={"flip_shares": (0.0, 1.0)})
    image, crop = torch.rand(1, 6, 6), Crop((0, 3), (6, 5))
    made = resampled(image, drawn(0, crop, settings), crop.size)
    assert torch.equal(made[..., 2:], image[..., 3:].flip(-1))
    assert (made[..., :2] == 0).all()
    bordered = resampled(image, drawn(0, crop, settings), crop.size, border=True)
    assert torch.equal(bordered[..., 0], image[..., -1])


@pytest.mark.parametrize("shape", [(20, 31), (16, 21, 12)])
def test_resampling_agrees_with_scipy(shape):
    image = torch.rand(1, *shape)
    matrix = drawn(4, Crop((3,) * len(shape), tuple(edge - 6 for edge in shape)), ALL)
    size = tuple(edge - 6 for edge in shape)
    other = ndimage.affine_transform(
        image[0].numpy().astype(np.float64), matrix, output_shape=size, order=1, mode="grid-constant"
    )
    assert np.abs(resampled(image, matrix, size)[0].numpy() - other).max() < 1e-4


@pytest.mark.parametrize("shape", [(48, 40), (32, 40, 28)])
@pytest.mark.parametrize("seed", range(4))
def test_image_mask_and_points_move_together(shape, seed):
    centre = np.array([[0.45 * edge for edge in shape]])
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    ball = (((grid - centre) ** 2).sum(-1) < 25).astype(np.uint8)
    matrix = drawn(seed, Crop((0,) * len(shape), shape), ALL)
    image = resampled(torch.from_numpy(ball).float()[None], matrix, shape)[0].numpy()
    mask = resampled(torch.from_numpy(ball)[None], matrix, shape, nearest=True)[0].numpy()
    assert set(np.unique(mask)) <= {0, 1}
    dice = 2 * ((image > 0.5) & (mask == 1)).sum() / ((image > 0.5).sum() + mask.sum())
    assert dice > 0.95
    found = ndimage.center_of_mass(mask)
    assert np.abs(found - moved_points(centre, matrix)[0]).max() < 0.6


@pytest.mark.parametrize("border", [False, True])
def test_seen_box_is_enough(border):
    image, crop = torch.rand(1, 30, 28, 26), Crop((2, 9, 18), (10, 11, 12))
    for seed in range(8):
        matrix = drawn(seed, crop, ALL)
        box = seen_box(matrix, crop.size, image.shape[1:])
        part = torch.from_numpy(box.read(image.numpy()))
        whole = resampled(image, matrix, crop.size, border=border)
        cut = resampled(part, moved(matrix, box.start), crop.size, border=border)
        assert (whole - cut).abs().max() < 1e-4
        assert np.prod(box.size) < image[0].numel()


def test_in_plane_leaves_the_first_axis():
    settings = ALL.model_copy(update={"in_plane": True, "flip_shares": 0.0, "shift_share": 0.0})
    matrix = drawn(0, Crop((0, 0, 0), (4, 20, 20)), settings)
    assert np.array_equal(matrix[0], [1, 0, 0, 0])
    assert np.array_equal(matrix[:, 0], [1, 0, 0, 0])


def test_rotation_keeps_lengths_and_scaling_is_its_factor():
    turn = rotation(np.array([0.3, -0.2, 0.5]), 3)
    assert np.allclose(turn @ turn.T, np.eye(3))
    settings = NONE.model_copy(update={"scaling_share": 1.0, "scaling": (0.5, 0.5)})
    matrix = drawn(0, Crop((0, 0), (8, 8)), settings)
    assert np.allclose(matrix[:2, :2], 2 * np.eye(2))


def test_refuses_flips_of_other_axes():
    with pytest.raises(ScanweaveError, match="one an axis"):
        drawn(0, Crop((0, 0), (4, 4)), NONE.model_copy(update={"flip_shares": (0.5, 0.5, 0.5)}))
