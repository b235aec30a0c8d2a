"""Difficulty of generating each sequence, by plain regression: a check of the planted order without any network.

For each ordered pair of sequences a gradient-boosted regression predicts the target's voxels from the source's value,
its surroundings (two Gaussian scales) and the place in the brain; quality is measured in the brain of other subjects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.ensemble import HistGradientBoostingRegressor

from scanweave.measures.image import psnr, ssim
from scanweave.simulate.brain import simulate_subject
from scanweave.simulate.fields import Array
from scanweave.simulate.settings import BrainSettings
from scanweave.simulate.subject import Subject

_SCALES = (2.5, 6.0)
"""Standard deviations of the Gaussian surroundings [mm]."""
_RANGE = 2.0
"""Span of the scaled intensities: twice the 99th percentile, as Seq2Seq scales."""


def pairwise_oracle(
    seed: int, *, train: int = 6, test: int = 4, voxels: int = 4000, settings: BrainSettings | None = None
) -> dict[str, Any]:
    """Score each ordered pair of sequences, and each sequence's differentiation C_d.

    C_d(i) = −(1/N) Σ_j A_ji, with A_ji the sum of the standardised PSNR and SSIM of i generated from j (Seq2Seq,
    LPIPS left out): high is hard to generate from the others.

    Args:
        seed: Seed of the subjects; those with index 0 to `train` − 1 are learnt from.
        train: Number of subjects to learn from.
        test: Number of further subjects to measure on.
        voxels: Voxels learnt from per subject.
        settings: What to simulate.

    Returns:
        `{"psnr": {source: {target: dB}}, "ssim": {...}, "c_d": {name: value}, "psnr_from_all": {target: dB}}`; the
        last is the prediction from all other sequences together.
    """
    settings = settings or BrainSettings()
    names = settings.sequences
    rng = np.random.default_rng([seed, 2_000])
    learnt = [_Sample(simulate_subject(seed, index, settings), rng, voxels) for index in range(train)]
    measured = [_Sample(simulate_subject(seed, train + index, settings), rng, None) for index in range(test)]
    scores = np.full((2, len(names), len(names)), np.nan)
    for i, j in permutations(range(len(names)), 2):
        scores[:, i, j] = _score(learnt, measured, [names[i]], names[j])
    together = {name: _score(learnt, measured, [n for n in names if n != name], name)[0] for name in names}
    tables = [
        {a: {b: round(float(table[i, j]), 4) for j, b in enumerate(names) if i != j} for i, a in enumerate(names)}
        for table in scores
    ]
    return {
        "psnr": tables[0],
        "ssim": tables[1],
        "c_d": {name: round(float(value), 3) for name, value in zip(names, differentiation(scores), strict=True)},
        "psnr_from_all": {name: round(value, 2) for name, value in together.items()},
    }


def differentiation(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return C_d `(N,)` of scores `(measures, sources, targets)` of which higher is better, NaN on the diagonal."""
    spread = np.nanstd(scores, axis=(1, 2), keepdims=True) + 1e-9
    standard = (scores - np.nanmean(scores, axis=(1, 2), keepdims=True)) / spread
    return np.asarray(-np.nansum(standard, axis=(0, 1)) / scores.shape[1])


class _Sample:
    """Features and scaled intensities of one subject, at all voxels of the brain or a random part of them."""

    def __init__(self, subject: Subject, rng: np.random.Generator, voxels: int | None) -> None:
        self.mask = subject["masks"]["brain"] > 0
        count = int(self.mask.sum())
        self.chosen = np.arange(count) if voxels is None else rng.choice(count, voxels, replace=False)
        place = np.argwhere(self.mask)[self.chosen] / self.mask.shape
        self.place: Array = place.astype(np.float32)
        spacing = abs(float(subject["affine"][0, 0]))
        self.values: dict[str, Array] = {}
        self.features: dict[str, Array] = {}
        for name, scan in subject["scans"].items():
            image = (scan / np.percentile(scan[self.mask], 99)).astype(np.float32)
            around = [ndimage.gaussian_filter(image, scale / spacing)[self.mask] for scale in _SCALES]
            self.values[name] = image[self.mask][self.chosen]
            self.features[name] = np.stack([image[self.mask], *around], axis=1)[self.chosen]

    def inputs(self, sources: Iterable[str]) -> Array:
        return np.concatenate([*(self.features[name] for name in sources), self.place], axis=1)

    def volume(self, values: Array) -> Array:
        volume = np.zeros(self.mask.shape, np.float32)
        volume[self.mask] = np.clip(values, 0, _RANGE)
        return volume


def _score(
    learnt: Sequence[_Sample], measured: Sequence[_Sample], sources: Sequence[str], target: str
) -> tuple[float, float]:
    """Mean PSNR [dB] and SSIM in the brain over the measured subjects."""
    model = HistGradientBoostingRegressor(max_iter=80, learning_rate=0.12, early_stopping=False, random_state=0)
    model.fit(np.concatenate([s.inputs(sources) for s in learnt]), np.concatenate([s.values[target] for s in learnt]))
    quality = []
    for sample in measured:
        prediction, truth = sample.volume(model.predict(sample.inputs(sources))), sample.volume(sample.values[target])
        quality.append([measure(prediction, truth, _RANGE, sample.mask) for measure in (psnr, ssim)])
    mean = np.mean(quality, axis=0)
    return float(mean[0]), float(mean[1])
