"""Slices as scans and back, on whatever axes the file has."""

import nibabel as nib
import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.scan import Scan
from scanweave.studies.slice_scans import slice_image, slice_images, slice_scan

IMAGE = np.arange(12, dtype=np.float32).reshape(3, 4)


def test_slice_comes_back_as_it_went():
    np.testing.assert_array_equal(slice_image(slice_scan(IMAGE, 0.5)), IMAGE)


def test_front_is_up_and_the_patients_right_is_left():
    scan = slice_scan(IMAGE, 2.0)
    first, last = (scan.geometry.affine @ [*index, 0, 1] for index in ((0, 0), (3, 2)))
    np.testing.assert_allclose(first[:2], [3, 2])
    np.testing.assert_allclose(last[:2], [-3, -2])


def test_slice_is_read_through_any_orientation(tmp_path):
    scan = slice_scan(IMAGE, 1.0)
    turned = nib.as_closest_canonical(nib.Nifti1Image(scan.data, scan.geometry.affine))
    nib.save(turned, tmp_path / "turned.nii.gz")
    np.testing.assert_array_equal(slice_image(read_scan(tmp_path / "turned.nii.gz")), IMAGE)


def test_bins_lie_in_one_file(tmp_path):
    bins = np.stack([IMAGE, 2 * IMAGE])
    write_scan(tmp_path / "bins.nii.gz", slice_scan(bins, 1.0))
    read = [read_scan(tmp_path / f"bins.nii.gz#{number}") for number in range(2)]
    np.testing.assert_array_equal(slice_images(read), bins)


def test_volume_is_refused():
    with pytest.raises(ScanweaveError, match="not one slice"):
        slice_image(Scan.of(np.zeros((4, 4, 2)), np.eye(4)))


def test_bins_of_different_size_are_refused():
    with pytest.raises(ScanweaveError, match="differ in size"):
        slice_images([slice_scan(IMAGE, 1.0), slice_scan(IMAGE[:2], 1.0)])
