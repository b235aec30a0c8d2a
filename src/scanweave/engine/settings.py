"""Settings of training a network, each with its unit and the reason for its default."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from scanweave.errors import ScanweaveError
from scanweave.wording import nearest

M = TypeVar("M", bound=BaseModel)
Device = Literal["auto", "cpu", "cuda", "mps"]
"""Where a network computes; auto takes the fastest that is there."""


def _apart(names: Any) -> Any:
    """Return the names in one word, `t1,flair`, or a single one, as a command line gives them."""
    if isinstance(names, str):
        return tuple(name.strip() for name in names.split(",") if name.strip())
    return (str(names),) if isinstance(names, int | float) else names


def _as_text(value: Any) -> Any:
    """Return a number as the text that it was written as: a class may be called 1."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Name = Annotated[str, BeforeValidator(_as_text)]
"""Name of a class, finding or label, which may be a number on a command line."""
Names = Annotated[tuple[str, ...], BeforeValidator(_apart)]
"""Names of scans or labels: several, one, or one word of several."""


Layers = Annotated[int, Field(gt=0, le=1000)]
"""Layers, blocks or rounds of a network; a file that asks for more is damaged, and would be built for ever."""
Channels = Annotated[int, Field(gt=0, le=2**14)]
"""Channels of a layer, likewise."""
Levels = Annotated[int, Field(gt=0, le=12)]
"""Sizes that a network works at: each is half the one before, and the last is 1/2048 of the image."""


def chosen_names(asked: Sequence[str], there: Sequence[str], field: str) -> list[str]:
    """Return the names that a setting asks for, each once.

    Args:
        asked: Names of scans, masks or labels, see `Names`.
        there: Those of the cohort.
        field: The setting that asks.

    Raises:
        ScanweaveError: The cohort has none of a name.
    """
    for name in asked:
        if name not in there:
            raise ScanweaveError(field, f"'{name}' is not in the cohort", nearest(name, there))
    return list(dict.fromkeys(asked))


class Settings(BaseModel):
    """A group of settings: data only, frozen; a field that is not there is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why; whoever gives one is refused."""
        return {}


NO_START = "none"
"""Source of start weights that says: none, begin at random, whatever the system would choose."""


class StartSettings(Settings):
    """Settings of the weights a network begins from; they mean the same in every system that has them."""

    source: str = Field(
        "",
        description="Weights to begin from: RUN, FILE.safetensors or builtin:NAME (--from); none: at random; empty: "
        "as the system chooses, else at random.",
    )
    part: str = Field("encoder", description="Part of the network that begins from them; empty: all of it.")
    prefix: str = Field(
        "encoder.",
        description="Beginning of that part's names in the file; empty where it holds that part alone.",
    )
    partial: bool = Field(False, description="Whether less than 80 % of that part may be found there.")

    @property
    def rename(self) -> dict[str, str]:
        """The beginning of names in the file → that of names in the network."""
        return {self.prefix: f"{self.part}."} if self.part else {}

    @property
    def begins(self) -> bool:
        """Tell whether there are weights to begin from."""
        return self.source not in ("", NO_START)

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        if not self.begins:
            return dict.fromkeys(["part", "prefix", "partial"], "without start.source (--from)")
        return {} if self.part else {"prefix": "without start.part"}

    @field_validator("source")
    @classmethod
    def _absolute(cls, source: str) -> str:
        """Make the source absolute, since a run goes on from another working folder too."""
        if source in ("", NO_START) or source.startswith("builtin:"):
            return source
        return str(Path(source).absolute())


class TrainingSettings(Settings):
    """The settings of `scanweave.engine.loop.train`, the same for every system.

    A *step* is one update of the weights from `batch_size × accumulate × processes` samples.
    """

    free: ClassVar[frozenset[str]] = frozenset(
        {"device", "workers", "worker_timeout", "log_every", "checkpoint_every", "nonfinite_limit"}
    )
    """Fields that say where and how it is computed, not what: they may differ when a run is continued."""
    later: ClassVar[frozenset[str]] = frozenset(
        {"momentum", "nesterov", "decay_norms_and_biases", "milestones", "gamma"}
    )
    """Fields that runs of 0.1.0 lack; at their default they change nothing, so that such a run can be continued."""

    steps: int = Field(
        20_000, gt=0, description="Updates of the weights [steps]; hours on one GPU, the papers' runs are longer."
    )
    batch_size: int = Field(
        4, gt=0, description="Samples per process and forward pass; fits small patches into 8 GB of GPU memory."
    )
    accumulate: int = Field(
        1, gt=0, description="Forward passes per step; above 1 stands in for memory that is not there."
    )
    optimizer: Literal["adam", "adamw", "sgd"] = Field(
        "adam", description="Adam as in the Seq2Seq paper; adamw decouples the weight decay; sgd as in nnU-Net."
    )
    learning_rate: float = Field(2e-4, gt=0, description="Highest rate; 2e-4 as in the Seq2Seq paper.")
    betas: tuple[float, float] = Field((0.9, 0.999), description="Decay of Adam's two moments; Adam's own defaults.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of sgd; 0.9 as in the ResNet paper.")
    nesterov: bool = Field(False, description="Nesterov's momentum in sgd; nnU-Net sets it.")
    weight_decay: float = Field(0.0, ge=0, description="Weight decay; none, as in the Seq2Seq paper.")
    decay_norms_and_biases: bool = Field(
        True, description="Whether the decay takes norms and biases too, as torch does; the ViT recipes spare them."
    )
    schedule: Literal["constant", "poly", "cosine", "step"] = Field(
        "poly", description="Fall of the rate after the warm-up; poly as in the Seq2Seq paper and nnU-Net."
    )
    warm_up: int = Field(
        0, ge=0, description="Steps of linear rise to the highest rate, at most a quarter of the schedule; 0: none."
    )
    milestones: tuple[int, ...] = Field(
        (), description="Steps at which the step schedule multiplies the rate by gamma; the papers name their own."
    )
    gamma: float = Field(0.1, gt=0, le=1, description="Factor at each milestone; 0.1 as in the ResNet paper.")
    poly_power: float = Field(0.9, gt=0, description="Exponent of the poly schedule; 0.9 as in the Seq2Seq paper.")
    schedule_every: int = Field(
        1, gt=0, description="Steps between two changes of the rate; a paper's epoch where it decays per epoch."
    )
    schedule_steps: int | None = Field(
        None, gt=0, description="Length of the schedule [steps], may exceed `steps`; None: as long as the training."
    )
    final_learning_rate: float = Field(1e-6, ge=0, description="Rate at the schedule's end; 1e-6 as in the paper.")
    clip_norm: float | None = Field(
        None, gt=0, description="Largest norm of the gradient; None, since the Seq2Seq paper does not clip."
    )
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="Decay per step of the weights' moving average; None, the papers keep none."
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="Arithmetic of the forward pass; fp32 is exact everywhere, the others are faster on GPUs."
    )
    device: Device = Field("auto", description="Where to compute; auto takes the fastest that is there.")
    validate_every: int = Field(1_000, gt=0, description="Steps between validations; some tens of points in a curve.")
    checkpoint_every: int = Field(500, gt=0, description="Steps between checkpoints; minutes are lost to a power cut.")
    patience: int | None = Field(
        None, gt=0, description="Validations without improvement before an early end; None trains to the last step."
    )
    nonfinite_limit: int = Field(
        10,
        gt=0,
        description="Steps in a row skipped for a loss or gradient that is not finite before the training gives up; "
        "one broken case is skipped and named for ever, a diverged network stops after 10.",
    )
    seed: int = Field(0, ge=0, description="Seed of samples, weights and dropout; the same seed repeats a run.")
    workers: int = Field(2, ge=0, description="Processes that read samples ahead; 2 keep a laptop's GPU fed.")
    worker_timeout: float = Field(
        300.0, gt=0, description="Seconds to wait for a sample before its reader counts as hung; slow network disks."
    )
    log_every: int = Field(50, gt=0, description="Steps between lines of metrics; a line every few seconds.")

    @model_validator(mode="after")
    def _schedule_is_possible(self) -> Self:
        if self.final_learning_rate > self.learning_rate:
            raise ValueError("final_learning_rate exceeds learning_rate")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError("betas must lie in [0, 1)")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        if any(step <= 0 for step in self.milestones) or list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("milestones must be steps above 0 that rise")
        if bool(self.milestones) != (self.schedule == "step"):
            raise ValueError("milestones belong to the step schedule, and it to them")
        return self

    def with_steps(self, steps: int) -> Self:
        """Return the same settings for a training of that length."""
        return self.model_copy(update={"steps": steps})

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        sgd, falls = self.optimizer == "sgd", self.schedule in ("poly", "cosine")
        optimizer, schedule = f"with training.optimizer {self.optimizer}", f"with training.schedule {self.schedule}"
        found = dict.fromkeys(["betas"] if sgd else ["momentum", "nesterov"], optimizer)
        found |= {} if falls else dict.fromkeys(["final_learning_rate", "schedule_every"], schedule)
        found |= {} if falls or self.warm_up else {"schedule_steps": schedule}
        found |= {} if self.schedule == "poly" else {"poly_power": schedule}
        found |= {} if self.schedule == "step" else {"gamma": schedule}
        found |= {} if self.weight_decay else {"decay_norms_and_biases": "without training.weight_decay"}
        return found | ({} if self.workers else {"worker_timeout": "without training.workers"})

    @property
    def schedule_length(self) -> int:
        """Length of the schedule [steps]."""
        return self.schedule_steps or self.steps

    @property
    def warm_up_steps(self) -> int:
        """Steps of the warm-up as far as the schedule has room for it."""
        return min(self.warm_up, self.schedule_length // 4)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of every setting that decides what is learnt."""
        return self._digest("auto")

    @property
    def fingerprints(self) -> set[str]:
        """The fingerprint, and those that earlier builds wrote of the same settings: the device was one of them."""
        return {self._digest(device) for device in get_args(Device)}

    def _digest(self, device: str) -> str:
        unchanged = {name for name in self.later if getattr(self, name) == type(self).model_fields[name].default}
        content = {**self.model_dump(mode="json", exclude={*self.free, *unchanged}), "device": device}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def checked(kind: type[M], values: Mapping[str, Any], where: str | Path) -> M:
    """Return settings of a kind from plain values.

    Raises:
        ScanweaveError: A value is refused; names the field and `where` it stands.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"]))
        raise ScanweaveError(where, f"{field}: {fault['msg']}", "Mend that setting, or fit again") from error
