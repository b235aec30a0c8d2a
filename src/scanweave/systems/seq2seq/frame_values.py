"""Numbers that tell the frames of a series from each other: their place in it, and their time or b-value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.studies.preparing.series_frames import SeriesFrames

NONE: Mapping[str, SeriesFrames] = MappingProxyType({})
"""Of sequences of which none is a series."""
B_VALUE_UNIT = 1000.0
"""Diffusion weighting that counts as 1 [s/mm²]."""
OCTAVES = 3
"""Sines and cosines of a value that an embedding is made of: periods of 2, 1 and 1/2."""
MOST_NODES, MOST_COLUMNS = 6, 24
"""Frames of a series that the regression knows, and columns of all sequences: it has a term for each pair of them."""
HIDDEN = 16
SLOPE = 0.2


class SomeFrames(NamedTuple):
    """Frames of a series that a batch holds.

    Attributes:
        places: Their places in the series, `(B, K)`, ascending; of one row where they are the same in all samples; None
            where it is no series that a plan knows: all its frames.
        values: What is told of every frame of the series, `(B, T)`; None where the network is not told.
    """

    places: Tensor | None
    values: Tensor | None

    @classmethod
    def whole(cls, values: list[float], device: torch.device) -> SomeFrames:
        """Return all frames of a series with these values, for any number of samples."""
        return cls(torch.arange(len(values), device=device)[None], torch.tensor([values], device=device))

    @classmethod
    def of(cls, batch: Mapping[str, Any], name: str) -> SomeFrames:
        """Return which frames `source` or `target` of a batch are."""
        return cls(batch.get(f"{name}_places"), batch.get(f"{name}_values"))

    def rows(self, which: Tensor | slice) -> SomeFrames:
        """Return those of some samples."""
        places, values = (None if part is None else part[which] for part in self)
        return SomeFrames(places, values)

    @property
    def shown(self) -> Tensor | None:
        """The values of these frames alone, `(B, K)`."""
        return None if self.values is None or self.places is None else self.values.gather(1, self.places)


def frame_values(told: SeriesFrames, typical: SeriesFrames) -> list[float]:
    """Return one number for each frame of a series.

    That is its b-value in units of 1000 s/mm²; else the time since the first frame in shares of the typical duration,
    so that equal times have equal numbers in all studies; where neither is known, the order on [0, 1].

    Args:
        told: The series.
        typical: The typical series of that name, by the plan.
    """
    if told.b_values is not None:
        return [value / B_VALUE_UNIT for value in told.b_values]
    duration = _duration(typical) or _duration(told)
    if told.times is not None and duration > 0:
        return [(time - told.times[0]) / duration for time in told.times]
    return [place / max(1, told.frames - 1) for place in range(told.frames)]


class SeriesNodes(NamedTuple):
    """Frames of a series that the regression knows.

    Attributes:
        kind: Of their values: `time`, `b-value` or `order`.
        values: One for each, rising.
        unit: What a value of 1 stands for, in seconds where they are times; so that series of other durations agree.
    """

    kind: str
    values: tuple[float, ...]
    unit: float = 1.0


def series_nodes(sequences: Sequence[str], series: Mapping[str, SeriesFrames]) -> dict[int, SeriesNodes]:
    """Return the values at which the regression knows each series, by its number: those of its typical frames.

    Frames of equal value are one. Of a series of many frames, and of many series, these are fewer, apart by as many
    frames.

    Args:
        sequences: Names in the order of their numbers.
        series: The typical series, by the plan.
    """
    values = {name: sorted(set(frame_values(told, told))) for name, told in series.items() if name in sequences}
    room = MOST_COLUMNS - (len(sequences) - len(values))
    most = min(MOST_NODES, max(1, room // max(1, len(values))))
    found = {}
    for name, own in values.items():
        kind = _kind(series[name])
        unit = _duration(series[name]) if kind == "time" else 1.0
        found[sequences.index(name)] = SeriesNodes(kind, _spaced(own, most), unit)
    return found


def _kind(told: SeriesFrames) -> str:
    if told.b_values is not None:
        return "b-value"
    return "time" if _duration(told) > 0 else "order"


def _spaced(values: Sequence[float], most: int) -> tuple[float, ...]:
    if len(values) <= most:
        return tuple(values)
    return tuple(values[round(place)] for place in np.linspace(0, len(values) - 1, most))


def resampling(values: Sequence[float], wanted: Sequence[float]) -> NDArray[np.float32]:
    """Return the weights `(wanted, T)` by which frames of these values make those of others: linear, ends held.

    Frames of equal value count as their mean.
    """
    known, place = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)
    means = np.zeros((len(known), len(place)))
    means[place, np.arange(len(place))] = 1
    means /= means.sum(axis=1, keepdims=True)
    return np.stack([np.interp(wanted, known, row) for row in means.T], axis=1).astype(np.float32)


def _duration(told: SeriesFrames) -> float:
    return 0.0 if told.times is None else told.times[-1] - told.times[0]


EVERY_FRAME = SomeFrames(None, None)
"""All frames of what is no series that a plan knows, of which nothing is told."""


class FrameEmbedding(nn.Module):
    """Shift of the latent of a frame for its value, by sequence; nothing before any training.

    Args:
        code_length: Length of the code of a sequence.
        channels: Of the latent.
    """

    def __init__(self, code_length: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Linear(code_length + 1 + 2 * OCTAVES, HIDDEN)
        self.second = nn.Linear(HIDDEN, channels)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, code: Tensor, values: Tensor) -> Tensor:
        """Return `(B, T, channels)` for codes `(B, code_length)` or `(1, code_length)` and values `(B, T)`."""
        values = values.to(code.dtype)
        turns = [math.pi * 2**octave * values for octave in range(OCTAVES)]
        waves = [wave for turn in turns for wave in (turn.sin(), turn.cos())]
        told = torch.stack([values, *waves], dim=-1)
        known = code[:, None].expand(*told.shape[:2], -1)
        made: Tensor = self.second(F.leaky_relu(self.first(torch.cat([known, told], dim=-1)), SLOPE))
        return made
