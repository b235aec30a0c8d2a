import numpy as np
import pytest

from scanweave.simulate.fields import Grid, field_at, smooth_field


def _grid(spacing):
    return Grid((-40.0, -60.0, -30.0), (96.0, 120.0, 72.0), spacing)


def test_field_has_mean_0_and_spread_1_everywhere():
    fields = np.stack([smooth_field(np.random.default_rng(i), _grid(8.0), 15.0) for i in range(600)])
    assert np.abs(fields.mean(axis=0)).max() < 0.25
    assert np.abs(fields.std(axis=0) - 1).max() < 0.2


def test_one_seed_gives_one_field_on_every_grid():
    coarse = smooth_field(np.random.default_rng(3), _grid(4.0), 15.0)
    fine = smooth_field(np.random.default_rng(3), _grid(2.0), 15.0)[::2, ::2, ::2]
    np.testing.assert_allclose(coarse, fine[: coarse.shape[0], : coarse.shape[1], : coarse.shape[2]], atol=1e-5)


def test_a_longer_scale_is_smoother():
    rough, smooth = (smooth_field(np.random.default_rng(0), _grid(2.0), scale) for scale in (8.0, 40.0))
    assert np.abs(np.diff(smooth, axis=0)).mean() < 0.5 * np.abs(np.diff(rough, axis=0)).mean()


def test_affine_places_the_first_voxel():
    grid = _grid(3.0)
    assert grid.affine @ [0, 0, 0, 1] == pytest.approx([-40, -60, -30, 1])
    assert grid.affine @ [2, 0, 0, 1] == pytest.approx([-34, -60, -30, 1])


def test_field_at_places_has_mean_0_and_spread_1():
    places = np.random.default_rng(0).uniform(-5, 5, (3, 200)).astype(np.float32)
    fields = np.stack([field_at(np.random.default_rng(i), places, -5.0, 5.0, 2.0) for i in range(600)])
    assert np.abs(fields.mean(axis=0)).max() < 0.25
    assert np.abs(fields.std(axis=0) - 1).max() < 0.3


def test_field_at_a_place_does_not_depend_on_the_others():
    places = np.random.default_rng(0).uniform(-5, 5, (3, 20)).astype(np.float32)
    some, all_of_them = (field_at(np.random.default_rng(1), places[:, :n], -5.0, 5.0, 2.0) for n in (5, 20))
    np.testing.assert_array_equal(some, all_of_them[:5])


def test_a_part_of_a_grid_has_the_field_of_the_whole():
    whole, part = _grid(2.0), _grid(2.0).cut(np.array([10.0, -70.0, 3.0]), 24.0)
    assert part.shape == (12, 12, 12)
    assert part.first[1] == 0  # the cube would begin before the box
    assert part.affine @ [5.5, 0, 5.5, 1] == pytest.approx([10, -60, 3, 1], abs=2)
    window = tuple(slice(first, first + 12) for first in part.first)
    fields = [smooth_field(np.random.default_rng(2), grid, 15.0) for grid in (whole, part)]
    np.testing.assert_allclose(fields[0][window], fields[1], atol=1e-5)
    for full, cut in zip(whole.positions(), part.positions(), strict=True):
        assert set(cut.ravel()) <= set(full.ravel())
