"""The folder that a fit leaves; opens without torch."""

from __future__ import annotations

import copy
import json
import math
import os
import platform
import shlex
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

import scanweave
from scanweave.engine.run_identity import ImageStates, completed, planned_steps, refuse_changed, refuse_difference
from scanweave.engine.tensorboard import ScalarLog
from scanweave.errors import ScanweaveError
from scanweave.external import resolve
from scanweave.files import HeldFolder, atomic_write, is_plain, read_json, refuse_absent, sweep, write_json, writing
from scanweave.locks import is_locked

INPUTS = "inputs.json"
STEPS_BEFORE = "steps_before"
"""Field of `run.json`: the steps that the training was to have before it was made longer or shorter."""
_KEPT = (
    "started",
    "seconds",
    "state",
    "weights",
    "step",
    "stage",
    "stages",
    "device",
    "start_weights",
    "pruning",
    STEPS_BEFORE,
)
"""Fields of `run.json` that stay as they are where a run goes on."""
_ADVICE = "Restore the file or fit again"
_UNFINISHED = "The same fit command goes on; --checkpoint newest or best takes what is learnt so far"


class _Checked(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Configuration(_Checked):
    """Fields of `config.json` that are read here; the rest is the system's."""

    fold: int = Field(0, ge=0)


class Record(_Checked):
    """Fields of `run.json` that are computed with or looked into."""

    state: str = "stopped"
    seconds: float = Field(0.0, ge=0)
    cohort: dict[str, str] | None = None
    versions: dict[str, str] = {}
    stage: str | None = None
    stages: dict[str, dict[str, Any]] = {}
    steps_before: list[int] = []


class Inputs(RootModel[dict[str, dict[str, dict[str, list[int]]]]]):
    """Contents of `inputs.json`: the state of each image, by patient, study and name of the image."""


class Run:
    """A run folder: `start` one to train in it, `open` one to look at it.

    Of several processes (torchrun), only the first locks and writes; the others read.

    Attributes:
        folder: Where it is.
        config: Every setting, as in `config.json`.
        record: System, versions, machine, cohort, command and state, as in `run.json`.
        stage: Name of the stage that this is, see `engine.stages`; None for a run as a whole.
        shipped: Whether it is part of an installed package, whose folder is never written to.
    """

    stage: str | None = None
    shipped: bool = False

    def __init__(self, folder: Path, config: dict[str, Any], record: dict[str, Any], lock: HeldFolder | None) -> None:
        self.folder = folder
        self.config = config
        self.record = record
        self._lock = lock
        self._scalars: ScalarLog | None = None
        self._weights = folder / "weights.safetensors"
        self._since = time.monotonic()
        self._earlier = float(record.get("seconds", 0.0))

    @classmethod
    def start(
        cls,
        folder: str | Path,
        system: str,
        config: Mapping[str, Any],
        cohort: Mapping[str, str] | None = None,
        inputs: Mapping[str, ImageStates] | None = None,
        kind: type[BaseModel] | None = None,
    ) -> Run:
        """Create a run, or continue the one in `folder` if it has the same configuration.

        Fields of `TrainingSettings.free` may differ, wherever in the configuration they stand, and so may the steps of
        a training that is not finished; `run.json` then tells the earlier numbers as "steps_before". A call that is
        refused leaves no folder behind that was not there.

        Args:
            folder: The run folder; need not exist.
            system: Name of the system.
            config: Every setting as JSON values.
            cohort: "path" and "sha256" of the cohort; another hash counts as another configuration.
            inputs: What tells that an image changed, by patient; see `engine.image_states`.
            kind: Of the settings; what an older version's configuration lacks counts as at its default.

        Raises:
            ScanweaveError: The folder is in use, holds a run of another configuration or of images that changed since,
                or is no run folder.
        """
        folder = Path(folder)
        settings: dict[str, Any] = json.loads(json.dumps(dict(config)))
        record = _new_record(system, cohort)
        if _rank():
            finished = (folder / "config.json").exists() and cls.open(folder).finished
            return cls.open(folder) if finished else cls(folder, settings, record, None)
        lock = HeldFolder(folder)
        try:
            with writing(folder):
                return _begin(folder, settings, record, inputs, lock, kind)
        except ScanweaveError:
            lock.discard()
            raise

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Open an existing run for reading.

        Raises:
            ScanweaveError: The folder holds no run, or a damaged one.
        """
        folder = Path(folder)
        refuse_absent(folder, "config.json", "Name the folder of a fit")
        if not is_plain(folder / "config.json"):
            raise ScanweaveError(folder, "is not a run folder (it has no config.json)", "Name the folder of a fit")
        config = _read(folder / "config.json", Configuration)
        record = _read(folder / "run.json", Record) if is_plain(folder / "run.json") else {}
        return cls(folder, config, record, None)

    @property
    def state(self) -> str:
        """One of "running", "finished" and "stopped"; a killed process leaves a stopped run, whatever it wrote last."""
        state = str(self.record.get("state", "stopped"))
        if state == "running" and self._lock is None and not is_locked(self.folder):
            return "stopped"
        return state

    @property
    def own_folder(self) -> Path:
        """Return the folder for results where the user names none: that of the run.

        Raises:
            ScanweaveError: It is part of an installed package.
        """
        if self.shipped:
            raise ScanweaveError("--out", "is needed: nothing is written to the folder of a builtin", "Name a folder")
        return self.folder

    @property
    def finished(self) -> bool:
        """Tell whether the training came to its end."""
        return self.record.get("state") == "finished" and is_plain(self.weights)

    def fitted(self) -> Self:
        """Return the run itself, if its weights are there.

        Raises:
            ScanweaveError: The training has not come to its end, or the weights were lost.
        """
        if is_plain(self.weights):
            return self
        if self.record.get("state") == "finished":
            raise ScanweaveError(self.weights, "is absent", _ADVICE)
        state = "is not finished" if self.state == "stopped" else "is being fitted"
        raise ScanweaveError(self.folder, f"{state}: {_progress(self)} is kept", _UNFINISHED)

    @property
    def main(self) -> bool:
        """Tell whether this process is the one that writes."""
        return self._lock is not None

    @property
    def weights(self) -> Path:
        """The exported weights; those of a checkpoint, where `engine.checkpoint_weights` opened the run at one."""
        return self._weights

    def with_weights(self, path: Path) -> Self:
        """Return the same run with the weights of another file."""
        other = copy.copy(self)
        other._weights = path
        return other

    @property
    def inputs(self) -> dict[str, ImageStates] | None:
        """The images that it is trained and validated on, by study; None where a run of an earlier version tells none.

        Raises:
            ScanweaveError: `inputs.json` is damaged.
        """
        path = self.folder / INPUTS
        return _read(path, Inputs) if is_plain(path) else None

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.folder / "checkpoints"

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of `metrics.jsonl`; a last line torn by a kill is left out.

        Raises:
            ScanweaveError: Another line is damaged.
        """
        path = self.folder / "metrics.jsonl"
        text = path.read_text(encoding="utf-8", errors="replace") if is_plain(path) else ""
        whole = text.split("\n")[:-1]  # what follows the last line break was never finished
        return [_metrics_row(path, number, line) for number, line in enumerate(whole, 1)]

    def log(self, step: int, split: str, values: Mapping[str, Any]) -> None:
        """Append a line of metrics, and its numbers to TensorBoard; numbers that are not finite become null."""
        if not self.main:
            return
        about = {} if self.stage is None else {"stage": self.stage}
        numbers = {name: _json_number(value) for name, value in values.items()}
        row: dict[str, Any] = {"step": step, "split": split, **about, **numbers}
        with writing(self.folder / "metrics.jsonl"):
            with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            self._scalars = self._scalars or ScalarLog(self.folder / "tensorboard" / (self.stage or ""))
            self._scalars.add(step, {f"{split}/{name}": v for name, v in row.items() if isinstance(v, float)})

    def rewind(self, step: int, seconds: float) -> None:
        """Drop the metrics after `step`, from which the training continues after `seconds` of earlier work."""
        self.set_clock(seconds)
        if self.main:
            rows = [row for row in Run.metrics(self) if row["step"] <= step or row.get("stage") != self.stage]
            kept = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
            with atomic_write(self.folder / "metrics.jsonl") as partial:
                partial.write_text("".join(kept), encoding="utf-8")

    def set_clock(self, seconds: float) -> None:
        """Count the time trained from `seconds` on [s]."""
        self._since, self._earlier = time.monotonic(), seconds

    @property
    def seconds(self) -> float:
        """Time trained, over all sessions [s]."""
        return self._earlier + time.monotonic() - self._since

    def note(self, **fields: Any) -> None:
        """Add or replace fields of `run.json`."""
        self.record |= fields
        if self.main:
            write_json(self.folder / "run.json", self.record)

    def note_training(self, **fields: Any) -> None:
        """Add or replace fields of what `run.json` says of this training: of the run, or of its stage."""
        self.note(**fields)

    def finish(self, **fields: Any) -> None:
        """Record that the training came to its end."""
        self.note(state="finished", seconds=round(self.seconds, 1), finished=_now(), **fields)

    def close(self) -> None:
        """Record an unfinished run as stopped, and let the lock go."""
        if self._lock is None:
            return
        try:
            if not self.finished:
                self.note(state="stopped", seconds=round(self.seconds, 1))
            self.close_tensorboard()
        finally:
            self._lock.release()
            self._lock = None

    def close_tensorboard(self) -> None:
        """Write what TensorBoard has not yet, and close its file."""
        if self._scalars is not None:
            with writing(self.folder / "tensorboard"):
                self._scalars.close()

    def _repr_html_(self) -> str:
        """Show facts and the curve of the validation in a notebook."""
        html: str = resolve("scanweave.engine.run_preview:run_preview")(self)
        return html

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the run; one that was refused before its first step leaves nothing behind."""
        refused = isinstance(error, ScanweaveError) and not (self.finished or self.metrics())
        if refused and self._lock is not None and self._lock.bare:
            self._lock.discard()
            self._lock = None
        self.close()


def _begin(
    folder: Path,
    config: dict[str, Any],
    record: dict[str, Any],
    inputs: Mapping[str, ImageStates] | None,
    lock: HeldFolder,
    kind: type[BaseModel] | None,
) -> Run:
    """Make a run in a folder that is held, or take up the one that it holds."""
    sweep(folder)
    if (folder / "config.json").exists():
        old = Run.open(folder)
        before = old.config if kind is None else completed(old.config, kind)
        refuse_difference(folder, old.record, record, before, config, bend=not old.finished)
        record |= {name: old.record[name] for name in _KEPT if name in old.record}
        if (steps := planned_steps(old.config)) != planned_steps(config):
            record[STEPS_BEFORE] = [*old.record.get(STEPS_BEFORE, []), steps]
    elif any(not path.name.startswith(".") for path in folder.iterdir()):
        raise ScanweaveError(folder, "holds other files and no run", "Choose an empty or new folder")
    run = Run(folder, config, record, lock)
    if not run.finished:
        if inputs is not None:
            refuse_changed(folder, run.inputs, inputs)
            write_json(folder / INPUTS, inputs)
        record["state"] = "running"
        write_json(folder / "config.json", config)
        write_json(folder / "run.json", record)
    return run


def kept_steps(checkpoints: Path) -> list[int]:
    """Return the steps of the checkpoints in a folder, intact or not."""
    names = [path.name.removeprefix("step-") for path in checkpoints.glob("step-*")]
    return [int(name) for name in names if name.isdecimal()]


def _progress(run: Run) -> str:
    stage, training = run.record.get("stage"), run.config.get("training")
    if stage is not None:
        training = run.record.get("stages", {}).get(stage)
    steps = training.get("steps", "?") if isinstance(training, dict) else "?"
    step = max(kept_steps(run.checkpoints / (stage or "")), default=0)
    return f"{f'stage {stage}, ' if stage else ''}step {step} of {steps}"


def _read(path: Path, kind: type[BaseModel]) -> dict[str, Any]:
    content: dict[str, Any] = read_json(path, _ADVICE)
    try:
        kind.model_validate(content)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"])) or "content"
        raise ScanweaveError(path, f"{field}: {fault['msg']}", _ADVICE) from None
    return content


def _metrics_row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not (isinstance(row, dict) and isinstance(row.get("step"), int) and isinstance(row.get("split"), str)):
        raise ScanweaveError(path, f"line {number} is not a line of metrics", "Remove that line")
    return row


def _new_record(system: str, cohort: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "format": 1,
        "system": system,
        "versions": {
            "scanweave": scanweave.__version__,
            "torch": metadata.version("torch"),
            "python": platform.python_version(),
        },
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "cohort": dict(cohort) if cohort else None,
        "command": shlex.join(sys.argv),
        "started": _now(),
        "seconds": 0.0,
    }


def _json_number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
