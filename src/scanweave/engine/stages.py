"""Several trainings in one run, one after another, each with its own task and settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list

from scanweave.engine.loop import open_accelerator, train
from scanweave.engine.progress import TrainingProgress
from scanweave.engine.run import Run
from scanweave.engine.settings import TrainingSettings
from scanweave.engine.task import Task

STAGES = "stages"


@dataclass(frozen=True)
class Stage:
    """One training of a run.

    Attributes:
        name: Short, such as "segmentor": lower-case letters, digits and hyphens.
        settings: How it is trained.
        make_task: Takes the stage's run and returns what to learn; the weights of the stages before are in `earlier`.
            Called when the turn of the stage comes, and again when it is continued; not for a stage that is finished.
    """

    name: str
    settings: TrainingSettings
    make_task: Callable[[StageRun], Task]


def train_stages(stages: Sequence[Stage], run: Run) -> None:
    """Train the stages of a run one after another; continue in the one where an earlier call was stopped or killed.

    The weights of the last stage are those of the run; those of the others lie in `stages/<name>.safetensors`, the
    checkpoints of each in `checkpoints/<name>/`. Rows of the metrics name their stage; `run.json` says under "stage"
    which one is trained, and under "stages" how each that was begun stands.

    Args:
        stages: At least one, with the same names in the same order in every call.
        run: Where to, started by `Run.start` with a configuration that decides all stages.

    Raises:
        ScanweaveError: As `train`.
        SystemExit: SIGINT or SIGTERM came.
        ValueError: Two stages have one name, or a name is none.
    """
    _check_names([stage.name for stage in stages])
    progress = TrainingProgress(0, shown=run.main)
    if run.finished:
        progress.say(f"{run.folder} is finished: its weights are {run.weights.name}")
        return
    accelerator = open_accelerator(stages[0].settings)
    earlier: dict[str, Path] = {}
    for number, stage in enumerate(stages, 1):
        part = StageRun(run, stage.name, dict(earlier), last=number == len(stages))
        if not broadcast_object_list([part.finished])[0]:  # the first process alone has read what is finished
            progress.say(f"stage {stage.name} ({number} of {len(stages)})")
            part.begin(stage.settings)
            try:
                train(stage.make_task(part), stage.settings, part)
            finally:
                part.close_tensorboard()
        earlier[stage.name] = part.weights
    if run.main:
        run.finish(**{name: part.own.get(name) for name in ("weights", "step", "steps", "skipped")})
    if accelerator.num_processes > 1:
        accelerator.wait_for_everyone()


class StageRun(Run):
    """A stage of a run: its folder, lock and record, with checkpoints, weights and metrics of its own.

    Closing is the affair of the run.

    Args:
        run: The run.
        stage: Name of the stage.
        earlier: The weights of the stages before, by name.
        last: Whether its weights are those of the run.
    """

    def __init__(self, run: Run, stage: str, earlier: Mapping[str, Path], *, last: bool) -> None:
        super().__init__(run.folder, run.config, run.record, run._lock)
        self.stage, self.earlier = stage, earlier
        self._whole, self._last = run, last

    @property
    def own(self) -> dict[str, Any]:
        """The record of this stage."""
        found: dict[str, Any] = self.record.get(STAGES, {}).get(self.stage, {})
        return found

    @property
    def finished(self) -> bool:
        """Tell whether this stage came to its end."""
        return self.own.get("state") == "finished" and self.weights.is_file()

    @property
    def weights(self) -> Path:
        """The exported weights of this stage."""
        return self._whole.weights if self._last else self.folder / STAGES / f"{self.stage}.safetensors"

    @property
    def checkpoints(self) -> Path:
        """The folder of this stage's checkpoints."""
        return self._whole.checkpoints / str(self.stage)

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of `metrics.jsonl` of this stage."""
        return [row for row in super().metrics() if row.get("stage") == self.stage]

    def begin(self, settings: TrainingSettings) -> None:
        """Record that this stage is trained now."""
        self.record["stage"] = self.stage
        self.note_training(state="running", steps=settings.steps)

    def rewind(self, step: int, seconds: float) -> None:
        """Drop the metrics of this stage after `step`, from which it continues after `seconds` of earlier work."""
        super().rewind(step, seconds)
        others = [about for name, about in self.record[STAGES].items() if name != self.stage]
        self._whole.set_clock(seconds + sum(float(about.get("seconds", 0.0)) for about in others))

    def note_training(self, **fields: Any) -> None:
        """Add or replace fields of what `run.json` says of this stage."""
        self.note(stages={**self.record.get(STAGES, {}), str(self.stage): {**self.own, **fields}})

    def finish(self, **fields: Any) -> None:
        """Record that this stage came to its end."""
        self.note_training(state="finished", seconds=round(self.seconds, 1), **fields)


def _check_names(names: Sequence[str]) -> None:
    if not names or len(set(names)) < len(names):
        raise ValueError(f"stages need names of their own: {', '.join(names)}")
    wrong = [name for name in names if not re.fullmatch("[a-z0-9][a-z0-9-]*", name)]
    if wrong:
        raise ValueError(f"stage {wrong[0]!r} is no name of lower-case letters, digits and hyphens")
