"""Fixtures that the tests of the engine share."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute in one thread: these tests fork, and OpenMP's threads do not live on in a forked process.

    Afterwards the number is what it was, so that other tests run with the threads that the caller asked for.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
