"""Labels of studies and structures of voxels, told from features in which nothing is changed.

A linear model on frozen features (Alain & Bengio 2016), fitted on the training studies of the run and tried on others;
beside it the same on the features of an encoder whose weights are random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

STRENGTH, ITERATIONS = 0.1, 1_000
"""Of the logistic regression (C), and its most iterations."""
VOXELS_PER_STRUCTURE = 300
"""Voxels of each structure, and of the background, that a study gives to learn from."""
Features = NDArray[np.float32]


def told_labels(learnt: Features, truth: Sequence[str], tried: Features) -> tuple[list[str], NDArray[np.float64]]:
    """Return the classes, and the probability of each for features `(N, K)`.

    Args:
        learnt: Features of training studies `(M, D)`.
        truth: The class of each.
        tried: Features of other studies `(N, D)`.
    """
    model = _model().fit(learnt, list(truth))
    return [str(name) for name in model.classes_], np.asarray(model.predict_proba(tried), dtype=np.float64)


class VoxelProbe:
    """Tell the structure of voxels from their features.

    Args:
        features: Of voxels to learn from `(M, D)`.
        structures: Number of the structure of each, 0 for none.
    """

    def __init__(self, features: Features, structures: NDArray[np.int64]) -> None:
        self.model = _model().fit(features, structures)

    def told(self, features: Features) -> NDArray[np.int64]:
        """Return the number of the structure of each voxel `(N,)`."""
        return np.asarray(self.model.predict(features), dtype=np.int64)


def drawn_voxels(mask: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the indices `(N, 3)` of some voxels of each structure of a mask and of the background."""
    parts = []
    for number in np.unique(mask):
        flat = np.flatnonzero(mask == number)
        chosen = rng.choice(flat, min(len(flat), VOXELS_PER_STRUCTURE), replace=False)
        parts.append(np.stack(np.unravel_index(chosen, mask.shape), axis=1))
    return np.concatenate(parts).astype(np.int64)


def dice_of(
    truth: NDArray[np.int64], made: NDArray[np.int64], numbers: Mapping[str, Sequence[int]]
) -> dict[str, float]:
    """Return the Dice of each structure that is in the truth of some voxels, by its name."""
    found = {}
    for name, own in numbers.items():
        there, called = np.isin(truth, own), np.isin(made, own)
        if there.any():
            found[name] = float(2 * (there & called).sum() / (there.sum() + called.sum()))
    return found


def _model() -> LogisticRegression:
    return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=ITERATIONS))
