"""Difficulty of generating each sequence, by plain regression: a check of the planted order without any network.

A gradient-boosted regression predicts the target's voxels from the values of one or several sources, their surroundings
(two Gaussian scales) and the place in the brain; quality is measured in the brain of other subjects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from scanweave.errors import ScanweaveError
from scanweave.measures.image import psnr, ssim
from scanweave.simulate.brain import simulate_subject
from scanweave.simulate.fields import Array
from scanweave.simulate.settings import MAIN, BrainSettings
from scanweave.simulate.subject import Subject

_SCALES = (2.5, 6.0)
"""Standard deviations of the Gaussian surroundings [mm]."""
_RANGE = 2.0
"""Span of the scaled intensities: twice the 99th percentile, as Seq2Seq scales."""


@dataclass(frozen=True)
class OracleScore:
    """Quality of a target that is made from some sources.

    Attributes:
        sources: What it is made from, in the order of the settings.
        target: What is made.
        psnr: PSNR in the brain [dB], by index of the measured subject.
        ssim: SSIM in the brain, likewise.
    """

    sources: tuple[str, ...]
    target: str
    psnr: dict[int, float]
    ssim: dict[int, float]


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
    names = [str(name) for name in settings.sequences]
    pairs = [((source,), target) for source, target in permutations(names, 2)]
    from_all = [(tuple(n for n in names if n != target), target) for target in names]
    parts = range(train), range(train, train + test)
    scores = np.full((2, len(names), len(names)), np.nan)
    together = {}
    for score in _scored(seed, [*pairs, *from_all], *parts, voxels, settings):
        means = [float(np.mean(list(by_subject.values()))) for by_subject in (score.psnr, score.ssim)]
        if len(score.sources) == 1:
            scores[:, names.index(score.sources[0]), names.index(score.target)] = means
        if len(score.sources) == len(names) - 1:
            together[score.target] = means[0]
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


def subset_oracle(
    seed: int,
    *,
    subsets: Iterable[Collection[str]] | None = None,
    learnt: Collection[int] = range(6),
    measured: Collection[int] = range(6, 10),
    voxels: int = 4000,
    settings: BrainSettings | None = None,
) -> list[OracleScore]:
    """Score each target from subsets of the other sequences: a yardstick for methods that fuse several sources.

    Subjects are those of a cohort of this seed and these settings, so that a method and the oracle can be compared on
    the same patients. The oracle sees all their sequences, those that a protocol removes included.

    Args:
        seed: Seed of the subjects.
        subsets: Sets of sources; each makes every sequence that it does not hold. All non-empty ones when left out:
            of four sequences 14, which make 28 targets.
        learnt: Indices of the subjects to learn from.
        measured: Indices of the subjects to measure on.
        voxels: Voxels learnt from per subject; whole brains are measured.
        settings: What to simulate; the four main sequences at 2 mm when left out.

    Returns:
        A score for each subset and target, subsets in the order that was given, else from small to large. It is no
        bound: a source that adds nothing costs a little, so that for a ceiling the best of all subsets counts.

    Raises:
        ScanweaveError: A subset is empty or holds an unknown sequence, or subjects are absent, or both learnt from and
            measured.
    """
    settings = settings or BrainSettings(sequences=MAIN)
    names = [str(name) for name in settings.sequences]
    if subsets is None:
        subsets = [chosen for size in range(1, len(names)) for chosen in combinations(names, size)]
    asked = [_checked_sources(chosen, names) for chosen in subsets]
    if not learnt or not measured or set(learnt) & set(measured):
        reason = f"{len(learnt)} subjects to learn from and {len(measured)} to measure share some, or are none"
        raise ScanweaveError("subjects", reason, "Give indices to both that differ")
    tasks = [(sources, name) for sources in asked for name in names if name not in sources]
    return _scored(seed, tasks, learnt, measured, voxels, settings)


def differentiation(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return C_d `(N,)` of scores `(measures, sources, targets)` of which higher is better, NaN on the diagonal."""
    spread = np.nanstd(scores, axis=(1, 2), keepdims=True) + 1e-9
    standard = (scores - np.nanmean(scores, axis=(1, 2), keepdims=True)) / spread
    return np.asarray(-np.nansum(standard, axis=(0, 1)) / scores.shape[1])


def _checked_sources(chosen: Collection[str], names: Sequence[str]) -> tuple[str, ...]:
    unknown = sorted(set(chosen).difference(names))
    if unknown or not chosen:
        reason = f"hold {', '.join(unknown)}, which is not simulated" if unknown else "hold an empty one"
        raise ScanweaveError("subsets", reason, f"Choose among {', '.join(names)}")
    return tuple(name for name in names if name in chosen)


def _scored(
    seed: int,
    tasks: Sequence[tuple[tuple[str, ...], str]],
    learnt: Collection[int],
    measured: Collection[int],
    voxels: int,
    settings: BrainSettings,
) -> list[OracleScore]:
    """Score tasks of sources and target; measured subjects are in memory one after the other."""
    rng = np.random.default_rng([seed, 2_000])
    seen = [_Sample(simulate_subject(seed, index, settings), settings.sequences, rng, voxels) for index in learnt]
    scores = [OracleScore(sources, target, {}, {}) for sources, target in tasks]
    with threadpool_limits(1, "openmp"):  # small fits: beside other work, threads wait for each other ten times longer
        models = [_model(seen, sources, target) for sources, target in tasks]
        for index in measured:
            sample = _Sample(simulate_subject(seed, index, settings), settings.sequences, rng, None)
            for model, score in zip(models, scores, strict=True):
                made = sample.volume(model.predict(sample.inputs(score.sources)))
                real = sample.volume(sample.values[score.target])
                score.psnr[index] = psnr(made, real, _RANGE, sample.mask)
                score.ssim[index] = ssim(made, real, _RANGE, sample.mask)
    return scores


def _model(learnt: Sequence[_Sample], sources: Sequence[str], target: str) -> HistGradientBoostingRegressor:
    model = HistGradientBoostingRegressor(max_iter=80, learning_rate=0.12, early_stopping=False, random_state=0)
    model.fit(np.concatenate([s.inputs(sources) for s in learnt]), np.concatenate([s.values[target] for s in learnt]))
    return model


class _Sample:
    """Features and scaled intensities of one subject, at all voxels of the brain or a random part of them."""

    def __init__(self, subject: Subject, names: Iterable[str], rng: np.random.Generator, voxels: int | None) -> None:
        self.mask = subject["masks"]["brain"] > 0
        count = int(self.mask.sum())
        self.chosen = np.arange(count) if voxels is None else rng.choice(count, voxels, replace=False)
        place = np.argwhere(self.mask)[self.chosen] / self.mask.shape
        self.place: Array = place.astype(np.float32)
        spacing = abs(float(subject["affine"][0, 0]))
        self.values: dict[str, Array] = {}
        self.features: dict[str, Array] = {}
        for name in names:
            scan = subject["scans"][name]
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
