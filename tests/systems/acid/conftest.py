"""A run fitted for a few steps to a few small simulated scans, and the cohort they lie in."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from scanweave.simulate.ct import simulate_ct
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import make_splits, write_splits
from scanweave.systems.acid.config import SMALL, NetworkSettings, TuningSettings
from scanweave.systems.acid.system import AcidSystem


def tiny(**training):
    """Settings of a fit of seconds."""
    steps = {"steps": 3, "warm_up": 0, "validate_every": 3, "log_every": 1, "batch_size": 2, "device": "cpu"}
    return SMALL.model_copy(
        update={
            "network": NetworkSettings(width=4, levels=2),
            "loop": SMALL.loop.model_copy(update={"iterations": 2}),
            "tuning": TuningSettings(steps=(0.3,), thresholds=(0.01,), tv_weights=(0.003,), images=2),
            "training": SMALL.training.model_copy(update=steps | training),
        }
    )


@pytest.fixture(scope="session")
def acid_run(tmp_path_factory):
    """`system`, `cohort` and the `lines` that the fit said; the test part holds two studies."""
    folder = tmp_path_factory.mktemp("acid")
    cohort = simulate_ct(
        folder / "cohort", subjects=6, seed=0, size=32, geometry="parallel", views=12, thresholds=(20.0,)
    )
    write_splits(cohort.folder, make_splits(cohort.patients, 3, seed=1))
    lines: list[str] = []
    cohort = Cohort.open(cohort.folder)
    system = AcidSystem.fit(cohort, folder / "run", tiny(), say=lines.append)
    return SimpleNamespace(system=system, cohort=cohort, lines=lines, config=tiny())
