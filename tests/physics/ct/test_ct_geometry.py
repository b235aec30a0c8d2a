import dataclasses
import json
import math

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.physics.ct.geometry import (
    FanArcGeometry,
    FanFlatGeometry,
    ParallelGeometry,
    even_angles,
    geometry_from_dict,
)
from scanweave.physics.ct.lines import joseph_lines

PARALLEL = {"shape": (8, 10), "pixel": 0.5, "angles": (0.0, 90.0), "detectors": 13, "pitch": 0.5}
FAN = PARALLEL | {"source": 20.0, "detector": 10.0}


def distance_to_centre(geometry):
    ends = geometry.rays()
    direction = ends[..., 1, :] - ends[..., 0, :]
    cross = ends[..., 0, 0] * direction[..., 1] - ends[..., 0, 1] * direction[..., 0]
    return cross / np.linalg.norm(direction, axis=-1)


def test_parallel_rays_are_the_lines_of_the_radon_transform():
    geometry = ParallelGeometry(**PARALLEL | {"angles": (0.0, 30.0, 200.0), "offset": 0.125})
    theta = np.deg2rad(geometry.angles)[:, None, None]
    x, y = np.moveaxis(geometry.rays(), -1, 0)
    s = np.broadcast_to(geometry.positions[None, :, None], x.shape)
    np.testing.assert_allclose(x * np.cos(theta) + y * np.sin(theta), s, atol=1e-12)
    assert geometry.positions.mean() == pytest.approx(0.125)


@pytest.mark.parametrize("kind", [FanFlatGeometry, FanArcGeometry])
def test_fan_rays_leave_the_source_at_their_angle(kind):
    geometry = kind(**FAN)
    expected = np.broadcast_to(geometry.source * np.sin(geometry.fan_angles), geometry.sinogram_shape)
    np.testing.assert_allclose(distance_to_centre(geometry), expected, atol=1e-12)
    reach = np.linalg.norm(geometry.rays()[:, :, 1] - geometry.rays()[:, :, 0], axis=-1)
    flat = np.hypot(30.0, geometry.positions) if kind is FanFlatGeometry else np.full(13, 30.0)
    np.testing.assert_allclose(reach, np.broadcast_to(flat, reach.shape))


@pytest.mark.parametrize("kind", [FanFlatGeometry, FanArcGeometry])
def test_covering_fan_sees_every_corner(kind):
    geometry = kind.covering((30, 40), 0.8, even_angles(3), source=60.0, detector=40.0)
    assert np.abs(distance_to_centre(geometry)).max() >= geometry.radius
    assert geometry.half_fan == pytest.approx(math.asin(geometry.radius / 60.0))


@pytest.mark.parametrize("geometry", [ParallelGeometry(**PARALLEL), FanFlatGeometry(**FAN), FanArcGeometry(**FAN)])
def test_file_gives_back_the_geometry(geometry):
    again = geometry_from_dict(json.loads(json.dumps(geometry.to_dict())))
    assert again == geometry
    assert hash(again) == hash(geometry)
    assert again.digest == geometry.digest
    assert dataclasses.replace(geometry, offset=0.1).digest != geometry.digest


def test_kinds_of_equal_fields_are_not_equal():
    assert FanFlatGeometry(**FAN) != FanArcGeometry(**FAN)
    assert FanFlatGeometry(**FAN).digest != FanArcGeometry(**FAN).digest


def test_each_ray_is_walked_once_and_its_crossings_counted():
    geometry = FanFlatGeometry(**FAN | {"angles": even_angles(17, 360)})
    steep, flat = joseph_lines(geometry)
    assert sorted(np.concatenate([steep.index, flat.index])) == list(range(17 * 13))
    for lines in (steep, flat):
        rows, columns = lines.grid
        places = lines.start + lines.slope * np.arange(rows)[:, None]
        assert lines.crossings() == ((places > -1) & (places < columns)).sum()


@pytest.mark.parametrize(
    ("kind", "change", "word"),
    [
        (ParallelGeometry, {"shape": (8,)}, "shape"),
        (ParallelGeometry, {"shape": (8, 0)}, "shape"),
        (ParallelGeometry, {"shape": (10**6, 10**6)}, "geometry"),
        (ParallelGeometry, {"pixel": 0.0}, "pixel"),
        (ParallelGeometry, {"pixel": "wide"}, "pixel"),
        (ParallelGeometry, {"pitch": math.nan}, "pitch"),
        (ParallelGeometry, {"angles": ()}, "angles"),
        (ParallelGeometry, {"angles": (0.0, math.inf)}, "angles"),
        (ParallelGeometry, {"angles": "many"}, "angles"),
        (ParallelGeometry, {"detectors": 2.5}, "detectors"),
        (ParallelGeometry, {"offset": math.inf}, "offset"),
        (FanFlatGeometry, {"source": 3.0}, "source"),
        (FanFlatGeometry, {"detector": -1.0}, "detector"),
        (FanArcGeometry, {"pitch": 10.0}, "detectors"),
    ],
)
def test_bad_geometry_is_told_in_one_line(kind, change, word):
    base = PARALLEL if kind is ParallelGeometry else FAN
    with pytest.raises(ScanweaveError) as caught:
        kind(**base | change)
    assert str(caught.value).startswith(f"{word}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change", [{"kind": "cone"}, {"kind": ["parallel"]}, {"colour": 1}, {"source": 3.0}, {"pixel": None}]
)
def test_bad_file_is_told_in_one_line(change):
    with pytest.raises(ScanweaveError):
        geometry_from_dict(ParallelGeometry(**PARALLEL).to_dict() | change)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": None}, "fan-flat lacks 'source'"),
        ({"tilt": 3.0}, "fan-flat knows no 'tilt'"),
        ({"angles": [0.0, float("nan")]}, "some are not finite"),
    ],
)
def test_what_a_geometry_lacks_is_named(change, says):
    whole = FanFlatGeometry.covering((8, 8), 1.0, even_angles(6, 360), source=60, detector=40).to_dict()
    with pytest.raises(ScanweaveError, match=says) as caught:
        geometry_from_dict({name: value for name, value in {**whole, **change}.items() if value is not None})
    assert "__init__" not in str(caught.value)
