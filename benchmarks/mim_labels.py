"""MiM beside random weights and other pre-training, on real hippocampi of which few are labelled.

Task 4 of the Medical Segmentation Decathlon in part: 208 crops. 120 are learnt from without labels, 1, 4 or 16 of
these are labelled, 48 others test; on the 40 that are left the learning rate was chosen for MiM and for random weights.
It is the highest that was tried, and that of all arms. The hybrid encoder and the decoder of Segment are the same in
all arms but one, and so are the labelled cases of a seed, and the steps. Pre-training sees as many views of 32³ a step
in every arm, and as many steps; the time of each is reported. That these hippocampi can be learnt is the claim of
`segment.py`, whose bar holds.

The bar, written before any run: Dice above that of random weights, the interval above 0, at 1 and at 4 labels. That
over a masked autoencoder is reported. Intervals are Student's over seeds: they tell of draws of labels and of weights,
for these test cases. The files do not name the patient: the two sides of one person may be in two parts, for all arms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from common import Claim, benchmark_arguments, write_results
from jobs import run_jobs
from mim_fits import ARMS, MAE, MAIN, MIM, SCRATCH, one_arm

from scanweave.measures.comparisons import mean_over_seeds

_SIZES = {"unlabelled": 120, "tested": 48, "looked at": None, "counts": (1, 4, 16), "arms": tuple(ARMS)}
_TINY = {"unlabelled": 4, "looked at": 1, "counts": (1, 2), "arms": (SCRATCH, MAE, MIM, "contrast")}
_FIT = {"rate": 8e-3}
"""Highest learning rate of the fits on labels: the best of 1e-3, 2e-3, 4e-3 and 8e-3 on the 40 cases that are left, for
MiM as for random weights; at 4 labels and one seed, which is none of these."""
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {**_SIZES, **_TINY, **_FIT, "seeds": (0,), "few seeds": (0,), "steps": 2, "tuned": 1},
    "proof": {**_SIZES, **_FIT, "seeds": (0, 1, 2, 3, 4), "few seeds": (0, 1), "steps": 1_000, "tuned": 150},
    "study": {**_SIZES, **_FIT, "seeds": tuple(range(10)), "few seeds": tuple(range(10)), "steps": 5_000, "tuned": 500},
}
LONGEST = 40.0
"""Most processor time of a fit on labels [s], but of the arm that has three times the steps."""
FEW = 4
"""Labels up to which the pre-training must help."""


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    jobs = [(name, seed) for seed in tier["seeds"] for name in tier["arms"] if _asked(name, seed, tier)]
    table = pd.DataFrame(list(chain.from_iterable(run_jobs(one_arm, jobs, arguments, tier))))
    print(table.groupby(["labels", "arm"], sort=False).mean(numeric_only=True).round(3).to_string(), flush=True)
    write_results("mim_labels", arguments, tier["seeds"], list(claims(table)))


def _asked(name: str, seed: int, tier: Mapping[str, Any]) -> bool:
    return name in MAIN or seed in tier["few seeds"]


def claims(table: pd.DataFrame) -> Iterator[Claim]:
    """Yield the bars, then what is only reported."""
    for labels, own in table.groupby("labels"):
        dice = own.pivot(index="seed", columns="arm", values="Dice")
        count = "1 label" if labels == 1 else f"{labels} labels"
        barred = labels <= FEW
        yield from more_than(dice, MIM, SCRATCH, count, barred=barred)
        yield from more_than(dice, MAE, SCRATCH, count)
        yield from more_than(dice, MIM, MAE, count)
        for name in (name for name in ARMS if name in dice and name not in MAIN):
            yield from more_than(dice.dropna(), name, SCRATCH, count)
    spent = table.groupby("arm")["pre-training [s]"].mean()
    told = {name: float(spent[name]) for name in ARMS if name in spent}
    slowest = table[table["arm"].map(lambda name: ARMS[name].times) == 1]["fit [s]"].max()
    yield Claim("slowest fit on labels", float(slowest), np.nan, np.nan, "s", len(table), LONGEST, "lower")
    yield Claim("processor time of the pre-training over that of MAE", told[MIM] / told[MAE], np.nan, np.nan, "×",
                len(table["seed"].unique()), None, "lower", told)  # fmt: skip


def more_than(dice: pd.DataFrame, arm: str, other: str, count: str, *, barred: bool = False) -> Iterator[Claim]:
    """Yield the difference of two arms in Dice, paired by seed; with a bar also the lower end of its interval."""
    found, name = mean_over_seeds(dice[arm] - dice[other]), f"Dice of {arm} over {other}, {count}"
    shown = {one: float(dice[one].mean()) for one in (arm, other)}
    yield Claim(name, found.value, found.low, found.high, "", found.n, 0.0 if barred else None, "higher", shown)
    if barred:
        yield Claim(f"{name}: lower end", found.low, np.nan, np.nan, "", found.n, 0.0, "higher")


if __name__ == "__main__":
    main()
