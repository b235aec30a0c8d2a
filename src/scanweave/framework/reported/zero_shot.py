"""Findings told without labels: is an image more like the sentences that say so, or like those that deny it?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scanweave.framework.reported.prompts import Prompts

Vectors = NDArray[np.float64]
Embed = Callable[[Sequence[str]], Vectors]
"""Maps sentences to vectors of length 1, `(N, d)`."""


def prompt_directions(prompts: Prompts, embed: Embed) -> Vectors:
    """Return the mean of the sentences that say that a finding is there, less that of those that deny it `(K, d)`.

    Each mean is brought to length 1, as CLIP's ensembles of prompts are (Radford et al., ICML 2021).

    Args:
        prompts: Sentences of K findings.
        embed: Maps sentences to vectors.
    """
    sides = [[_mean(embed(said)) for said in (one.present, one.absent)] for one in prompts.values()]
    return np.array([present - absent for present, absent in sides])


def zero_shot_shares(images: Vectors, directions: Vectors, temperature: float) -> Vectors:
    """Return the probability of each finding of each image `(N, K)`: softmax over the two sides.

    Args:
        images: Vectors of length 1 `(N, d)`.
        directions: See `prompt_directions`.
        temperature: Of the training.
    """
    return np.asarray(1 / (1 + np.exp(-images @ directions.T / temperature)))


def unit(vectors: Vectors) -> Vectors:
    """Return vectors of length 1; one of length 0 stays."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))


def _mean(vectors: Vectors) -> Vectors:
    return unit(vectors.mean(axis=0))
