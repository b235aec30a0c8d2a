"""Frames of a series: how many there are, when they were taken, at which diffusion weighting."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, median_low

from pydantic import BaseModel, ConfigDict, PositiveInt

from scanweave.studies.scan import Scan


class SeriesFrames(BaseModel):
    """Say what tells the frames of a series from each other; of a plan the typical ones, of a study its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: PositiveInt
    times: tuple[float, ...] | None = None
    """Time of each [s]."""
    b_values: tuple[float, ...] | None = None
    """Diffusion weighting of each [s/mm²]."""

    @classmethod
    def of(cls, scan: Scan) -> SeriesFrames:
        """Describe the frames of a scan; a volume is a series of one."""
        if scan.frames is None:
            return cls(frames=1)
        times, b_values = (None if told is None else tuple(map(float, told)) for told in (scan.times, scan.b_values))
        return cls(frames=scan.frames, times=times, b_values=b_values)

    def cut_to(self, frames: int) -> SeriesFrames:
        """Return the same for another number of frames, of which no time is known; itself for its own."""
        return self if frames == self.frames else SeriesFrames(frames=frames)


def typical_frames(seen: Sequence[SeriesFrames]) -> SeriesFrames:
    """Return the median number of frames, and the medians of times and b-values over the series that have as many."""
    frames = median_low(one.frames for one in seen)
    alike = [one for one in seen if one.frames == frames]
    times = _medians([one.times for one in alike if one.times is not None])
    b_values = _medians([one.b_values for one in alike if one.b_values is not None])
    return SeriesFrames(frames=frames, times=times, b_values=b_values)


def _medians(told: Sequence[Sequence[float]]) -> tuple[float, ...] | None:
    return tuple(median(values) for values in zip(*told, strict=True)) if told else None
