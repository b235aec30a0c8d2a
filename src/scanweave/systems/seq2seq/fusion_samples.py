"""Training samples of fused sources: a target and a random part of the other sequences of a study."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.seq2seq.frame_values import SeriesNodes, resampling, series_nodes
from scanweave.systems.seq2seq.regression import BLANK, Moments
from scanweave.systems.seq2seq.samples import Box, CropSamples

POWER_STREAM, TASK_STREAM = 3, 5
"""Keep the powers of intensities, and what is given and asked, apart from the choice of the crop."""
EVERY = 5
"""Of the voxels of a crop, this many-th is counted for the regression: neighbours hardly differ."""


class SubsetSamples(CropSamples):
    """An endless list of samples, as `CropSamples`.

    A sample: `scans`, one of each sequence in the order of their numbers, `(1, C, H, W)` or `(1, 1, D, H, W)` in
    [-1, 1], 0 where it is not given; `given`, `(N,)`; `target` and `target_covered`, of a stack its middle slice; `to`,
    its sequence number; `around`, its background; `case`; `number`. Series have K frames, as in `CropSamples`, and
    `nodes` holds, for each sequence, those that the regression knows, made of all its frames; none where it is no
    series or not given. Where the network is told, `scan_values` holds the values of the K frames likewise, `(K,)`.

    Some samples in a row (`sampling.together`) ask for the same target from the same sequences, as far as their studies
    have them: a batch then makes its kernels once, and goes through the network in one pass.
    """

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Sample number `index`."""
        study, (source, target), box, mirrored = self._place(index)
        rng = np.random.default_rng([self.seed, POWER_STREAM, index])
        given = self._given(study, source, index)
        places = {name: self._frames(study, name, index) for name in (*given, target)}
        truth = self._tensor(self._crop(study, target, box, places[target]), mirrored)
        nothing = torch.zeros_like(truth[:1])
        middle = (truth.shape[1] - 1) // 2
        truth = truth[:, middle : middle + 1]
        whole = {
            name: self._tensor(self._varied(study, name, box, rng), mirrored)
            for name in self.sequences
            if name in given
        }
        scans = [self._some(whole[name], places[name]) if name in given else nothing for name in self.sequences]
        shown = [self._shown(study, name, places.get(name) if name in given else None) for name in self.sequences]
        nodes = [self._nodes(study, name, whole.get(name), nothing) for name in self.sequences]
        return {
            "scans": scans,
            **({"nodes": nodes} if self.series else {}),
            **({"scan_values": shown} if self.told and self.series else {}),
            **self._about_frames(study, target, "target", places[target]),
            **({} if places[target] is None else {"target_values": self._values(study, target)}),
            "given": torch.tensor([name in given for name in self.sequences]),
            "target": truth.nan_to_num(study.backgrounds[target]),
            "target_covered": ~truth.isnan(),
            "to": self.sequences.index(target),
            "around": study.backgrounds[target],
            "case": study.id,
            "number": index,
        }

    def _shown(self, study: CachedStudy, name: str, places: list[int] | None) -> Tensor:
        """Return the values of some frames; none of what is no series."""
        return torch.zeros(0) if places is None else self._values(study, name)[places]

    def _some(self, frames: Tensor, places: list[int] | None) -> Tensor:
        """Return some frames of a series `(T, …)`; what is no series as it is."""
        return frames if places is None else frames[places]

    def _nodes(self, study: CachedStudy, name: str, frames: Tensor | None, nothing: Tensor) -> Tensor:
        """Return the frames of a series that the regression knows `(nodes, …)`, of all frames `(T, …)`."""
        if frames is None or name not in self.series:
            return nothing
        weights = self._resampling(study, name)
        return torch.einsum("nt,t...->n...", torch.from_numpy(weights), frames)

    def _resampling(self, study: CachedStudy, name: str) -> NDArray[np.float32]:
        return resampling(self._values(study, name).tolist(), self.known[self.sequences.index(name)].values)

    @cached_property
    def known(self) -> dict[int, SeriesNodes]:
        """The frames of each series that the regression knows."""
        return series_nodes(self.sequences, self.series)

    def moments(self, count: int) -> Moments:
        """Return what the regression of every sequence follows from, of the voxels that the first samples show."""
        found = Moments(len(self.sequences), {number: len(own.values) for number, own in self.known.items()})
        for index in range(count):
            study, _, box, _ = self._place(index)
            rng = np.random.default_rng([self.seed, POWER_STREAM, index])
            real = {n: self._crop(study, name, box) for n, name in enumerate(self.sequences) if name in study.names}
            varied = {n: self._varied(study, self.sequences[n], box, rng) for n in real}
            real, varied = (
                {n: self._known_frames(study, self.sequences[n], crop) for n, crop in crops.items()}
                for crops in (real, varied)
            )
            inside = np.logical_and.reduce([~np.isnan(crop).any(axis=0) for crop in real.values()])
            inside &= np.logical_or.reduce([(crop > BLANK).any(axis=0) for crop in real.values()])
            if inside.any():
                values = [{n: crop[:, inside][:, ::EVERY] for n, crop in crops.items()} for crops in (varied, real)]
                found.add(*values)
        return found

    def _known_frames(self, study: CachedStudy, name: str, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a crop `(1, D, H, W)`; of a series `(T, D, H, W)` the frames that the regression knows."""
        if name not in self.series:
            return crop[None]
        return np.asarray(np.einsum("nt,tzyx->nzyx", self._resampling(study, name), crop), dtype=np.float32)

    def _draw(self, index: int, rng: np.random.Generator) -> tuple[CachedStudy, str, str]:
        target, order = self._task(index)[:2]
        holders = self.holders[target]
        study = holders[rng.integers(len(holders))]
        return study, next(name for name in order if name in study.names), target

    def _task(self, index: int) -> tuple[str, list[str], int]:
        """Return what a sample asks for, the other sequences in an order, and how many of these it would be given."""
        rng = np.random.default_rng([self.seed, TASK_STREAM, index // self.settings.together])
        names = list(self.holders)
        held = np.array([len(self.holders[name]) for name in names])
        even = rng.random() < self.settings.balance
        target = str(rng.choice(names, p=None if even else held / held.sum()))
        order = [str(name) for name in rng.permutation([name for name in self.sequences if name != target])]
        every = rng.random() < self.settings.all_share
        return target, order, len(order) if every else int(rng.integers(1, len(order), endpoint=True))

    def _given(self, study: CachedStudy, source: str, index: int) -> set[str]:
        """Return which sequences of a study are given: `source`, which it has, where it has none of those drawn."""
        _, order, count = self._task(index)
        return {name for name in order[:count] if name in study.names} or {source}

    def _varied(self, study: CachedStudy, name: str, box: Box, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return a crop with its intensities raised to a random power, as another scanner might show them."""
        exponent = np.float32(np.exp(rng.normal(0, self.settings.gamma)))
        crop = np.nan_to_num(self._crop(study, name, box), nan=study.backgrounds[name])
        made: NDArray[np.float32] = (2 * ((crop + 1) / 2) ** exponent - 1).astype(np.float32)
        return made
