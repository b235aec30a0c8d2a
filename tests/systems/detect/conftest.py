"""A run on small films with boxes, fitted once."""

import pytest
from boxed_films import TINY, make_cohort

import scanweave as sw


@pytest.fixture(scope="session")
def boxed(tmp_path_factory):
    return make_cohort(tmp_path_factory.mktemp("boxed") / "c", films=72)


@pytest.fixture(scope="session")
def fitted(boxed, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    return sw.fit("detect", boxed, run, preset="small", config=TINY, say=lambda line: None)
