"""No map is computed where a prediction equals the real volume, and no figure changes for that."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from scanweave.measures import image
from scanweave.measures.regions import differing_box, grown, named_regions

BOXES = {
    "inside": (slice(9, 20), slice(7, 18), slice(8, 14)),
    "at the border": (slice(0, 12), slice(13, 25), slice(16, 21)),
    "one voxel in a corner": (slice(0, 1), slice(24, 25), slice(20, 21)),
    "everything": (slice(0, 31), slice(0, 25), slice(0, 21)),
}
SHAPE = (31, 25, 21)


def pair(box):
    rng = np.random.default_rng(0)
    real = rng.uniform(0, 100, SHAPE)
    made = real.copy()
    made[box] += rng.normal(0, 5, made[box].shape)
    return made, real


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_the_box_holds_what_differs(box):
    assert differing_box(*pair(box)) == box
    assert all(side.start >= 0 and side.stop <= size for side, size in zip(grown(box, 6, SHAPE), SHAPE, strict=True))


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_figures_are_those_of_the_whole_volume(box, monkeypatch):
    made, real = pair(box)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[4:28, 3:22, 2:20] = True
    found = image.image_quality(made, real, named_regions(mask), 100.0)
    whole = tuple(slice(0, size) for size in SHAPE)
    monkeypatch.setattr(image, "differing_box", lambda one, other: whole)
    expected = image.image_quality(made, real, named_regions(mask), 100.0)
    for region, values in expected.items():
        for name, value in values.items():
            assert found[region][name] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), (region, name)
    monkeypatch.undo()
    full = structural_similarity(made, real, win_size=7, data_range=100.0)
    assert image.ssim(made, real, 100.0) == pytest.approx(full, abs=1e-9)


def test_equal_volumes_are_perfect():
    _, real = pair(BOXES["inside"])
    found = image.image_quality(real, real, {"volume": np.ones(SHAPE, dtype=bool)}, 100.0)["volume"]
    assert found == {"psnr": 100.0, "ssim": 1.0, "nmse": 0.0, "gmsd": 0.0}
