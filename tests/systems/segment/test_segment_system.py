"""Segment from a cohort to a report."""

import json

import numpy as np
import pytest

import scanweave as sw
from scanweave import api
from scanweave.cli.main import main
from scanweave.simulate.cohort import simulate_brain
from scanweave.studies.splits import make_splits, write_splits

TINY = {
    "mask": "brain",
    "network": {"first_channels": 4, "stages": 3, "patch": [16, 16, 16]},
    "training": {"steps": 6, "validate_every": 3, "log_every": 1, "warm_up": 0, "device": "cpu"},
}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segment")
    cohort = simulate_brain(folder / "c", subjects=6, seed=0, spacing=8.0, sequences=("t1", "flair"), missing=0.2)
    write_splits(cohort.folder, make_splits(cohort.patients, 3, seed=1))
    cohort = sw.Cohort.open(cohort.folder)
    lines: list[str] = []
    return cohort, api.fit("segment", cohort, folder / "run", config=TINY, say=lines.append), lines


def test_choices_are_told_with_their_reasons(fitted):
    text = "\n".join(fitted[2])
    assert "patch: 16×16×16 voxels, as asked" in text
    assert "each image's own mean → 0 and deviation → 1" in text


def test_the_way_by_the_command_line(fitted, tmp_path, capsys):
    cohort, system, _ = fitted
    run, folder = str(system.run.folder), str(cohort.folder)
    assert main(["predict", run, "--cohort", folder, "--out", str(tmp_path / "p"), "--part", "test"]) == 0
    assert "wrote 2 masks" in capsys.readouterr().out
    made = sw.Cohort.open(tmp_path / "p")
    study = made[made.studies[0]]
    assert set(np.unique(study.masks["brain"].data)) <= {0, *system.values}
    assert study.masks["brain"].geometry.shape == cohort[study.id]["t1"].geometry.shape
    assert main(["evaluate", run, "--cohort", folder, "--tolerance", "8", "--lesions"]) == 0
    record = json.loads((system.run.folder / "evaluation" / "summary.json").read_text())
    assert record["about"]["tolerance"] == 8
    assert (system.run.folder / "evaluation" / "lesions.csv").is_file()
    page = system.report().read_text()
    assert "Structures of brain" in page
    assert "surfaces within 8 mm" in page


def test_mask_that_is_not_there_is_refused_in_one_line(fitted, tmp_path):
    with pytest.raises(sw.ScanweaveError, match="mask: 'brian' is not in the cohort"):
        api.fit("segment", fitted[0], tmp_path / "no", config={**TINY, "mask": "brian"}, say=str)
    several = {key: value for key, value in TINY.items() if key != "mask"}
    with pytest.raises(sw.ScanweaveError, match=r"has several masks .* Name one by --mask"):
        api.fit("segment", fitted[0], tmp_path / "no", config=several, say=str)


def test_study_without_scans_of_the_run_is_refused(fitted):
    with pytest.raises(sw.ScanweaveError, match="holds no scan of this run"):
        fitted[1].predict(sw.Study("x", "x"))
