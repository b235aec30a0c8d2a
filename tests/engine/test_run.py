import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scanweave import __version__
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError

CONFIG: dict[str, Any] = {"training": {"steps": 10, "workers": 2}, "network": {"width": 32}}
COHORT = {"path": "glioma", "sha256": "ab"}
IMAGES = {"A": {"P01": {"t1": [100, 5], "t2": [90, 5]}}, "B": {"P02": {"t1": [100, 6]}}}


def test_a_run_records_what_made_it(tmp_path: Path) -> None:
    with Run.start(tmp_path, "tiny", CONFIG, COHORT) as run:
        assert run.state == "running"
        assert Run.open(tmp_path).state == "running"
    opened = Run.open(tmp_path)
    assert opened.state == "stopped"
    assert opened.config == CONFIG
    assert opened.record["cohort"] == COHORT
    assert {"system", "versions", "machine", "command", "started", "seconds"} <= opened.record.keys()


@pytest.mark.parametrize(
    ("system", "config", "cohort", "words"),
    [
        ("tiny", {**CONFIG, "network": {"width": 64}}, COHORT, "network.width was 32, now 64"),
        ("tiny", {**CONFIG, "training": {"steps": 10, "seed": 1}}, COHORT, "training.seed was absent, now 1"),
        ("tiny", {"training": {"steps": 10}}, COHORT, 'network was {"width": 32}, now absent'),
        ("other", CONFIG, COHORT, 'system was "tiny", now "other"'),
        ("tiny", CONFIG, {"path": "glioma", "sha256": "cd"}, 'cohort.sha256 was "ab", now "cd"'),
    ],
)
def test_another_configuration_is_refused(
    tmp_path: Path, system: str, config: dict[str, Any], cohort: dict[str, str], words: str
) -> None:
    Run.start(tmp_path, "tiny", CONFIG, COHORT).close()
    with pytest.raises(ScanweaveError) as error:
        Run.start(tmp_path, system, config, cohort)
    assert words in str(error.value)
    Run.start(tmp_path, "tiny", CONFIG, COHORT).close()


def test_a_setting_that_another_version_had_is_told_with_the_way_on(tmp_path: Path) -> None:
    Run.start(tmp_path, "tiny", {**CONFIG, "network": {"width": 32, "tail": "absent"}}).close()
    with pytest.raises(ScanweaveError, match="another state of scanweave") as error:
        Run.start(tmp_path, "tiny", CONFIG)
    assert 'network.tail was "absent", now absent. Go on with the scanweave that began it' in str(error.value)


def test_a_difference_to_a_run_of_another_version_names_both(tmp_path: Path) -> None:
    Run.start(tmp_path, "tiny", CONFIG).close()
    record = json.loads((tmp_path / "run.json").read_text())
    record["versions"]["scanweave"] = "0.0.9"
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(ScanweaveError, match=rf"scanweave 0\.0\.9 began it, this is {re.escape(__version__)}") as error:
        Run.start(tmp_path, "tiny", {**CONFIG, "network": {"width": 8}})
    assert "network.width was 32, now 8" in str(error.value)
    assert "or go on with the scanweave that began it" in str(error.value)


def test_workers_may_change(tmp_path: Path) -> None:
    Run.start(tmp_path, "tiny", CONFIG).close()
    Run.start(tmp_path, "tiny", {**CONFIG, "training": {"steps": 10, "workers": 0}}).close()
    assert Run.open(tmp_path).config["training"]["workers"] == 0


def test_the_device_may_change(tmp_path: Path) -> None:
    for device in ("auto", "cuda", "cpu"):
        Run.start(tmp_path, "tiny", {"training": {"steps": 10, "device": device}}).close()
    assert Run.open(tmp_path).config["training"]["device"] == "cpu"


def refuse(folder: Path, steps: int) -> None:
    """Begin a run that is refused after so many steps."""
    with Run.start(folder, "tiny", CONFIG, inputs=IMAGES) as run:
        (run.folder / "plan.json").write_text("{}")
        (run.checkpoints / "step-00000000").mkdir(parents=True)
        for step in range(steps):
            run.log(step + 1, "train", {"loss": 1.0})
        raise ScanweaveError("label", "is not in the cohort", "Name another")


@pytest.mark.parametrize("before", [None, ".", "deep/er"])
def test_a_run_that_is_refused_before_its_first_step_leaves_nothing(tmp_path: Path, before: str | None) -> None:
    room = tmp_path / "room"
    folder = room / "runs" / "new"
    if before is not None:
        (folder / before).mkdir(parents=True)
        (folder / ".keep").touch()
    there = sorted(room.rglob("*"))
    with pytest.raises(ScanweaveError):
        refuse(folder, steps=0) if before != "deep/er" else Run.start(folder, "tiny", CONFIG)
    assert sorted(room.rglob("*")) == there
    assert room.exists() == (before is not None)


def test_a_run_that_is_refused_later_or_that_was_there_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ScanweaveError):
        refuse(tmp_path / "later", steps=1)
    assert len(Run.open(tmp_path / "later").metrics()) == 1
    Run.start(tmp_path / "earlier", "tiny", CONFIG, inputs=IMAGES).close()
    with pytest.raises(ScanweaveError):
        refuse(tmp_path / "earlier", steps=0)
    assert Run.open(tmp_path / "earlier").state == "stopped"


def test_a_run_in_use_names_the_process_and_a_killed_one_is_free(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom scanweave.engine.run import Run\n"
        f"run = Run.start({str(tmp_path)!r}, 'tiny', {CONFIG!r})\nprint('ready', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ScanweaveError, match=f"in use by process {other.pid}"):
            Run.start(tmp_path, "tiny", CONFIG)
        assert Run.open(tmp_path).state == "running"
        other.kill()
        other.wait()
    assert Run.open(tmp_path).state == "stopped"
    Run.start(tmp_path, "tiny", CONFIG).close()


def test_a_forked_reader_does_not_keep_the_lock(tmp_path: Path) -> None:
    run = Run.start(tmp_path, "tiny", CONFIG)
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(ready, 1)
        os._exit(0)
    run.close()
    Run.start(tmp_path, "tiny", CONFIG).close()
    os.close(go)
    os.waitpid(child, 0)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ({**IMAGES, "B": {"P02": {"t1": [100, 7]}}}, "P02: t1 changed since this run began"),
        ({**IMAGES, "A": {"P01": {"t1": [100, 5]}}}, "P01: t2 changed since this run began"),
        ({**IMAGES, "C": {"P03": {"t1": [1, 1]}}}, "P03: t1 changed since this run began"),
        ({"A": IMAGES["A"]}, "P02: t1 changed since this run began"),
    ],
)
def test_images_that_changed_are_named_and_refused(tmp_path: Path, images: Any, words: str) -> None:
    Run.start(tmp_path, "tiny", CONFIG, inputs=IMAGES).close()
    with pytest.raises(ScanweaveError) as error:
        Run.start(tmp_path, "tiny", CONFIG, inputs=images)
    assert words in str(error.value)
    Run.start(tmp_path, "tiny", CONFIG, inputs=IMAGES).close()


def test_a_finished_run_does_not_ask_for_its_images(tmp_path: Path) -> None:
    with Run.start(tmp_path, "tiny", CONFIG, inputs=IMAGES) as run:
        run.weights.touch()
        run.finish()
    assert Run.start(tmp_path, "tiny", CONFIG, inputs={}).finished


def test_a_run_of_an_earlier_version_takes_its_images_as_they_are(tmp_path: Path) -> None:
    Run.start(tmp_path, "tiny", CONFIG).close()
    Run.start(tmp_path, "tiny", CONFIG, inputs=IMAGES).close()
    with pytest.raises(ScanweaveError, match="P01: t1, t2 changed"):
        Run.start(tmp_path, "tiny", CONFIG, inputs={})


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"seconds": None}, "run.json: seconds: Input should be a valid number"),
        ({"seconds": "x"}, "run.json: seconds: Input should be a valid number"),
        ({"seconds": float("nan")}, "run.json: seconds: Input should be a finite number"),
        ({"cohort": "text"}, "run.json: cohort: Input should be a valid dictionary"),
        ({"cohort": {"sha256": 5}}, "run.json: cohort.sha256: Input should be a valid string"),
        ({"versions": []}, "run.json: versions: Input should be a valid dictionary"),
        ({"state": 3}, "run.json: state: Input should be a valid string"),
    ],
)
def test_a_damaged_record_is_named_when_opened(tmp_path: Path, record: dict[str, Any], words: str) -> None:
    Run.start(tmp_path, "tiny", CONFIG, COHORT).close()
    path = tmp_path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | record))
    for use in (Run.open, lambda folder: Run.start(folder, "tiny", CONFIG, COHORT)):
        with pytest.raises(ScanweaveError) as error:
            use(tmp_path)
        assert words in str(error.value)


@pytest.mark.parametrize("fold", ["x", -1, 1.5, True, None])
def test_a_fold_that_is_no_number_is_named_when_opened(tmp_path: Path, fold: Any) -> None:
    Run.start(tmp_path, "tiny", CONFIG | {"fold": fold}).close()
    with pytest.raises(ScanweaveError, match=r"config\.json: fold: Input should be"):
        Run.open(tmp_path)


@pytest.mark.parametrize("line", ["5", "[]", "", '{"loss": 1}', '{"step": "x", "split": "train"}', "{", "[" * 10**5])
def test_a_damaged_line_of_metrics_is_named(tmp_path: Path, line: str) -> None:
    with Run.start(tmp_path, "tiny", CONFIG) as run:
        for step in (1, 2):
            run.log(step, "train", {"loss": 1.0})
    path = tmp_path / "metrics.jsonl"
    first, second = path.read_text().splitlines()
    path.write_text("\n".join([first, line, second, ""]))
    with pytest.raises(ScanweaveError, match=r"metrics\.jsonl: line 2 is not a line of metrics\. Remove"):
        Run.open(tmp_path).metrics()


def test_a_last_line_torn_by_a_kill_is_left_out(tmp_path: Path) -> None:
    with Run.start(tmp_path, "tiny", CONFIG) as run:
        run.log(1, "train", {"loss": 1.0})
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write('{"step": 2, "split": "train", "cases": ["é'.encode()[:-1])
    assert [row["step"] for row in Run.open(tmp_path).metrics()] == [1]


def test_folders_that_are_no_runs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("do not touch")
    with pytest.raises(ScanweaveError, match="holds other files"):
        Run.start(tmp_path, "tiny", CONFIG)
    with pytest.raises(ScanweaveError, match="is not a run folder"):
        Run.open(tmp_path)


def test_metrics_stay_json_whatever_the_numbers(tmp_path: Path) -> None:
    with Run.start(tmp_path, "tiny", CONFIG) as run:
        run.log(1, "train", {"loss": float("nan")})
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "split": "train", "loss": None}


def test_runs_open_without_torch() -> None:
    code = (
        "import sys, scanweave.engine.run, scanweave.engine.schedule\n"
        "assert not {'torch', 'accelerate', 'numpy', 'rich'} & sys.modules.keys(), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_steps_of_a_training_that_is_not_finished_may_change(tmp_path: Path) -> None:
    Run.start(tmp_path, "tiny", CONFIG).close()
    Run.start(tmp_path, "tiny", {**CONFIG, "training": {"steps": 20, "workers": 2}}).close()
    run = Run.open(tmp_path)
    assert run.config["training"]["steps"] == 20
    assert run.record["steps_before"] == [10]


def test_a_run_without_weights_says_how_far_it_is(tmp_path: Path) -> None:
    with Run.start(tmp_path, "tiny", CONFIG) as run:
        with pytest.raises(ScanweaveError, match="is being fitted: step 0 of 10 is kept"):
            run.fitted()
        for step in (3, 6):
            (run.checkpoints / f"step-{step:08d}").mkdir(parents=True)
    with pytest.raises(ScanweaveError, match=r"is not finished: step 6 of 10 is kept\. The same fit command goes on"):
        Run.open(tmp_path).fitted()
    run.weights.touch()
    assert Run.open(tmp_path).fitted().folder == tmp_path
