"""Tumours in scans: where they lie, how large they are, and that nothing else changes."""

from itertools import pairwise

import numpy as np
import pytest

import scanweave as sw
from scanweave.errors import ScanweaveError
from scanweave.framework.tumour_synthesis import RuleMaker
from scanweave.tumours.appearance import Rules, find_vessels
from scanweave.tumours.drawing import draw_tumour
from scanweave.tumours.fields import smooth_field
from scanweave.tumours.insertion import added, insert_tumour
from scanweave.tumours.placement import draw_diameter, organ_depth
from scanweave.tumours.request import TumourRequest
from scanweave.tumours.texture import draw_texture

SPACING = (2.0, 1.5, 3.0)
SHAPE = (60, 80, 40)


def ball(shape=SHAPE, spacing=SPACING, radius=48.0):
    grid = np.meshgrid(*((np.arange(n) - n / 2) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    return sum(axis**2 for axis in grid) < radius**2


@pytest.fixture(scope="module")
def organ():
    return ball()


@pytest.fixture(scope="module")
def scan(organ):
    rng = np.random.default_rng(0)
    data = np.where(organ, 100, -900) + rng.normal(0, 12, organ.shape)
    return sw.Scan.of(np.rint(data).astype(np.int16), np.diag([*SPACING, 1.0]))


@pytest.mark.parametrize("shape", ["ellipsoid", "grown"])
def test_voxels_outside_keep_every_bit_and_the_mask_lies_in_the_organ(scan, organ, shape):
    for seed in range(8):
        made = sw.synthesize(scan, organ, seed=seed, count=2, shape=shape, capsule=True, necrosis=True)
        changed = made.scan.data != scan.data
        assert changed.any()
        assert not changed[~organ].any()
        assert not (made.mask.data > 0)[~organ].any()
        assert made.scan.data.dtype == np.int16
        assert made.scan.synthetic
        assert made.mask.synthetic


@pytest.mark.parametrize("shape", ["ellipsoid", "grown"])
def test_within_the_organ_too_nothing_changes_beyond_the_soft_border(scan, organ, shape):
    data = np.asarray(scan.data)
    for seed in range(5):
        request = TumourRequest(shape=shape, diameter_mm=18)
        made = insert_tumour(data, organ, SPACING, request, Rules(), [seed])
        kept = made.tumour.soft == 0
        assert (kept & organ[made.box]).any()
        assert np.array_equal(made.after[kept], data[made.box][kept])
        assert (made.after != made.before)[made.tumour.mask].mean() > 0.9


def test_a_border_that_leaves_nothing_is_refused(scan, organ):
    with pytest.raises(ScanweaveError, match="leaves hardly anything"):
        sw.synthesize(scan, organ, diameter_mm=6, edge_mm=10, contrast=-30.0)


def test_numbers_of_an_array_are_heeded(scan, organ):
    labels = organ.astype(np.uint8)
    labels[organ & (np.arange(SHAPE[0])[:, None, None] > 30)] = 2
    made = sw.synthesize(scan, labels, organs=[2], diameter_mm=12)
    assert set(labels[made.mask.data > 0]) == {2}


def test_diameters_are_as_asked_where_they_fit(scan, organ):
    widest = 2 * organ_depth(organ, SPACING).most
    right = []
    for seed in range(40):
        asked = np.random.default_rng(seed).uniform(8, widest)
        made = sw.synthesize(scan, organ, seed=seed, diameter_mm=float(asked), shape=("ellipsoid", "grown")[seed % 2])
        found = (6 / np.pi * (made.mask.data > 0).sum() * np.prod(SPACING)) ** (1 / 3)
        assert found == pytest.approx(made.tumours[0]["diameter_mm"], abs=0.01)
        right.append(abs(found / asked - 1) <= 0.15)
    assert np.mean(right) >= 0.95


def test_one_seed_gives_the_same_bits_and_another_other_ones(scan, organ):
    first, again, other = (sw.synthesize(scan, organ, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first.scan.data, again.scan.data)
    assert first.tumours == again.tumours
    assert not np.array_equal(first.scan.data, other.scan.data)


@pytest.mark.parametrize("shape", ["ellipsoid", "grown"])
def test_a_growing_tumour_holds_what_it_was_before(scan, organ, shape):
    sizes = (8.0, 14.0, 22.0, 30.0)
    masks = [
        sw.synthesize(scan, organ, seed=3, diameter_mm=size, grows_to_mm=30.0, shape=shape).mask.data > 0
        for size in sizes
    ]
    assert all((small & ~large).sum() == 0 for small, large in pairwise(masks))
    assert [mask.sum() for mask in masks] == sorted(mask.sum() for mask in masks)


def test_a_tumour_lies_where_it_is_asked_for(scan, organ):
    made = sw.synthesize(scan, organ, centre=(36, 30, 22), diameter_mm=16)
    assert made.mask.data[36, 30, 22] == 1
    assert made.tumours[0]["centre_voxel"] == [36, 30, 22]
    places = np.argwhere(made.mask.data > 0) * SPACING
    assert np.linalg.norm(places.mean(axis=0) - np.array([36, 30, 22]) * SPACING) < 8


def test_the_contrast_that_is_asked_for_is_the_mean_change(scan, organ):
    for contrast in (-40.0, 25.0):
        made = sw.synthesize(scan, organ, contrast=contrast, diameter_mm=24, seed=1)
        inside = made.mask.data > 0
        change = made.scan.data.astype(float) - scan.data
        assert change[inside].mean() == pytest.approx(contrast, abs=0.6)
        assert made.tumours[0]["contrast"] == pytest.approx(contrast, abs=0.6)


def test_core_and_rim_change_what_lies_there(scan, organ):
    asked = {"diameter_mm": 30, "contrast": -30.0, "seed": 2}
    plain, dead, walled = (
        sw.synthesize(scan, organ, **asked, **more).scan.data.astype(float)
        for more in ({}, {"necrosis": True}, {"capsule": True})
    )
    mask = sw.synthesize(scan, organ, **asked).mask.data > 0
    assert (dead - plain)[mask].min() < -4
    assert (walled - plain)[mask].max() > 4
    for one in (plain, dead, walled):
        assert (one - scan.data)[mask].mean() == pytest.approx(-30, abs=0.6)
    assert np.abs((dead - plain)[~organ]).max() == 0


def test_several_tumours_do_not_share_voxels(scan, organ):
    made = sw.synthesize(scan, organ, count=4, diameter_mm=14, seed=0)
    assert sorted(np.unique(made.mask.data)) == [0, 1, 2, 3, 4]
    voxels = [int((made.mask.data == number).sum()) for number in (1, 2, 3, 4)]
    assert voxels == [one["voxels"] for one in made.tumours]


def test_vessels_stay_as_they_are(organ):
    data = np.where(organ, 100.0, -900.0).astype(np.float32)
    data[:, 40:43, :][organ[:, 40:43, :]] = 260.0
    scan = sw.Scan.of(data, np.diag([*SPACING, 1.0]))
    asked = {"centre": (30, 37, 20), "diameter_mm": 24, "seed": 0}
    vessel = find_vessels(data, organ, SPACING)
    assert vessel[30, 41, 20]
    through, around = (sw.synthesize(scan, organ, avoid_vessels=kept, **asked) for kept in (False, True))
    assert (through.scan.data != data)[vessel].any()
    assert not (around.scan.data != data)[vessel].any()


def test_scans_without_units_are_changed_in_percent_of_their_range(organ):
    rng = np.random.default_rng(0)
    data = np.where(organ, rng.uniform(200, 1200, organ.shape), 0).astype(np.float32)
    made = sw.synthesize(sw.Scan.of(data, np.eye(4)), organ, unit="percent", contrast=-20.0, diameter_mm=14)
    inside = made.mask.data > 0
    assert (made.scan.data - data)[inside].mean() == pytest.approx(-200, rel=0.05)


def test_whole_numbers_stay_within_their_type():
    image = np.array([250, 10, 100], np.uint8)
    assert added(image, np.array([20.0, -30.0, 0.0], np.float32)).tolist() == [255, 0, 100]
    assert added(image, np.array([0.4, 0.0, 0.6], np.float32)).tolist() == [250, 10, 101]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"centre": (0, 0, 0)}, "outside of the organ. Such as voxel"),
        ({"centre": (99, 0, 0)}, "outside of the scan of 60 × 80 × 40 voxels"),
        ({"diameter_mm": 250.0}, "whose widest place is"),
        ({"diameter_mm": 250.0, "centre": (30, 40, 20)}, "whose widest place is"),
        ({"diameter_mm": -3.0}, "diameter_mm"),
        ({"colour": "red"}, "colour"),
        ({"count": 0}, "count: 0 is too small"),
        ({"seed": -1}, "seed: -1 is too small"),
        ({"count": 2, "centre": (30, 40, 20)}, "cannot have one centre"),
    ],
)
def test_what_cannot_be_is_refused(scan, organ, change, words):
    with pytest.raises(ScanweaveError) as caught:
        sw.synthesize(scan, organ, **change)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_scans_that_are_none_are_refused(scan, organ):
    affine = np.diag([*SPACING, 1.0])
    data = np.asarray(scan.data)
    cases = {
        "in Hounsfield": (sw.Scan.of((data + 1024).astype(np.int16), affine), organ),
        "4 axes": (sw.Scan.of(np.stack([data, data], axis=3), affine), organ),
        "different grids": (scan, organ[1:]),
        "no numbers": (sw.Scan.of(np.where(organ, np.nan, -900.0), affine), organ),
        "does not hold anything": (scan, np.zeros_like(organ)),
        "lies on another grid": (scan, sw.Scan.of(organ.astype(np.uint8), np.eye(4))),
    }
    for words, (image, mask) in cases.items():
        with pytest.raises(ScanweaveError, match=words):
            sw.synthesize(image, mask)


def test_textures_fill_the_range_and_fields_are_normal():
    rng = np.random.default_rng(0)
    for shape, spacing in (((40, 30, 20), (3.0, 3.0, 3.0)), ((60, 60, 40), (0.8, 0.8, 2.5))):
        made = draw_texture(rng, shape, spacing)
        assert made.shape == shape
        assert 0 <= made.min() < made.max() <= 1
        assert 0.2 < made.mean() < 0.8
    field = smooth_field(rng, (20, 30, 10), 4)
    assert field.mean() == pytest.approx(0, abs=1e-5)
    assert field.std() == pytest.approx(1, abs=1e-5)


def test_drawn_diameters_fit_the_organ(organ):
    small = organ_depth(ball(radius=9.0), SPACING)
    drawn = [draw_diameter(np.random.default_rng(seed), small) for seed in range(30)]
    assert max(drawn) <= 1.6 * small.most * 1.25
    large = [draw_diameter(np.random.default_rng(seed), organ_depth(organ, SPACING)) for seed in range(60)]
    assert min(large) < 16 < 40 < max(large)


def test_a_larger_scan_than_any_texture_is_no_trouble():
    # FreeTumor's released code fails where a volume is larger than its bank of textures (420 × 300 × 320 voxels)
    rng = np.random.default_rng(0)
    organ = np.zeros((430, 20, 20), bool)
    organ[100:330, 4:16, 4:16] = True
    drawn = draw_tumour(rng, organ, (200, 10, 10), 9.0, (1.0, 1.0, 1.0))
    assert drawn.mask.any()


def test_rules_with_means_have_them():
    maker = RuleMaker(Rules((-31.0, -29.0), mean=True))
    organ = ball()
    scan = sw.Scan.of(np.where(organ, 100.0, -900.0).astype(np.float32), np.diag([*SPACING, 1.0]))
    means = [sw.synthesize(scan, organ, maker=maker, seed=seed).tumours[0]["contrast"] for seed in range(6)]
    assert all(-31.1 <= mean <= -28.9 for mean in means)
