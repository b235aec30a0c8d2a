"""A_ij, how much better than usual source i makes target j: for a table of pairs and for all its resamples at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
SIGNS = np.array([1.0, 1.0, -1.0])
"""PSNR and SSIM: higher is better; the perceptual index: lower is."""
EPSILON = 1e-9


class PairSums(NamedTuple):
    """Sums over the rows of each patient and pair, `(P, N², 3)`; values are centred, so that squares keep their digits.

    Number i N + j is the pair from source i to target j.
    """

    rows: FloatArray
    total: FloatArray
    square: FloatArray


def pair_sums(rows: pd.DataFrame, names: Sequence[str], measures: Sequence[str]) -> PairSums:
    """Sum the rows of a table `patient, source, target, <measures>`; NaN is left out of its measure alone."""
    size = len(names)
    number = {name: index for index, name in enumerate(names)}
    patient, people = pd.factorize(rows["patient"])
    pair = rows["source"].map(number).to_numpy() * size + rows["target"].map(number).to_numpy()
    values = rows[list(measures)].to_numpy(dtype=np.float64)
    values = values - np.nanmean(values, axis=0)
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)

    def added(parts: FloatArray) -> FloatArray:
        sums = np.zeros((len(people), size * size, len(measures)))
        np.add.at(sums, (patient, pair), parts)
        return sums

    return PairSums(added(known.astype(np.float64)), added(filled), added(filled**2))


def pair_weights(sums: PairSums, counts: NDArray[np.number], *, diagonal: str, normalise_by: str) -> FloatArray:
    """Return A_ij = z(PSNR) + z(SSIM) − z(perceptual), z from the pair's mean; the unknown counts as average.

    Args:
        sums: Of the table.
        counts: How often each patient counts in each resample, `(R, P)`.
        diagonal: "exclude", "in_norm" (self-pairs in mean and spread only) or "include".
        normalise_by: Mean and spread of "rows" or of the means of "pairs".

    Returns:
        `(R, N, N)`.
    """
    pairs = sums.rows.shape[1]
    size = round(np.sqrt(pairs))
    own = np.eye(size, dtype=bool).ravel()
    n, total, square = (np.einsum("rp,pkm->rkm", counts, part, optimize=True) for part in sums)
    with np.errstate(invalid="ignore"):
        mean = np.where(n > 0, total / n, np.nan)
    pool = np.ones(pairs, dtype=bool) if diagonal != "exclude" else ~own
    if normalise_by == "rows":
        rows = n[:, pool].sum(axis=1)
        centre = total[:, pool].sum(axis=1) / rows
        spread = np.sqrt(np.maximum(square[:, pool].sum(axis=1) / rows - centre**2, 0.0))
    else:
        centre, spread = np.nanmean(mean[:, pool], axis=1), np.nanstd(mean[:, pool], axis=1)
    z = (mean - centre[:, None]) / (spread[:, None] + EPSILON)
    weights = np.nansum(z * SIGNS, axis=-1)
    if diagonal != "include":
        weights[:, own] = 0.0
    return weights.reshape(-1, size, size)
