import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from scanweave import api
from scanweave.cli.main import main
from scanweave.cli.predict import Predict
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework import system as systems
from scanweave.studies.boxes import Boxes
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.preparing.plan import IntensityRule, Plan
from scanweave.studies.preparing.settings import PreparationSettings
from scanweave.studies.scan import Scan
from scanweave.studies.splits import make_splits, write_splits
from scanweave.studies.study import Study

SEQUENCES = ("t1", "t2", "flair")
STUDIES = ("P01", "P02", "P03", "P04")


class System(systems.System):
    """Predicts zeros, and notes of what; stops or fails where it is told to."""

    def __init__(self, folder: Path, content: bytes = b"weights") -> None:
        with Run.start(folder, "fake", {}) as run:
            run.weights.write_bytes(content)
            run.finish()
        self.run = Run.open(folder)
        rules = dict.fromkeys(SEQUENCES, IntensityRule(kind="magnitude", low=0, high=9))
        self.plan = Plan(settings=PreparationSettings(), spacing=None, rules=rules, reasons=[])
        self.asked: list[str] = []
        self.faults: dict[str, BaseException] = {}

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        self.asked.append(study.id)
        if study.id in self.faults:
            raise self.faults[study.id]
        wanted = [name for name in SEQUENCES if name not in study.scans] if targets is None else targets
        grid = study["t1"]
        return study.with_scans(
            {name: Scan.of(np.zeros(grid.geometry.shape), grid.geometry.affine, synthetic=True) for name in wanted}
        )


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    folder = tmp_path / "cohort"
    rows = []
    for study in STUDIES:
        present = ("t1", "t2", "flair") if study == "P03" else ("t1",)
        for name in present:
            write_scan(folder / study / f"{name}.nii.gz", Scan.of(np.ones((3, 4, 5)), np.eye(4)))
        rows.append({"study": study, "patient": f"{study}x", **{f"scan:{n}": f"{study}/{n}.nii.gz" for n in present}})
    return Cohort.create(folder, rows, root=".", name="c", source="test", layout="table")


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path / "run")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.nii.gz")}


def stopped(system: System, cohort: Cohort, out: Path) -> None:
    """Predict into `out` until a kill at P02, in the middle of writing."""
    system.faults = {"P02": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        api.predict(system, cohort, out)  # type: ignore[arg-type]
    (out / ".partial-killed").mkdir()
    (out / ".partial-killed" / "half.nii.gz").touch()
    system.faults, system.asked = {}, []


def test_the_same_call_goes_on_after_a_stop(tmp_path: Path, system: System, cohort: Cohort) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    api.predict(system, cohort, whole)  # type: ignore[arg-type]
    stopped(system, cohort, out)
    assert not (out / "cohort.json").exists()
    before = (out / "P01" / "P01_t2_synthetic.nii.gz").stat().st_mtime_ns
    done = api.predict(system, cohort, out)  # type: ignore[arg-type]
    assert (done.made, done.complete, done.failed) == ({"scan": 6}, ["P03"], {})
    assert (done.kept, done.again) == (["P01"], [])
    assert system.asked == ["P02", "P03", "P04"]
    assert (out / "P01" / "P01_t2_synthetic.nii.gz").stat().st_mtime_ns == before
    assert contents(out) == contents(whole)
    made, expected = Cohort.open(out), Cohort.open(whole)
    assert made.frame.equals(expected.frame)
    assert made.patients == ["P01x", "P02x", "P04x"]
    assert not list(out.glob(".partial-*"))


def test_one_part_of_the_runs_fold_is_predicted(tmp_path: Path, system: System, cohort: Cohort) -> None:
    with pytest.raises(ScanweaveError, match="has no splits"):
        api.predict(system, cohort, tmp_path / "out", part="test")  # type: ignore[arg-type]
    write_splits(cohort.folder, make_splits(cohort.patients, 4))
    for part in ("train", "validation", "test"):
        api.predict(system, cohort.folder, tmp_path / part, part=part)  # type: ignore[arg-type]
        assert system.asked == cohort.part(part).studies  # type: ignore[arg-type]
        system.asked.clear()
    with pytest.raises(ScanweaveError, match="there is no part 'tset'"):
        api.predict(system, cohort, tmp_path / "out", part="tset")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("before", [False, True])
def test_a_call_that_is_refused_as_a_whole_leaves_nothing(
    tmp_path: Path, system: System, cohort: Cohort, before: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ScanweaveError("cohort", "has no variable of the run", "Choose another")

    out = tmp_path / "deep" / "out"
    if before:
        stopped(system, cohort, out)
    system.predictions = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(ScanweaveError, match="no variable"):
        api.predict(system, cohort, out)  # type: ignore[arg-type]
    assert (tmp_path / "deep").exists() == before
    assert (out / "P01").exists() == before


def test_a_study_that_was_written_and_not_noted_is_written_again_and_told(
    tmp_path: Path, system: System, cohort: Cohort, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    stopped(system, cohort, out)
    (out / "P02").mkdir()
    (out / "P02" / "P02_t2_synthetic.nii.gz").touch()
    predict = api.predict
    monkeypatch.setattr(api, "predict", lambda run, *rest, **named: predict(system, *rest, **named))
    assert Predict(system.run.folder, out, cohort.folder).run() == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-2] == "of an earlier call: 1 study kept, 1 written again"
    assert told[-1].startswith("wrote 6 synthetic images to ")


def test_a_failed_study_is_tried_again(tmp_path: Path, system: System, cohort: Cohort) -> None:
    system.faults = {"P04": ScanweaveError("P04", "is broken", "Mend it")}
    assert list(api.predict(system, cohort, tmp_path / "out").failed) == ["P04"]  # type: ignore[arg-type]
    assert Cohort.open(tmp_path / "out").studies == ["P01", "P02"]
    system.faults = {}
    assert api.predict(system, cohort, tmp_path / "out").made == {"scan": 6}  # type: ignore[arg-type]
    assert Cohort.open(tmp_path / "out").studies == ["P01", "P02", "P04"]


def test_another_call_into_the_folder_is_refused_with_the_reason(
    tmp_path: Path, system: System, cohort: Cohort
) -> None:
    out = tmp_path / "out"
    stopped(system, cohort, out)
    others = [
        (System(tmp_path / "other", b"other"), cohort, None, "a prediction by other weights exists already"),
        (
            system,
            cohort.select(["P01"]),
            None,
            "a prediction of another cohort, or of other studies of it, exists already",
        ),
        (system, cohort, ["t2"], "a prediction of other targets exists already"),
    ]
    before = contents(out)
    for who, what, targets, words in others:
        with pytest.raises(ScanweaveError) as error:
            api.predict(who, what, out, targets=targets)  # type: ignore[arg-type]
        assert words in str(error.value)
    assert contents(out) == before
    (out / "predictions.json").write_text("[]")
    with pytest.raises(ScanweaveError, match=r"exists already\. Choose another folder .*, or remove this one"):
        api.predict(system, cohort, out)  # type: ignore[arg-type]


def test_a_call_that_made_nothing_does_not_block_the_folder(tmp_path: Path, system: System, cohort: Cohort) -> None:
    full = cohort.select(["P03"])
    assert api.predict(system, full, tmp_path / "out").made == {}  # type: ignore[arg-type]
    assert api.predict(system, full, tmp_path / "out", targets=["t2"]).made == {"scan": 1}  # type: ignore[arg-type]


@pytest.mark.parametrize("foreign", ["file", "folder"])
def test_what_is_not_ours_is_left_alone(tmp_path: Path, system: System, cohort: Cohort, foreign: str) -> None:
    out = tmp_path / "out"
    if foreign == "file":
        out.write_text("mine")
    else:
        (out / ".partial-theirs").mkdir(parents=True)
        (out / "notes.txt").write_text("mine")
    with pytest.raises(ScanweaveError, match=r"is a file|holds other files and no predictions") as error:
        api.predict(system, cohort, out)  # type: ignore[arg-type]
    assert "remove" not in str(error.value)
    assert foreign == "file" or (out / ".partial-theirs").is_dir()


def test_headers_tell_where_an_image_comes_from(tmp_path: Path, system: System, cohort: Cohort) -> None:
    import nibabel as nib

    api.predict(system, cohort, tmp_path / "out", targets=["t2"])  # type: ignore[arg-type]
    image = nib.load(tmp_path / "out" / "P03" / "P03_t2_synthetic.nii.gz")
    about = json.loads(image.header.extensions[0].get_content())
    assert (about["target"], about["sources"], about["study"]) == ("t2", ["t1", "flair"], "P03")
    assert about["system"] == "fake"


def test_images_that_changed_since_are_not_mixed_with_new_ones(system, cohort, tmp_path):
    api.predict(system, cohort, tmp_path / "out")
    write_scan(cohort.folder / "P01" / "t1.nii.gz", Scan.of(np.full((3, 4, 5), 2.0), np.eye(4)))
    with pytest.raises(ScanweaveError, match="a prediction of images that changed since exists already"):
        api.predict(system, cohort, tmp_path / "out")


def test_two_calls_at_once_in_one_folder_are_refused(system, cohort, tmp_path):
    class Nested(System):
        def predict(self, study, targets=None):
            with pytest.raises(ScanweaveError, match="in use by process"):
                api.predict(system, cohort, tmp_path / "out")
            return super().predict(study, targets)

    assert api.predict(Nested(tmp_path / "other"), cohort, tmp_path / "out").made == {"scan": 6}


def test_named_studies_alone_are_predicted(system, cohort, tmp_path):
    assert api.predict(system, cohort, tmp_path / "out", studies=["P04", "P02"]).made == {"scan": 4}
    assert system.asked == ["P02", "P04"]
    with pytest.raises(ScanweaveError, match=r"studies: not in the cohort.*: 'P2'\. Choose from P02"):
        api.predict(system, cohort, tmp_path / "other", studies=["P2"])
    assert not (tmp_path / "other").exists()


def test_a_failure_is_said_before_the_progress_with_the_path_of_the_manifest(system, cohort, tmp_path):
    (cohort.folder / "P02" / "t1.nii.gz").write_bytes(b"broken")
    told: list[str] = []
    api.predict(
        system, cohort, tmp_path / "out", say=told.append, progress=lambda done, total: told.append(f"{done}/{total}")
    )
    assert told[:2] == ["0/4", "1/4"]
    assert told[2].startswith("error: P02: P02/t1.nii.gz: ")
    assert told[3] == "2/4"


def test_what_is_asked_wrongly_is_told_without_torch(cohort, tmp_path):
    run = tmp_path / "fitted"
    with Run.start(run, "seq2seq", {"training": {"steps": 90}}):
        (run / "checkpoints" / "step-00000022").mkdir(parents=True)
    rule = {"kind": "magnitude", "low": 0, "high": 9}
    plan = {"settings": {}, "spacing": None, "rules": dict.fromkeys(SEQUENCES, rule), "reasons": []}
    theirs = tmp_path / "scans"
    theirs.mkdir()
    (theirs / "mine.nii").touch()
    code = "\n".join(
        [
            "import sys, pathlib",
            "from scanweave import api, ScanweaveError",
            f"run, cohort, theirs = {str(run)!r}, {str(cohort.folder)!r}, {str(theirs)!r}",
            "def told(call, **options):",
            "    try:",
            "        call(**options)",
            "    except ScanweaveError as error:",
            "        print(error)",
            "told(api.predict, run=run, cohort=cohort, out='o')",
            "pathlib.Path(run, 'weights.safetensors').touch()",
            f"pathlib.Path(run, 'plan.json').write_text({json.dumps(plan)!r})",
            "told(api.predict, run=run, cohort=cohort, out='o', targets=['t9'])",
            "told(api.predict, run=run, cohort=cohort, out=theirs)",
            "told(api.fit, system='seq2seq', cohort=cohort, run='r', fold=7)",
            "assert 'torch' not in sys.modules",
        ]
    )
    write_splits(cohort.folder, make_splits(cohort.patients, 3))
    lines = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=tmp_path).splitlines()
    assert "is not finished: step 22 of 90 is kept. The same fit command goes on; --checkpoint newest" in lines[0]
    assert lines[1].startswith("targets: the run does not know 't9'. Choose from t1, t2, flair")
    assert lines[2].endswith("holds other files and no predictions. Choose another folder for the predictions.")
    assert lines[3] == "fold: 7 is not one of 0 to 2. Choose one of those."
    assert not (tmp_path / "o").exists()


def test_boxes_are_written_as_files_and_as_rows_of_a_table(tmp_path: Path, system: System, cohort: Cohort) -> None:
    two = Boxes(np.array([[[1, 2], [9, 12]], [[20, 5], [40, 30]]]), ("mass", "node"), scores=np.array([0.9, 0.25]))
    answers = {"P01": two, "P02": Boxes(scores=np.zeros(0)), "P03": None, "P04": two.select([1])}
    system.predict = lambda study, targets=None: study.answer(boxes=answers[study.id])  # type: ignore[method-assign]
    done = api.predict(system, cohort, tmp_path / "out")  # type: ignore[arg-type]
    assert (done.made, done.complete) == ({"boxes": 3}, ["P03"])
    table = pd.read_csv(tmp_path / "out/predictions.csv")
    assert list(table["study"]) == ["P01", "P01", "P02", "P04"]
    assert table["class"].fillna("").tolist() == ["mass", "node", "", "node"]
    assert table["score"].fillna(-1).tolist() == [0.9, 0.25, -1, 0.25]
    assert table.loc[1, ["start_x", "start_y", "stop_x", "stop_y"]].tolist() == [20, 5, 40, 30]
    back = Cohort.open(tmp_path / "out")
    assert [len(study.boxes) for study in back if study.boxes is not None] == [2, 0, 1]


def test_what_is_known_against_a_target_is_told_and_kept_in_its_images(tmp_path, cohort, capsys, monkeypatch):
    system, lines = System(tmp_path / "run"), []
    words = "in 3 of 4 evaluated studies it was less like the real scan than the plain mean of the other sequences"
    system.cautions = lambda: {"flair": words, "t1": "never made here"}
    done = api.predict(system, cohort, tmp_path / "out", say=lines.append)
    assert done.cautions == {"flair": words}
    assert lines == [f"caution: flair: {words}"]
    for name, doubted in (("flair", True), ("t2", False)):
        header = nib.load(tmp_path / "out" / "P01" / f"P01_{name}_synthetic.nii.gz").header
        told = json.loads(header.extensions[0].get_content().rstrip(b"\0"))
        assert told.get("caution") == (words if doubted else None)
        assert (b"caution" in bytes(header["descrip"])) == doubted
    again = api.predict(
        system, cohort, tmp_path / "out", say=lines.append
    )  # nothing is left to do, and it is told anew
    assert again.cautions == {"flair": words}
    monkeypatch.setattr(api, "_known", lambda *_: (system.run, system.plan))
    opened = SimpleNamespace(open=lambda *_: system)
    monkeypatch.setattr(api.registry, "entry", lambda _: SimpleNamespace(load=lambda: opened))
    command = ["predict", str(tmp_path / "run"), "--cohort", str(cohort.folder), "--out", str(tmp_path / "more")]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "caution about flair, see above" in printed.out
    assert f"caution: flair: {words}" in printed.err
