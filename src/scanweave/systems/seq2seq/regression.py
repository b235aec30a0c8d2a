"""Quadratic regression of a sequence on any of the others, voxel by voxel: what a network begins from and corrects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
VOXELS_AT_ONCE = 2**16
"""Voxels whose terms are in memory at once, where there are many terms."""
Values = Mapping[int, NDArray[np.float32]]
Sums = NDArray[np.float64]


class Moments:
    """Sums over voxels from which the least-squares regression on every subset of sequences follows.

    A term is a product of two of 1, x_1, …, x_C: the constant, the columns and their products. A sequence is one
    column; a series is one for each of its frames. Sums are kept apart by which sequences a study has: put together
    over other studies than a regression needs, they fit each other badly.

    Args:
        sequences: How many there are, N.
        frames: Columns of each that is a series, by its number.
    """

    def __init__(self, sequences: int, frames: Mapping[int, int] | None = None) -> None:
        self.owners = column_owners(sequences, frames or {})
        self.sequences, self.pairs = sequences, terms(len(self.owners))
        self.sums: dict[frozenset[int], tuple[Sums, Sums]] = {}

    def add(self, sources: Values, targets: Values) -> None:
        """Count some voxels of a study.

        Args:
            sources: What a prediction is made of, by sequence number, each `(V,)`, of a series `(T, V)`; who is absent
                is left out.
            targets: The same sequences as they are to be made, at the same voxels.
        """
        given, wished = self._columns(sources), self._columns(targets)
        one = {0: np.ones(len(next(iter(given.values()))))}
        one |= {column + 1: values.astype(np.float64) for column, values in given.items()}
        rows = np.stack([one[a] * one[b] if a in one and b in one else 0 * one[0] for a, b in self.pairs])
        wanted = np.stack([wished.get(n, 0 * one[0]) for n in range(len(self.owners))]).astype(np.float64)
        products, sums = self.sums.get(frozenset(sources), (0.0, 0.0))
        self.sums[frozenset(sources)] = products + rows @ rows.T, sums + rows @ wanted.T

    def _columns(self, values: Values) -> dict[int, NDArray[np.float32]]:
        """Return the values of each column that is there."""
        return {
            column: row
            for number, own in values.items()
            for column, row in zip(columns_of(self.owners, number), np.atleast_2d(own), strict=True)
        }

    def scale(self, sequence: int) -> tuple[float, float]:
        """Return mean and standard deviation of a sequence where it is a source; 0 and 1 where it never is."""
        places = [column + 1 for column in columns_of(self.owners, sequence)]
        holders = [products for there, (products, _) in self.sums.items() if sequence in there]
        if not holders:
            return 0.0, 1.0
        each = [(p[0, 0], p[0, place], p[place, place]) for p in holders for place in places]
        count, total, squares = np.sum(each, axis=0)
        mean = total / count
        return float(mean), float(np.sqrt(max(squares / count - mean**2, LEAST_SPREAD**2)))

    def coefficients(self, given: frozenset[int], target: int) -> Sums:
        """Return β of every term, of each column of the target `(columns, K)`: 0 of those that are not given.

        Where no study holds them all with the target, the largest part of them that one does is used.
        """
        wished = columns_of(self.owners, target)
        found = np.zeros((len(wished), len(self.pairs)))
        usable = [there & given for there in self.sums if target in there]
        if not usable:
            return found
        used = max(usable, key=lambda part: (len(part), sorted(part)))
        holders = [sums for there, sums in self.sums.items() if target in there and used <= there]
        products, sums = (sum(parts) for parts in zip(*holders, strict=True))
        known = {0, *(column + 1 for column, owner in enumerate(self.owners) if owner in used)}
        place = [k for k, (a, b) in enumerate(self.pairs) if a in known and b in known]
        system = products[np.ix_(place, place)]
        ridge = RIDGE * np.diag(np.diag(system))
        ridge[0, 0] = 0.0  # the constant is no slope
        found[:, place] = np.linalg.solve(system + ridge, sums[np.ix_(place, wished)]).T
        return found


class VoxelwiseRegression(nn.Module):
    """x̂_t = Σ β_ab(S, t) x_a x_b over the columns of the given sequences S and 1, by least squares with a ridge.

    One β for each subset S and each column t of a target, none of them trained by gradients. A sequence is one column,
    a series one for each frame that is typical of it.

    Args:
        sequences: Number of sequences N, at most `MOST_SEQUENCES`.
        frames: Columns of each that is a series, by its number.

    Attributes:
        coefficients: β by subset, column of the target, and term.
        centre: Mean of each sequence over the voxels that were learnt from, `(N,)`.
        spread: Its standard deviation, `(N,)`.
    """

    coefficients: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, sequences: int, frames: Mapping[int, int] | None = None) -> None:
        super().__init__()
        self.frames, self.owners = dict(frames or {}), column_owners(sequences, frames or {})
        self.pairs = terms(len(self.owners))
        self.register_buffer("centre", torch.zeros(sequences))
        self.register_buffer("spread", torch.ones(sequences))
        self.register_buffer("coefficients", torch.zeros(2**sequences, len(self.owners), len(self.pairs)))

    def learn(self, moments: Moments) -> None:
        """Take over the regression of every target on every subset of the others, and the scale of every sequence."""
        sequences = range(len(self.centre))
        scales = torch.tensor([moments.scale(number) for number in sequences])
        self.centre.copy_(scales[:, 0])
        self.spread.copy_(scales[:, 1])
        for subset in chain.from_iterable(combinations(sequences, size) for size in range(1, len(sequences))):
            for target in sequences:
                if target not in subset:
                    found = moments.coefficients(frozenset(subset), target)
                    wished = columns_of(self.owners, target)
                    self.coefficients[row_of(subset), wished] = torch.from_numpy(found).float()

    def standardised(self, x: Tensor, number: int) -> Tensor:
        """Return values of a sequence with mean 0 and deviation 1 over the voxels and frames that were learnt from."""
        return (x - self.centre[number]) / self.spread[number]

    def forward(self, volumes: Mapping[int, Tensor], target: int, around: float) -> Tensor:
        """Return the target `(B, …)`, of a series `(B, T, …)`; its background where no given sequence shows anything.

        Args:
            volumes: The given sequences by number, each `(B, …)`, of a series `(B, T, …)`, in [-1, 1].
            target: Number of the target.
            around: Background of the target.
        """
        if self.frames:
            return self._of_columns(volumes, target, around)
        made = torch.zeros_like(next(iter(volumes.values())))
        for (a, b), weight in zip(self.pairs, self.coefficients[row_of(volumes), target].tolist(), strict=True):
            if weight and b == 0:
                made = made + weight
            elif weight:
                made = torch.add(made, volumes[b - 1] if a == 0 else volumes[a - 1] * volumes[b - 1], alpha=weight)
        return torch.where(shown(volumes), made.clamp(-1, 1), around)

    def _of_columns(self, volumes: Mapping[int, Tensor], target: int, around: float) -> Tensor:
        """Return the target as `forward` does, all of its frames by one product of matrices."""
        parts: dict[int, Tensor] = {}
        for number, volume in volumes.items():
            own = volume.unbind(1) if number in self.frames else (volume,)
            parts |= dict(zip(columns_of(self.owners, number), own, strict=True))
        first = next(iter(parts.values()))
        weights = self.coefficients[row_of(volumes), columns_of(self.owners, target)]
        places = weights.any(dim=0).nonzero()[:, 0].tolist() or [0]  # the constant, where nothing was ever learnt
        flat = {0: torch.ones_like(first).flatten(), **{column + 1: x.flatten() for column, x in parts.items()}}
        pairs, chosen = [self.pairs[place] for place in places], weights[:, places].to(first)
        made = []
        for start in range(0, first.numel(), VOXELS_AT_ONCE):
            some = {column: x[start : start + VOXELS_AT_ONCE] for column, x in flat.items()}
            made.append(chosen @ torch.stack([some[a] * some[b] for a, b in pairs]))
        frames = torch.cat(made, dim=1).view(len(chosen), *first.shape).transpose(0, 1).clamp(-1, 1)
        seen = torch.stack([part > BLANK for part in parts.values()]).any(0)
        found = torch.where(seen[:, None], frames, around)
        return found if target in self.frames else found[:, 0]


def column_owners(sequences: int, frames: Mapping[int, int]) -> list[int]:
    """Return the sequence of each column: one of a volume, so many of a series."""
    return [number for number in range(sequences) for _ in range(frames.get(number, 1))]


def columns_of(owners: Sequence[int], number: int) -> list[int]:
    """Return the columns of a sequence."""
    return [column for column, owner in enumerate(owners) if owner == number]


def row_of(subset: Iterable[int]) -> int:
    """Return the place of a subset in the table of coefficients."""
    return sum(2**number for number in subset)


def shown(volumes: Mapping[int, Tensor]) -> Tensor:
    """Tell where any of some volumes in [-1, 1] shows something."""
    return torch.stack([volume > BLANK for volume in volumes.values()]).any(0)


def terms(columns: int) -> list[tuple[int, int]]:
    """Return the terms as ordered pairs of 0 (the constant) and 1 … C (the columns): 1, then x_1, x_2 …, x_1², …."""
    pairs = [(a, b) for a in range(columns + 1) for b in range(a, columns + 1)]
    return [(0, 0), *((a, b) for a, b in pairs if b)]
