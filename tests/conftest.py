"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # before numpy and torch are loaded: two workers must not fight for the cores
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
FAST = (
    "cli/test_program.py",
    "engine/test_progress.py",
    "engine/test_schedule.py",
    "measures/test_bootstrap.py",
    "measures/test_calibration.py",
    "measures/test_classification.py",
    "measures/test_delong.py",
    "measures/test_image_quality.py",
    "measures/test_ranks.py",
    "physics/test_mr.py",
    "report",
    "studies",
    "test_architecture.py",
    "test_files.py",
    "test_predictions.py",
    "test_public_api.py",
    "test_scoreboard.py",
)
"""Files and folders of `make test-fast`: together a minute at most, so without fits, real scans and processes."""
SLOW = (
    "studies/formats/test_guarded_reading.py",
    "studies/tables/test_real_tables.py",
    "studies/test_cache.py",
    "studies/test_real.py",
)
"""Those in these folders that take longer."""


def pytest_configure() -> None:
    """Turn oneDNN off for `SCANWEAVE_ONEDNN=off`: PyTorch convolves and multiplies by other algorithms then."""
    if os.environ.get("SCANWEAVE_ONEDNN", "").lower() == "off":
        import torch  # a second: only who asks for it waits

        torch.backends.mkldnn.set_flags(_enabled=False)


settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI", "").lower() == "true":  # what lands must not hang on chance; elsewhere hypothesis searches on
    settings.load_profile("ci")


def pytest_sessionstart() -> None:
    """Hear Ctrl-C, which a shell lets what it starts in the background ignore: tests of it would fail there."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m fast`, do not even import the other files: that alone takes longer than the fast tests."""
    if config.option.markexpr == "fast" and collection_path.is_file() and not _is_fast(collection_path):
        return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fast tests."""
    for item in items:
        if _is_fast(item.path):
            item.add_marker("fast")


def _is_fast(path: Path) -> bool:
    own = path.relative_to(TESTS)
    return any(own.is_relative_to(one) for one in FAST) and not any(own.is_relative_to(one) for one in SLOW)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Give `made_once(make, *settings)`: the folder that `make(folder, *settings)` filled.

    It is made once for all processes of this run of the tests and for equal settings; nobody may change it.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def once(make: Callable[..., object], *settings: object) -> Path:
        told = f"{make.__module__}.{make.__qualname__}{settings!r}"
        name = f"{make.__name__}-{sha256(told.encode()).hexdigest()[:12]}"
        folder, done = shared / name, shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                folder.mkdir()
                make(folder, *settings)
                done.touch()
        return folder

    return once


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
