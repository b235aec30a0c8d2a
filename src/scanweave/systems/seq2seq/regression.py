"""Quadratic regression of a sequence on any of the others, voxel by voxel: what a network begins from and corrects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

RIDGE = 1e-4
"""Share of the mean square of the terms that is added to each, so that sequences that hardly differ do no harm."""
BLANK = -1 + 1e-6
"""At most this, a voxel in [-1, 1] shows nothing."""
Values = Mapping[int, NDArray[np.float32]]


class Moments:
    """Sums over voxels from which the least-squares regression on every subset of sequences follows.

    A term is a product of two of 1, x_1, …, x_N: the constant, the sequences and their products.

    Args:
        sequences: N.
    """

    def __init__(self, sequences: int) -> None:
        self.pairs = terms(sequences)
        size = len(self.pairs)
        self.products, self.seen = np.zeros((size, size)), np.zeros((size, size))
        self.targets, self.seen_targets = np.zeros((size, sequences)), np.zeros((size, sequences))

    def add(self, sources: Values, targets: Values) -> None:
        """Count some voxels.

        Args:
            sources: What a prediction is made of, by sequence number, each `(V,)`; whoever is absent is left out.
            targets: What is to be made at the same voxels, likewise.
        """
        there = np.array([all(part == 0 or part - 1 in sources for part in pair) for pair in self.pairs])
        place = np.flatnonzero(there)
        voxels = len(next(iter(targets.values())))
        one = {0: np.ones(voxels)} | {number + 1: values.astype(np.float64) for number, values in sources.items()}
        rows = np.stack([one[a] * one[b] for a, b in self.pairs[place]])
        self.products[np.ix_(place, place)] += rows @ rows.T
        self.seen[np.ix_(place, place)] += voxels
        for number, values in targets.items():
            self.targets[place, number] += rows @ values.astype(np.float64)
            self.seen_targets[place, number] += voxels


class VoxelwiseRegression(nn.Module):
    """x̂_t = Σ β_ab(S, t) x_a x_b over the given sequences S and 1, by least squares with a ridge.

    Means of terms that no study showed together count as unknown: a sequence that was never seen beside the target is
    left out. Nothing here is trained by gradients.

    Args:
        sequences: Number of sequences N.
    """

    products: Tensor
    targets: Tensor

    def __init__(self, sequences: int) -> None:
        super().__init__()
        self.pairs = terms(sequences)
        size = len(self.pairs)
        self.register_buffer("products", torch.full((size, size), torch.nan))
        self.register_buffer("targets", torch.full((size, sequences), torch.nan))

    def learn(self, moments: Moments) -> None:
        """Take over the means of what was counted; NaN where nothing was."""
        with np.errstate(invalid="ignore"):
            means = moments.products / moments.seen, moments.targets / moments.seen_targets
        self.products.copy_(torch.from_numpy(means[0]))
        self.targets.copy_(torch.from_numpy(means[1]))

    def coefficients(self, given: Sequence[int], target: int) -> dict[tuple[int, int], float]:
        """Return β of every term that the given sequences have, in float64; 0 is the number of the constant 1."""
        means = self.products.double().cpu().numpy()
        wanted = self.targets[:, target].double().cpu().numpy()
        known = [number + 1 for number in given if not np.isnan(wanted[self._place(0, number + 1)])]
        place = [k for k, (a, b) in enumerate(self.pairs) if a in (0, *known) and b in (0, *known)]
        kept: list[int] = []
        for k in place:  # a term that was never seen beside an earlier one is left out
            if not (np.isnan(wanted[k]) or np.isnan(means[k, [*kept, k]]).any()):
                kept.append(k)
        if not kept:
            return {}
        system = means[np.ix_(kept, kept)]
        ridge = RIDGE * np.diag(np.diag(system))
        ridge[0, 0] = 0.0  # the constant is no slope
        found = np.linalg.solve(system + ridge, wanted[kept])
        return {(int(a), int(b)): float(value) for (a, b), value in zip(self.pairs[kept], found, strict=True)}

    def forward(self, volumes: Mapping[int, Tensor], target: int, around: float) -> Tensor:
        """Return the target `(B, T, C, [D,] H, W)`; what surrounds it where no given sequence shows anything.

        Args:
            volumes: The given sequences by number, each of that shape, in [-1, 1].
            target: Number of the target.
            around: Background of the target.
        """
        first = next(iter(volumes.values()))
        made = torch.zeros_like(first)
        for (a, b), weight in self.coefficients(sorted(volumes), target).items():
            if b == 0:
                made = made + weight
            else:
                made = torch.add(made, volumes[b - 1] if a == 0 else volumes[a - 1] * volumes[b - 1], alpha=weight)
        return torch.where(shown(volumes), made.clamp(-1, 1), around)

    def _place(self, a: int, b: int) -> int:
        return int(np.flatnonzero((self.pairs == (a, b)).all(1))[0])


def shown(volumes: Mapping[int, Tensor]) -> Tensor:
    """Tell where any of some volumes in [-1, 1] shows something."""
    return torch.stack([volume > BLANK for volume in volumes.values()]).any(0)


def terms(sequences: int) -> NDArray[np.int64]:
    """Return the terms as pairs a ≤ b of 0 (the constant) and 1 … N (the sequences), `(K, 2)`; the constant first."""
    return np.array([(a, b) for a in range(sequences + 1) for b in range(a, sequences + 1)])
