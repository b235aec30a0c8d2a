"""Draw of the sequences that a subject lacks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from scanweave.simulate.settings import MAIN, BrainSettings

PATTERNS: tuple[tuple[str, ...], ...] = tuple(
    tuple(name for name, keep in zip(MAIN, kept, strict=True) if keep)
    for kept in product((False, True), repeat=len(MAIN))
    if any(kept) and not all(kept)
)
"""The 14 non-empty, non-full subsets of the four main sequences: what is kept of them (BraTS protocol of Seq2Seq)."""


def absent_sequences(settings: BrainSettings, seed: int, index: int) -> tuple[str, ...]:
    """Return the names of the sequences that subject `index` lacks; at least one is always kept.

    Protocol `brats14` deals the 14 patterns in shuffled rounds, so that any number of subjects has them evenly. It
    removes main sequences only: ask for `sequences=("t1", "t1c", "t2", "flair")` if the others shall not stand in.
    """
    if settings.protocol == "random":
        return absent_at_random(settings.names, settings.missing, seed, index)
    if settings.protocol == "brats14":
        turn, place = divmod(index, len(PATTERNS))
        kept = PATTERNS[np.random.default_rng([seed, turn, 1_001]).permutation(len(PATTERNS))[place]]
        removed_main = [name for name in MAIN if name in settings.sequences and name not in kept]
        return tuple(removed_main) if len(removed_main) < len(settings.names) else ()
    return ()


def absent_at_random(names: Sequence[str], chance: float, seed: int, index: int) -> tuple[str, ...]:
    """Return those of some sequences that subject `index` lacks, each with the same chance; one is always kept."""
    rng = np.random.default_rng([seed, index, 1_000])
    removed = rng.random(len(names)) < chance
    removed[rng.integers(len(names))] &= not removed.all()
    return tuple(name for name, gone in zip(names, removed, strict=True) if gone)
