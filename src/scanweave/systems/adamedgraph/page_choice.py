"""Choice of the patients that get a page: typical ones and extreme ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest

import numpy as np

from scanweave.systems.adamedgraph.intervals import Floats, Indices


def choose_pages(probabilities: Floats, truths: Indices, classes: Sequence[str], count: int) -> dict[int, str]:
    """Return the rows that get a page, and why each was chosen; none twice.

    In turn one typical row (of those answered alike the one whose answer is as sure as that of most) and one extreme
    row (the surest; the furthest from what became of it; the most doubtful; the surest of every class); then the
    others, in their order.

    Args:
        probabilities: Of each row and class `(n, K)`.
        truths: What became of it `(n,)`, a number of a class; -1: not known.
        classes: Their names.
        count: Pages.
    """
    surest, answered = probabilities.max(1), probabilities.argmax(1)
    pairs = zip_longest(_typical(surest, answered, classes), _extreme(probabilities, truths, classes))
    in_turn = [one for one in chain.from_iterable(pairs) if one is not None]
    chosen: dict[int, str] = {}
    for row, why in [*in_turn, *((row, "") for row in range(len(probabilities)))]:
        if len(chosen) < count:
            chosen.setdefault(row, why)
    return chosen


def _typical(surest: Floats, answered: Indices, classes: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield for each class that is answered, the commonest first, the row of the median sureness."""
    counts = np.bincount(answered, minlength=len(classes))
    for number in np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]:
        mine = np.flatnonzero(answered == number)
        middle = mine[np.argsort(surest[mine], kind="stable")[(len(mine) - 1) // 2]]
        yield int(middle), f"typical of the {len(mine)} answered {classes[number]}"


def _extreme(probabilities: Floats, truths: Indices, classes: Sequence[str]) -> Iterator[tuple[int, str]]:
    if not len(probabilities):
        return
    yield int(probabilities.max(1).argmax()), "the surest answer"
    known = np.flatnonzero(truths >= 0)
    wrong = known[probabilities[known].argmax(1) != truths[known]]
    if len(wrong):
        yield int(wrong[probabilities[wrong, truths[wrong]].argmin()]), "the answer furthest from what became of it"
    top = np.sort(probabilities, axis=1)
    yield int((top[:, -1] - top[:, -2]).argmin()), "the answer most in doubt"
    for number, name in enumerate(classes):
        yield int(probabilities[:, number].argmax()), f"the highest probability of {name}"
