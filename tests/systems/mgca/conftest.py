"""A run on small films and their reports, fitted once."""

import pytest
from told_films import SMALL, make_cohort

import scanweave as sw


@pytest.fixture(scope="session")
def told(tmp_path_factory):
    return make_cohort(tmp_path_factory.mktemp("told"))


@pytest.fixture(scope="session")
def lines():
    return []


@pytest.fixture(scope="session")
def paired(told, lines, tmp_path_factory):
    return sw.fit("mgca", told, tmp_path_factory.mktemp("runs") / "run", config=SMALL, say=lines.append)
