"""Crops: where they lie, how often, and what is read of an image."""

import numpy as np
import pytest

from scanweave.augment.crops import (
    Crop,
    central_crop,
    crop_around,
    foreground_crop,
    label_crop,
    label_voxels,
    nested_crop,
    octants,
    uniform_crop,
)
from scanweave.errors import ScanweaveError

SHAPE, SIZE = (10, 7, 12), (4, 7, 5)


class Counting:
    """An image on disk that counts the voxels that are read."""

    def __init__(self, array):
        self.array, self.shape, self.ndim, self.voxels = array, array.shape, array.ndim, 0

    def __getitem__(self, key):
        found = self.array[key]
        self.voxels += found.size
        return found


def test_uniform_crops_reach_every_place_as_often():
    rng = np.random.default_rng(0)
    starts = [uniform_crop(rng, (5,), (3,)).start[0] for _ in range(3000)]
    assert np.all(np.abs(np.bincount(starts) / 3000 - 1 / 3) < 0.04)


def test_crops_lie_within_the_image_and_repeat_with_the_seed():
    first = [uniform_crop(np.random.default_rng(3), SHAPE, SIZE) for _ in range(2)]
    assert first[0] == first[1]
    for seed in range(50):
        crop = uniform_crop(np.random.default_rng(seed), SHAPE, SIZE)
        assert all(0 <= a <= edge - b for a, b, edge in zip(crop.start, crop.size, SHAPE, strict=True))


def test_read_equals_slices_and_fills_beyond():
    image = np.arange(2 * 6 * 5).reshape(2, 6, 5)
    assert np.array_equal(Crop((1, 2), (3, 3)).read(image), image[:, 1:4, 2:5])
    made = Crop((-2, 3), (4, 4)).read(image, fill=-1)
    assert np.array_equal(made[:, 2:, :2], image[:, :2, 3:])
    assert (made[:, :2] == -1).all()
    assert (made[:, :, 2:] == -1).all()
    assert (Crop((9, 9), (2, 2)).read(image, fill=7) == 7).all()
    assert (Crop((-9, 0), (2, 2)).read(image, fill=7) == 7).all()


def test_read_reads_no_more_than_the_crop():
    image = Counting(np.zeros((1, 50, 50, 50)))
    Crop((45, 3, 3), (10, 10, 10)).read(image)
    assert image.voxels == 5 * 10 * 10


def test_small_image_is_centred():
    assert uniform_crop(np.random.default_rng(0), (4, 20), (10, 20)).start == (-3, 0)
    assert central_crop((4, 20), (10, 10)).start == (-3, 5)


def test_crop_around_keeps_its_centre_in_sight():
    rng = np.random.default_rng(1)
    for _ in range(100):
        centre = [int(rng.integers(edge)) for edge in SHAPE]
        crop = crop_around(centre, SHAPE, SIZE)
        assert all(a <= c < a + n for a, c, n in zip(crop.start, centre, crop.size, strict=True))


def test_label_voxels_are_of_their_label():
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:8, 3:5, 2:9], mask[0, 0, 0] = 1, 4
    found = label_voxels(mask, np.random.default_rng(0), most=20)
    assert {label: len(voxels) for label, voxels in found.items()} == {1: 20, 4: 1}
    assert all((mask[tuple(voxels.T)] == label).all() for label, voxels in found.items())


def test_labels_are_balanced_and_foreground_is_not():
    shape, size = (1000,), (1,)
    mask = np.zeros(shape, np.uint8)
    mask[100:190], mask[500:510] = 1, 2
    voxels = label_voxels(mask, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    by_label = [mask[label_crop(rng, shape, size, voxels).start] for _ in range(1000)]
    both = np.concatenate([voxels[1], voxels[2]])
    by_voxel = [mask[foreground_crop(rng, shape, size, both).start] for _ in range(1000)]
    assert abs(np.mean(np.equal(by_label, 2)) - 0.5) < 0.06
    assert abs(np.mean(np.equal(by_voxel, 2)) - 0.1) < 0.04
    weighted = [mask[label_crop(rng, shape, size, voxels, weights={1: 0.0, 2: 1.0}).start] for _ in range(50)]
    assert set(weighted) == {2}


def test_share_of_foreground():
    rng = np.random.default_rng(0)
    hits = [foreground_crop(rng, (1000,), (1,), np.array([[3]]), 1 / 3).start == (3,) for _ in range(2000)]
    assert abs(np.mean(hits) - 1 / 3) < 0.04


def test_no_label_gives_a_uniform_crop():
    crop = label_crop(np.random.default_rng(0), SHAPE, SIZE, {})
    assert crop.size == SIZE


def test_nested_crop_lies_in_its_parent():
    rng, parent = np.random.default_rng(0), Crop((-2, 5, 1), (8, 8, 8))
    starts = {nested_crop(rng, parent, (7, 7, 7)).start for _ in range(200)}
    assert starts == {(a, b, c) for a in (-2, -1) for b in (5, 6) for c in (1, 2)}
    with pytest.raises(ScanweaveError, match="smaller"):
        nested_crop(rng, parent, (9, 8, 8))


def test_octants_cover_their_parent_once():
    image, parent = np.arange(512).reshape(8, 8, 8), Crop((0, 2, 4), (4, 6, 4))
    parts = octants(parent)
    assert len(parts) == 8
    read = np.sort(np.concatenate([part.read(image).ravel() for part in parts]))
    assert np.array_equal(read, np.sort(parent.read(image).ravel()))
    assert len(octants(Crop((0, 0), (6, 6)), 3)) == 9
    with pytest.raises(ScanweaveError, match="divide"):
        octants(Crop((0, 0), (5, 4)))
