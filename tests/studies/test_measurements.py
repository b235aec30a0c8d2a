"""Studies that hold sinograms: read when asked for, checked with the rest."""

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.checks.cohort_check import check_cohort
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.formats.sinogram_hdf5 import read_sinogram, write_sinogram
from scanweave.studies.sinogram import Sinogram
from scanweave.studies.slice_scans import slice_scan

pytest.importorskip("h5py")


def _sinogram(**fields):
    values = np.full((2, 3, 4), 50.0)
    spectrum = {"energies": np.array([30.0, 60.0]), "photons": np.ones(2), "response": np.eye(2)}
    return Sinogram(
        values,
        "counts",
        {"views": 3, "detectors": 4},
        air=np.full(2, 99.0),
        thresholds=np.array([20.0, 50.0]),
        **{**spectrum, **fields},
    )


@pytest.fixture
def cohort(tmp_path):
    write_sinogram(tmp_path / "a.h5", _sinogram())
    write_scan(tmp_path / "a.nii.gz", slice_scan(np.random.default_rng(0).random((30, 30)), 1.0))
    (tmp_path / "b.h5").write_bytes(b"no HDF5")
    rows = [
        {"study": "a", "patient": "a", "sinogram:ct": "a.h5", "scan:bin1": "a.nii.gz"},
        {"study": "b", "patient": "b", "sinogram:ct": "b.h5", "scan:bin1": None},
        {"study": "c", "patient": "c", "sinogram:ct": None, "scan:bin1": "a.nii.gz"},
    ]
    return Cohort.create(tmp_path, rows, root=".", name="t", source="test", layout="test")


def test_sinogram_is_read_on_use_only(cohort):
    study = cohort["b"]
    assert list(study.sinograms) == ["ct"]
    with pytest.raises(ScanweaveError, match=r"b\.h5"):
        study.sinogram("ct")
    assert cohort["a"].sinogram("ct").bins == 2


def test_absent_sinogram_is_named(cohort):
    with pytest.raises(ScanweaveError, match="c: sinogram 'ct' is absent"):
        cohort["c"].sinogram("ct")


def test_check_reads_sinograms_and_takes_their_slices(cohort):
    verdicts = {verdict.study: verdict for verdict in check_cohort(cohort)}
    assert verdicts["a"].status != "refused"
    assert verdicts["b"].status == "refused"
    assert verdicts["c"].status != "refused"  # all are slices here, so a slice without a sinogram is no odd one


def test_response_comes_back(tmp_path):
    write_sinogram(tmp_path / "s.h5", _sinogram())
    np.testing.assert_array_equal(read_sinogram(tmp_path / "s.h5").response, np.eye(2))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"response": np.ones((3, 2))}, "response has the shape"),
        ({"response": -np.eye(2)}, "negative"),
        ({"energies": None, "photons": None}, "response without a spectrum"),
    ],
)
def test_response_without_sense_is_refused(fields, reason):
    with pytest.raises(ScanweaveError, match=reason):
        _sinogram(**fields)


def _faulty(rng):
    """Counts of three bins: as they should be, a tenth dark, a fifth at the limit."""
    values = rng.poisson(5000, (3, 30, 40)).astype(np.float64)
    values[1, :3] = 0
    values[2] = np.minimum(values[2], np.quantile(values[2], 0.8))
    geometry = {"views": 30, "detectors": 40}
    return Sinogram(values, "counts", geometry, air=np.full(3, 8e3), thresholds=np.array([20.0, 40.0, 60.0]))


def test_dark_and_saturated_readings_are_told_by_the_check(tmp_path):
    rng = np.random.default_rng(0)
    write_sinogram(tmp_path / "a.h5", _faulty(rng))
    write_scan(tmp_path / "a.nii.gz", slice_scan(rng.random((30, 30)), 1.0))
    row = {"study": "a", "patient": "a", "sinogram:ct": "a.h5", "scan:bin1": "a.nii.gz"}
    (verdict,) = check_cohort(Cohort.create(tmp_path, [row], root=".", name="t", source="test", layout="test"))
    said = [str(finding) for finding in verdict.findings if finding.kind == "counts"]
    assert verdict.status == "suspect"
    assert len(said) == 2
    assert said[0].startswith("sinogram:ct: 10.0% of the readings of bin 1 hold no photon")
    assert "saturated?" in said[1]


def test_photons_alone_raise_no_doubt():
    values = np.random.default_rng(0).poisson(500, (2, 30, 40)).astype(np.float64)
    air, thresholds = np.full(2, 600.0), np.array([20.0, 50.0])
    assert not Sinogram(values, "counts", {"views": 30}, air=air, thresholds=thresholds).doubts()


def test_bins_of_one_doubt_are_told_together():
    values = np.minimum(np.random.default_rng(0).poisson(5000, (3, 30, 40)), 5000).astype(np.float64)
    thresholds = np.array([20.0, 40.0, 60.0])
    (doubt,) = Sinogram(values, "counts", {"views": 30}, air=np.full(3, 8e3), thresholds=thresholds).doubts()
    assert "of the readings of bins 0, 1, 2 are its largest" in doubt[0]
