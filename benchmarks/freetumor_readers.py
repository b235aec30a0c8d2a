"""Do the intervals of a reading study hold what they say? Simulated readers of a known d′ tell made from real items.

Every reader's evidence for an item is normal, d′ apart, with a criterion between; in half of the settings readers
differ (deviation 0.3 of d′), and items are harder or easier for all of them (deviation 0.5). The interval of one reader
speaks of him, over items; that of several of the mean reader. (A first run held a single reader's against the mean
reader, of whom it says nothing: 76 to 92 % there.) Asked is, before any run:
no cell of setting and figure below 93 % coverage, a mean of 94 to 97 %, and a bias of d′ below 0.05. Beside it stands
the coverage of a two-way bootstrap of readers and items, in a part of the runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from common import Claim, benchmark_arguments, write_results
from jobs import run_jobs
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import stats

from scanweave.measures.proportions import proportion
from scanweave.measures.reading import Readings, summarise_readings

PRIMES, READERS, ITEMS = (0.0, 0.5, 1.0, 2.0), (1, 3, 6), (100,)
OF_READERS, OF_ITEMS = 0.3, 0.5
LEAST, MEAN, BIAS = 0.93, (0.94, 0.97), 0.05
MEASURES = ("sensitivity", "accuracy", "d′", "AUC")
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"runs": 4, "bootstrapped": 2, "resamples": 20},
    "proof": {"runs": 2_000, "bootstrapped": 200, "resamples": 200},
    "study": {"runs": 20_000, "bootstrapped": 2_000, "resamples": 500},
}


class Cell(NamedTuple):
    """Hold how often intervals held the truth in one setting.

    Attributes:
        prime: d′ of the mean reader.
        readers: How many.
        vary: Whether readers and items differ.
        held: By measure, how many intervals held the truth.
        bias: Mean of d′ less the truth.
        boot: How many intervals of accuracy by a two-way bootstrap did, and of how many.
    """

    prime: float
    readers: int
    vary: bool
    held: dict[str, int]
    bias: float
    boot: tuple[int, int]


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    jobs = [(prime, readers, vary) for prime, readers, vary in product(PRIMES, READERS, (False, True))]
    cells = list(run_jobs(simulated_cell, jobs, arguments, tier))
    for one in cells:
        told = ", ".join(f"{name} {count / tier['runs']:.3f}" for name, count in one.held.items())
        print(f"d′ {one.prime:g}, {one.readers} readers, {'differing' if one.vary else 'alike'}: {told}", flush=True)
    write_results("freetumor_readers", arguments, (0,), list(claims(cells, tier["runs"])))


def simulated_cell(prime: float, readers: int, vary: bool, tier: dict[str, Any]) -> Cell:
    """Simulate the reading studies of one setting."""
    rng = np.random.default_rng([round(10 * prime), readers, int(vary)])
    truth = true_values(prime, vary)
    held, found, boot = dict.fromkeys(truth, 0), [], [0, 0]
    for run in range(tier["runs"]):
        readings, own = simulated(rng, prime, readers, vary)
        table = summarise_readings(readings)
        rows = table[table["reader"] == ("all" if readers > 1 else readings.readers[0])].set_index("measure")
        meant = truth if readers > 1 or not vary else true_values(float(own[0]), vary, of_readers=0.0)
        for name, value in meant.items():
            held[name] += bool(rows.loc[name, "low"] <= value <= rows.loc[name, "high"])
        found.append(float(rows.loc["d′", "value"]))
        if run < tier["bootstrapped"] and readers > 1:
            low, high = two_way(rng, readings, tier["resamples"])
            boot[0] += bool(low <= truth["accuracy"] <= high)
            boot[1] += 1
    return Cell(prime, readers, vary, held, float(np.mean(found)) - truth["d′"], (boot[0], boot[1]))


def simulated(rng: Generator, prime: float, readers: int, vary: bool) -> tuple[Readings, NDArray[np.float64]]:
    """Simulate one study, half of whose items are made; return it and the d′ of each reader."""
    items = ITEMS[0]
    made = np.arange(items) % 2 == 0
    own = prime + (OF_READERS * rng.normal(size=(readers, 1)) if vary else np.zeros((readers, 1)))
    shared = OF_ITEMS * rng.normal(size=items) if vary else np.zeros(items)
    evidence = rng.normal(size=(readers, items)) + shared + np.where(made, own / 2, -own / 2)
    sure = 1 + np.digitize(np.abs(evidence), [0.3, 0.7, 1.2, 1.8])
    return Readings.of(made, evidence > 0, sure), own[:, 0]


def true_values(prime: float, vary: bool, of_readers: float = OF_READERS) -> dict[str, float]:
    """Return what each figure is, of the mean reader and item: by numbers where readers and items differ.

    Without variation of readers, it is that of one reader over items.
    """
    half = prime / 2
    if not vary:
        return {
            "sensitivity": float(stats.norm.cdf(half)),
            "accuracy": float(stats.norm.cdf(half)),
            "d′": prime,
            "AUC": binned_auc(prime, 1.0),
        }
    deviation = np.sqrt(1 + OF_ITEMS**2 + (of_readers / 2) ** 2)
    right = float(stats.norm.cdf(half / deviation))
    within = np.sqrt(1 + OF_ITEMS**2)  # of one reader's evidence over items
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    each = prime + of_readers * nodes
    weights = weights / weights.sum()
    return {
        "sensitivity": right,
        "accuracy": right,
        "d′": float((weights * each).sum() / within),
        "AUC": float((weights * [binned_auc(one, within) for one in each]).sum()),
    }


def binned_auc(prime: float, deviation: float) -> float:
    """Return the AUC of ratings in ten classes."""
    cuts = np.array([-np.inf, -1.8, -1.2, -0.7, -0.3, 0.0, 0.3, 0.7, 1.2, 1.8, np.inf])
    made, real = (np.diff(stats.norm.cdf(cuts, mean, deviation)) for mean in (prime / 2, -prime / 2))
    below = np.concatenate([[0.0], np.cumsum(real)[:-1]])
    return float((made * (below + real / 2)).sum())


def two_way(rng: Generator, readings: Readings, resamples: int) -> tuple[float, float]:
    """Return the interval of pooled accuracy by resampling readers and items."""
    right = readings.called == readings.synthetic
    readers, items = right.shape
    draws: list[float] = []
    for _ in range(resamples):
        rows, columns = rng.integers(readers, size=readers), rng.integers(items, size=items)
        draws.append(float(right[np.ix_(rows, columns)].mean()))
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)


def claims(cells: list[Cell], runs: int) -> Iterator[Claim]:
    """Yield the coverage of the worst cell and of all, the bias of d′, and the bootstrap beside."""
    rows = [{"cell": one, "measure": name, "share": n / runs} for one in cells for name, n in one.held.items()]
    table = pd.DataFrame(rows)
    for name, group in table.groupby("measure", sort=False):
        worst = group.loc[group["share"].idxmin()]
        cell: Cell = worst["cell"]
        spread = proportion(round(float(worst["share"]) * runs), runs)
        where = f"d′ {cell.prime:g}, {cell.readers} readers, {'differing' if cell.vary else 'alike'}"
        shown = {"mean of all cells": float(group["share"].mean())}
        words = f"coverage of {name} in the worst cell ({where})"
        yield Claim(words, spread.value, spread.low, spread.high, "", runs, LEAST, "higher", shown)
    mean, nothing = float(table["share"].mean()), float("nan")
    yield Claim("mean coverage of all cells, at least", mean, nothing, nothing, "", runs, MEAN[0], "higher")
    yield Claim("mean coverage of all cells, at most", mean, nothing, nothing, "", runs, MEAN[1], "lower")
    bias = max((one for one in cells), key=lambda one: abs(one.bias))
    yield Claim("largest bias of d′", abs(bias.bias), nothing, nothing, "", runs, BIAS, "lower")
    several = [one for one in cells if one.boot[1]]
    share = sum(one.boot[0] for one in several) / sum(one.boot[1] for one in several)
    own = float(np.mean([one.held["accuracy"] / runs for one in several]))
    words, count = "coverage of pooled accuracy by a two-way bootstrap", several[0].boot[1]
    yield Claim(words, share, nothing, nothing, "", count, None, "higher", {"ours": own})


if __name__ == "__main__":
    main()
