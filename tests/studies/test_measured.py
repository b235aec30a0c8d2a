import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.measured_slices import check_truth, refuse_faults, true_bins, with_truth
from scanweave.studies.slice_scans import slice_scan

BINS = tuple(f"bin{number}" for number in range(1, 12))


@pytest.fixture
def cohort(tmp_path):
    """Three studies: whole, without the last bin, without its sinogram."""
    images = {f"scan:{name}": f"{name}.nii.gz" for name in (*reversed(BINS), "iodine")}
    whole = {"study": "a", "patient": "a", "sinogram:ct": "ct.h5", **images}
    rows = [whole, {**whole, "study": "b", "scan:bin11": None}, {**whole, "study": "c", "sinogram:ct": None}]
    return Cohort.create(tmp_path / "cohort", rows, root=".", name="c", source="test", layout="table")


def test_bins_are_found_in_their_order(cohort):
    assert true_bins(cohort) == BINS
    assert true_bins(cohort, ["bin2"]) == ("bin2",)
    assert cohort.counts("sinogram") == {"ct": 2}


def test_incomplete_studies_are_left_out_and_said(cohort):
    lines = []
    assert with_truth(cohort, "ct", BINS, lines.append).studies == ["a"]
    assert lines == ["studies: 1 of 3 studies have the sinogram and a true image of every bin"]


def test_what_is_not_there_is_named(cohort):
    with pytest.raises(ScanweaveError, match="has no clean image 'clean'"):
        true_bins(cohort, ["bin1", "clean"])
    with pytest.raises(ScanweaveError, match=r"has no true images of its bins"):
        true_bins(cohort.where(cohort.frame["study"] == "none"))
    with pytest.raises(ScanweaveError, match=r"has no sinogram 'pet'\. It has ct"):
        with_truth(cohort, "pet", BINS, print)
    with pytest.raises(ScanweaveError, match="no study has its sinogram and bin11"):
        with_truth(cohort.select(["b"]), "ct", ["bin11"], print)


@pytest.mark.parametrize(
    ("scale", "offset", "zoom", "says"),
    [
        (10.0, 0.0, 1.0, r"reconstructs to 0\.1\d* times"),  # 1/cm
        (5e4, -1e3, 1.0, "no attenuation in 1/mm"),  # HU
        (0.0, 0.0, 1.0, "reconstructs to 0 times"),
        (1.0, 0.0, 10.0, r"pixels of 15 × 15 mm, its scan of 1\.5 mm"),
    ],
)
def test_truth_of_another_unit_or_pixel_is_refused(scale, offset, zoom, says):
    rng = np.random.default_rng(0)
    image = 0.02 * (np.hypot(*np.mgrid[-16:16, -16:16]) < 12)
    made = (image + 0.02 * rng.standard_normal((2, 32, 32))).astype(np.float32)  # as noisy as it is bright
    check_truth("a", [slice_scan(image, 1.5)] * 2, np.stack([image, image]), made, 1.5)
    other = scale * np.stack([image, image]) + offset
    with pytest.raises(ScanweaveError, match=says) as caught:
        check_truth("a", [slice_scan(one, 1.5 * zoom) for one in other], other, made, 1.5)
    assert "\n" not in str(caught.value)


def test_faults_of_studies_are_named_together(cohort):
    faults = {name: ScanweaveError("angles", f"are odd {name}", "Mend") for name in "abcd"}
    with pytest.raises(ScanweaveError, match=r"4 studies cannot be learnt from \(a: angles: are odd a; b: .* …\)"):
        refuse_faults(cohort, faults)
    with pytest.raises(ScanweaveError, match=r"^a: angles: are odd a\. Mend"):
        refuse_faults(cohort, {"a": faults["a"]})
    refuse_faults(cohort, {})
