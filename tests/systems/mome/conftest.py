"""A run on a small mixed cohort, fitted once."""

import pytest
from mixed_cohort import TINY, make_cohort

import scanweave as sw


@pytest.fixture(scope="session")
def mixed(tmp_path_factory):
    return make_cohort(tmp_path_factory.mktemp("mixed"))


@pytest.fixture(scope="session")
def fitted(mixed, tmp_path_factory):
    return sw.fit("mome", mixed, tmp_path_factory.mktemp("runs") / "run", config=TINY, say=lambda line: None)
