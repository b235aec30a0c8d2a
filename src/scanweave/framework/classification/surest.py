"""Studies to look at: those that a run is surest of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def surest_studies(
    told: Mapping[str, NDArray[np.float64]], outputs: Sequence[str], of: str = "", most: int = 8
) -> dict[str, int]:
    """Return some studies, and which output of each is looked at: in turn the study that is surest of each.

    Args:
        told: Probabilities of studies `(K,)`, by their names.
        outputs: Classes or findings, K.
        of: The only one of them that is looked at; empty: all.
        most: Studies that are chosen.
    """
    if of:
        number = outputs.index(of)
        best = sorted(told, key=lambda name: -told[name][number])
        return dict.fromkeys(best[:most], number)
    names = np.array(list(told), dtype=object)
    queues = {k: names[np.argsort(-np.stack([*told.values()])[:, k], kind="stable")] for k in range(len(outputs))}
    chosen: dict[str, int] = {}
    while len(chosen) < min(most, len(told)):
        for number, queue in queues.items():
            free = [name for name in queue if name not in chosen]
            if free and len(chosen) < most:
                chosen[free[0]] = number
    return chosen
