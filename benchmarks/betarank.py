"""Rankings of channels compared: networks of Classify pruned by each, all else equal.

Materials: real chest films of 28 × 28 pixels (pneumonia or not) with the normal ones cut to a tenth; the same with 25
films a class; real fundus photographs in three classes of grades, by patient; simulated chest films with three
findings, 2,000 to test on. Of each seed one network is fitted, and its prunings by each ranking have the same samples,
steps and seed afterwards, so that differences are paired. Nothing was chosen on test images: findings, and the second
of two classes, are called at points frozen on validation images, of three classes the most probable one is called. (A
trial of another seed called pneumonia where it was more probable: with a tenth of the normal films that says more of
the threshold than of the network.) Balanced accuracy, mean over seeds, with Student's intervals over seeds: they speak
of other fits on the same test images, not of other patients.

Bars, written before any run of these seeds: at 85 % of the multiply-adds cut, `beta` is not below `random` (interval
above 0); at 50 % it is at most 3 points below `l1`; on the simulated films the unpruned network is at most 1 point
above `beta` at 50 %. Pruned networks have a quarter of the steps on top of those of their parent, which the unpruned
one has not: that comparison says what pruning and training on cost together.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pandas as pd
from betarank_fits import FEW, FILMS, FINDINGS, PNEUMONIA, RETINA, UNPRUNED, one_seed
from common import Claim, benchmark_arguments, write_results
from jobs import run_jobs

from scanweave.framework.pruning.settings import RANKINGS
from scanweave.measures.comparisons import mean_over_seeds

BETA, L1, RANDOM = "beta", "l1", "random"
MAIN = (BETA, L1, RANDOM)
HALF, MOST = 0.5, 0.85
BELOW_L1, BELOW_UNPRUNED = -0.03, 0.01
_SMALL = {"network.encoder": "resnet18", "network.width": 0.25, "training.validate_every": 100}
_FILMS = {
    "config": {**_SMALL, "network.size": [96, 96], "labels": list(FINDINGS)},
    "size": 128,
    "conspicuity": 1.0,
    "films": 1_000,
    "tested": 2_000,
    "steps": 600,
}
_PROOF: dict[str, Any] = {
    PNEUMONIA: {"config": _SMALL, "steps": 600},
    FEW: {"config": _SMALL, "steps": 200},
    RETINA: {"config": {**_SMALL, "network.size": [96, 96]}, "steps": 400},
    FILMS: _FILMS,
}
_TINY = {
    "network.encoder": "resnet10",
    "network.width": 0.125,
    "network.size": [48, 48],
    "labels": list(FINDINGS),
    "training.validate_every": 2,
}
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {
        "seeds": (0, 1),
        "main": {FILMS: 2},
        "every": {},
        "materials": {FILMS: _FILMS | {"config": _TINY, "films": 60, "tested": 30, "steps": 4}},
    },
    "proof": {
        "seeds": tuple(range(700, 710)),
        "main": {PNEUMONIA: 10, FEW: 10, FILMS: 10, RETINA: 3},
        "every": {PNEUMONIA: 3},
        "materials": _PROOF,
    },
    "study": {
        "seeds": tuple(range(700, 720)),
        "main": {PNEUMONIA: 20, FEW: 20, FILMS: 20, RETINA: 10},
        "every": {PNEUMONIA: 20, FEW: 10, FILMS: 10, RETINA: 5},
        "materials": _PROOF,
    },
}
"""Main: seeds of each material for the rankings of the bars; every: seeds for all rankings."""
CUTS = {FILMS: (HALF,), RETINA: (HALF,)}
"""Of a material; else both."""


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    kept = {"materials": tier["materials"]}
    jobs = []
    for material, number in tier["main"].items():
        for place, seed in enumerate(tier["seeds"][:number]):
            rankings = RANKINGS if place < tier["every"].get(material, 0) else MAIN
            jobs.append((material, seed, rankings, CUTS.get(material, (HALF, MOST))))
    table = pd.DataFrame(chain.from_iterable(run_jobs(one_seed, jobs, arguments, kept)))
    print(table.groupby(["material", "cut", "ranking"]).mean(numeric_only=True).round(3).to_string(), flush=True)
    write_results("betarank", arguments, tier["seeds"], list(claims(table)))


def claims(table: pd.DataFrame) -> Iterator[Claim]:
    """Yield the comparisons of each material at each cut, then all rankings."""
    for material, own in table.groupby("material", sort=False):
        values = own.pivot_table(index="seed", columns=["cut", "ranking"], values="balanced")
        parent = values[0.0, UNPRUNED]
        for cut in sorted(set(own["cut"]) - {0.0}):
            at, name = values[cut], f"{material}, {100 * cut:g} % cut"
            bar = 0.0 if cut == MOST else None
            yield paired(f"{name}: beta less random", at[BETA], at[RANDOM], RANDOM, bar)
            yield paired(f"{name}: beta less l1", at[BETA], at[L1], L1, BELOW_L1 if cut == HALF else None)
            if material == FILMS:
                yield paired(f"{name}: unpruned less beta", parent, at[BETA], BETA, BELOW_UNPRUNED, UNPRUNED, "lower")
            for ranking in at.columns:
                yield paired(f"{name}: {ranking} less unpruned", at[ranking], parent, UNPRUNED, None, ranking)
        for measure in ("balanced", "macro", "worst", "auroc"):
            one = own[own["ranking"] == UNPRUNED][measure]
            yield Claim(f"{material}, unpruned: {measure}", float(one.mean()), *NONE, "", len(one), None, "higher")
    left = table[table["cut"] > 0]
    above = float((left["left"] - (1 - left["cut"])).max())
    yield Claim("check: work left above what was asked", above, *NONE, "", len(left), 0.0, "lower")


NONE = (float("nan"), float("nan"))
"""No interval."""


def paired(
    name: str, one: pd.Series, two: pd.Series, other: str, bar: float | None, ours: str = BETA, better: Any = "higher"
) -> Claim:
    """Return the difference of two arms over the seeds that have both."""
    both = pd.concat([one, two], axis=1).dropna()
    found = mean_over_seeds(both.iloc[:, 0] - both.iloc[:, 1])
    shown = {ours: float(both.iloc[:, 0].mean()), other: float(both.iloc[:, 1].mean())}
    return Claim(name, found.value, found.low, found.high, "", found.n, bar, better, shown)


if __name__ == "__main__":
    main()
