"""A run on small films, fitted once."""

import pytest
from square_films import SMALL, make_cohort

import scanweave as sw


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    return make_cohort(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="session")
def fitted(films, tmp_path_factory):
    return sw.fit("classify", films, tmp_path_factory.mktemp("runs") / "run", config=SMALL, say=lambda line: None)
