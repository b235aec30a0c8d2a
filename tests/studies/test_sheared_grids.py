"""A sheared image (gantry tilt) is read as it lies, and what is written of it lies at right angles, there too."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.geometry import Geometry
from scanweave.studies.scan import Scan

SHAPE = (40, 44, 36)


def tilted(shear: float) -> Geometry:
    turn = np.deg2rad(12)
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[1, 2] = 3 * shear
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    return Geometry.of(SHAPE, turned @ affine)


def blob(geometry: Geometry) -> np.ndarray:
    """A smooth image that is a function of the place alone."""
    places = geometry.positions(np.indices(geometry.shape).reshape(3, -1).T)
    centre = tilted(0.4).positions([np.array(SHAPE) / 2])[0]
    return (1000 * np.exp(-(((places - centre) / 15) ** 2).sum(axis=1))).reshape(geometry.shape).astype(np.float32)


def test_what_is_written_lies_at_right_angles_in_the_same_place(tmp_path):
    geometry = tilted(0.4)
    assert not geometry.is_orthogonal
    scan = Scan.of(blob(geometry) + 5, geometry.affine)
    path = write_scan(tmp_path / "a.nii.gz", scan, {"task": "t"})
    again = read_scan(path)
    assert again.geometry.skew < 1e-6
    assert geometry.overlap(again.geometry) == 1
    np.testing.assert_allclose(again.geometry.spacing, geometry.spacing, rtol=1e-6)
    inside = again.geometry.positions([np.unravel_index(again.data.argmax(), again.data.shape)])
    assert np.linalg.norm(inside - tilted(0.4).positions([np.array(SHAPE) / 2])) < 3
    covered = again.data > 5
    np.testing.assert_allclose(again.data[covered], blob(again.geometry)[covered] + 5, atol=15)
    comment = nib.load(path).header.extensions[0].get_content()
    assert "resampled to right angles" in str(comment)


def test_labels_stay_labels(tmp_path):
    geometry = tilted(0.3)
    labels = (blob(geometry) > 400).astype(np.uint8) * 7
    again = read_scan(write_scan(tmp_path / "a.nii", Scan.of(labels, geometry.affine)))
    assert set(np.unique(again.data)) == {0, 7}
    size = [np.linalg.det(grid.affine[:3, :3]) for grid in (geometry, again.geometry)]
    volume = np.count_nonzero(labels) * size[0]
    assert np.count_nonzero(again.data) * size[1] == pytest.approx(volume, rel=0.05)


@pytest.mark.parametrize("shear", [0.0, 1e-5, 1e-4, 9e-4, 2e-3, 0.4])
def test_itk_reads_whatever_is_written_in_the_right_place(tmp_path, shear):
    itk = pytest.importorskip("SimpleITK")
    geometry = tilted(shear)
    path = write_scan(tmp_path / "a.nii", Scan.of(blob(geometry), geometry.affine))
    image, ours = itk.ReadImage(str(path)), read_scan(path)
    assert not ours.notes
    index = [int(n) // 2 for n in ours.geometry.shape]
    place = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
    np.testing.assert_allclose(place, ours.geometry.positions([index])[0], atol=0.1)
    np.testing.assert_array_equal(itk.GetArrayFromImage(image).T, ours.data)
