"""The label-efficiency study: same labels for every arm, paired by seed, goes on where it stopped."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import scanweave as sw
from scanweave import api
from scanweave.cli.main import main
from scanweave.errors import ScanweaveError
from scanweave.experiments.label_study import SCRATCH, LabelResults, LabelStudy
from scanweave.experiments.labels import run_labels
from scanweave.measures.comparisons import mean_over_seeds
from scanweave.simulate.cohort import simulate_brain
from scanweave.studies.splits import make_splits, write_splits

MIM = {
    "levels": {"extent": 16, "view": 16, "units": [2, 1], "children": [2]},
    "network": {"widths": [4, 8], "depths": [1, 1], "heads": 2, "decoder_width": 12, "decoder_layers": 1},
    "training": {"steps": 1, "batch_size": 2, "validate_every": 1, "workers": 0, "device": "cpu", "ema_decay": None},
}
FITS = ["--mask", "brain", "--network.patch", "16,16,16", "--training.steps", "1"]
FITS += ["--training.validate_every", "1", "--training.workers", "0", "--device", "cpu"]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    cohort = simulate_brain(folder / "c", subjects=9, seed=0, spacing=8.0, sequences=("t1",))
    write_splits(cohort.folder, make_splits(cohort.patients, 3, seed=1))
    run = api.fit("mim", cohort, folder / "run", config=MIM, say=str)
    return sw.Cohort.open(cohort.folder), run.run.folder, folder


def words(begun, out, *more):
    cohort, run, folder = begun
    start = ["experiment", "labels", "--cohort", str(cohort.folder), "--from", str(run), "--out", str(folder / out)]
    return [*start, "--counts", "1", "all", "--seeds", "2", *FITS, *more]


def test_the_study_by_the_command_line(begun, capsys):
    assert main(words(begun, "study")) == 0
    told = capsys.readouterr().out
    out = begun[2] / "study"
    values = pd.read_csv(out / "labels.csv")
    assert len(values) == 8
    assert set(values["arm"]) == {SCRATCH, str(begun[1])}
    assert "against random weights" in told
    assert "By the number of labels" in (out / "labels.html").read_text(encoding="utf-8")
    assert len(list((out / "runs").iterdir())) == 8
    for run in (out / "runs").iterdir():
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
        assert config["training"]["seed"] == int(run.name[-1])
    assert main(words(begun, "study")) == 0  # goes on: nothing is fitted anew
    assert pd.read_csv(out / "labels.csv").equals(values)
    assert main(words(begun, "study", "--fold", "1")) == 2
    assert "holds a study of something else" in capsys.readouterr().err


def test_arms_have_the_same_labels_and_network(begun):
    cohort, run, _ = begun
    study = LabelStudy("segment", cohort, [str(run)], [1, 2, None, 3], 1, config=[{"mask": "brain"}])
    assert study.heading == "mask:brain"  # though the cohort has labels too
    assert study.sizes == {"1": 1, "2": 2, "all": 3} == {"1": 1, "2": 2, "all": len(cohort.part("train"))}
    assert study.arms == {SCRATCH: {"network.encoder": str(run)}, str(run): {"start.source": str(run)}}
    fewer, more = (set(study.chosen(number, 0).studies) for number in (1, 2))
    assert fewer < more


def test_differences_are_paired_by_seed():
    rows = [
        {"arm": arm, "count": "1", "studies": 1, "seed": seed, "value": base + more}
        for seed, base in enumerate((0.2, 0.5, 0.8))
        for arm, more in ((SCRATCH, 0.0), ("run", 0.1 + 0.01 * seed))
    ]
    table = LabelResults("Dice", pd.DataFrame(rows)).table.set_index("arm")
    more = table.loc["run", "more than random weights"]
    wanted = stats.t.interval(0.95, 2, 0.11, np.std([0.1, 0.11, 0.12], ddof=1) / np.sqrt(3))
    assert (more.low, more.high) == pytest.approx(wanted)
    assert table.loc["run", "seeds won"] == "3 of 3"
    assert np.isnan(mean_over_seeds([0.3]).low)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--counts", "0"], "no number of studies"),
        (["--counts", "1,99"], "are labelled"),
        (["--training.stepz", "3"], "no such"),
        (["--seeds", "0"], "too small"),
        (["--system", "classify"], "Begin with more"),
    ],
)
def test_mistakes_are_one_line(begun, capsys, more, said):
    given = words(begun, "wrong", *more)
    if "classify" in more:
        given = [*given[: given.index("--mask")], "--device", "cpu", *more]
    assert main(given) == 2
    assert said in capsys.readouterr().err
    assert not (begun[2] / "wrong").exists()


def test_a_pre_training_that_saw_the_test_images_is_told(begun, tmp_path):
    """The test patients of another fold trained it; of its own they did not."""
    cohort, run, _ = begun
    about = {"system": "segment", "starts": [str(run)], "counts": [1], "seeds": 1, "config": [{"mask": "brain"}]}
    assert LabelStudy(cohort=cohort, **about).check() == []
    (line,) = LabelStudy(cohort=cohort, fold=2, **about).check()
    assert "without labels, from images of 3 of the 3 test studies" in line


def test_runs_of_different_encoders_are_refused(begun, tmp_path):
    cohort, run, _ = begun
    wider = {**MIM, "network": {**MIM["network"], "widths": [4, 12]}}
    other = api.fit("mim", cohort, tmp_path / "other", config=wider, say=str)
    study = LabelStudy("segment", cohort, [str(run), str(other.run.folder)], [1], 1, config=[{"mask": "brain"}])
    with pytest.raises(ScanweaveError, match="different encoders"):
        study.check()


def test_a_system_that_is_not_judged_is_named(begun, tmp_path):
    with pytest.raises(ScanweaveError, match="not compared here"):
        run_labels(LabelStudy("acid", begun[0], [str(begun[1])], [1], 1), tmp_path / "o")
