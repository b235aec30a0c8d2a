"""A trial that is stopped goes on where it was; a first look takes every n-th slice and no place of a whole result."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from scanweave.engine.progress import counted, in_parts, tell_share
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import file_sha256
from scanweave.framework.run_outputs import newest_output
from scanweave.framework.trial import Trial, trial_folder
from scanweave.framework.unfinished import FILE
from scanweave.locks import FolderLock
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.studies.thinning import thinned

STUDIES = ("a", "b", "c", "d")


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Four studies of small random scans."""
    rows = []
    for number, name in enumerate(STUDIES):
        voxels = np.random.default_rng(number).normal(100, 20, (6, 6, 9)).astype(np.float32)
        write_scan(tmp_path / "scans" / f"{name}.nii.gz", Scan.of(voxels, np.diag([2, 2, 3, 1.0])))
        rows.append({"study": name, "patient": name, "scan:t1": f"{name}.nii.gz"})
    return Cohort.create(tmp_path / "cohort", rows, root=tmp_path / "scans", name="c", source="s", layout="table")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run."""
    with Run.start(tmp_path / "run", "any", {"fold": 0}) as started:
        started.weights.write_bytes(b"w")
        started.finish(step=1)
    return Run.open(started.folder)


class Measure:
    """Measures the mean of a study, and notes of which; stops as a user would before the one named `until`."""

    def __init__(self, until: str = "") -> None:
        self.until, self.seen = until, list[str]()

    def __call__(self, study: Study) -> dict[str, Any]:
        """Return the mean as numpy has it."""
        if study.id == self.until:
            raise KeyboardInterrupt
        self.seen.append(study.id)
        return {"mean": np.float32(np.mean(study["t1"].data)), "none": float("nan")}


def trial(run: Run, cohort: Cohort, lines: list[str] | None = None, **how: Any) -> Trial:
    """Return an evaluation of all studies."""
    return Trial.of(run, cohort, "evaluation", part="all", say=[].append if lines is None else lines.append, **how)


def test_a_trial_of_which_no_study_can_be_measured_leaves_no_folder(run: Run, cohort: Cohort) -> None:
    def broken(study: Study) -> None:
        raise ScanweaveError(study.id, "is broken", "Mend it")

    with pytest.raises(ScanweaveError):
        list(trial(run, cohort, out=run.folder.parent / "deep" / "er").each(broken, {}))
    assert not (run.folder.parent / "deep").exists()


def stopped(run: Run, cohort: Cohort, options: dict[str, Any]) -> None:
    """Evaluate anew, and stop before the third study."""
    (run.folder / "evaluation" / FILE).unlink(missing_ok=True)
    with pytest.raises(KeyboardInterrupt):
        list(trial(run, cohort).each(Measure("c"), options))


def test_a_stopped_trial_goes_on_to_the_same_findings(run: Run, cohort: Cohort, tmp_path: Path) -> None:
    whole = list(trial(run, cohort, out=tmp_path / "whole").each(Measure(), {"seed": 1}))
    stopped(run, cohort, {"seed": 1})
    lines: list[str] = []
    again, measure = trial(run, cohort, lines), Measure()
    found = list(again.each(measure, {"seed": 1}))
    assert measure.seen == ["c", "d"]
    assert repr(found) == repr(whole)
    assert "goes on: 2 studies of an earlier call are done" in lines
    again.note()
    assert not (again.folder / FILE).exists()


def test_other_options_files_or_weights_begin_anew(run: Run, cohort: Cohort) -> None:
    stopped(run, cohort, {"seed": 1})
    measure = Measure()
    list(trial(run, cohort).each(measure, {"seed": 2}))
    assert measure.seen == list(STUDIES)
    stopped(run, cohort, {"seed": 1})
    scan = cohort.root / "a.nii.gz"
    write_scan(scan, Scan.of(np.ones((6, 6, 9), np.float32) * [[[1, 2, 3] * 3]], np.diag([2, 2, 3, 1.0])))
    measure = Measure()
    list(trial(run, cohort).each(measure, {"seed": 1}))
    assert measure.seen == list(STUDIES)
    stopped(run, cohort, {"seed": 1})
    run.weights.write_bytes(b"others")
    measure = Measure()
    list(trial(run, cohort).each(measure, {"seed": 1}))
    assert measure.seen == list(STUDIES)


@pytest.mark.parametrize("tail", ['{"study": "b", "fou', "[" * 9999 + "\n", '{"study": "b"}\n', "\udcff\n"])
def test_a_torn_or_damaged_line_is_measured_again(run: Run, cohort: Cohort, tail: str) -> None:
    stopped(run, cohort, {})
    path = run.folder / "evaluation" / FILE
    text = path.read_text().splitlines(keepends=True)
    path.write_text("".join(text[:2]) + tail, errors="surrogateescape")
    measure = Measure()
    found = dict(trial(run, cohort).each(measure, {}))
    assert {"b", "c", "d"} <= set(measure.seen)
    assert set(found) == set(STUDIES)


def test_a_trial_holds_its_folder(run: Run, cohort: Cohort) -> None:
    lock = FolderLock(cohort.folder)  # of another folder: no hindrance
    first = trial(run, cohort).each(Measure(), {})
    next(first)
    with pytest.raises(ScanweaveError, match="in use by process"):
        next(trial(run, cohort).each(Measure(), {}))
    assert len(list(first)) == len(STUDIES) - 1
    lock.release()


def test_a_study_that_failed_is_tried_again(run: Run, cohort: Cohort) -> None:
    failing = ["b"]

    def measure(study: Study) -> str:
        if study.id in failing:
            raise ScanweaveError(study.id, "cannot be measured", "Leave it out")
        return study.patient

    first = trial(run, cohort)
    assert [name for name, _ in first.each(measure, {})] == ["a", "c", "d"]
    assert list(first.left_out) == ["b"]
    failing.clear()
    again = trial(run, cohort)
    assert [name for name, _ in again.each(measure, {})] == ["a", "b", "c", "d"]
    assert not again.left_out


def test_a_first_look_takes_some_slices(run: Run, cohort: Cohort) -> None:
    look = trial(run, cohort, slices=3)
    assert look.folder == run.folder / "evaluation-look"
    scan, full = look.study("a")["t1"], cohort["a"]["t1"]
    assert scan.geometry.shape == (6, 6, 3)
    assert scan.geometry.spacing == pytest.approx((2, 2, 9))
    first = (scan.geometry.affine[2, 3] - full.geometry.affine[2, 3]) / 3
    assert np.array_equal(scan.data, full.data[:, :, round(first) :: 3])
    assert look.about["slices"] == 3
    assert "slices" not in trial(run, cohort).about


def test_first_looks_at_other_studies_or_slices_lie_side_by_side(run: Run, cohort: Cohort) -> None:
    def looked(studies: Cohort, **how: Any) -> str:
        """Measure, write the summary, and return the name of the folder."""
        look = trial(run, studies, **how)
        rows = [{"study": name, "patient": name, "of": "all", **one} for name, one in look.each(Measure(), {})]
        look.tabulate(rows, ["of"], ["mean"], "rows.csv")
        return look.folder.name

    some = cohort.select(["a", "b"])
    assert [looked(cohort, slices=3), looked(some, slices=3)] == ["evaluation-look", "evaluation-look-2"]
    assert looked(cohort, slices=2) == "evaluation-look-3"
    assert newest_output(run, "evaluation") == run.folder / "evaluation-look-3"  # as no whole result is there
    assert [looked(some, slices=3), looked(cohort, slices=3)] == ["evaluation-look-2", "evaluation-look"]
    assert [looked(cohort), looked(some)] == ["evaluation", "evaluation"]
    with pytest.raises(KeyboardInterrupt):
        list(trial(run, some, slices=4).each(Measure("b"), {}))
    assert trial(run, cohort, slices=4).folder.name == "evaluation-look-5"
    assert trial(run, some, slices=4).folder.name == "evaluation-look-4"


def test_a_trial_of_another_cohort_takes_no_place_of_that_of_the_own_one(run: Run, cohort: Cohort) -> None:
    run.record["cohort"] = {"sha256": cohort.digest}
    others = [cohort.select(names) for names in (["a", "b"], ["c", "d"])]
    folders = []
    for studies in (cohort, *others, cohort, others[0]):
        tried = trial(run, studies)
        rows = [{"study": name, "patient": name, "of": "all", **one} for name, one in tried.each(Measure(), {})]
        tried.tabulate(rows, ["of"], ["mean"], "rows.csv")
        folders.append(tried.folder.name)
    assert folders == ["evaluation", "evaluation-other", "evaluation-other-2", "evaluation", "evaluation-other"]


def test_trials_of_named_studies_lie_side_by_side(run: Run, cohort: Cohort) -> None:
    def folder(studies: Cohort, slices: int = 1) -> Path:
        return trial_folder(run, studies, "evaluation", part="all", slices=slices, named=True)

    def tried(studies: Cohort, slices: int = 1) -> str:
        """Measure, write the summary, and return the name of the folder."""
        named = trial(run, studies, out=folder(studies, slices), slices=slices)
        rows = [{"study": name, "patient": name, "of": "all", **one} for name, one in named.each(Measure(), {})]
        named.tabulate(rows, ["of"], ["mean"], "rows.csv")
        return named.folder.name

    some, others = cohort.select(["a", "b"]), cohort.select(["c", "d"])
    assert [tried(some), tried(others)] == ["evaluation-named", "evaluation-named-2"]
    assert [tried(others), tried(some)] == ["evaluation-named-2", "evaluation-named"]
    assert [tried(some, 3), tried(others, 3)] == ["evaluation-named-look", "evaluation-named-look-2"]
    with pytest.raises(KeyboardInterrupt):
        list(trial(run, cohort, out=folder(cohort)).each(Measure("b"), {}))
    assert folder(cohort).name == "evaluation-named-3"  # which goes on
    assert folder(cohort.select(["a"])).name == "evaluation-named-4"


def test_a_first_look_takes_no_place_of_a_whole_result(run: Run, cohort: Cohort) -> None:
    look = trial(run, cohort, slices=3)
    look.folder.mkdir()
    look.note()
    assert newest_output(run, "evaluation") == look.folder
    whole = trial(run, cohort)
    whole.folder.mkdir()
    whole.note()
    lines: list[str] = []
    again = trial(run, cohort, lines, slices=3)
    again.note()
    assert newest_output(run, "evaluation") == whole.folder
    assert "keeps showing" in lines[-1]


def test_studies_that_the_fit_saw_take_no_place_of_others(run: Run, cohort: Cohort) -> None:
    def noted(seen: int, out: str, lines: list[str]) -> Path:
        one = replace(trial(run, cohort, lines), folder=run.folder / out)
        one = replace(one, about={**one.about, "seen": seen})
        one.conclude(pd.DataFrame())
        return one.folder

    lines: list[str] = []
    unseen = noted(0, "unseen", lines)
    noted(2, "seen", lines)
    assert newest_output(run, "evaluation") == unseen
    assert "did not see" in lines[-1]
    assert noted(0, "later", lines) == newest_output(run, "evaluation")


def test_results_of_other_weights_are_not_those_of_the_run(run: Run, cohort: Cohort) -> None:
    one = trial(run, cohort)
    one = replace(one, about={**one.about, "run": file_sha256(run.weights)})
    one.conclude(pd.DataFrame())
    assert newest_output(run, "evaluation") == one.folder
    run.weights.write_bytes(b"trained on")
    assert newest_output(run, "evaluation") is None


def test_thin_and_thick_slices_are_brought_to_one_distance() -> None:
    fine = Scan.of(np.arange(30.0).reshape(1, 1, 30), np.diag([1, 1, 1, 1.0]))
    thick = Scan.of(np.arange(6.0).reshape(1, 1, 6), np.diag([1, 1, 5, 1.0]))
    sagittal = Scan.of(np.zeros((4, 30, 5)), np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]]))
    study = thinned(Study("s", "p", {"fine": fine, "thick": thick, "sag": sagittal}, {"brain": fine}), 3)
    assert study["fine"].geometry.shape == (1, 1, 10)
    assert study["thick"].geometry.shape == (1, 1, 6)
    assert study["sag"].geometry.shape == (4, 10, 5)
    assert study.masks["brain"].geometry.shape == (1, 1, 10)
    z = study["fine"].geometry.affine[2, 3] + 3 * np.arange(10)
    assert np.array_equal(np.ravel(study["fine"].data), z)


def test_what_has_no_stack_of_slices_cannot_be_thinned() -> None:
    with pytest.raises(ScanweaveError, match="no stack of slices"):
        thinned(Study("s", "p", {"film": Scan.of(np.zeros((4, 4, 1)), np.eye(4))}), 3)


def test_progress_within_a_study_is_told_with_the_time_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("scanweave.engine.progress.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    with counted("studies evaluated", console=Console(file=stream, width=200)) as progress:
        progress(1, 3)  # one was done by an earlier call
        for _ in in_parts("ab", 2):
            now[0] += 40
            tell_share(0.5)
            now[0] += 40
        progress(2, 3)
        now[0] += 160
        progress(3, 3)
    assert stream.getvalue().splitlines() == [
        "studies evaluated 1/3 · 42 % · ETA 0:04:40",
        "studies evaluated 1/3 · 50 % · ETA 0:04:00",
        "studies evaluated 1/3 · 58 % · ETA 0:03:20",
        "studies evaluated 1/3 · 67 % · ETA 0:02:40",
        "studies evaluated 3/3",
    ]


def test_without_a_count_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in in_parts([1, 2], 2):
        tell_share(0.5)
    assert capsys.readouterr().out == ""


def test_the_record_of_a_trial_is_plain(run: Run, cohort: Cohort) -> None:
    stopped(run, cohort, {"seed": 1})
    first, *rest = (run.folder / "evaluation" / FILE).read_text().splitlines()
    assert json.loads(first)["options"] == {"seed": 1}
    assert [json.loads(line)["study"] for line in rest] == ["a", "b"]
