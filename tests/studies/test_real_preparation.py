"""Registration and brain mask on real heads, against what others found for them."""

from functools import lru_cache

import numpy as np
import pytest

from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.preparing.brain_mask import find_brain
from scanweave.studies.preparing.registration import RegistrationSettings, make_target, register
from scanweave.studies.preparing.transforms import displacement_mm, read_itk_matrix
from scanweave.studies.scan import Scan

pytest.importorskip("SimpleITK")
pytestmark = pytest.mark.real
SHRUNK = RegistrationSettings(spacing_mm=3.0)


@lru_cache(maxsize=4)
def to_twin(real_data, name):
    """From a native scan to its registered, brain-masked twin: the same sequence, so nearly the same picture."""
    folder = real_data / "mri_multiseq"
    native = read_scan(folder / "TCGA-FG-6692_native" / f"{name}.nii.gz")
    twin = read_scan(folder / "TCGA-FG-6692" / f"{name}.nii.gz")
    target = make_target("twin", twin, SHRUNK)
    return native, twin, target, register(name, native, target, SHRUNK).transform


@pytest.mark.parametrize("name", ["t1c", "t2", "fla"])
def test_sequences_lie_to_each_other_as_in_the_registered_twin(real_data, name):
    """BraTS' own registration is the yardstick: native → twin of each sequence, and the difference of the two."""
    scan, _, _, own = to_twin(real_data, name)
    fixed, _, twin, reference = to_twin(real_data, "t1")
    found = register(name, scan, make_target("t1", fixed, SHRUNK), SHRUNK).transform
    places = own.inverse.apply(twin.inside)  # brain voxels in the native scan
    theirs = reference.inverse.matrix @ own.matrix
    assert displacement_mm(np.eye(4), theirs, places).mean() > 8  # the headers are wrong by this
    assert displacement_mm(found.matrix, theirs, places).mean() < 2


@pytest.mark.parametrize(
    ("moving", "fixed", "most_mm"),
    [("study1_T1W", "study1_FLAIR", 1.5), ("study2_T1W", "study2_FLAIR", 1.5), ("study2_FLAIR", "study1_FLAIR", 1.0)],
)
def test_visits_and_sequences_against_the_given_transforms(real_data, moving, fixed, most_mm):
    """The files are ITK's: fixed → moving, LPS, about the centre in FixedParameters; affine, of scales up to 0.5 %."""
    folder = real_data / "mri_ms_longitudinal" / "patient12"
    if moving.endswith("T1W"):
        theirs = read_itk_matrix(folder / f"{moving}_intrastudy_to_FLAIR.txt")
    else:  # each is common space → visit
        first, second = (read_itk_matrix(folder / f"{scan}_to_common_space.txt") for scan in (fixed, moving))
        theirs = second @ np.linalg.inv(first)
    target = make_target(fixed, read_scan(folder / f"{fixed}.nii.gz"), SHRUNK)
    found = register(moving, read_scan(folder / f"{moving}.nii.gz"), target, SHRUNK)
    error = displacement_mm(found.transform.inverse.matrix, theirs, target.inside).mean()
    assert error < most_mm
    assert found.after > found.before


def test_brain_mask_against_the_masked_twin(real_data):
    pytest.importorskip("nilearn")
    native, twin, _, place = to_twin(real_data, "t1")
    theirs = Scan.of((np.asarray(twin.data) != 0).astype(np.uint8), twin.geometry.affine)
    brain = np.asarray(place.inverse.resample(theirs, native.geometry, "nearest").data) > 0
    found = find_brain("t1", native).mask
    assert 2 * (found & brain).sum() / (found.sum() + brain.sum()) > 0.92


def test_a_masked_brain_is_taken_as_it_is(real_data):
    twin = read_scan(real_data / "mri_multiseq" / "TCGA-FG-6692" / "t1.nii.gz")
    found = find_brain("t1", twin)
    assert "nothing but a brain" in found.why
    np.testing.assert_array_equal(found.mask, np.asarray(twin.data) != 0)
