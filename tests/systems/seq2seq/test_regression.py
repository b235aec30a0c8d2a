"""The regression that a fused network begins from is least squares, for every subset, on the studies that hold it."""

import numpy as np
import pytest
import torch

from scanweave.systems.seq2seq.regression import Moments, VoxelwiseRegression, terms

VOXELS = 500


def values(names, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(-0.9, 0.9, VOXELS).astype(np.float32) for name in names}


def learnt(moments, sequences):
    made = VoxelwiseRegression(sequences)
    made.learn(moments)
    return made


def images(found):
    return {name: torch.from_numpy(one).view(1, 1, 1, 20, 25) for name, one in found.items()}


def test_terms_are_the_constant_the_sequences_and_their_products():
    assert terms(2) == [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]


def test_a_target_that_is_a_quadratic_of_the_others_is_made_exactly():
    found = values((0, 1))
    found[2] = 0.1 + 0.3 * found[0] - 0.2 * found[1] + 0.25 * found[0] * found[1]
    moments = Moments(3)
    moments.add(found, found)
    made = learnt(moments, 3)({n: x for n, x in images(found).items() if n != 2}, 2, -1.0)
    np.testing.assert_allclose(made.numpy().ravel(), found[2], atol=1e-3)  # the ridge holds it back a little


@pytest.mark.parametrize("given", [(0,), (1,), (0, 1)])
def test_each_subset_has_its_own_least_squares(given):
    found = values((0, 1, 2))
    found[2] = np.clip(0.5 * found[0] + 0.4 * found[1] ** 2 + 0.1 * found[2], -1, 1)
    moments = Moments(3)
    moments.add(found, found)
    columns = [np.ones(VOXELS), *(found[n] for n in given)]
    columns += [found[a] * found[b] for a in given for b in given if a <= b]
    design = np.stack(columns, 1).astype(np.float64)
    expected = design @ np.linalg.lstsq(design, found[2].astype(np.float64), rcond=None)[0]
    made = learnt(moments, 3)({n: images(found)[n] for n in given}, 2, -1.0)
    np.testing.assert_allclose(made.numpy().ravel(), expected, atol=1e-3)


def test_studies_without_a_given_sequence_or_the_target_do_not_count():
    whole, other = values((0, 1, 2), 1), values((0, 2), 2)
    moments, alone = Moments(3), Moments(3)
    for one in (moments, alone):
        one.add(whole, whole)
    moments.add(other, other)
    np.testing.assert_array_equal(moments.coefficients(frozenset({0, 1}), 2), alone.coefficients(frozenset({0, 1}), 2))
    assert not np.array_equal(moments.coefficients(frozenset({0}), 2), alone.coefficients(frozenset({0}), 2))


def test_a_subset_that_no_study_shows_falls_back_on_the_largest_part_that_one_does():
    moments = Moments(3)
    for names in ((0, 2), (1, 2)):
        found = values(names, names[0])
        moments.add(found, found)
    both = moments.coefficients(frozenset({0, 1}), 2)
    assert np.array_equal(both, moments.coefficients(frozenset({1}), 2))
    never = moments.coefficients(frozenset({0}), 1)[0]  # the two were not seen together: the mean is what is known
    np.testing.assert_allclose(never[0], found[1].mean(dtype=np.float64), rtol=1e-6)
    assert not never[1:].any()


def test_a_series_is_a_column_a_frame():
    """A target of three frames, each another quadratic of both frames of a source, is made exactly; so is a volume."""
    found, rng = values((0,)), np.random.default_rng(1)
    found[1] = rng.uniform(-0.9, 0.9, (2, VOXELS)).astype(np.float32)
    early, late = found[1]
    found[2] = np.stack([0.5 * early, 0.2 * late - 0.1, 0.1 + 0.4 * early * late]).astype(np.float32)
    frames = {1: 2, 2: 3}
    moments = Moments(3, frames)
    moments.add(found, found)
    made = VoxelwiseRegression(3, frames)
    made.learn(moments)
    series = torch.from_numpy(found[1]).view(1, 2, 1, 20, 25)
    np.testing.assert_allclose(made({1: series}, 2, -1.0).numpy().reshape(3, -1), found[2], atol=1e-3)
    assert made({1: series}, 0, -1.0).shape == (1, 1, 20, 25)
    plain = made({0: images({0: found[0]})[0][0], 1: series}, 2, -1.0)
    np.testing.assert_allclose(plain.numpy().reshape(3, -1), found[2], atol=1e-3)
    mean, spread = moments.scale(1)
    assert (mean, spread) == pytest.approx((found[1].mean(), found[1].std()), abs=1e-5)


def test_where_no_source_shows_anything_stands_the_background():
    found = values((0, 1))
    moments = Moments(2)
    moments.add(found, found)
    image = torch.full((1, 1, 1, 2, 2), -1.0)
    image[..., 0] = 0.5
    made = learnt(moments, 2)({0: image}, 1, -0.8)
    assert (made[..., 1] == -0.8).all()
    assert (made[..., 0] != -0.8).all()


def test_the_regression_is_saved_with_the_network():
    found = values((0, 1))
    moments = Moments(2)
    moments.add(found, found)
    made, again = learnt(moments, 2), VoxelwiseRegression(2)
    again.load_state_dict(made.state_dict())
    given = {0: images(found)[0]}
    assert torch.equal(made(given, 1, -1.0), again(given, 1, -1.0))
