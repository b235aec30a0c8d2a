"""Boxes through every change of the image and back, their faults, their overlap, and masks."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.box_utils import box_iou as monai_iou
from torchvision.ops import box_iou as torchvision_iou

from scanweave.errors import ScanweaveError
from scanweave.studies.box_overlap import box_iou, boxes_to_mask, mask_to_boxes
from scanweave.studies.box_repairs import repair_boxes
from scanweave.studies.boxes import Boxes, join
from scanweave.studies.geometry import Geometry, orient, resample

AXES = [
    "".join(pair[sign] for pair, sign in zip(order, signs, strict=True))
    for order in permutations(("RL", "AP", "SI"))
    for signs in product((0, 1), repeat=3)
]
SIZE = {2: (640, 480), 3: (40, 50, 30)}
UNITS = {2: "pixel", 3: "voxel"}


@st.composite
def some_boxes(draw, axes=None):
    axes = axes or draw(st.sampled_from([2, 3]))
    number = draw(st.integers(0, 5))
    seed = draw(st.integers(0, 2**32 - 1))
    ends = np.random.default_rng([seed]).uniform(0, 1, (number, 2, axes)) * SIZE[axes]
    labels = [f"class {i % 2}" for i in range(number)]
    return Boxes(np.sort(ends, axis=1), labels, UNITS[axes], size=SIZE[axes])


def oblique(seed, shape=(40, 50, 30)):
    generator = np.random.default_rng([seed])
    turn, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = turn * generator.uniform(0.5, 3, 3)
    affine[:3, 3] = generator.uniform(-100, 100, 3)
    return Geometry.of(shape, affine)


def same(first, second):
    assert first.unit == second.unit
    assert first.labels == second.labels
    assert first.size == second.size
    np.testing.assert_allclose(first.corners, second.corners, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(some_boxes(), st.integers(-20, 20), st.integers(1, 900))
def test_crop_and_back(boxes, start, length):
    cropped = boxes.crop(start, start + length)
    assert cropped.size == (length,) * boxes.dimensions
    same(cropped.crop(-start, np.array(boxes.size) - start), boxes)


@settings(deadline=None)
@given(some_boxes(), st.integers(1, 2000))
def test_resize_and_back(boxes, size):
    same(boxes.resize(size).resize(boxes.size), boxes)


@settings(deadline=None)
@given(some_boxes(axes=2), st.sampled_from([0.5, 2.0, 3.0]))
def test_scale_and_back(boxes, factor):
    same(boxes.scale(factor).scale(1 / factor), boxes)


@settings(deadline=None)
@given(some_boxes(), st.sets(st.integers(0, 1)))
def test_flip_twice(boxes, axes):
    same(boxes.flip(*axes).flip(*axes), boxes)


@settings(deadline=None)
@given(some_boxes(), st.randoms(use_true_random=False))
def test_permute_and_back(boxes, random):
    order = random.sample(range(boxes.dimensions), boxes.dimensions)
    same(boxes.permute(order).permute(np.argsort(order)), boxes)


@settings(max_examples=40, deadline=None)
@given(some_boxes(axes=3), st.integers(0, 1000), st.sampled_from(AXES), st.integers(-5, 5), st.floats(0.6, 4))
def test_every_change_of_grid_comes_back_even_oblique(boxes, seed, axes, start, spacing):
    native = oblique(seed)
    prepared = native.oriented(axes).crop([start] * 3, [20, 22, 24]).with_spacing([spacing] * 3)
    there = boxes.regrid(native, prepared)
    assert there.size == prepared.shape
    same(there.regrid(prepared, native), boxes)


@pytest.mark.parametrize("axes", AXES)
def test_patient_and_back_is_exact_on_upright_grids(axes):
    upright = Geometry.of((40, 50, 30), np.diag([0.7, 1.3, 2.5, 1]) + np.eye(4, k=3) * 17).oriented(axes)
    boxes = Boxes([[[1, 2, 3], [5, 7, 9]]], ("a",), "voxel", size=upright.shape)
    patient = boxes.to_patient(upright)
    assert patient.unit == "mm"
    assert patient.size is None
    assert patient.volumes[0] == pytest.approx(boxes.volumes[0] * 0.7 * 1.3 * 2.5)
    same(patient.to_grid(upright), boxes)


def test_patient_box_encloses_the_turned_one():
    grid = oblique(3)
    boxes = Boxes([[[1, 2, 3], [5, 7, 9]]], ("a",), "voxel", size=grid.shape)
    start, stop = boxes.to_patient(grid).corners[0]
    corners = grid.positions(np.array(list(product((1, 5), (2, 7), (3, 9)))) - 0.5)
    np.testing.assert_allclose([start, stop], [corners.min(axis=0), corners.max(axis=0)])
    back = boxes.to_patient(grid).to_grid(grid)
    assert (back.corners[0, 0] <= boxes.corners[0, 0]).all()
    assert (back.corners[0, 1] >= boxes.corners[0, 1]).all()


@pytest.mark.parametrize("axes", AXES[::5])
def test_box_follows_the_image(axes):
    """The box of a block that was turned, cropped and resampled with its image is the turned box."""
    native = oblique(7)
    mask = np.zeros(native.shape, dtype=np.float32)
    mask[10:20, 12:18, 6:16] = 1
    boxes = mask_to_boxes(mask.astype(int), {1: "block"})
    turned = orient(mask, native, axes)
    target = native.oriented(axes)
    assert mask_to_boxes(turned.astype(int), {1: "block"}).corners.tolist() == pytest.approx(
        boxes.regrid(native, target).corners
    )
    finer = target.crop([2, 2, 2], [target.shape[0] - 1, target.shape[1], target.shape[2]]).with_spacing(
        np.array(target.spacing) / 2
    )
    sampled = resample(mask, native, finer, "nearest")
    found = mask_to_boxes((sampled > 0.5).astype(int), {1: "block"})
    np.testing.assert_allclose(found.corners, boxes.regrid(native, finer).corners, atol=1e-6)


def test_film_is_carried_in_its_plane():
    film = Geometry.of((64, 48, 1), np.diag([-0.5, -0.5, 1, 1]))
    boxes = Boxes([[[4, 6], [10, 20]]], ("nodule",), size=(64, 48))
    small = film.crop([2, 3, 0], [62, 43, 1]).with_spacing([1, 1, 1])
    carried = boxes.regrid(film, small)
    assert carried.corners.tolist() == [[[1, 1.5], [4, 8.5]]]
    same(carried.regrid(small, film), boxes)
    assert boxes.to_patient(film).corners.shape == (1, 2, 3)
    with pytest.raises(ScanweaveError, match="plane"):
        boxes.regrid(film, Geometry.of((64, 48, 1), np.diag([1.0, 1, 1, 1])[[0, 2, 1, 3]]))


def test_clip_keeps_what_is_inside():
    boxes = Boxes([[[-5, 0], [5, 10]], [[700, 0], [720, 10]], [[-9, 0], [1, 10]]], "abc", size=(640, 480))
    assert boxes.clip().labels == ("a", "c")
    assert boxes.clip().corners[0].tolist() == [[0, 0], [5, 10]]
    assert boxes.clip(0.3).labels == ("a",)


def test_parts_must_agree():
    with pytest.raises(ScanweaveError, match="1 boxes with 2 labels"):
        Boxes(np.zeros((1, 2, 2)), ("a", "b"))
    with pytest.raises(ScanweaveError, match="shape"):
        Boxes(np.zeros((1, 2, 3)), ("a",), "pixel")
    with pytest.raises(ScanweaveError, match="size"):
        Boxes(unit="mm", size=(1, 2, 3))
    with pytest.raises(ScanweaveError, match="unknown"):
        Boxes(np.zeros((1, 2, 2)), ("a",)).flip(0)
    with pytest.raises(ScanweaveError, match="unit"):
        join([Boxes(), Boxes(unit="mm")])


def test_join_keeps_order():
    one = Boxes([[[0, 0], [1, 1]]], ("a",), scores=[0.3], size=(9, 9))
    two = Boxes([[[2, 2], [3, 3]]], ("b",), scores=[0.6], ignored=[True], size=(9, 9))
    both = join([one, two])
    assert both.labels == ("a", "b")
    assert both.scores.tolist() == [0.3, 0.6]
    assert both.ignored.tolist() == [False, True]
    assert both.select([1]).labels == ("b",)


BAD = {
    "non-finite": [[np.nan, 1], [5, 5]],
    "empty": [[3, 3], [3, 9]],
    "swapped": [[9, 3], [4, 8]],
    "normalised": [[0.2, 0.3], [0.5, 0.6]],
    "outside": [[650, 3], [660, 9]],
    "overhang": [[600, 3], [660, 9]],
}


@pytest.mark.parametrize("kind", BAD)
def test_fault_names_box_and_reason(kind):
    boxes = Boxes([[[1, 1], [4, 4]], BAD[kind]], ("a", "a"), size=(640, 480))
    (fault,) = boxes.faults()
    assert fault.kind == kind
    assert str(fault).startswith("box 2: ")
    assert "\n" not in str(fault)


def test_sound_boxes_have_no_fault():
    boxes = Boxes([[[0, 0], [1, 1]], [[0, 0], [640, 480]], [[639.5, 0], [640.005, 9]]], "aab", size=(640, 480))
    assert boxes.faults(["a", "b"]) == ()
    assert Boxes([[[0.1, 0.1, 0.2], [0.4, 0.5, 0.6]]], ("a",), "mm").faults() == ()


def test_faults_of_names_scores_and_copies():
    corners = [[[1, 1], [4, 4]]] * 5
    boxes = Boxes(corners, ("Nodule", "nodule ", "mass", "", "Nodule"), scores=[0.5, 0.5, 2, 0.5, 0.5])
    kinds = [(fault.box, fault.kind) for fault in boxes.faults(["Nodule"])]
    assert kinds == [(1, "class-case"), (2, "class"), (2, "score"), (3, "class"), (4, "duplicate")]


def test_repairs_are_told_and_exact():
    boxes = Boxes(
        [[[650, 9], [600, 3]], [[1, 1], [4, 4]], [[4, 4], [1, 1]], [[1, 5], [2, 6]]],
        ("a", "A", "a", "a"),
        size=(640, 480),
    )
    mended, findings = repair_boxes(boxes, ["a"])
    assert mended.corners.tolist() == [[[600, 3], [640, 9]], [[1, 1], [4, 4]], [[1, 5], [2, 6]]]
    assert mended.labels == ("a",) * 3
    assert mended.faults(["a"]) == ()
    assert [finding.kind for finding in findings] == [
        "box-swapped",
        "box-overhang",
        "box-class-case",
        "box-swapped",
        "box-duplicate",
    ]
    assert {finding.status for finding in findings} == {"repaired"}


@pytest.mark.parametrize("kind", ["non-finite", "empty", "normalised", "outside"])
def test_one_refused_box_refuses_its_image(kind):
    mended, findings = repair_boxes(Boxes([[[1, 1], [4, 4]], BAD[kind]], ("a", "a"), size=(640, 480)), None, ["x", "y"])
    assert mended is None
    assert findings[0].words.startswith("y: ")


@settings(max_examples=30, deadline=None)
@given(some_boxes(), st.integers(0, 1000))
def test_iou_equals_the_libraries(boxes, seed):
    ends = np.random.default_rng([seed]).uniform(0, 1, (4, 2, boxes.dimensions)) * boxes.size
    other = Boxes(np.sort(ends, axis=1), "abcd", boxes.unit)
    first, second = (torch.from_numpy(b.corners.reshape(len(b), 2 * b.dimensions).copy()) for b in (boxes, other))
    if not len(boxes):
        return
    # MONAI computes in float32 whatever it is given.
    np.testing.assert_allclose(box_iou(boxes, other), monai_iou(first, second).numpy(), rtol=1e-3, atol=1e-5)
    if boxes.dimensions == 2:
        np.testing.assert_allclose(box_iou(boxes, other), torchvision_iou(first, second).numpy(), rtol=1e-9, atol=1e-12)


def test_iou_of_nothing_is_nothing():
    point = Boxes([[[1, 1], [1, 1]]], ("a",))
    assert box_iou(point, point).tolist() == [[0.0]]
    assert box_iou(Boxes(), point).shape == (0, 1)
    with pytest.raises(ScanweaveError, match="unit"):
        box_iou(Boxes(), Boxes(unit="mm"))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_mask_and_back(seed, flat):
    """Boxes on a lattice do not touch, so that every one is found again."""
    generator = np.random.default_rng([seed])
    axes = 2 if flat else 3
    corners, labels = [], []
    for cell in np.ndindex((3,) * axes):
        if generator.random() < 0.5:
            start = np.array(cell) * 8 + generator.integers(0, 3, axes)
            corners.append([start, start + generator.integers(1, 5, axes)])
            labels.append(str(generator.choice(["a", "b"])))
    boxes = Boxes(np.array(corners).reshape(-1, 2, axes), labels, UNITS[axes], size=(24,) * axes)
    mask = boxes_to_mask(boxes, {"a": 1, "b": 7})
    found = mask_to_boxes(mask, {1: "a", 7: "b"})
    key = [(label, corner.ravel().tolist()) for label, corner in zip(boxes.labels, boxes.corners, strict=True)]
    assert sorted(key) == sorted(
        (label, c.ravel().tolist()) for label, c in zip(found.labels, found.corners, strict=True)
    )
    assert found.size == boxes.size


def test_small_box_shows_on_a_large_one_and_small_parts_are_left_out():
    boxes = Boxes([[[2, 2], [3, 3]], [[0, 0], [9, 9]]], ("a", "b"), size=(9, 9))
    mask = boxes_to_mask(boxes, {"a": 1, "b": 2})
    assert mask[2, 2] == 1
    assert mask.sum() == 1 + 80 * 2
    assert mask_to_boxes(mask[..., None], {1: "a", 2: "b"}, least_voxels=2).labels == ("b",)
    with pytest.raises(ScanweaveError, match="size"):
        boxes_to_mask(Boxes(unit="mm"), {})
