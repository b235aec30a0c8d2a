"""Shapley values from the values of all subsets of few players, such as the scans that a model is given (Shapley 1953).

A subset is named by its bit mask: player i is in it if bit i is set, so 0 is the empty subset and 2^M − 1 that of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from scanweave.errors import ScanweaveError
from scanweave.measures.input_checks import BoolArray, FloatArray, IntArray, checked_numbers


def shapley_values(values: ArrayLike | Mapping[int, ArrayLike], present: ArrayLike | None = None) -> FloatArray:
    """Return what each player adds, averaged over all orders in which players can come.

    φᵢ is the mean, over the sizes of subsets S without i and over those of a size, of v(S ∪ i) − v(S). Over those who
    take part they add up to v(all of them) − v(none); one who never changes the value has exactly 0.

    Args:
        values: v of every subset by its bit mask, `(2^M,)` such as AUROCs, or `(N, 2^M)` such as the logits of N
            patients; or a mapping from bit masks to numbers or `(N,)`. v(none) is the answer without any player, such
            as the logit of the prevalence in training.
        present: Who takes part, `(M,)` or `(N, M)`; all if None. The game is played by these alone: values of subsets
            with an absent player are not looked at, and may be NaN or left out of the mapping.

    Returns:
        `(M,)` or `(N, M)`; NaN for absent players, since absent is not useless.

    Raises:
        ScanweaveError: Shapes that do not fit, a value that is needed and not finite, or a game without players.
    """
    there = None if present is None else _checked_presence(present)
    table = _stacked(values, there) if isinstance(values, Mapping) else checked_numbers("values", values)
    players = table.shape[-1].bit_length() - 1 if table.ndim else 0
    if table.ndim not in (1, 2) or players == 0 or table.shape[-1] != 2**players:
        raise ScanweaveError(
            "values", f"of shape {table.shape}", "Give 2^M values, one a subset of M players, a patient"
        )
    there = np.ones(players, dtype=bool) if there is None else there
    if there.shape[-1] != players or (table.ndim == there.ndim == 2 and len(there) != len(table)):
        reason = f"of shape {there.shape} for values of shape {table.shape}"
        raise ScanweaveError("present", reason, f"Give (N, {players}), or ({players},) for all patients")
    found = _played(np.atleast_2d(table), np.atleast_2d(there))
    return found if table.ndim == 2 or there.ndim == 2 else found[0]


def shapley_shares(contributions: ArrayLike) -> FloatArray:
    """Return the share of each player in the sum of |φ|, `(…, M)`; 0 to 1, NaN for absent players.

    Where all φ are 0 nothing is shared out, and the shares are NaN.
    """
    sizes = np.abs(checked_numbers("contributions", contributions))
    total = np.nansum(sizes, axis=-1, keepdims=True)
    shares: FloatArray = np.divide(sizes, total, out=np.full_like(sizes, np.nan), where=total > 0)
    return shares


def _played(table: FloatArray, there: BoolArray) -> FloatArray:
    """Return φ `(N, M)` of values `(N, 2^M)`; either may have one row that holds for all."""
    players = there.shape[1]
    rows = max(len(table), len(there))
    bits = np.arange(players)
    masks = np.arange(2**players)
    sizes = ((masks[:, None] >> bits) & 1).sum(axis=1)
    # Whoever is absent changes nothing here: Shapley values of the others are then those of the game without them.
    meant = masks & (there << bits).sum(axis=1)[:, None]
    known = np.take_along_axis(
        np.broadcast_to(table, (rows, 2**players)), np.broadcast_to(meant, (rows, 2**players)), 1
    )
    _check_finite(known, meant)
    added = np.empty((rows, players))
    for player in range(players):
        without = masks[(masks >> player) & 1 == 0]
        weights = np.array([1 / (players * comb(players - 1, int(size))) for size in sizes[without]])
        added[:, player] = (known[:, without | (1 << player)] - known[:, without]) @ weights
    return np.where(there, added, np.nan)


def _check_finite(known: FloatArray, meant: IntArray) -> None:
    bad = np.argwhere(~np.isfinite(known))
    if len(bad):
        row, mask = bad[0]
        subset = int(np.broadcast_to(meant, known.shape)[row, mask])
        raise ScanweaveError(
            "values", f"that of subset {subset} is not finite", "Give the value of every subset needed"
        )


def _checked_presence(present: ArrayLike) -> BoolArray:
    there = np.asarray(present)
    if there.ndim not in (1, 2) or there.size == 0 or not np.isin(there, (0, 1)).all():
        raise ScanweaveError("present", f"of shape {there.shape}, or not true or false", "Give (M,) or (N, M) booleans")
    if not there.any(axis=-1).all():
        raise ScanweaveError("present", "nobody takes part in one game", "Leave out patients of whom nothing is there")
    return there.astype(bool)


def _stacked(values: Mapping[int, ArrayLike], there: BoolArray | None) -> FloatArray:
    """Return the values of a mapping as `(2^M,)` or `(N, 2^M)`, NaN where it has none."""
    players = there.shape[-1] if there is not None else max(values, default=0).bit_length()
    if not all(0 <= mask < 2**players for mask in values):
        raise ScanweaveError("values", f"a bit mask lies outside 0 to {2**players - 1}", "Give one a subset of players")
    columns = {mask: checked_numbers("values", value) for mask, value in values.items()}
    try:
        shape = np.broadcast_shapes(*(column.shape for column in columns.values()))
    except ValueError as error:
        raise ScanweaveError("values", "subsets differ in length", "Give a value a patient for every subset") from error
    table = np.full((*shape, 2**players), np.nan)
    for mask, column in columns.items():
        table[..., mask] = column
    return table
