"""Quadratic regression of a sequence on any of the others, voxel by voxel: what a network begins from and corrects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

RIDGE = 1e-4
"""Share of the mean square of the terms that is added to each, so that sequences that hardly differ do no harm."""
LEAST_SPREAD = 1e-3
"""Standard deviation below which a sequence counts as having this one, so that none is blown up."""
BLANK = -1 + 1e-6
"""At most this, a voxel in [-1, 1] shows nothing."""
MOST_SEQUENCES = 10
"""There is a regression for each of 2^N subsets; of more sequences the table would be larger than the network."""
Values = Mapping[int, NDArray[np.float32]]
Sums = NDArray[np.float64]


class Moments:
    """Sums over voxels from which the least-squares regression on every subset of sequences follows.

    A term is a product of two of 1, x_1, …, x_N: the constant, the sequences and their products. Sums are kept apart by
    which sequences a study has: put together over other studies than a regression needs, they fit each other badly.

    Args:
        sequences: N.
    """

    def __init__(self, sequences: int) -> None:
        self.sequences, self.pairs = sequences, terms(sequences)
        self.sums: dict[frozenset[int], tuple[Sums, Sums]] = {}

    def add(self, sources: Values, targets: Values) -> None:
        """Count some voxels of a study.

        Args:
            sources: What a prediction is made of, by sequence number, each `(V,)`; who is absent is left out.
            targets: The same sequences as they are to be made, at the same voxels.
        """
        one = {0: np.ones(len(next(iter(sources.values()))))}
        one |= {number + 1: values.astype(np.float64) for number, values in sources.items()}
        rows = np.stack([one[a] * one[b] if a in one and b in one else 0 * one[0] for a, b in self.pairs])
        wanted = np.stack([targets.get(n, 0 * one[0]) for n in range(self.sequences)]).astype(np.float64)
        products, sums = self.sums.get(frozenset(sources), (0.0, 0.0))
        self.sums[frozenset(sources)] = products + rows @ rows.T, sums + rows @ wanted.T

    def scale(self, sequence: int) -> tuple[float, float]:
        """Return mean and standard deviation of a sequence where it is a source; 0 and 1 where it never is."""
        place, holders = sequence + 1, [products for there, (products, _) in self.sums.items() if sequence in there]
        if not holders:
            return 0.0, 1.0
        count, total, squares = np.sum([(p[0, 0], p[0, place], p[place, place]) for p in holders], axis=0)
        mean = total / count
        return float(mean), float(np.sqrt(max(squares / count - mean**2, LEAST_SPREAD**2)))

    def coefficients(self, given: frozenset[int], target: int) -> Sums:
        """Return β of every term, `(K,)`: 0 of those that the given sequences do not have.

        Where no study holds them all with the target, the largest part of them that one does is used.
        """
        found = np.zeros(len(self.pairs))
        usable = [there & given for there in self.sums if target in there]
        if not usable:
            return found
        used = max(usable, key=lambda part: (len(part), sorted(part)))
        holders = [sums for there, sums in self.sums.items() if target in there and used <= there]
        products, sums = (sum(parts) for parts in zip(*holders, strict=True))
        place = [k for k, pair in enumerate(self.pairs) if all(part == 0 or part - 1 in used for part in pair)]
        system = products[np.ix_(place, place)]
        ridge = RIDGE * np.diag(np.diag(system))
        ridge[0, 0] = 0.0  # the constant is no slope
        found[place] = np.linalg.solve(system + ridge, sums[place, target])
        return found


class VoxelwiseRegression(nn.Module):
    """x̂_t = Σ β_ab(S, t) x_a x_b over the given sequences S and 1, by least squares with a ridge.

    One β for each subset S and each target t, none of them trained by gradients.

    Args:
        sequences: Number of sequences N, at most `MOST_SEQUENCES`.

    Attributes:
        coefficients: β by subset, target and term.
        centre: Mean of each sequence over the voxels that were learnt from, `(N,)`.
        spread: Its standard deviation, `(N,)`.
    """

    coefficients: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, sequences: int) -> None:
        super().__init__()
        self.pairs = terms(sequences)
        self.register_buffer("centre", torch.zeros(sequences))
        self.register_buffer("spread", torch.ones(sequences))
        self.register_buffer("coefficients", torch.zeros(2**sequences, sequences, len(self.pairs)))

    def learn(self, moments: Moments) -> None:
        """Take over the regression of every target on every subset of the others, and the scale of every sequence."""
        sequences = range(self.coefficients.shape[1])
        scales = torch.tensor([moments.scale(number) for number in sequences])
        self.centre.copy_(scales[:, 0])
        self.spread.copy_(scales[:, 1])
        for subset in chain.from_iterable(combinations(sequences, size) for size in range(1, len(sequences))):
            for target in sequences:
                if target not in subset:
                    found = moments.coefficients(frozenset(subset), target)
                    self.coefficients[row_of(subset), target] = torch.from_numpy(found)

    def standardised(self, x: Tensor, number: int) -> Tensor:
        """Return values of a sequence with mean 0 and deviation 1 over the voxels that were learnt from.

        Of a series, its mean frame has these; that is what the moments are of.
        """
        return (x - self.centre[number]) / self.spread[number]

    def forward(self, volumes: Mapping[int, Tensor], target: int, around: float) -> Tensor:
        """Return the target `(B, …)`; what surrounds it where no given sequence shows anything.

        Args:
            volumes: The given sequences by number, each of that shape, in [-1, 1].
            target: Number of the target.
            around: Background of the target.
        """
        made = torch.zeros_like(next(iter(volumes.values())))
        for (a, b), weight in zip(self.pairs, self.coefficients[row_of(volumes), target].tolist(), strict=True):
            if weight and b == 0:
                made = made + weight
            elif weight:
                made = torch.add(made, volumes[b - 1] if a == 0 else volumes[a - 1] * volumes[b - 1], alpha=weight)
        return torch.where(shown(volumes), made.clamp(-1, 1), around)


def row_of(subset: Iterable[int]) -> int:
    """Return the place of a subset in the table of coefficients."""
    return sum(2**number for number in subset)


def shown(volumes: Mapping[int, Tensor]) -> Tensor:
    """Tell where any of some volumes in [-1, 1] shows something."""
    return torch.stack([volume > BLANK for volume in volumes.values()]).any(0)


def terms(sequences: int) -> list[tuple[int, int]]:
    """Return the terms as ordered pairs of 0 (the constant) and 1 … N (the sequences): 1, then x_1, x_2 …, x_1², …."""
    pairs = [(a, b) for a in range(sequences + 1) for b in range(a, sequences + 1)]
    return [(0, 0), *((a, b) for a, b in pairs if b)]
