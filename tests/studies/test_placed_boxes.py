"""Boxes go where the scan that they lie on goes, enclose what they held, and are left out rather than left wrong."""

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.boxes import Boxes
from scanweave.studies.geometry import Geometry
from scanweave.studies.preparing.placed_boxes import place_boxes
from scanweave.studies.preparing.transforms import RigidTransform

GRID = Geometry.of((20, 24, 10), np.diag([2.0, 2.0, 3.0, 1.0]))
BOX = Boxes([[[2.0, 4.0, 6.0], [12.0, 10.0, 9.0]]], ("nodule",), "mm")


def place(degrees=0.0, shift=(0.0, 0.0, 0.0), moving="t1"):
    matrix, angle = np.eye(4), np.deg2rad(degrees)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = shift
    return RigidTransform(matrix, moving, "home")


def placed(boxes, at, reference="t1", **others):
    places = {"t1": at, **others}
    return place_boxes(boxes, places, dict.fromkeys(places, GRID), reference)


def test_a_shift_moves_boxes_exactly():
    made = placed(BOX, place(shift=(1, -2, 3)))
    np.testing.assert_allclose(made.boxes.corners, BOX.corners + np.array([1, -2, 3]))
    assert "1 box moved with t1, turned by 0.0°, so the upright boxes around them are 0 % larger" in made.told


def test_a_turned_box_is_enclosed_and_its_growth_is_told():
    at = place(30, (5, 0, 0))
    made = placed(BOX, at)
    [(start, stop)] = BOX.corners
    corners = np.array(np.meshgrid(*zip(start, stop, strict=True))).reshape(3, -1).T
    there = at.apply(corners)
    np.testing.assert_allclose(made.boxes.corners[0], [there.min(axis=0), there.max(axis=0)])
    growth = 100 * (made.boxes.volumes[0] / BOX.volumes[0] - 1)
    assert growth > 20
    assert f"turned by 30.0°, so the upright boxes around them are {growth:.0f} % larger" in made.told


def test_voxels_become_millimetres_of_the_scan_of_their_size():
    voxels = Boxes([[[1, 2, 3], [4, 6, 5]]], ("a",), "voxel", size=GRID.shape)
    made = placed(voxels, place(shift=(0, 0, 7)))
    np.testing.assert_allclose(made.boxes.corners, voxels.to_patient(GRID).corners + np.array([0, 0, 7]))
    still = placed(voxels, place())
    assert still.moved  # images may be on another grid now, so its voxels are no longer theirs
    assert still.boxes.unit == "mm"
    other = placed(Boxes(voxels.corners, ("a",), "voxel", size=(9, 9, 9)), place())
    assert (other.boxes, other.told) == (
        None,
        "left out: in voxels of an image of size 9×9×9, which no scan here has",
    )


def test_boxes_that_nothing_moves_stay_and_doubt_is_told():
    made = placed(BOX, place())
    assert (made.boxes.corners.tolist(), made.moved) == (BOX.corners.tolist(), False)
    assert made.told == "left where t1 lies"
    doubt = placed(BOX, place(), t2=place(10, moving="t2"))
    assert doubt.told == "left where t1 lies; those drawn on t2 would lie elsewhere"
    film = Boxes([[[1, 2], [3, 4]]], ("a",))
    assert placed(film, place(40)).boxes is film


def test_only_boxes_in_millimetres_are_moved_by_a_matrix():
    with pytest.raises(ScanweaveError, match="boxes in pixel are moved with their grid"):
        Boxes([[[1, 2], [3, 4]]], ("a",)).moved(np.eye(4))
