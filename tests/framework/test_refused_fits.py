"""A fit that is refused says why, leaves no run folder behind that was not there, and the cohort as it was."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scanweave import api
from scanweave.engine import free_memory
from scanweave.engine.settings import Settings
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import start_fit
from scanweave.simulate.cohort import simulate_brain
from scanweave.simulate.ct import simulate_ct
from scanweave.studies.cohort import Cohort
from scanweave.studies.layouts import import_cohort
from scanweave.studies.tables.schema import parse_columns

TRAINING = {"training": {"steps": 2, "warm_up": 0, "workers": 0, "device": "cpu"}}


def brains(folder: Path) -> None:
    simulate_brain(folder / "c", subjects=3, seed=0, spacing=8.0, sequences=("t1", "flair"))


def slices(folder: Path) -> None:
    simulate_ct(folder / "c", subjects=3, seed=0, size=32, views=12)


def patients(folder: Path) -> None:
    rng, ill = np.random.default_rng(0), np.arange(60) % 2
    frame = pd.DataFrame({"id": [f"p{i}" for i in range(60)], "ill": ill, "marker": ill + rng.normal(size=60)})
    frame.assign(age=rng.integers(30, 80, 60)).to_csv(folder / "table.csv", index=False)
    import_cohort(folder / "table.csv", folder / "c", columns=parse_columns("ill=label"), say=str)


def films(folder: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (12, 24, 24), np.uint8)
    np.savez(folder / "films.npz", train_images=images, train_labels=np.arange(12) % 2)
    import_cohort(folder / "films.npz", folder / "c", say=str)


SYSTEMS: dict[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    "seq2seq": (brains, {**TRAINING, "network": {"channels": [4, 8]}}),
    "segment": (brains, {**TRAINING, "mask": "brain", "network": {"first_channels": 4, "patch": [16, 16, 16]}}),
    "classify": (films, {**TRAINING, "network": {"encoder": "resnet10"}}),
    "ultra": (slices, {**TRAINING, "network": {"architecture": "fbpconvnet"}, "sampling": {"crop": [16, 16]}}),
    "acid": (slices, {**TRAINING, "network": {"width": 4, "levels": 2}}),
    "adamedgraph": (patients, {}),
}


@pytest.fixture
def unsplit(made_once: Callable[..., Path], tmp_path: Path) -> Callable[[str], Cohort]:
    """Return a cohort for a system that nobody has split, checked or fitted to."""

    def unsplit(system: str) -> Cohort:
        shutil.copytree(made_once(SYSTEMS[system][0]), tmp_path / "made")
        (tmp_path / "made" / "c" / "splits.json").unlink(missing_ok=True)
        return Cohort.open(tmp_path / "made" / "c")

    return unsplit


def content(folder: Path) -> dict[str, bytes | None]:
    """Return the names in a folder, and what is in those that are files."""
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


def refused(system: str, cohort: Cohort, run: Path, words: str) -> list[str]:
    """Fit in vain, and return what was said."""
    said: list[str] = []
    with pytest.raises(ScanweaveError, match=words):
        api.fit(system, cohort, run, preset="small", config=SYSTEMS[system][1], say=said.append)
    return said


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_fit_that_is_refused_before_it_learns_draws_no_splits_and_tells_what_it_made_ready(
    system: str, unsplit: Callable[[str], Cohort], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = unsplit(system)
    before = content(cohort.folder)
    with monkeypatch.context() as poor:
        poor.setattr(free_memory, "free_bytes", lambda device: 0)
        said = refused(system, cohort, tmp_path / "run", "where 0.0 GiB of cpu memory are free")
    assert not (tmp_path / "run").exists()
    after = content(cohort.folder)
    made = sorted(set(after) - set(before))
    assert {name: after[name] for name in before} == before
    assert set(made) <= {"check.parquet", "prepared"}
    told = [line for line in said if line.startswith("kept in ")]
    assert told == (
        [f"kept in {cohort.folder}: {' and '.join(made)}, for the next fit; safe to delete"] if made else []
    )
    drawn = any(line.startswith("split: none was made") for line in said)
    assert drawn == (system != "classify")  # the source of the films divides them
    assert ("split: taken back, since the fit is refused" in said) == drawn


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_run_folder_that_is_refused_leaves_the_cohort_as_it_was(
    system: str, unsplit: Callable[[str], Cohort], tmp_path: Path
) -> None:
    cohort = unsplit(system)
    before = content(cohort.folder)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").touch()
    refused(system, cohort, tmp_path / "run", "holds other files and no run")
    assert content(cohort.folder) == before
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_splits_that_were_there_stay(
    unsplit: Callable[[str], Cohort], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = unsplit("adamedgraph")
    run = tmp_path / "run"
    api.fit("adamedgraph", cohort, run, config={"boosting": {"epochs": 2, "rounds": 1}}, say=str)
    before = content(cohort.folder)
    assert "splits.json" in before
    refused("adamedgraph", cohort, run, "rounds was 1, now 10")
    monkeypatch.setattr(free_memory, "free_bytes", lambda device: 0)
    refused("adamedgraph", cohort, tmp_path / "other", "of cpu memory are free")
    assert content(cohort.folder) == before


def test_patience_is_refused_where_no_study_validates(unsplit: Callable[[str], Cohort], tmp_path: Path) -> None:
    films = unsplit("classify")
    layers = [SYSTEMS["classify"][1], {"training.patience": 3}]
    with pytest.raises(ScanweaveError, match=r"training\.patience: has no effect: no study validates"):
        api.fit("classify", films, tmp_path / "run", preset="small", config=layers, say=str)


@pytest.mark.parametrize("system", SYSTEMS)
def test_workers_are_one_or_more(system: str, unsplit: Callable[[str], Cohort], tmp_path: Path) -> None:
    with pytest.raises(ScanweaveError, match="workers: 0 is too small"):
        api.fit(system, unsplit(system), tmp_path / "run", workers=0, say=str)


def test_a_fold_that_no_splits_make_is_refused(tmp_path: Path) -> None:
    """The source says who tests, once; a number would choose nothing."""
    rows = [{"study": f"s{i}", "patient": f"p{i}", "split": "test" if i else "train", "label:x": i} for i in range(3)]
    cohort = Cohort.create(tmp_path / "c", rows, root=".", name="c", source="x", layout="records")
    with pytest.raises(ScanweaveError, match="fold: there is no fold 2: the source divides the cohort, and once only"):
        start_fit(tmp_path / "run", "any", Settings(), cohort, [], fold=2, say=print)
    assert not (tmp_path / "run").exists()
    start_fit(tmp_path / "run", "any", Settings(), cohort, [], fold=0, say=print).close()


def test_start_weights_that_are_not_there_are_refused_before_anything_is_read(
    unsplit: Callable[[str], Cohort], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = unsplit("seq2seq")
    monkeypatch.setattr("scanweave.systems.registry.load", lambda system: pytest.fail(f"{system} was loaded"))
    config = {"start.source": str(tmp_path / "nothing")}
    with pytest.raises(ScanweaveError, match="nothing: is not there to start from"):
        api.fit("seq2seq", cohort, tmp_path / "run", preset="small", config=config, say=str)
    assert not (tmp_path / "run").exists()
