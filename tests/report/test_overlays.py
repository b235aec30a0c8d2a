from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from scanweave.errors import ScanweaveError
from scanweave.report.overlays import box_overlay, mask_overlay

SPACING = (1.0, 1.0, 3.0)


def words(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def panels(figure):
    return [axes for axes in figure.axes if axes.images]


def drawn_at(axes):
    """The part of the picture that contours surround: left, right, top, bottom [pixel]."""
    corners = np.concatenate([path.vertices for one in axes.collections for path in one.get_paths()])
    return corners[:, 0].min(), corners[:, 0].max(), corners[:, 1].min(), corners[:, 1].max()


@pytest.fixture
def volume():
    image = np.zeros((20, 24, 10))
    image[2:18, 2:22, 1:9] = np.random.default_rng(0).random((16, 20, 8)) + 0.5
    return image


@pytest.fixture
def lesion(volume):
    mask = np.zeros(volume.shape, dtype=bool)
    mask[12:16, 5:9, 3:6] = True
    return mask


def boxes(*corners, scores=None, name="nodule"):
    return SimpleNamespace(
        corners=np.array(corners, dtype=float),
        labels=(name,) * len(corners),
        scores=scores,
    )


def test_truth_and_prediction_stand_below_each_other_in_three_planes(volume, lesion):
    figure = mask_overlay(volume, SPACING, {"lesion": lesion}, {"lesion": np.roll(lesion, 2, 1)})
    assert len(panels(figure)) == 6
    assert {"axial", "coronal", "sagittal", "truth", "prediction", "lesion", "R", "L", "A", "P"} <= set(words(figure))


def test_masks_lie_where_the_image_has_them(volume, lesion):
    axial = panels(mask_overlay(volume, SPACING, {"lesion": lesion}))[0]
    # X grows to the left of the picture and Y upwards: of 20 and 24 voxels, 12 to 16 and 5 to 9
    assert drawn_at(axial) == pytest.approx((20 - 16 - 0.5, 20 - 12 - 0.5, 24 - 9 - 0.5, 24 - 5 - 0.5))


def test_masks_of_films_are_not_turned():
    film = np.random.default_rng(0).random((30, 40))
    mask = np.zeros(film.shape, dtype=bool)
    mask[3:10, 20:25] = True
    for image, one in ((film, mask), (film[..., None], mask[..., None])):
        figure = mask_overlay(image, (1, 1), {"nodule": one}, {"nodule": one & False})
        first, second = panels(figure)
        assert drawn_at(first) == pytest.approx((2.5, 9.5, 19.5, 24.5))
        assert not second.collections  # nothing was predicted
        assert np.array_equal(first.images[0].get_array(), film.T)
        assert "R" not in words(figure)


def test_a_mask_at_the_edge_has_a_closed_outline():
    film = np.random.default_rng(0).random((30, 40))
    figure = mask_overlay(film, (1, 1), {"whole": np.ones(film.shape, dtype=bool)})
    axes = panels(figure)[0]
    assert drawn_at(axes) == pytest.approx((-0.5, 29.5, -0.5, 39.5))
    assert axes.get_xlim() == (-0.5, 29.5)
    assert axes.get_ylim() == (39.5, -0.5)


def test_boxes_surround_what_masks_fill(volume, lesion):
    corners = ((12, 5, 3), (16, 9, 6))
    masked = panels(mask_overlay(volume, SPACING, {"nodule": lesion}, at=(13, 6, 4)))
    boxed = panels(box_overlay(volume, SPACING, boxes(corners), at=(13, 6, 4)))
    for mask, box in zip(masked, boxed, strict=True):
        (patch,) = [one for one in box.patches if isinstance(one, Rectangle)]
        place = patch.get_bbox()
        assert (place.x0, place.x1, place.y0, place.y1) == pytest.approx(drawn_at(mask))


def test_boxes_that_a_plane_misses_are_not_drawn(volume):
    axial, coronal, _ = panels(box_overlay(volume, SPACING, boxes(((12, 5, 3), (16, 9, 6))), at=(13, 6, 8)))
    assert not axial.patches
    assert coronal.patches


def test_predicted_boxes_have_scores():
    film = np.random.default_rng(0).random((30, 40))
    figure = box_overlay(film, (1, 1), boxes(((3, 20), (10, 25))), boxes(((4, 21), (11, 26)), scores=np.array([0.73])))
    assert {"0.73", "nodule", "truth", "prediction"} <= set(words(figure))
    patch = panels(figure)[0].patches[0].get_bbox()
    assert (patch.x0, patch.x1, patch.y0, patch.y1) == (2.5, 9.5, 19.5, 24.5)


def test_an_image_without_findings_is_drawn(volume):
    empty = SimpleNamespace(corners=np.zeros((0, 2, 3)), labels=(), scores=None)
    assert len(panels(box_overlay(volume, SPACING, empty, empty))) == 6
    nothing = np.zeros(volume.shape, dtype=bool)
    assert len(panels(mask_overlay(volume, SPACING, {"lesion": nothing}))) == 3


def test_what_cannot_be_drawn_is_refused(volume, lesion):
    with pytest.raises(ScanweaveError, match="one grid"):
        mask_overlay(volume, SPACING, {"lesion": lesion[:5]})
    with pytest.raises(ScanweaveError, match="neither"):
        mask_overlay(volume, SPACING, None)


def test_photographs_stay_in_colour_and_classes_keep_theirs():
    film = np.zeros((30, 20, 1, 3), np.uint8)
    film[:, :10] = (200, 0, 100)
    one, two = (
        box_overlay(film, (1, 1), boxes(((3, 2), (10, 9)), name=name), classes=("a", "b")) for name in ("a", "b")
    )
    shown = one.axes[0].images[0].get_array()
    assert shown.shape == (20, 30, 3)
    np.testing.assert_allclose(shown[0, 0], np.array([200, 0, 100]) / 255)
    edges = [figure.axes[0].patches[0].get_edgecolor() for figure in (one, two)]
    assert edges[0] != edges[1]
