"""A run fitted for a few steps to a small simulated cohort in which sequences are absent."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest

from scanweave.simulate.cohort import simulate_brain
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import make_splits, write_splits
from scanweave.systems.seq2seq.config import SMALL
from scanweave.systems.seq2seq.system import Seq2Seq

SEQUENCES = ("t1", "t1c", "flair")


def brain_run(folder, config):
    """Simulate a cohort into `folder/sim`, fit it to `folder/run`, and keep what the fit said."""
    cohort = simulate_brain(
        folder / "sim", subjects=9, seed=0, spacing=6.0, sequences=SEQUENCES, protocol="random", missing=0.2
    )
    write_splits(cohort.folder, make_splits(cohort.patients, 3, seed=1))
    lines: list[str] = []
    Seq2Seq.fit(Cohort.open(cohort.folder), folder / "run", config, say=lines.append)
    (folder / "lines.json").write_text(json.dumps(lines))


def brain_results(folder, fitted):
    """Copy a run into `folder/run`, and evaluate, rank and explain it there."""
    keep = shutil.ignore_patterns("evaluation", "ranking", "explanation", "outputs.json", "report.html", "checkpoints")
    shutil.copytree(fitted / "run", folder / "run", ignore=keep)
    system, cohort = Seq2Seq.open(folder / "run", "cpu"), Cohort.open(fitted / "sim")
    for verb in (system.evaluate, system.rank, system.explain):
        verb(cohort, say=lambda _: None)


@pytest.fixture(scope="session")
def fitted_folder(made_once):
    """The folder with `sim`, `run` and `lines.json`, which all processes share and none changes."""
    training = SMALL.training.model_copy(
        update={"steps": 4, "warm_up": 0, "validate_every": 2, "batch_size": 1, "log_every": 1}
    )
    network = SMALL.network.model_copy(update={"channels": (4, 8, 8), "blocks": 1, "rank": 2})
    return made_once(brain_run, SMALL.model_copy(update={"training": training, "network": network}))


@pytest.fixture(scope="session")
def fitted(fitted_folder, tmp_path_factory):
    """`system`, `cohort` and the `lines` that the fit said; the test part holds three patients."""
    own = tmp_path_factory.mktemp("fitted")
    for name in ("run", "sim"):
        shutil.copytree(fitted_folder / name, own / name)
    lines = json.loads((fitted_folder / "lines.json").read_text())
    return SimpleNamespace(system=Seq2Seq.open(own / "run"), cohort=Cohort.open(own / "sim"), lines=lines)


@pytest.fixture(scope="session")
def results_folder(made_once, fitted_folder):
    """A run folder with evaluation, ranking and explanation, which all processes share and none changes."""
    return made_once(brain_results, fitted_folder) / "run"
