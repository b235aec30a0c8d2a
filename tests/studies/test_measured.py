import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.measured import true_bins, with_truth

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
