"""Images that look as if they bore the name of another sequence."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from scanweave.studies.findings import Finding
from scanweave.studies.geometry import Geometry

LEAST_STUDIES = 5
"""Studies with a sequence that are needed before one of them can be called unlike the others."""
LATTICE = 32
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_FLOOR = 0.05
"""Smallest spread of a feature over the cohort: tiny cohorts agree by chance."""
_RATIO, _GAIN = 2.0, 1.0
"""Least gain in nearness to the cohort under exchanged names: as a ratio, and in spreads."""


@dataclass(frozen=True)
class Profile:
    """Profile of how the images of a study look, free of scanner units.

    Attributes:
        quantiles: Of each scan in the foreground, as a share of its 99 % quantile.
        pairs: Rank correlation of each pair of scans (`"t1|t2"`, names sorted) in the foreground.
    """

    quantiles: dict[str, list[float]] = field(default_factory=dict)
    pairs: dict[str, float] = field(default_factory=dict)


def lattice(grid: Geometry) -> NDArray[np.floating]:
    """Return positions `(N, 3)` [mm] of a regular lattice over the box of a grid."""
    steps = [(np.arange(LATTICE) + 0.5) / LATTICE * n - 0.5 for n in grid.shape]
    return grid.positions(np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3))


def sample(data: NDArray[np.generic], grid: Geometry, positions: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the nearest voxels of an image (the first frame of a series) at positions [mm]; NaN outside."""
    inverse = np.linalg.inv(grid.affine)
    indices = np.rint(positions @ inverse[:3, :3].T + inverse[:3, 3]).astype(np.int64)
    inside = ((indices >= 0) & (indices < grid.shape)).all(axis=1)
    values = np.full(len(positions), np.nan)
    x, y, z = indices[inside].T
    values[inside] = (data if data.ndim == 3 else data[..., 0])[x, y, z]
    return values


def profile(samples: Mapping[str, NDArray[np.floating]]) -> Profile:
    """Return the profile of a study from values of its scans at the same positions."""
    shown = np.zeros(len(next(iter(samples.values()))), dtype=bool)
    covered = np.ones_like(shown)
    for values in samples.values():
        low, high = np.nanpercentile(values, [1, 99.5])
        shown |= values > low + 0.1 * (high - low)
        covered &= np.isfinite(values)
    shown &= covered
    if shown.sum() < 200:
        return Profile()
    inside = {name: values[shown] for name, values in samples.items()}
    quantiles = {name: _shape(values) for name, values in inside.items()}
    ranks = {name: np.argsort(np.argsort(values)).astype(np.float64) for name, values in inside.items()}
    pairs = {_pair(a, b): float(np.corrcoef(ranks[a], ranks[b])[0, 1]) for a, b in combinations(ranks, 2)}
    return Profile(quantiles, pairs)


def swapped(profiles: Sequence[Profile]) -> list[Finding | None]:
    """Return for each study a finding if its images fit the cohort much better under other names."""
    names = sorted({name for own in profiles for name in own.quantiles})
    values: dict[str, list[float]] = defaultdict(list)
    for own in profiles:
        for key, value in _features(own).items():
            values[key].append(value)
    others = {key: _Others(known) for key, known in values.items()}
    return [_suspect(own, names, others) for own in profiles]


class _Others:
    """The values of one feature in a cohort, sorted once, and what is left of them when a study is left out."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = sorted(values)
        self._deviations: dict[float, list[float]] = {}

    def count(self, own: float | None) -> int:
        """Count the values without `own`."""
        return len(self.values) - (own is not None)

    def but(self, own: float | None) -> tuple[float, float]:
        """Return median and median absolute deviation, scaled to a standard deviation, without the value `own`."""
        middle = _median(self.values, own)
        if middle not in self._deviations:  # three at most: whether `own` lies below, at or above the median
            self._deviations[middle] = sorted(abs(value - middle) for value in self.values)
        return middle, 1.4826 * _median(self._deviations[middle], None if own is None else abs(own - middle))


def _median(ordered: Sequence[float], without: float | None) -> float:
    left_out = len(ordered) if without is None else bisect_left(ordered, without)
    last = len(ordered) - (without is not None) - 1
    low, high = (ordered[i + (i >= left_out)] for i in (last // 2, (last + 1) // 2))
    return (low + high) / 2


def _suspect(own: Profile, names: Sequence[str], others: Mapping[str, _Others]) -> Finding | None:
    """Find the exchange of two names, or the change of one, that fits best, if it fits much better than none."""
    best: tuple[float, Finding] | None = None
    for a in own.quantiles:
        for b in names:
            if b == a or (b in own.quantiles and b < a):
                continue
            before, after = _distances(own, a, b, others)
            if before > _RATIO * after and before - after > _GAIN and (best is None or before - after > best[0]):
                words = f"{a} and {b} look exchanged" if b in own.quantiles else f"looks like {b}, not {a}"
                step = "Look at them; if so, correct the names in the source or the manifest"
                best = before - after, Finding("swapped", "suspect", words, step, None if b in own.quantiles else a)
    return best[1] if best else None


def _distances(own: Profile, a: str, b: str, others: Mapping[str, _Others]) -> tuple[float, float]:
    """Return the distance from the cohort of the features of a and b: as named, and with a and b exchanged."""
    change = {a: b, b: a}
    renamed = Profile(
        {change.get(n, n): q for n, q in own.quantiles.items()},
        {_pair(*(change.get(n, n) for n in key.split("|"))): c for key, c in own.pairs.items()},
    )
    known = _features(own, {a, b})
    return _distance(known, known, others), _distance(_features(renamed, {a, b}), known, others)


def _distance(features: Mapping[str, float], known: Mapping[str, float], others: Mapping[str, _Others]) -> float:
    """Mean distance of `features` from those of the other studies; `known` are the study's own among them."""
    distances = []
    for key, value in features.items():
        own = known.get(key)
        if key in others and others[key].count(own) >= LEAST_STUDIES - 1:
            middle, spread = others[key].but(own)
            distances.append(abs(value - middle) / max(spread, _FLOOR))
    return sum(distances) / len(distances) if distances else float("nan")


def _features(own: Profile, names: set[str] | None = None) -> dict[str, float]:
    shapes = {f"{n}@{i}": v for n, q in own.quantiles.items() if not names or n in names for i, v in enumerate(q)}
    return shapes | {k: v for k, v in own.pairs.items() if not names or names & set(k.split("|"))}


def _shape(values: NDArray[np.floating]) -> list[float]:
    low, high = np.percentile(values, [1, 99])
    spread = float(high - low) or 1.0
    return [float((q - low) / spread) for q in np.quantile(values, _QUANTILES)]


def _pair(a: str, b: str) -> str:
    return "|".join(sorted((a, b)))
