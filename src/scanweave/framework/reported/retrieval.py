"""Images found by their reports, and reports by their images: a table, and what it tells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.framework.trial import Trial
from scanweave.measures.retrieval import retrieval_table
from scanweave.report.saving import save_table
from scanweave.wording import count

RETRIEVAL = "retrieval.csv"
FEWEST = 2
"""Pairs from which there is anything to find."""
MOST_PAIRS = 5_000
"""Pairs among which is searched: figures depend on their number, and memory grows with its square."""


def measure_retrieval(
    trial: Trial,
    images: NDArray[np.float64],
    reports: NDArray[np.float64],
    patients: Sequence[str],
    keys: Sequence[str],
    *,
    seed: int,
    repeats: int,
) -> pd.DataFrame | None:
    """Measure retrieval in both directions into `retrieval.csv`; None where there are too few pairs.

    Args:
        trial: Where the table goes.
        images: Vectors of length 1 `(N, d)`.
        reports: Of their reports, likewise.
        patients: Whose they are.
        keys: What each report says: equal ones are both right.
        seed: Of the resampling.
        repeats: Number of resamples.
    """
    if len(images) < FEWEST:
        trial.say("note: no retrieval, for which two studies with a report are needed")
        (trial.folder / RETRIEVAL).unlink(missing_ok=True)
        return None
    if len(images) > MOST_PAIRS:
        drawn = np.sort(np.random.default_rng(seed).permutation(len(images))[:MOST_PAIRS])
        trial.say(f"retrieval: {MOST_PAIRS} of {len(images)} pairs, drawn at random")
        images, reports = images[drawn], reports[drawn]
        patients, keys = [patients[place] for place in drawn], [keys[place] for place in drawn]
    table = retrieval_table(images @ reports.T, patients, keys, seed=seed, repeats=repeats)
    save_table(table, trial.folder / RETRIEVAL)
    copies = len(keys) - len(set(keys))
    trial.say(f"retrieval among {count(len(keys), 'pair')}, of which {copies} say the same as another")
    for (direction, right), rows in table.groupby(["direction", "right"], sort=False):
        told = ", ".join(
            f"{row['measure']} {row['value']:.3f} (chance {row['chance']:.3f})" for row in rows.to_dict("records")
        )
        trial.say(f"{direction}, {right}: {told}")
    return table
