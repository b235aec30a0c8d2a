"""Find a report by its image and an image by its report: recall at k and mean reciprocal rank.

Reports that say the same ("no acute finding") cannot be told apart, so two figures stand side by side: with `keys`
every item of the query's key is right; as exact pairs only its own one is.

Where items score the same, ranks are means over all orders of them. A network that gives every pair one score then does
as well as chance; a sort would put each pair, or the first of the list, on top.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import bootstrap
from scanweave.measures.input_checks import FloatArray, IntArray, checked_names, checked_numbers

RANKS = (1, 5, 10)
"""Numbers of first answers in which a right one is looked for."""
MRR = "MRR"
EXACT, SAME = "exact pair", "same key"


def retrieval_scores(
    similarity: ArrayLike, queries: Sequence[Hashable], items: Sequence[Hashable], at: Sequence[int] = RANKS
) -> pd.DataFrame:
    """Return how well each query finds the items of its own key.

    Args:
        similarity: `(Q, N)` of each query to each item, high for alike.
        queries: Key of each query, Q.
        items: Key of each item, N; those of the query's key are right.
        at: Numbers of first answers k.

    Returns:
        One row a query: `R@k` (1 if a right item is among the first k, 0 if not, between where the k-th place is
        tied), `MRR` (1 / rank of the first right item). NaN for a query without a right item.

    Raises:
        ScanweaveError: The shapes differ, a similarity is NaN or infinite, a key is None, or a k is below 1.
    """
    values = checked_numbers("similarity", similarity)
    if values.shape != (len(queries), len(items)) or not values.size:
        reason = f"of shape {values.shape} for {len(queries)} queries and {len(items)} items"
        raise ScanweaveError("similarity", reason, "Give a row a query and a column an item")
    if not np.isfinite(values).all():
        raise ScanweaveError("similarity", "it holds NaN or infinity", "Leave those queries and items out")
    if any(k < 1 for k in at):
        raise ScanweaveError("at", f"{list(at)}", "Give ranks of 1 or more")
    numbers = checked_names("keys", [*queries, *items], len(queries) + len(items))
    mine, theirs = numbers[: len(queries)], numbers[len(queries) :]
    rows = [_query_scores(row, theirs == key, at) for row, key in zip(values, mine, strict=True)]
    return pd.DataFrame(rows, columns=[*(f"R@{k}" for k in at), MRR])


def retrieval_table(
    similarity: ArrayLike,
    patients: Sequence[Hashable],
    keys: Sequence[Hashable] | None = None,
    *,
    names: tuple[str, str] = ("image", "report"),
    at: Sequence[int] = RANKS,
    seed: int = 0,
    repeats: int = 2000,
) -> pd.DataFrame:
    """Return retrieval in both directions, of exact pairs and of equal keys, with 95 % intervals over patients.

    Patients are drawn as queries; what they are searched among stays whole, for the figures depend on its size: compare
    them only at the same number of items.

    Args:
        similarity: `(N, N)`; row i and column i are a pair.
        patients: The patient of each pair.
        keys: What each pair says, such as the report's text or its set of findings: equal ones are both right.
        names: Of rows and columns.
        at: Numbers of first answers k.
        seed: Of the resampling.
        repeats: Number of resamples.

    Returns:
        Rows `direction, right, measure, value, low, high, patients, queries, items, chance`; `right` says which items
        are ("exact pair", "same key"), `chance` what random similarities would reach.

    Raises:
        ScanweaveError: The matrix is not square, or as `retrieval_scores` and `bootstrap`.
    """
    values = checked_numbers("similarity", similarity)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise ScanweaveError("similarity", f"of shape {values.shape}", "Give N rows and N columns, pairs in one order")
    variants: dict[str, Sequence[Hashable]] = {EXACT: range(len(values))}
    if keys is not None:
        variants[SAME] = keys
    rows = []
    for (one, other), matrix in ((names, values), (names[::-1], values.T)):
        for right, of in variants.items():
            scores = retrieval_scores(matrix, of, of, at)
            blind = retrieval_scores(np.zeros_like(matrix), of, of, at).mean()
            for measure in scores:
                found = bootstrap(scores[measure], patients, seed=seed, repeats=repeats)
                interval = {"value": found.value, "low": found.low, "high": found.high, "patients": found.n}
                which = {"direction": f"{one} → {other}", "right": right, "measure": measure}
                sizes = {"queries": len(values), "items": len(values)}
                rows.append(which | interval | sizes | {"chance": float(blind[measure])})
    return pd.DataFrame(rows)


def _query_scores(values: FloatArray, right: IntArray | np.ndarray, at: Sequence[int]) -> list[float]:
    """Return recall at each k and the reciprocal rank of one query, as means over the orders of equal scores."""
    if not right.any():
        return [float("nan")] * (len(at) + 1)
    best = values[right].max()
    above = int(np.count_nonzero(values > best))
    tied = values == best
    chances = _first_places(int(np.count_nonzero(tied & right)), int(np.count_nonzero(tied & ~right)))
    ranks = above + 1 + np.arange(len(chances))
    return [*(float(chances[ranks <= k].sum()) for k in at), float((chances / ranks).sum())]


def _first_places(right: int, wrong: int) -> FloatArray:
    """Return the chance that the first right one of `right` and `wrong` shuffled items stands in each place."""
    left = right + np.arange(wrong, -1, -1)  # items that are left when place 1, 2 … is filled
    none_before = np.append(1.0, np.cumprod((left - right)[:-1] / left[:-1]))
    return none_before * right / left
