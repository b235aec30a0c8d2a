"""A run fitted for a few steps to a small simulated cohort in which sequences are absent."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from scanweave.simulate.cohort import simulate_brain
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import make_splits, write_splits
from scanweave.systems.seq2seq.config import SMALL
from scanweave.systems.seq2seq.system import Seq2Seq

SEQUENCES = ("t1", "t1c", "flair")


@pytest.fixture(scope="session")
def fitted(tmp_path_factory):
    """`system`, `cohort` and the `lines` that the fit said; the test part holds three patients."""
    folder = tmp_path_factory.mktemp("fitted")
    cohort = simulate_brain(
        folder / "sim", subjects=9, seed=0, spacing=6.0, sequences=SEQUENCES, protocol="random", missing=0.2
    )
    write_splits(cohort.folder, make_splits(cohort.patients, 3, seed=1))
    training = SMALL.training.model_copy(
        update={"steps": 4, "warm_up": 0, "validate_every": 2, "batch_size": 1, "log_every": 1}
    )
    network = SMALL.network.model_copy(update={"channels": (4, 8, 8), "blocks": 1, "rank": 2})
    config = SMALL.model_copy(update={"training": training, "network": network})
    lines: list[str] = []
    system = Seq2Seq.fit(Cohort.open(cohort.folder), folder / "run", config, say=lines.append)
    return SimpleNamespace(system=system, cohort=cohort, lines=lines)
