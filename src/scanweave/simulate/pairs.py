"""Settings that are a number for each of some names, as a command line gives them: `nodule=0.5 effusion=0.1`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

Name = TypeVar("Name", bound=str)


def as_pairs(given: Any, whole: Iterable[str] | None = None) -> Mapping[str, Any]:
    """Return words as a dictionary, and a dictionary as it is; numbers stay words.

    Args:
        given: `{"nodule": 0.5}`, `("nodule=0.5", …)`, or one word without a name.
        whole: Names that all have the number which is given without one; None: the word is a name, of all.

    Raises:
        ValueError: A name is given twice.
    """
    if isinstance(given, Mapping):
        return given
    several = isinstance(given, Sequence) and not isinstance(given, str)
    words = [str(word) for word in (given if several else [given])]
    if len(words) == 1 and "=" not in words[0]:
        return {words[0]: 1.0} if whole is None else dict.fromkeys(whole, words[0])
    names = [word.partition("=")[0] for word in words]
    if len({*names}) < len(names):
        raise ValueError(f"{max(names, key=names.count)} is named twice")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def name_at(shares: Mapping[Name, float], chance: float) -> Name:
    """Return the name that a number in [0, 1) falls to, where each has its share of them."""
    names = list(shares)
    return names[min(int(np.searchsorted(np.cumsum(list(shares.values())), chance, "right")), len(names) - 1)]
