"""Checkpoints on disk: folders of safetensors and JSON that appear whole, carry checksums, and never hold a pickle."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, atomic_write, file_sha256, read_json, sweep, writing

FORMAT = 1
START = "start.safetensors"
"""Of what no step changes: kept once beside the checkpoints."""
GENERATIONS = 2
"""Checkpoints kept: the newest, and one to fall back on should it be damaged."""

Tensors = Mapping[str, Mapping[str, Tensor]]
"""Tensors by file and name, such as `{"network": {"conv.weight": …}}`."""


@dataclass
class State:
    """State of a training, besides its tensors.

    Attributes:
        step: Updates made, those skipped included.
        fingerprint: `TrainingSettings.fingerprint` of the run.
        samples_per_step: Samples of one step over all processes.
        best: Best value of the monitored metric so far.
        best_step: The step it was reached at.
        stale: Validations since.
        skipped: Steps skipped for a loss or gradient that was not finite.
        skipped_in_a_row: Those up to this step without a good one between.
        unusable: Cases of the steps skipped in a row.
        terms: Sums of the loss terms since the last line of metrics.
        term_steps: Steps in these sums.
        averaged: Updates of the moving average.
        optimizer: State of the optimizer that is not a tensor.
        frozen: SHA-256 of each parameter that is kept once in the run and left out here while it has not changed.
        scaler: State of the fp16 gradient scaler.
        seconds: Time trained.
    """

    step: int = 0
    fingerprint: str = ""
    samples_per_step: int = 0
    best: float | None = None
    best_step: int | None = None
    stale: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    unusable: list[str] = field(default_factory=list)
    terms: dict[str, float] = field(default_factory=dict)
    term_steps: int = 0
    averaged: int = 0
    optimizer: dict[str, Any] = field(default_factory=dict)
    frozen: dict[str, str] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Checkpoints:
    """The checkpoints of a run: `step-…` to continue from and `best-…` to export.

    Args:
        folder: Where they lie; need not exist.
        say: Takes a line for the user, where a checkpoint is damaged.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self._say = say

    def save(self, state: State, tensors: Tensors) -> None:
        """Write the checkpoint of `state.step` and remove those no longer needed.

        Raises:
            ScanweaveError: The disk is full or fails; the older checkpoints are intact.
        """
        self._write(self.path("step", state.step), state, tensors)
        with writing(self.folder):
            self._prune()

    def save_best(self, state: State, tensors: Tensors) -> None:
        """Write the weights of the best step; older best ones stay until no checkpoint names them."""
        self._write(self.path("best", state.step), state, tensors)

    def newest_valid(self) -> Path | None:
        """Return the newest intact checkpoint, None where there is none at all.

        Each damaged one is named, and the next older one tried.

        Raises:
            ScanweaveError: There are checkpoints and all are damaged.
        """
        paths = self._generations()
        for path in paths:
            fault = damage(path)
            if fault is None:
                return path
            self._say(f"Checkpoint {path.name} is damaged ({fault}); trying the one before")
        if paths:
            raise ScanweaveError(
                self.folder, "every checkpoint is damaged", "Remove the run folder to train from the beginning"
            )
        return None

    def tidy(self, newest: Path | None) -> None:
        """Remove what a killed process left half-written, and damaged checkpoints newer than `newest`."""
        sweep(self.folder)
        for path in self._generations():
            if newest and path.name > newest.name:
                _remove(path)

    def path(self, kind: str, step: int) -> Path:
        """Return the folder of a "step" or "best" checkpoint."""
        return self.folder / f"{kind}-{step:08d}"

    def _generations(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"), reverse=True)

    def _write(self, path: Path, state: State, tensors: Tensors) -> None:
        with writing(path):
            if path.exists():
                _remove(path)
        with atomic_folder(path) as partial:
            sums = {}
            for name, group in tensors.items():
                file = partial / f"{name}.safetensors"
                _save(group, file)
                sums[file.name] = file_sha256(file)
            content = {"format": FORMAT, **asdict(state), "files": sums}
            text = json.dumps({"content": content, "sha256": _digest(content)}, indent=1)
            (partial / "state.json").write_text(text, encoding="utf-8")

    def _prune(self) -> None:
        for path in self._generations()[GENERATIONS:]:
            _remove(path)
        named = {read_state(path).best_step for path in self._generations() if damage(path, tensors=False) is None}
        for path in self.folder.glob("best-*"):
            if int(path.name.removeprefix("best-")) not in named:
                _remove(path)


def damage(path: Path, *, tensors: bool = True) -> str | None:
    """Return what is wrong with a checkpoint, None if every checksum holds.

    Args:
        path: The folder of the checkpoint.
        tensors: Whether to read the tensor files as well, not only the state.
    """
    try:
        document = read_json(path / "state.json", "")
        content = document["content"]
        if document["sha256"] != _digest(content):
            return "state.json: checksum differs"
        for name, expected in content["files"].items() if tensors else ():
            if file_sha256(path / name) != expected:
                return f"{name}: checksum differs"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name}: missing"
    except OSError as error:
        return f"{Path(error.filename or path).name}: {error.strerror}"
    except ScanweaveError as error:
        return f"state.json: {error.reason}"
    except (KeyError, TypeError, AttributeError):
        return "state.json: not a checkpoint's"
    return None


def read_state(path: Path) -> State:
    """Return the state of an intact checkpoint.

    Raises:
        ScanweaveError: Another version of scanweave wrote it.
    """
    content = dict(read_json(path / "state.json", "")["content"])
    written, known = content.pop("format", None), {about.name for about in fields(State)}
    del content["files"]
    if written != FORMAT or not content.keys() <= known:
        reason = f"was written by another version of scanweave (format {written}, here {FORMAT})"
        raise ScanweaveError(path, reason, "Use the scanweave that began this run, or fit into another folder")
    return State(**content)


def read_tensors(path: Path) -> dict[str, dict[str, Tensor]]:
    """Return the tensors of an intact checkpoint by file and name."""
    return {file.stem: load_file(file) for file in sorted(path.glob("*.safetensors"))}


def write_weights(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write exported weights, whole or not at all, with `about` as JSON in their header under "scanweave".

    Raises:
        ScanweaveError: The disk is full or fails.
    """
    with atomic_write(path) as partial:
        _save(tensors, partial, {"scanweave": json.dumps(dict(about))})


def _save(tensors: Mapping[str, Tensor], path: Path, about: dict[str, str] | None = None) -> None:
    try:
        save_file(dict(tensors), path, about)
    except SafetensorError as error:  # its word for a disk that refuses
        raise OSError(str(error)) from error


def _remove(path: Path) -> None:
    # Renamed first, so that a kill half-way leaves no folder that looks like a damaged checkpoint.
    doomed = path.with_name(f".partial-{path.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
