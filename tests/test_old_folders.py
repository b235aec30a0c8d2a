"""Cohorts and runs that 0.1.0 wrote before it knew reports, boxes and stages: they open, and all verbs work on them.

The archive holds simulated studies and tiny fits, made by commit 30cd77f; see `MADE`.
"""

import ast
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

import scanweave as sw
from scanweave import api
from scanweave.cli.main import main
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError

ARCHIVE = Path(__file__).parent / "folders-0.1.0.tar.xz"
FEW = (
    "--training.steps 2 --training.warm_up 0 --training.validate_every 1 --training.batch_size 1 "
    "--training.log_every 1 --training.device cpu"
)
MADE = {
    "seq2seq": (
        "brain",
        f"--preset small --network.channels [2] --network.rank 2 --network.code_length 4 --sampling.crop [8,8] {FEW}",
    ),
    "ultra": (
        "ct",
        "--preset small --network.architecture fbpconvnet --network.width 4 --network.levels 2 "
        f"--sampling.crop [16,16] {FEW}",
    ),
    "acid": (
        "ct",
        "--preset small --network.width 2 --network.levels 2 --loop.iterations 2 --tuning.steps [0.3] "
        f"--tuning.thresholds [0.01] --tuning.tv_weights [0.003] --tuning.images 1 {FEW}",
    ),
    "adamedgraph": ("patients", "--preset small --boosting.rounds 2"),
}
"""Cohort of each run, and what it was fitted by: `scanweave fit SYSTEM --cohort … --run …` and these words."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")  # with its times: a run knows the images that it learnt from by them
    return folder


@pytest.mark.parametrize("system", MADE)
def test_a_run_of_0_1_0_predicts_is_evaluated_and_reported(system, folders, tmp_path):
    cohort = sw.Cohort.open(folders / MADE[system][0])
    fitted = sw.open_run(folders / f"run-{system}", device="cpu")
    api.predict(fitted, cohort, tmp_path / "made", targets=["flair"] if system == "seq2seq" else None, say=str)
    assert {*sw.Cohort.open(tmp_path / "made").studies} == {*cohort.studies}
    assert len(fitted.evaluate(cohort, say=str)) > 0
    assert "<h2" in fitted.report().read_text()


@pytest.mark.parametrize("system", MADE)
def test_the_command_that_made_a_run_of_0_1_0_finds_it_finished(system, folders, capsys):
    cohort, words = MADE[system]
    run = folders / f"run-{system}"
    before = (run / "config.json").read_bytes()
    main(["fit", system, "--cohort", str(folders / cohort), "--run", str(run), *words.split()])
    assert "finished" in capsys.readouterr().out.lower()
    assert (run / "config.json").read_bytes() == before


def test_images_of_a_cohort_of_0_1_0_are_read(folders):
    cohort = sw.Cohort.open(folders / "brain")
    assert np.isfinite(cohort[cohort.studies[0]]["t1"].data).all()


def begun(folder, system, preset, lost):
    """Begin a run when there was no setting `lost`, which the preset of today sets."""
    today = api.configure(system, preset)
    then = today.model_dump(mode="json")
    group, name = lost.split(".")
    assert then[group].pop(name) is True
    start(folder, system, today, then)
    return folder


def start(folder, system, settings, values=None):
    Run.start(folder, system, values or settings.model_dump(mode="json"), kind=type(settings)).close()


@pytest.mark.parametrize(
    ("system", "preset", "lost"),
    [("seq2seq", "best", "network.frame_values"), ("segment", "nnunet", "training.nesterov")],
)
def test_a_run_goes_on_without_a_setting_of_the_preset_that_came_later(tmp_path, system, preset, lost):
    run, lines = begun(tmp_path / "run", system, preset, lost), []
    settings = api.configure(system, preset, (), run, lines.append)
    assert lines == [f"{lost}: false, as before: this run began when there was no such setting"]
    assert settings == api.configure(system, preset, {lost: False})
    start(run, system, settings)
    assert api.configure(system, None, settings, run, lines.append) == settings
    assert api.configure(system, preset, (), tmp_path / "new", lines.append) == api.configure(system, preset)
    assert len(lines) == 1


def test_a_setting_that_came_later_is_refused_where_it_is_given(tmp_path):
    run, lines = begun(tmp_path, "seq2seq", "best", "network.frame_values"), []
    settings = api.configure("seq2seq", "best", {"network.frame_values": True}, run, lines.append)
    with pytest.raises(ScanweaveError, match=r"network\.frame_values was false, now true\. Use the old value"):
        start(run, "seq2seq", settings)
    start(run, "seq2seq", api.configure("seq2seq", "best", {"network.frame_values": False}, run, lines.append))
    assert lines == []


def test_a_stopped_fit_of_before_is_continued(folders, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(folders / "run-seq2seq", run)
    (run / "weights.safetensors").unlink()
    config = json.loads((run / "config.json").read_text())
    assert "frame_values" not in config["network"]
    words = [word.removeprefix("--") for word in MADE["seq2seq"][1].split()]
    options = dict(zip(words[::2], map(literal, words[1::2]), strict=True))
    preset = options.pop("preset")
    given = {**options, "network.frame_values": True}
    with pytest.raises(ScanweaveError, match=r"network\.frame_values was false, now true"):
        api.fit("seq2seq", folders / "brain", run, preset=preset, config=given, say=str)
    api.fit("seq2seq", folders / "brain", run, preset=preset, config=options, say=str)
    assert sw.open_run(run, device="cpu").config.network.frame_values is False


def literal(word):
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word
