from __future__ import annotations

import numpy as np
import pytest
import surface_distance
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from medpy.metric import binary
from monai.metrics import HausdorffDistanceMetric, compute_hausdorff_distance
from scipy import ndimage

from scanweave.errors import ScanweaveError
from scanweave.measures.surfaces import surface_distances

SPACING = (1.0, 1.5, 3.0)


def blob(seed, shape=(18, 20, 12), threshold=0.1):
    """A smooth shape, unlike a block on all sides."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return noise > threshold * noise.std()


def batches(*masks):
    return [torch.from_numpy(mask[None, None]) for mask in masks]


@pytest.fixture
def deepmind(monkeypatch):
    """DeepMind's measures on NumPy 2 and today's SciPy, which 0.1 was not written for."""
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)
    for old in ("filters", "morphology"):
        monkeypatch.setattr(ndimage, old, ndimage, raising=False)
    return lambda truth, predicted, spacing: surface_distance.compute_surface_distances(truth, predicted, spacing)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_distances_equal_monai_and_medpy(data):
    shape = data.draw(array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=6))
    truth, predicted = (data.draw(arrays(bool, shape)) for _ in range(2))
    truth.flat[0] = predicted.flat[-1] = True
    found = surface_distances(truth, predicted, SPACING)
    tensors = batches(predicted, truth)
    for percentile in (95, 100):
        monai = compute_hausdorff_distance(*tensors, include_background=True, percentile=percentile, spacing=SPACING)
        # MONAI finds the place of a percentile among up to 216 distances in float32: 216 × 2⁻²³ of a voxel
        assert found.hausdorff(percentile) == pytest.approx(monai.item(), rel=1e-5, abs=1e-4)
    assert found.hausdorff(95, pooled=True) == pytest.approx(binary.hd95(predicted, truth, SPACING))
    assert found.hausdorff() == pytest.approx(binary.hd(predicted, truth, SPACING))
    assert found.mean() == pytest.approx(binary.assd(predicted, truth, SPACING))


def test_two_conventions_of_hd95_differ():
    truth = np.zeros((30, 30, 30), dtype=bool)
    truth[5:15, 5:15, 5:15] = True
    predicted = truth.copy()
    predicted[15:25, 9:11, 9:11] = True  # a spur of the prediction alone: one direction sees it
    found = surface_distances(truth, predicted, (1, 1, 1))
    assert found.hausdorff(95) > found.hausdorff(95, pooled=True)
    assert found.hausdorff(100) == found.hausdorff(100, pooled=True) == 10


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tolerance", [0.5, 1.5, 3.0])
def test_surface_dice_equals_deepminds_in_space(deepmind, seed, tolerance):
    truth, predicted = blob(seed), blob(seed) | blob(seed + 10, threshold=1.5)
    distances = deepmind(truth, predicted, SPACING)
    theirs = surface_distance.compute_surface_dice_at_tolerance(distances, tolerance)
    ours = surface_distances(truth, predicted, SPACING).dice(tolerance)
    assert 0 < ours < 1
    assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("film", [False, True])
def test_surface_dice_equals_deepminds_in_a_plane(deepmind, film):
    truth, predicted = blob(4)[..., 3], (blob(4) | blob(14, threshold=1.5))[..., 3]
    theirs = surface_distance.compute_surface_dice_at_tolerance(deepmind(truth, predicted, SPACING[:2]), 1.0)
    if film:
        ours = surface_distances(truth[..., None], predicted[..., None], SPACING).dice(1.0)
    else:
        ours = surface_distances(truth, predicted, SPACING[:2]).dice(1.0)
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_a_film_has_an_outline():
    truth, predicted = (np.zeros((20, 20, 1), dtype=bool) for _ in range(2))
    truth[4:15, 4:15] = predicted[4:15, 4:15] = True
    predicted[9, 9] = False  # the pixels around the hole are outline of the prediction: 8 lies 4 from the truth's at 4
    found = surface_distances(truth, predicted, (1, 1, 1))
    assert found.hausdorff() == surface_distances(truth[..., 0], predicted[..., 0], (1, 1)).hausdorff() == 4
    assert binary.hd(predicted, truth) == 1  # in space every pixel of a film is surface


def test_spacing_counts():
    truth, predicted = (np.zeros((4, 4, 8), dtype=bool) for _ in range(2))
    truth[1:3, 1:3, 1:3] = predicted[1:3, 1:3, 2:4] = True
    assert surface_distances(truth, predicted, (1, 1, 5)).hausdorff() == 5
    assert surface_distances(truth, predicted, (1, 1, 1)).hausdorff() == 1


def test_monai_drops_a_missed_structure_and_we_do_not():
    truth = np.zeros((2, 8, 8, 8), dtype=bool)
    truth[:, 2:5, 2:5, 2:5] = True
    predicted = truth.copy()
    predicted[1] = False
    metric = HausdorffDistanceMetric(include_background=True, percentile=95)
    metric(torch.from_numpy(predicted[:, None]), torch.from_numpy(truth[:, None]))
    assert metric.aggregate().item() == 0  # a perfect mean, with half of the structures missed
    ours = [surface_distances(t, p, (1, 1, 1)).hausdorff(95) for t, p in zip(truth, predicted, strict=True)]
    assert ours == [0, pytest.approx(np.sqrt(3 * 64))]


def test_two_empty_masks_are_nan_to_deepmind_and_right_to_us(deepmind):
    empty = np.zeros((4, 4, 4), dtype=bool)
    with np.errstate(invalid="ignore"):
        theirs = surface_distance.compute_surface_dice_at_tolerance(deepmind(empty, empty, (1, 1, 1)), 1)
    assert np.isnan(theirs)
    assert surface_distances(empty, empty, (1, 1, 1)).dice(1) == 1


@pytest.mark.parametrize("mask", [np.ones((4, 4, 4), dtype=bool), np.eye(6, dtype=bool)])
def test_a_mask_equals_itself(mask):
    found = surface_distances(mask, mask, (1,) * mask.ndim)
    assert (found.hausdorff(), found.mean(), found.dice(0)) == (0, 0, 1)


def test_options_that_cannot_be_are_refused():
    mask = np.ones((3, 3), dtype=bool)
    found = surface_distances(mask, mask, (1, 1))
    with pytest.raises(ScanweaveError, match="tolerance"):
        found.dice(-1)
    with pytest.raises(ScanweaveError, match="percentile"):
        found.hausdorff(0)
    with pytest.raises(ScanweaveError, match="plane"):
        surface_distances(mask[0], mask[0], (1,))
