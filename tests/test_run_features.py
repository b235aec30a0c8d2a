"""Embeddings of runs join a clinical table, and nobody is described by a run that learnt from him."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.framework.fitted_run import FittedRun
from scanweave.framework.predicting import Predicted
from scanweave.run_features import cross_fitted_features
from scanweave.studies.cohort import Cohort
from scanweave.studies.layouts import import_cohort

PATIENTS = ("p0", "p1", "p2", "p3")


class Describer(FittedRun):
    """Describes a patient by his number and its square, on axes of its own: turned, shifted and stretched."""

    name = "describer"

    def __init__(self, cohort, fold, seen, targets=("embedding",)):
        self.turn, _ = np.linalg.qr(np.random.default_rng(fold).normal(size=(2, 2)))
        self.fold, self.plan = fold, SimpleNamespace(targets=targets, sources=("label:number",))
        about = {"path": str(cohort.folder), "sha256": cohort.digest}
        inputs = None if seen is None else {patient: {} for patient in seen}
        self.described = []
        self.run = SimpleNamespace(folder=cohort.folder.parent / f"run{fold}", record={"cohort": about}, inputs=inputs)

    def predictions(self, cohort, targets=None, *, done=(), say=print):
        assert targets == ["embedding"]
        for study in cohort:
            self.described.append(study.patient)
            own = np.array([study.labels["number"], study.labels["number"] ** 2], float)
            vector = own if self.fold == 0 else 3 * self.turn @ own + 10
            yield Predicted(study.id, study, study.answer(embeddings={"film": vector}))


def quiet(line):
    """Say nothing."""


def made(folder, patients=PATIENTS):
    rows = [{"study": f"{p}-{k}", "patient": p, "label:number": int(p[1]) + k} for p in patients for k in (0, 2)]
    return Cohort.create(folder, rows, root=".", name="f", source="x", layout="table")


@pytest.fixture
def cohort(tmp_path):
    return made(tmp_path / "films")


def test_one_run_tells_the_mean_of_a_patients_studies_on_its_own_axes(cohort):
    run = Describer(cohort, 0, ("p2", "p3"))
    assert cross_fitted_features([run], say=quiet) == {
        "p0": {"film_000": 1.0, "film_001": 2.0},
        "p1": {"film_000": 2.0, "film_001": 5.0},
    }
    assert {*run.described} == {"p0", "p1"}


def test_each_patient_is_described_by_a_run_that_did_not_see_him(cohort):
    said = []
    runs = [Describer(cohort, 0, ("p2", "p3")), Describer(cohort, 1, ("p0", "p1"))]
    found = cross_fitted_features(runs, say=said.append)
    assert {*found} == {*PATIENTS}
    assert said == [
        "features: run0 describes 2 patients, 2 patients left out that it learnt from",
        "features: run1 describes 2 patients, 2 patients left out that it learnt from",
    ]


def test_networks_that_differ_in_their_axes_alone_describe_alike(cohort):
    """Turn, shift and scale of a network's space change no likeness; its numbers would be others altogether."""
    first, second = (
        cross_fitted_features([Describer(cohort, a, ("p2", "p3")), Describer(cohort, b, ("p0", "p1"))], say=quiet)
        for a, b in ((0, 1), (2, 0))
    )
    for patient in PATIENTS:
        assert first[patient] == pytest.approx(second[patient], abs=1e-9)
        assert first[patient][f"film_00{patient[1]}"] == pytest.approx(1)  # alike to himself
    assert first["p0"]["film_001"] > first["p0"]["film_003"]  # more alike to p1 than to p3


def test_new_patients_are_described_beside_those_of_the_runs(cohort, tmp_path):
    runs = [Describer(cohort, 0, ("p2", "p3")), Describer(cohort, 1, ("p0", "p1"))]
    new = made(tmp_path / "new", ("p1", "p9"))
    found = cross_fitted_features(runs, new, say=quiet)
    assert {*found} == {"p1", "p9"}
    assert found["p1"] == pytest.approx(cross_fitted_features(runs, say=quiet)["p1"])
    assert found["p9"]["film_003"] > found["p9"]["film_000"]
    alone = Describer(cohort, 0, ("p1",))
    assert {*cross_fitted_features([alone], new, say=quiet)} == {"p9"}
    assert {*alone.described} == {"p9"}


def test_who_is_seen_by_all_runs_has_no_numbers_in_the_table(cohort, tmp_path):
    said = []
    found = cross_fitted_features([Describer(cohort, 0, ("p3",))], say=said.append)
    assert said[-1].startswith("note: 1 patient not described: every run learnt from them. Fit a run on each fold")
    lines = ["patient,age,outcome", *(f"{p},{50 + k},{k % 2}" for k, p in enumerate(PATIENTS))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    table = import_cohort(tmp_path / "t.csv", tmp_path / "both", features=found, say=said.append)
    assert table["p1"].table["film_000"] == 2.0
    assert "film_000" not in table["p3"].table
    assert table["p3"].table["age"] == 53
    assert "features: 2 of each of 3 of 4 patients" in said
    assert Cohort.open(tmp_path / "both").counts("table")["film_001"] == 3


def test_runs_that_cannot_be_joined_are_refused(cohort, tmp_path):
    whole = Describer(cohort, 0, ())
    with pytest.raises(ScanweaveError, match="does not tell whom it learnt from"):
        cross_fitted_features([Describer(cohort, 0, None)], say=quiet)
    with pytest.raises(ScanweaveError, match="makes no embeddings"):
        cross_fitted_features([Describer(cohort, 0, (), targets=("film",))], say=quiet)
    with pytest.raises(ScanweaveError, match=r"run0: learnt from every patient.*--fold"):
        cross_fitted_features([Describer(cohort, 0, PATIENTS)], say=quiet)
    with pytest.raises(ScanweaveError, match="run1: is not of the system and cohort of run0"):
        cross_fitted_features([whole, Describer(made(tmp_path / "other", ("p1", "p2")), 1, ())], say=quiet)
    (tmp_path / "t.csv").write_text("patient,age\nx,3\ny,4\n")
    with pytest.raises(ScanweaveError, match="none of its patients"):
        import_cohort(tmp_path / "t.csv", tmp_path / "out", features={"p0": {"film_000": 1.0}}, say=quiet)
