"""Training samples: which study, source, target and crop belong to a number (spec a.1, a.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from scanweave.framework.network_task import sample_chance, shuffled_place
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.studies.preparing.series_frames import SeriesFrames
from scanweave.systems.seq2seq.config import NetworkSettings, SamplingSettings
from scanweave.systems.seq2seq.frame_values import NONE, frame_values

FRAME_STREAM = 4
"""Keeps the choice of frames apart from all else that is drawn."""
Range = tuple[int, int]
Box = tuple[Range, Range, Range]


class CropSamples(Dataset[dict[str, Any]]):
    """An endless list of samples; number k is a pure function of the seed and k, so a run resumes exactly.

    A sample: `source`, `target` `(1, C, H, W)` or `(1, 1, D, H, W)` in [-1, 1]; `source_covered`, `target_covered`,
    where their scans cover; `from`, `to`, their sequence numbers; `case`, the study; `number`, that of the sample.
    A series has K frames in place of 1, the first and others at random, in order; then there are `source_places` or
    `target_places` `(K,)` too and, where the network is told, `source_values` or `target_values` `(T,)` of all frames.
    Rows of an image run along the prepared Y axis, columns along X, slices along Z.

    Args:
        studies: Prepared training studies, each with at least one sequence.
        sequences: Names in the order of their numbers.
        network: Decides between stacks of slices and volumes.
        settings: What is drawn.
        seed: Of all draws.
        series: The typical frames of each sequence that is a series, by the plan.
    """

    def __init__(
        self,
        studies: Sequence[CachedStudy],
        sequences: Sequence[str],
        *,
        network: NetworkSettings,
        settings: SamplingSettings,
        seed: int,
        series: Mapping[str, SeriesFrames] = NONE,
    ) -> None:
        self.series, self.told = series, network.frame_values
        self.studies, self.sequences, self.settings, self.seed = studies, tuple(sequences), settings, seed
        self.stacked = network.dimensions == 2
        x, y, z = (
            -(-int(n) // network.stride) * network.stride for n in np.max([s.frame.shape for s in studies], axis=0)
        )
        self.size = (
            min(settings.crop[1], x),
            min(settings.crop[0], y),
            min(settings.depth, z) if network.dimensions == 3 else network.slices,
        )
        self.holders = {
            name: holders for name in self.sequences if (holders := [s for s in studies if name in s.names])
        }

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Sample number `index`."""
        study, names, box, mirrored = self._place(index)
        places = {name: self._frames(study, name, index) for name in names}
        source, target = (self._tensor(self._crop(study, name, box, places[name]), mirrored) for name in names)
        around = (study.backgrounds[name] for name in names)
        numbers = [self.sequences.index(name) for name in names]
        return {
            "source": source.nan_to_num(next(around)),
            "source_covered": ~source.isnan(),
            "from": numbers[0],
            "target": target.nan_to_num(next(around)),
            "target_covered": ~target.isnan(),
            "to": numbers[1],
            **self._about_frames(study, names[0], "source", places[names[0]]),
            **self._about_frames(study, names[1], "target", places[names[1]]),
            "case": study.id,
            "number": index,
        }

    def everything(self, index: int) -> tuple[dict[str, NDArray[np.float32]], str]:
        """Return all sequences of sample `index`, crops `(D, H, W)`, and its target: for other methods."""
        study, (_, target), box, mirrored = self._place(index)
        crops = {name: np.nan_to_num(self._crop(study, name, box), nan=study.backgrounds[name]) for name in study.names}
        return {name: np.ascontiguousarray(_mirror(crop, mirrored)) for name, crop in crops.items()}, target

    def case(self, index: int) -> str:
        """Return the study of a sample, without reading it."""
        return self._draw(index, sample_chance(self.seed, index))[0].id

    def _place(self, index: int) -> tuple[CachedStudy, tuple[str, str], Box, bool]:
        """Return study, source and target, box and whether it is mirrored."""
        rng = sample_chance(self.seed, index)
        study, source, target = self._draw(index, rng)
        box = self._box(study, rng)
        for _ in range(self.settings.attempts - 1):
            shown = self._crop(study, source, box, [0] if source in self.series else None)
            if (~np.isnan(shown) & (shown != study.backgrounds[source])).any():
                break
            box = self._box(study, rng)
        return study, (source, target), box, self.settings.flip and rng.random() < 0.5

    def _draw(self, index: int, rng: np.random.Generator) -> tuple[CachedStudy, str, str]:
        if rng.random() < self.settings.balance:
            target = str(rng.choice(list(self.holders)))
            study = self.holders[target][rng.integers(len(self.holders[target]))]
            others = [name for name in study.names if name != target] or [target]
            return study, str(rng.choice(others)), target
        study = self.studies[shuffled_place(self.seed, index // self.settings.crops_per_study, len(self.studies))]
        source, target = rng.choice(study.names, size=2)
        return study, str(source), str(target)

    def _frames(self, study: CachedStudy, name: str, index: int) -> list[int] | None:
        """Draw frames of a series, in order: the first, and others at random; None of what is no series."""
        if name not in self.series:
            return None
        count = study.series[name].frames
        rng = np.random.default_rng([self.seed, FRAME_STREAM, index, self.sequences.index(name)])
        chosen = rng.permutation(np.arange(1, count))[: self.settings.frames - 1]
        return [0, *sorted(map(int, chosen))]

    def _about_frames(self, study: CachedStudy, name: str, what: str, places: list[int] | None) -> dict[str, Tensor]:
        """Say which frames of a series `source` or `target` are; see `SomeFrames`."""
        if places is None:
            return {}
        found = {f"{what}_places": torch.tensor(places)}
        return found | ({f"{what}_values": self._values(study, name)} if self.told else {})

    def _values(self, study: CachedStudy, name: str) -> Tensor:
        return torch.tensor(frame_values(study.series[name], self.series[name]))

    def _box(self, study: CachedStudy, rng: np.random.Generator) -> Box:
        lows = [min(0, n - size) for n, size in zip(study.frame.shape, self.size, strict=True)]
        highs = [max(0, n - size) for n, size in zip(study.frame.shape, self.size, strict=True)]
        starts = [int(n) for n in rng.integers(lows, highs, endpoint=True)]
        x, y, z = ((start, start + size) for start, size in zip(starts, self.size, strict=True))
        return x, y, z

    def _crop(self, study: CachedStudy, name: str, box: Box, frames: list[int] | None = None) -> NDArray[np.float32]:
        """Return the box as `(D, H, W)`; what lies outside the volume is the background of its sequence.

        Of a series `(T, D, H, W)`, some frames or all of them.
        """
        inside = [(max(0, a), min(n, b)) for (a, b), n in zip(box, study.frame.shape, strict=True)]
        (x0, x1), (y0, y1), (z0, z1) = inside
        read = study.slices(name, z0, z1) if frames is None else study.slices(name, z0, z1, frames)
        series = read.shape[3:]
        result = np.full([*series, *(b - a for a, b in reversed(box))], study.backgrounds[name], dtype=np.float32)
        place: tuple[Any, ...] = tuple(
            slice(i - a, j - a) for (i, j), (a, _) in zip(reversed(inside), reversed(box), strict=True)
        )
        result[(Ellipsis, *place)] = read[x0:x1, y0:y1].T
        return result

    def _tensor(self, volume: NDArray[np.float32], mirrored: bool) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(_mirror(volume, mirrored)))
        tensor = tensor if tensor.ndim == 4 else tensor[None]
        return tensor if self.stacked else tensor[:, None]


def _mirror(volume: NDArray[np.float32], mirrored: bool) -> NDArray[np.float32]:
    return volume[..., ::-1] if mirrored else volume
