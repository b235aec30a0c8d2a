"""A model that ships: opened by its name, used on a folder of images, and the start of a fit to few patients."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import scanweave
from scanweave import api
from scanweave.cli.main import main
from scanweave.engine import weight_sources
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import file_sha256
from scanweave.simulate.cohort import simulate_brain
from scanweave.systems.seq2seq import few_patients
from scanweave.systems.seq2seq.config import BEST
from scanweave.systems.seq2seq.system import Seq2Seq

TRAINING = BEST.training.model_copy(
    update={"steps": 2, "warm_up": 0, "validate_every": 2, "batch_size": 1, "log_every": 1}
)
TINY = BEST.model_copy(
    update={
        "network": BEST.network.model_copy(update={"channels": (4, 8), "rank": 2}),
        "sampling": BEST.sampling.model_copy(update={"crop": (16, 16), "regression_samples": 8}),
        "training": TRAINING,
    }
)


def silent(line):
    """Take a line and show it nowhere."""


def brain_model(folder):
    """Simulate four patients into `folder/sim`, and fit the run `folder/builtin/brain`."""
    cohort = simulate_brain(
        folder / "sim", subjects=4, seed=3, spacing=8.0, sequences=("t1", "t1c", "t2", "flair"), lesion_share=0.0
    )
    Seq2Seq.fit(cohort, folder / "builtin" / "brain", TINY, say=silent)
    shutil.rmtree(folder / "builtin" / "brain" / "checkpoints")


@pytest.fixture(scope="module")
def made(made_once):
    return made_once(brain_model)


@pytest.fixture
def shipped(made, tmp_path, monkeypatch):
    """The folder of a builtin `brain`, as if it were part of the package."""
    folder = tmp_path / "package"
    shutil.copytree(made / "builtin", folder)
    monkeypatch.setattr(weight_sources, "SHIPPED", folder)
    return folder / "brain"


@pytest.fixture
def patients(made, tmp_path):
    """A folder of two patients under names of their own, one with a sequence that the run does not know."""
    folder, studies = tmp_path / "scans", made / "sim" / "studies"
    for study, files in {"A": {"T1w": "t1", "T2w": "t2", "adc": "t2"}, "B": {"t1ce": "t1c", "FLAIR": "flair"}}.items():
        (folder / study).mkdir(parents=True)
        for name, scan in files.items():
            shutil.copy(studies / "sub-000000" / f"{scan}.nii.gz", folder / study / f"{study}_{name}.nii.gz")
    return folder


def contents(folder: Path):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_any_folder_is_completed_by_one_command(shipped, patients, tmp_path, capsys):
    before, inputs, out = contents(shipped), contents(patients), tmp_path / "out"
    command = ["predict", "builtin:brain", "--in", str(patients), "--out", str(out)]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "scan:t1c ← t1ce" in told
    assert "not used: adc; the run knows t1, t1c, t2, flair" in told
    assert "taken: t1 1 · t1c 1 · t2 1 · flair 1, of 2 studies" in told
    assert "wrote 4 synthetic images" in told
    names = {path.name for path in out.rglob("*.nii.gz")}
    assert names == {f"{a}_{b}_synthetic.nii.gz" for a, b in (("A", "t1c"), ("A", "flair"), ("B", "t1"), ("B", "t2"))}
    given, made = nib.load(patients / "A" / "A_T1w.nii.gz"), nib.load(out / "A" / "A_flair_synthetic.nii.gz")
    assert made.shape == given.shape
    assert np.array_equal(made.affine, given.affine)
    assert (contents(shipped), contents(patients)) == (before, inputs)
    assert main(command) == 0
    assert "2 studies kept" in capsys.readouterr().out


def test_a_folder_of_one_patient_is_a_study(shipped, made, tmp_path):
    folder = tmp_path / "Patient X"
    folder.mkdir()
    for name in ("t2", "flair"):
        shutil.copy(made / "sim" / "studies" / "sub-000001" / f"{name}.nii.gz", folder / f"{name.upper()}.nii.gz")
    done = api.predict_folder("builtin:brain", folder, tmp_path / "out", note=silent)
    assert done.made == {"scan": 2}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["builtin:mars", "--in", "{scans}"], "builtin:mars: there are no such weights. Choose from brain"),
        (["builtin:brain", "--in", "{scans}", "--part", "test"], "a folder of images is not split"),
        (["builtin:brain", "--in", "{scans}", "--cohort", "{scans}"], "is in place of --cohort"),
        (["builtin:brain"], "no studies are named. Add --cohort COHORT, or --in FOLDER"),
        (["builtin:brain", "--in", "{other}"], "holds none of what the run knows (t1, t1c, t2, flair)"),
        (["builtin:brain", "--in", "{tmp}"], "lies in"),
    ],
)
def test_a_mistake_is_told_in_a_line_and_leaves_nothing(shipped, patients, tmp_path, capsys, options, words):
    (tmp_path / "other" / "A").mkdir(parents=True)
    shutil.copy(patients / "A" / "A_adc.nii.gz", tmp_path / "other" / "A" / "A_adc.nii.gz")
    places = {"scans": patients, "other": tmp_path / "other", "tmp": tmp_path}
    assert main(["predict", *(word.format(**places) for word in options), "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_builtin_that_is_not_there_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_sources, "SHIPPED", tmp_path)
    with pytest.raises(ScanweaveError, match=r"is not installed\. Make it: python tools/train_builtin.py brain"):
        scanweave.open_run("builtin:brain")


def test_a_builtin_is_evaluated_into_another_folder(shipped, made, tmp_path, capsys):
    before = contents(shipped)
    command = ["evaluate", "builtin:brain", "--cohort", str(made / "sim"), "--studies", "sub-000000"]
    assert main(command) == 2
    assert "nothing is written to the folder of a builtin" in capsys.readouterr().err
    assert main([*command, "--slices", "every 2nd", "--out", str(tmp_path / "evaluation")]) == 0
    assert (tmp_path / "evaluation" / "summary.csv").is_file()
    told = capsys.readouterr().out
    assert "note: the fit saw 1 of them" in told
    with pytest.raises(ScanweaveError, match="nothing is written to the folder of a builtin"):
        scanweave.open_run("builtin:brain").report()
    assert main(told.partition("next: scanweave ")[2].split()) == 0
    page = (tmp_path / "evaluation" / "report.html").read_text()
    assert "All of its patients are simulated, by scanweave simulate brain." in page
    assert "one of 2 slices of each" in page
    scanweave.open_run("builtin:brain").report(tmp_path / "page.html")
    assert contents(shipped) == before


@pytest.fixture
def few(made, tmp_path):
    """Four patients with three of the sequences, in another order than the builtin's."""
    shutil.copytree(made / "sim", tmp_path / "few", ignore=shutil.ignore_patterns("prepared", "splits.json"))
    return scanweave.Cohort.open(tmp_path / "few")


def fitted(cohort, run, **changes):
    lines: list[str] = []
    Seq2Seq.fit(cohort, run, TINY.model_copy(update=changes), say=lines.append)
    return lines


def test_few_patients_begin_from_the_model_that_ships(shipped, few, tmp_path):
    lines = fitted(few, tmp_path / "run", sequences=("flair", "t1", "t2"))
    assert "start: builtin:brain, for 3 training patients (fewer than 10); --from none begins at random" in lines
    record = Run.open(tmp_path / "run").record["start_weights"]
    assert record["source"] == "builtin:brain"
    assert record["sha256"] == file_sha256(shipped / "weights.safetensors")
    assert record["fraction"] == 1
    learnt_from_the_patients = {f"regression.{name}" for name in ("centre", "coefficients", "spread")}
    assert {*record["absent"]} == learnt_from_the_patients
    shutil.rmtree(shipped)  # a fit goes on as it began
    assert any("nothing to do" in line for line in fitted(few, tmp_path / "run", sequences=("flair", "t1", "t2")))


@pytest.mark.parametrize("reason", ["none", "many", "other sizes", "other sequences"])
def test_nothing_is_begun_from_it_where_it_is_unasked_or_does_not_fit(shipped, few, tmp_path, monkeypatch, reason):
    changes = {}
    if reason == "none":
        changes = {"start": BEST.start.model_copy(update={"source": "none"})}
    elif reason == "many":
        monkeypatch.setattr(few_patients, "FEW_PATIENTS", 2)
    elif reason == "other sizes":
        changes = {"network": TINY.network.model_copy(update={"rank": 3})}
    else:
        few.frame["scan:pd"] = few.frame["scan:t2"]
    lines = fitted(few, tmp_path / "run", **changes)
    assert not any(line.startswith("start") for line in lines)
    assert "start_weights" not in Run.open(tmp_path / "run").record


def test_a_fit_that_began_at_random_goes_on_so_once_the_model_is_there(shipped, few, tmp_path, monkeypatch):
    with monkeypatch.context() as context:
        context.setattr(weight_sources, "SHIPPED", tmp_path / "empty")
        fitted(few, tmp_path / "run")
    assert any("nothing to do" in line for line in fitted(few, tmp_path / "run"))


def test_weights_that_ship_are_small_and_open():
    """Try what lies in the package, if anything does: a whole run of at most 20 MB."""
    shipped = [path for path in weight_sources.SHIPPED.glob("*/") if (path / "config.json").is_file()]
    for folder in shipped:
        assert sum(path.stat().st_size for path in folder.rglob("*")) < 20e6
        assert {"CARD.md", "LICENSE"} <= {path.name for path in folder.iterdir()}
        assert scanweave.open_run(f"builtin:{folder.name}").plan.targets
