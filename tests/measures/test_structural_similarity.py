"""Maps of structural similarity equal those of scikit-image, at the border too."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from scanweave.measures.structural_similarity import RENEWED, SLAB, WINDOW, similarity_map

SHAPE = (2 * SLAB + 5, 19, WINDOW)
WHOLE = tuple(slice(0, size) for size in SHAPE)


def pair(offset=0.0):
    rng = np.random.default_rng(3)
    real = offset + rng.uniform(0, 100, SHAPE)
    return real + rng.normal(0, 10, SHAPE), real


def test_every_voxel_is_that_of_scikit_image():
    made, real = pair()
    expected = structural_similarity(made, real, win_size=WINDOW, data_range=100.0, full=True)[1]
    np.testing.assert_allclose(similarity_map(made, real, 100.0, WHOLE), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "box",
    [
        (slice(10, 20), slice(5, 9), slice(2, 4)),
        (slice(0, 1), slice(18, 19), slice(0, 7)),
        (slice(SLAB - 1, SLAB + 2), slice(0, 19), slice(6, 7)),
    ],
)
def test_a_box_is_a_part_of_the_whole(box):
    made, real = pair()
    whole = similarity_map(made, real, 100.0, WHOLE)
    np.testing.assert_allclose(similarity_map(made, real, 100.0, box), whole[box], rtol=0, atol=1e-12)


def exact(made, real, data_range=100.0, offset=0.0):
    """The map of the voxels whose window lies inside, from every window by itself."""
    windows = np.lib.stride_tricks.sliding_window_view
    p, r = (windows(v, (WINDOW,) * 3)[:, :, 0].reshape(SHAPE[0] - 6, SHAPE[1] - 6, -1) for v in (made, real))
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_p, mean_r = p.mean(-1), r.mean(-1)
    covariance = ((p - mean_p[..., None]) * (r - mean_r[..., None])).sum(-1) / (WINDOW**3 - 1)
    contrast = (2 * covariance + c2) / (p.var(-1, ddof=1) + r.var(-1, ddof=1) + c2)
    mean_p, mean_r = mean_p + offset, mean_r + offset
    return contrast * (2 * mean_p * mean_r + c1) / (mean_p**2 + mean_r**2 + c1)


def test_an_offset_takes_no_digits_of_the_spread():
    offset = 1e7
    found = similarity_map(*pair(offset), 100.0, WHOLE)[3:-3, 3:-3, 3]
    np.testing.assert_allclose(found, exact(*pair(), offset=offset), rtol=0, atol=1e-6)


def test_a_bright_voxel_does_no_harm_far_from_it():
    """Sums that move on would keep what it rounds away."""
    made, real = pair()
    made[5, 9, 3] = real[5, 9, 3] = 1e9
    far = slice(5 + WINDOW + RENEWED, None)
    found = similarity_map(made, real, 100.0, WHOLE)[3:-3, 3:-3, 3]
    np.testing.assert_allclose(found[far], exact(made, real)[far], rtol=0, atol=1e-6)


def test_equal_blocks_are_one():
    _, real = pair()
    np.testing.assert_allclose(similarity_map(real, real, 100.0, WHOLE), 1.0, rtol=0, atol=1e-12)
