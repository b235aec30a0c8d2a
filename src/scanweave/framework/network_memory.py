"""Networks that memory cannot hold, refused before a weight of them is made.

Each setting of a network has a bound of its own, but several large ones together ask for more than any machine has. So
a network is built without memory first, and its parameters are counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import BaseModel
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from scanweave.engine.free_memory import refuse_beyond_memory
from scanweave.engine.loop import open_accelerator
from scanweave.engine.settings import TrainingSettings

NUMBER_BYTES = 4
"""Of a weight, its gradient, each moment of an optimizer and the moving average: all are float32."""
LARGE_NUMBERS = 2**16
"""Numbers from which a tensor takes no memory while parameters are counted. Smaller ones stay as they are, since a
network may look into them: into the drop rates of its layers, say."""
_NEW = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}
_FILLS = {"normal_", "uniform_", "fill_", "zero_"}
"""Methods that fill a new tensor; to run them on one without memory, torch loads seconds of other code first."""


class NetworkSettings(Protocol):
    """Settings of a system that trains a network."""

    @property
    def training(self) -> TrainingSettings:
        """Settings of the training."""
        ...


def refuse_untrainable(make: Callable[[], nn.Module], config: NetworkSettings) -> None:
    """Refuse to train a network whose weights, gradients and optimizer do not fit into memory.

    Raises:
        ScanweaveError: Names the size, the memory, and the settings that make the network large.
    """
    count, device = parameter_total(make), open_accelerator(config.training).device
    with_all = f", with gradients and the state of {config.training.optimizer},"
    size = NUMBER_BYTES * count * _numbers_per_parameter(config.training)
    refuse_beyond_memory(size, "network", _words(count, with_all), _advice(config), device)
    if device.type == "cuda":  # it is made in the machine's memory first
        refuse_beyond_memory(NUMBER_BYTES * count, "network", _words(count), _advice(config))


def refuse_unloadable(make: Callable[[], nn.Module], where: Path, config: NetworkSettings) -> None:
    """Refuse a fitted network whose weights do not fit into memory, as a file of settings may ask that was changed.

    Args:
        make: Makes the network.
        where: The file.
        config: What it says.

    Raises:
        ScanweaveError: Names the file, the size, the memory, and the settings that make the network large.
    """
    count = parameter_total(make)
    refuse_beyond_memory(NUMBER_BYTES * count, where, _words(count), _advice(config))


def refuse_large_input(size: Sequence[int], channels: int, where: str | Path, batch: int = 1) -> None:
    """Refuse an input of a network that does not fit into the memory of this machine.

    Args:
        size: Voxels along each axis.
        channels: Images of that size.
        where: The setting or file that asks for it.
        batch: How many of them are held at once.

    Raises:
        ScanweaveError: Names what asks for it, the size and the memory.
    """
    shape = "×".join(map(str, size))
    what = f"a batch of {batch} with {channels} × {shape} voxels each takes"
    refuse_beyond_memory(NUMBER_BYTES * batch * channels * math.prod(size), where, what, "Lower it")


def parameter_total(make: Callable[[], nn.Module]) -> int:
    """Return how many parameters a network has, without memory for those of its tensors that are large.

    What is small is drawn from torch's own generator, which the caller puts back.
    """
    with _WithoutMemory():
        return sum(parameter.numel() for parameter in make().parameters())


class _WithoutMemory(TorchFunctionMode):
    """Give large new tensors a shape alone."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func in _NEW and given.get("device") is None:
            shape: Tensor = func(*args, **{**given, "device": "meta"})
            return shape if shape.numel() >= LARGE_NUMBERS else func(*args, **given)
        if getattr(func, "__name__", "") in _FILLS:
            filled: Tensor = args[0] if args else given["tensor"]
            if filled.is_meta:
                return filled
        return func(*args, **given)


def _words(count: int, with_all: str = "") -> str:
    return f"its {count / 1e6:,.0f} million parameters{with_all} take"


def _advice(config: Any) -> str:
    raised = ", ".join(_raised(config))
    return f"Lower {raised}" if raised else "Choose a smaller network, such as that of --preset small"


def _numbers_per_parameter(training: TrainingSettings) -> int:
    moments = int(training.momentum > 0) if training.optimizer == "sgd" else 2
    return 2 + moments + int(training.ema_decay is not None)


def _raised(config: BaseModel) -> Iterator[str]:
    """Yield the settings of a network that lie above their default, each with its value."""
    for prefix, group in {"": config, "network.": getattr(config, "network", None)}.items():
        for name, about in type(group).model_fields.items() if isinstance(group, BaseModel) else ():
            value = getattr(group, name)
            if _extent(value) > _extent(about.default) > 0:
                yield f"{prefix}{name} ({value if isinstance(value, int | float) else ' '.join(map(str, value))})"


def _extent(value: Any) -> float:
    """Return a number as it is, of several the sum; 0 of what is no number."""
    numbers = value if isinstance(value, tuple) else (value,)
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        return 0.0
    return math.fsum(numbers)
