"""Voxels stay where they are in the patient: 48 axis orders and flips, oblique grids, other readers."""

from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel import orientations

from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.geometry import Geometry, orient, orient_back, resample
from scanweave.studies.scan import Scan

AXES = [
    "".join(pair[sign] for pair, sign in zip(order, signs, strict=True))
    for order in permutations(("RL", "AP", "SI"))
    for signs in product((0, 1), repeat=3)
]
SHAPE = (9, 12, 7)


def rotation(generator: np.random.Generator, most: float = 0.6) -> np.ndarray:
    """A rotation by at most about `most` radians, so that the nearest axes stay what they are."""
    angles = generator.uniform(-most / 3, most / 3, 3)
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [i for i in range(3) if i != axis]
        turn = np.eye(3)
        turn[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        matrix = turn @ matrix
    return matrix


def oblique(axes: str, seed: int, shape: tuple[int, int, int] = SHAPE) -> Geometry:
    """A grid whose axes lie nearest to `axes`, with random spacing, rotation and origin."""
    generator = np.random.default_rng([seed, AXES.index(axes)])
    affine = np.diag([0.0, 0, 0, 1])
    codes = orientations.axcodes2ornt(axes)
    for column, (axis, sign) in enumerate(codes):
        affine[int(axis), column] = sign
    affine[:3, :3] = rotation(generator) @ affine[:3, :3] * generator.uniform(0.7, 3.0, 3)
    affine[:3, 3] = generator.uniform(-120, 120, 3)
    return Geometry.of(shape, affine)


def test_there_are_48():
    assert len(set(AXES)) == 48


@pytest.mark.parametrize("axes", AXES)
def test_orient_keeps_every_voxel_in_its_place_and_comes_back(axes):
    grid = oblique(axes, 1)
    data = np.random.default_rng(2).normal(size=SHAPE)
    assert grid.orientation == axes
    for target in ("RAS", "LPS", "SLA"):
        turned, there = orient(data, grid, target), grid.oriented(target)
        assert there.orientation == target
        assert turned.shape == there.shape
        index = np.argwhere(turned == data[3, 5, 2])
        np.testing.assert_allclose(there.positions(index), grid.positions([[3, 5, 2]]), atol=1e-9)
        np.testing.assert_array_equal(orient_back(turned, grid, target), data)


@pytest.mark.parametrize("axes", AXES)
def test_agrees_with_nibabel(axes):
    grid = oblique(axes, 3)
    data = np.random.default_rng(4).normal(size=SHAPE)
    canonical = nib.as_closest_canonical(nib.Nifti1Image(data, grid.affine))
    np.testing.assert_array_equal(orient(data, grid), np.asarray(canonical.dataobj))
    np.testing.assert_allclose(grid.oriented().affine, canonical.affine, atol=1e-9)


@pytest.mark.parametrize("axes", AXES)
def test_resampled_content_lies_within_a_micrometre(axes):
    """Each of three images holds a coordinate; after resampling every voxel must hold that of its new place."""
    source = oblique(axes, 5, (24, 26, 22))
    centre = source.positions([(np.array(source.shape) - 1) / 2])[0]
    generator = np.random.default_rng([6, AXES.index(axes)])
    affine = np.eye(4)
    affine[:3, :3] = rotation(generator) * 0.5 * min(source.spacing)
    affine[:3, 3] = centre - affine[:3, :3] @ [4, 4, 4]
    target = Geometry.of((9, 9, 9), affine)
    where = source.positions(np.indices(source.shape).reshape(3, -1).T).reshape(*source.shape, 3)
    wanted = target.positions(np.indices(target.shape).reshape(3, -1).T).reshape(*target.shape, 3)
    for axis in range(3):
        error = np.abs(resample(where[..., axis], source, target) - wanted[..., axis]).max()
        assert error <= 1e-3


@given(
    shape=st.tuples(*[st.integers(2, 40)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 6.0)] * 3),
    seed=st.integers(0, 2**32 - 1),
    axes=st.sampled_from(AXES),
)
@settings(max_examples=60, deadline=None)
def test_new_spacing_covers_the_same_box(shape, spacing, seed, axes):
    old = oblique(axes, seed, shape)
    new = old.with_spacing(spacing)
    faces = [g.positions([[-0.5] * 3, np.array(g.shape) - 0.5]) for g in (old, new)]
    np.testing.assert_allclose(*faces, atol=1e-6)
    assert new.orientation == old.orientation
    assert min(new.shape) >= 1


@given(seed=st.integers(0, 2**32 - 1), axes=st.sampled_from(AXES), start=st.tuples(*[st.integers(-5, 5)] * 3))
@settings(max_examples=60, deadline=None)
def test_crop_moves_no_voxel(seed, axes, start):
    grid = oblique(axes, seed)
    box = grid.crop(start, np.array(start) + 4)
    assert box.shape == (4, 4, 4)
    np.testing.assert_allclose(box.positions([[1, 2, 3]]), grid.positions([np.add(start, [1, 2, 3])]), atol=1e-9)


@pytest.mark.parametrize("axes", AXES[::7])
def test_overlap_is_the_shared_volume(axes):
    grid = oblique(axes, 8, (32, 32, 32))
    assert grid.overlap(grid) == 1.0
    assert grid.overlap(grid.crop((16, 0, 0), (48, 32, 32))) == pytest.approx(0.5, abs=0.04)
    assert grid.overlap(grid.crop((40, 0, 0), (72, 32, 32))) == 0.0
    assert grid.crop((8, 8, 8), (16, 16, 16)).overlap(grid) == 1.0
    assert grid.oriented().overlap(grid) == 1.0


def test_two_grids_are_one_up_to_rounding_only():
    grid = oblique("LPS", 9)
    rounded = Geometry.of(SHAPE, grid.affine.astype(np.float32))
    moved = grid.affine.copy()
    moved[0, 3] += 0.5
    assert grid.matches(rounded)
    assert not grid.matches(Geometry.of(SHAPE, moved))
    assert not grid.matches(grid.crop((0, 0, 0), (9, 12, 6)))


@pytest.mark.parametrize("axes", AXES)
def test_simpleitk_reads_what_we_write_and_we_read_what_it_writes(tmp_path, axes):
    itk = pytest.importorskip("SimpleITK")
    grid = oblique(axes, 10)
    data = np.random.default_rng(11).integers(0, 1000, SHAPE).astype(np.float32)
    path = write_scan(tmp_path / "scan.nii.gz", Scan.of(data, grid.affine))
    image = itk.ReadImage(str(path))
    np.testing.assert_array_equal(itk.GetArrayFromImage(image).T, data)
    index = (3, 5, 2)
    place = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
    np.testing.assert_allclose(place, grid.positions([index])[0], atol=1e-3)
    for name in ("scan.nrrd", "scan.mha", "other.nii"):
        itk.WriteImage(image, str(tmp_path / name))
        scan = read_scan(tmp_path / name)
        assert scan.geometry.distance(grid) <= 1e-3
        np.testing.assert_array_equal(scan.data, data)


def test_a_series_comes_back_frame_by_frame(tmp_path):
    data = np.random.default_rng(12).integers(0, 99, (*SHAPE, 4)).astype(np.int16)
    image = nib.Nifti1Image(data, oblique("LPS", 13).affine)
    image.header.set_xyzt_units("mm", "msec")
    image.header.set_zooms((*image.header.get_zooms()[:3], 1500.0))
    nib.save(image, tmp_path / "dce.nii.gz")
    scan = read_scan(tmp_path / "dce.nii.gz")
    assert scan.frames == 4
    np.testing.assert_allclose(scan.times, [0, 1.5, 3.0, 4.5])
    channel = read_scan(tmp_path / "dce.nii.gz#2")
    assert channel.frames is None
    np.testing.assert_array_equal(channel.data, data[..., 2])


@pytest.mark.parametrize(("entry", "value"), [((2, 0), 3.6e16), ((0, 1), -1.7e38), ((1, 3), 1e12), ((0, 0), 1e308)])
def test_an_affine_that_damage_made_is_no_place(entry, value):
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    affine[entry] = value
    assert "no length in a patient" in str(Geometry.of((9, 9, 9), affine).fault)
    affine[entry] = 1e8 if entry[0] != entry[1] else 0.0
    assert Geometry.of((9, 9, 9), affine).fault or entry == (1, 3)
