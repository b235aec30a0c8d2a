"""Maps of structural similarity equal those of scikit-image, at the border too."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from scanweave.measures.structural_similarity import SLAB, WINDOW, similarity_map

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


def test_an_offset_takes_no_digits_of_the_spread():
    """With a large offset luminance is equal everywhere, so that contrast and structure are what is left."""
    offset = 1e7
    (made, real), (near, true) = pair(offset), pair()
    c2 = (0.03 * 100.0) ** 2
    window = np.lib.stride_tricks.sliding_window_view
    p, r = (window(v, (WINDOW,) * 3)[..., 0, :, :, :].reshape(SHAPE[0] - 6, 13, -1) for v in (near, true))
    covariance = ((p - p.mean(-1, keepdims=True)) * (r - r.mean(-1, keepdims=True))).sum(-1) / (WINDOW**3 - 1)
    expected = (2 * covariance + c2) / (p.var(-1, ddof=1) + r.var(-1, ddof=1) + c2)
    found = similarity_map(made, real, 100.0, WHOLE)[3:-3, 3:-3, 3]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_equal_blocks_are_one():
    _, real = pair()
    np.testing.assert_allclose(similarity_map(real, real, 100.0, WHOLE), 1.0, rtol=0, atol=1e-12)
