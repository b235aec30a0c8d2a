"""Numbers that tell the frames of a series from each other: their place in it, and their time or b-value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.studies.preparing.series_frames import SeriesFrames

NONE: Mapping[str, SeriesFrames] = MappingProxyType({})
"""Of sequences of which none is a series."""
B_VALUE_UNIT = 1000.0
"""Diffusion weighting that counts as 1 [s/mm²]."""
OCTAVES = 3
"""Sines and cosines of a value that an embedding is made of: periods of 2, 1 and 1/2."""
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
