"""What all tests share."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """Turn oneDNN off for `SCANWEAVE_ONEDNN=off`: PyTorch convolves and multiplies by other algorithms then."""
    if os.environ.get("SCANWEAVE_ONEDNN", "").lower() == "off":
        import torch  # a second: only who asks for it waits

        torch.backends.mkldnn.set_flags(_enabled=False)


def pytest_sessionstart() -> None:
    """Hear Ctrl-C, which a shell lets what it starts in the background ignore: tests of it would fail there."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Begin every test with the same state of PyTorch's generator, so that their order decides nothing."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real scans (`SCANWEAVE_DATA`, or `../shared/data` beside the repository).

    Where it is absent the test is skipped, but on continuous integration (`CI=true`) it fails.
    """
    folder = Path(os.environ.get("SCANWEAVE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        message = f"{folder}: the real scans are absent; set SCANWEAVE_DATA"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder
