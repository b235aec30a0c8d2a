"""Training samples of fused sources: a target and a random part of the other sequences of a study."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.seq2seq.regression import BLANK, Moments
from scanweave.systems.seq2seq.samples import Box, CropSamples

SUBSET_STREAM = 3
"""Keeps the choice of the given sequences apart from that of the crop."""
EVERY = 5
"""Of the voxels of a crop, this many-th is counted for the regression: neighbours hardly differ."""


class SubsetSamples(CropSamples):
    """An endless list of samples, as `CropSamples`.

    A sample: `scans`, one of each sequence in the order of their numbers, `(1, C, H, W)` or `(1, 1, D, H, W)` in
    [-1, 1], 0 where it is not given; `given`, `(N,)`; `target` and `target_covered`; `to`, its sequence number;
    `around`, its background; `case`; `number`. Series have K frames, as in `CropSamples`; where the network is told,
    `scan_values` holds those of the frames of each sequence, `(K,)`, none where it is no series or not given.
    """

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Sample number `index`."""
        study, (source, target), box, mirrored = self._place(index)
        rng = np.random.default_rng([self.seed, SUBSET_STREAM, index])
        given = self._given(study, source, target, rng)
        places = {name: self._frames(study, name, index) for name in (*given, target)}
        truth = self._tensor(self._crop(study, target, box, places[target]), mirrored)
        scans = [
            self._tensor(self._varied(study, name, box, rng, places[name]), mirrored)
            if name in given
            else torch.zeros_like(truth[:1])
            for name in self.sequences
        ]
        shown = [self._shown(study, name, places.get(name) if name in given else None) for name in self.sequences]
        return {
            "scans": scans,
            **({"scan_values": shown} if self.told and self.series else {}),
            **self._about_frames(study, target, "target", places[target]),
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

    def moments(self, count: int) -> Moments:
        """Return what the regression of every sequence follows from, of the voxels that the first samples show.

        Of a series its mean over the frames counts.
        """
        found = Moments(len(self.sequences))
        for index in range(count):
            study, _, box, _ = self._place(index)
            rng = np.random.default_rng([self.seed, SUBSET_STREAM, index])
            real = {n: self._crop(study, name, box) for n, name in enumerate(self.sequences) if name in study.names}
            varied = {n: self._varied(study, self.sequences[n], box, rng) for n in real}
            real, varied = ({n: _mean_frame(crop) for n, crop in crops.items()} for crops in (real, varied))
            inside = np.logical_and.reduce([~np.isnan(crop) for crop in real.values()])
            inside &= np.logical_or.reduce([crop > BLANK for crop in real.values()])
            if inside.any():
                values = [{n: crop[inside][::EVERY] for n, crop in crops.items()} for crops in (varied, real)]
                found.add(*values)
        return found

    def _draw(self, index: int, rng: np.random.Generator) -> tuple[CachedStudy, str, str]:
        study, source, target = super()._draw(index, rng)
        if source == target:  # nothing is made from itself
            source = str(rng.choice([name for name in study.names if name != target]))
        return study, source, target

    def _given(self, study: CachedStudy, source: str, target: str, rng: np.random.Generator) -> set[str]:
        """Draw which sequences are given: all others, or a random part that holds `source`."""
        others = [name for name in study.names if name not in (source, target)]
        if rng.random() >= self.settings.all_share:
            others = list(rng.permutation(others)[: rng.integers(0, len(others), endpoint=True)])
        return {source, *map(str, others)}

    def _varied(
        self, study: CachedStudy, name: str, box: Box, rng: np.random.Generator, frames: list[int] | None = None
    ) -> NDArray[np.float32]:
        """Return a crop with its intensities raised to a random power, as another scanner might show them."""
        exponent = np.float32(np.exp(rng.normal(0, self.settings.gamma)))
        crop = np.nan_to_num(self._crop(study, name, box, frames), nan=study.backgrounds[name])
        made: NDArray[np.float32] = (2 * ((crop + 1) / 2) ** exponent - 1).astype(np.float32)
        return made


def _mean_frame(crop: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a crop `(D, H, W)`; of a series `(T, D, H, W)` its mean over the frames."""
    return crop if crop.ndim == 3 else np.asarray(crop.mean(axis=0))
