"""Few small films, and a network that learnt from them for a moment."""

import numpy as np
import pytest

import scanweave as sw
from scanweave import api
from scanweave.studies.layouts import import_cohort
from scanweave.studies.splits import make_splits, write_splits

FEW = {"steps": 4, "warm_up": 0, "validate_every": 2, "batch_size": 4, "log_every": 1, "device": "cpu", "workers": 0}


@pytest.fixture(scope="session")
def few_steps():
    """Settings of the shortest training."""
    return dict(FEW)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    ill = np.arange(18) % 2
    images = rng.integers(0, 255, (18, 36, 28), np.uint8)
    images[ill == 1, 8:16, 8:16] //= 3
    np.savez(folder / "films.npz", train_images=images, train_labels=ill)
    cohort = import_cohort(folder / "films.npz", folder / "c", say=str)
    write_splits(cohort.folder, make_splits(cohort.patients, 3, seed=1))
    return sw.Cohort.open(cohort.folder)


@pytest.fixture(scope="module")
def run(films, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    api.fit("classify", films, folder, config={"network": {"encoder": "resnet10"}, "training": FEW}, say=str)
    return folder
