"""Predictions lie where the scans lie: any axis order and flip, oblique, on several grids, resampled or not."""

import copy
from itertools import permutations, product
from types import SimpleNamespace

import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy.spatial.transform import Rotation

from scanweave.studies.geometry import Geometry
from scanweave.studies.preparing.plan import IntensityRule
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

ORIENTATIONS = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]
CENTRE = np.array([4.3, -7.1, 11.9])
WIDTHS = np.array([7.0, 9.0, 11.0])
ALIGNED = 1e-3
"""Largest distance between the contents [mm]."""


def grid(order, signs, seed, spacing=(2.0, 2.4, 3.1)):
    """A grid whose axes are permuted and flipped, then turned by a random angle, around the content."""
    draw = np.random.default_rng([6, seed])
    turn = Rotation.random(random_state=int(draw.integers(2**31))).as_matrix()
    axes = np.zeros((3, 3))
    for column, (row, sign) in enumerate(zip(order, signs, strict=True)):
        axes[row, column] = sign * spacing[column]
    affine = np.eye(4)
    affine[:3, :3] = turn @ axes
    shape = np.ceil(100 / np.array(spacing)).astype(int) + np.array([0, 3, 5])
    affine[:3, 3] = CENTRE + draw.uniform(-4, 4, 3) - affine[:3, :3] @ ((shape - 1) / 2)
    return Geometry.of(shape, affine)


def lattice(geometry):
    return apply_affine(geometry.affine, np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1))


def blob(geometry):
    """A lopsided content whose centre is known in millimetres, not in voxels; 0 around it."""
    distance = (((lattice(geometry) - CENTRE) / WIDTHS) ** 2).sum(-1)
    values = 1000 * np.exp(-distance / 2)
    return np.where(values > 0.5, values, 0).astype(np.float32)


def centre(scan):
    weights = np.asarray(scan.data, dtype=np.float64)
    return (lattice(scan.geometry) * weights[..., None]).sum((0, 1, 2)) / weights.sum()


@pytest.fixture
def copier(fitted):
    """A system that gives its sources back, averaged; `spacing` makes its plan resample."""

    def make(spacing=None):
        system = copy.copy(fitted.system)
        rule = IntensityRule(kind="magnitude", low=0.0, high=50.0)
        settings = system.plan.settings.model_copy(update={"headroom": 3.0})
        changes = {"spacing": spacing, "settings": settings, "rules": dict.fromkeys(system.sequences, rule)}
        system.plan = system.plan.model_copy(update=changes)

        def combine(volumes, targets):
            return {target: np.mean(list(volumes.values()), axis=0) for target in targets}

        system.synthesizer = SimpleNamespace(combine=combine)
        return system

    return make


def study(draw, **grids):
    return Study("s", "p", {name: Scan.of(draw(geometry), geometry.affine) for name, geometry in grids.items()})


def ramp(direction):
    """A content that grows by 1 a millimetre, which linear interpolation keeps exactly; 0 outside an ellipsoid."""

    def draw(geometry):
        return np.where(depth(geometry) < 1, height(geometry, direction), 0).astype(np.float32)

    return draw


def height(geometry, direction):
    return 200 + (lattice(geometry) - CENTRE) @ direction


def depth(geometry):
    return np.linalg.norm((lattice(geometry) - CENTRE) / (4 * WIDTHS), axis=-1)


def displacement(system, given, own):
    """Largest distance along three directions between content and its prediction, well inside the ellipsoid [mm]."""
    found = []
    for direction in np.eye(3):
        scans = study(ramp(direction), **given)
        made = system.predict(scans, ["flair"])["flair"]
        np.testing.assert_array_equal(made.geometry.affine, own.affine)
        assert made.data.shape == own.shape
        scales = system.prepare(scans).frame.scales
        unit = np.mean([system.plan.rule("flair").high / scale for scale in scales.values()])
        inside = depth(own) < 0.4
        found.append(np.abs(made.data / unit - height(own, direction))[inside].max())
    return max(found)


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_all_axis_orders_and_flips_come_back(copier, order, signs):
    seed = ORIENTATIONS.index((order, signs))
    own = grid(order, signs, seed)
    given = study(blob, t1=own)
    made = copier().predict(given, ["flair"])["flair"]
    np.testing.assert_array_equal(made.geometry.affine, own.affine)
    assert made.data.shape == own.shape
    assert np.abs(centre(made) - centre(given["t1"])).max() <= ALIGNED
    ratio = made.data[given["t1"].data > 10] / given["t1"].data[given["t1"].data > 10]
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-3)  # voxel by voxel the source, in the target's units


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS[::5])
def test_resampled_content_stays_where_it_was(copier, order, signs):
    own = grid(order, signs, 100 + ORIENTATIONS.index((order, signs)))
    assert displacement(copier((2.7, 2.7, 2.7)), {"t1": own}, own) <= ALIGNED


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS[2::7])
def test_scans_on_other_grids_are_brought_to_the_finest(copier, order, signs):
    seed = 200 + ORIENTATIONS.index((order, signs))
    own, other = grid(order, signs, seed), grid((2, 0, 1), (1, -1, 1), seed + 1000, spacing=(3.0, 3.2, 2.9))
    assert displacement(copier(), {"t1": own, "t1c": other}, own) <= ALIGNED
    assert displacement(copier((2.9, 2.5, 3.3)), {"t1": other, "t1c": own}, own) <= ALIGNED


def test_a_shift_of_one_voxel_would_be_seen(copier):
    """The measure of alignment can fail: the same content a voxel beside is 2 mm off."""
    own = grid((0, 1, 2), (1, 1, 1), 0)
    made = copier().predict(study(blob, t1=own), ["flair"])["flair"]
    moved = Scan.of(np.roll(made.data, 1, axis=0), own.affine)
    assert np.linalg.norm(centre(moved) - CENTRE) > 1.9
