"""Leaks by absence: scans, masks and variables that some patients have, and whose presence alone tells the label.

A network, or a table's learner, that may take what is absent as a sign then answers without a look at what is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

TELLING_AUROC = 0.7
"""AUROC of presence alone from which it is told; below, absence may go with a disease as it does in any clinic."""
SIGNIFICANCE = 0.01
"""Of Fisher's exact test after Holm's correction: what a few patients show by chance is not told."""


@dataclass(frozen=True)
class PresenceLeak:
    """A class that is told by what is there, whatever it shows.

    Attributes:
        columns: Headings of the columns that are present in the same studies.
        output: The class or finding that their presence tells.
        auroc: Of presence alone, either way; every patient counts once, however many studies there are.
        p: Fisher's exact p over patients, after Holm's correction.
        counts: Studies with the class that have it, all with the class, others that have it, all others.
    """

    columns: tuple[str, ...]
    output: str
    auroc: float
    p: float
    counts: tuple[int, int, int, int]

    def words(self) -> str:
        """Describe it: `"its presence alone tells ill (AUROC 0.80, p 1e-05): there in 24 of 30 such studies …"`."""
        there, positive, elsewhere, negative = self.counts
        more = f", as that of {len(self.columns) - 1} more" if len(self.columns) > 1 else ""
        return (
            f"its presence alone{more} tells {self.output} (AUROC {self.auroc:.2f}, p {self.p:.1g}): there in "
            f"{there} of {positive} such studies and in {elsewhere} of {negative} others"
        )


def presence_leaks(
    there: pd.DataFrame, truths: Mapping[str, NDArray[np.float64]], patients: Sequence[str]
) -> list[PresenceLeak]:
    """Return what presence alone tells, the clearest first.

    Presence tells a class if its AUROC is at least 0.7, or if all studies that have the column, or all that lack it,
    are of one side; and if Holm's p, over all columns and classes, is below 0.01. Columns that are there in the same
    studies are one. Each is judged by itself: what only two together tell is not seen.

    Args:
        there: Whether each study has each column `(N, C)`.
        truths: Of each class or finding, 1, 0 or NaN where it is not known, each `(N,)`.
        patients: Whose the studies are `(N,)`.
    """
    from statsmodels.stats.multitest import multipletests

    tests = [
        (headings, output, *_tested(mask[known], truth[known] > 0, np.asarray(patients, dtype=object)[known]))
        for headings, mask in _patterns(there)
        for output, truth in truths.items()
        if _varies(mask[known := ~np.isnan(truth)]) and _varies(truth[known] > 0)
    ]
    if not tests:
        return []
    found = []
    adjusted = multipletests([test[3] for test in tests], method="holm")[1].tolist()
    for (headings, output, area, _, counts), p in zip(tests, adjusted, strict=True):
        within, positive, elsewhere, negative = counts
        pure = within in (0, positive) or elsewhere in (0, negative)
        if p < SIGNIFICANCE and (area >= TELLING_AUROC or pure):
            found.append(PresenceLeak(headings, output, area, p, counts))
    return sorted(found, key=lambda leak: -leak.auroc)


def _patterns(there: pd.DataFrame) -> Iterator[tuple[tuple[str, ...], NDArray[np.bool_]]]:
    """Yield the columns that are there in the same studies, and in which."""
    named: dict[bytes, list[str]] = {}
    masks = there.to_numpy(dtype=bool)
    for heading, mask in zip(there.columns, masks.T, strict=True):
        named.setdefault(np.packbits(mask).tobytes(), []).append(str(heading))
    for headings in named.values():
        yield tuple(headings), there[headings[0]].to_numpy(dtype=bool)


def _varies(values: NDArray[np.bool_]) -> bool:
    return bool(values.any()) and not bool(values.all())


def _tested(
    mask: NDArray[np.bool_], positive: NDArray[np.bool_], patients: NDArray[np.object_]
) -> tuple[float, float, tuple[int, int, int, int]]:
    """Return AUROC and Fisher's exact p of presence, each patient's studies sharing one count; and counts of studies.

    The AUROC of two values is half of 1 + sensitivity − (1 − specificity).
    """
    from scipy.stats import fisher_exact

    own = Counter(patients)
    weights = np.array([1 / own[patient] for patient in patients])
    cells = [[float(weights[(positive == side) & (mask == seen)].sum()) for seen in (True, False)] for side in (1, 0)]
    shares = [row[0] / sum(row) for row in cells]
    p = float(fisher_exact(np.rint(cells).astype(int)).pvalue)
    counts = (mask & positive).sum(), positive.sum(), (mask & ~positive).sum(), (~positive).sum()
    within, positives, elsewhere, negatives = map(int, counts)
    return 0.5 + abs(shares[0] - shares[1]) / 2, p, (within, positives, elsewhere, negatives)
