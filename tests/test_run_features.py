"""Embeddings of runs join a clinical table, and nobody is described by a run that learnt from him."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.framework.system import Predicted
from scanweave.run_features import cross_fitted_features
from scanweave.studies.cohort import Cohort
from scanweave.studies.layouts import import_cohort

PATIENTS = ("p0", "p1", "p2", "p3")


class Describer:
    """Describes a patient by his number and its own fold."""

    def __init__(self, cohort, fold, seen, size=2):
        self.fold, self.size = fold, size
        about = {"path": str(cohort.folder), "sha256": cohort.digest}
        inputs = None if seen is None else {patient: {} for patient in seen}
        folder = cohort.folder.parent / f"run{fold}"
        self.run = SimpleNamespace(folder=folder, record={"cohort": about}, inputs=inputs)

    def predictions(self, cohort, targets=None, *, done=(), say=print):
        for study in cohort:
            vector = np.full(self.size, 10.0 * self.fold)
            vector[:1] += study.labels["number"]
            yield Predicted(study.id, study, study.answer(embeddings={"film": vector} if self.size else {}))


@pytest.fixture
def cohort(tmp_path):
    rows = [{"study": f"{p}-{k}", "patient": p, "label:number": int(p[1]) + k} for p in PATIENTS for k in (0, 2)]
    return Cohort.create(tmp_path / "films", rows, root=".", name="f", source="x", layout="table")


def test_each_patient_is_described_by_a_run_that_did_not_see_him(cohort):
    said = []
    runs = [Describer(cohort, 0, ("p2", "p3")), Describer(cohort, 1, ("p0", "p1"))]
    found = cross_fitted_features(runs, said.append)
    assert found["p0"] == {"film_000": 1.0, "film_001": 0.0}
    assert found["p3"] == {"film_000": 14.0, "film_001": 10.0}
    assert said[0] == "features: run0 describes 2 patients, 2 patients left out that it learnt from"


def test_who_is_seen_by_all_runs_has_no_numbers_in_the_table(cohort, tmp_path):
    found = cross_fitted_features([Describer(cohort, 0, ("p3",))], lambda line: None)
    lines = ["patient,age,outcome", *(f"{p},{50 + k},{k % 2}" for k, p in enumerate(PATIENTS))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    said = []
    made = import_cohort(tmp_path / "t.csv", tmp_path / "both", features=found, say=said.append)
    assert made["p1"].table["film_000"] == 2.0
    assert "film_000" not in made["p3"].table
    assert made["p3"].table["age"] == 53
    assert "features: 2 of each of 3 of 4 patients" in said
    assert Cohort.open(tmp_path / "both").counts("table")["film_001"] == 3


def test_runs_that_cannot_be_joined_are_refused(cohort, tmp_path):
    quiet = [].append
    with pytest.raises(ScanweaveError, match="does not tell whom it learnt from"):
        cross_fitted_features([Describer(cohort, 0, None)], quiet)
    with pytest.raises(ScanweaveError, match="makes no embeddings"):
        cross_fitted_features([Describer(cohort, 0, (), size=0)], quiet)
    with pytest.raises(ScanweaveError, match="makes 3 numbers"):
        cross_fitted_features([Describer(cohort, 0, ("p0",)), Describer(cohort, 1, (), size=3)], quiet)
    (tmp_path / "t.csv").write_text("patient,age\nx,3\ny,4\n")
    with pytest.raises(ScanweaveError, match="none of its patients"):
        import_cohort(tmp_path / "t.csv", tmp_path / "out", features={"p0": {"film_000": 1.0}}, say=quiet)
