"""CheXDet against CheXNet on simulated chest films: does a detector rely less on marks that go with a finding?

Both learn from films of site A, on which a tube goes with effusion and a marker with pneumothorax by the chance rho.
They are tried on other patients: of A with the same habit (internal), of B where marks tell nothing (external, rho 0.5)
and where they tell the contrary (flipped, rho 0.05; the same patients). Arms: rho 0.5, 0.95 and one between; the
encoders exchanged; the classifier with five times the films and twice the steps; both with as many films of B beside,
whose marks tell nothing. The audit tries ten runs with planted marks (the classifiers, with either encoder) and ten
without (classifiers and detectors).

Bars, written before any run, are those of the issue. The gate first: a finding takes part if the classifier that
learned under rho 0.5 reaches an external AUROC of 0.90. Then, after rho 0.95: detector less classifier by at least 0.05
(external) and 0.10 (flipped); the detector loses at most 0.05 from internal to external, its highest mark lies on the
finding in 90 % of the films, and its JAFROC figure of merit is above that of the classifier's Grad-CAMs. Internally
the two are to be equal within 0.05 (90 % interval). The audit finds a planted mark in 9 of 10 runs: an excess of flips
whose interval lies above that of the classifier of the same seed that learned from clean films; and tells of one in at
most 2 of 10 clean runs. Looked at are the planted pairs of mark and finding. Intervals are over the seeds (Student's
t), paired by seed.

Chosen before, on films of another seed and by what is learned under rho 0.5 alone: of the five findings of the
simulator at its own conspicuity those two reach the gate, while no classifier of this size learned nodule or fracture
from some hundred labels; the steps at which the classifier passes, and the detector's boxes are found. The encoders of
the tier `proof` are small ResNets, and DenseNet-121 and EfficientNet-B0 those of `study`. The detector sees fewer
films in all (4,800 and 12,800): its steps are dearer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from chexdet_fits import (
    ARMS,
    AUDITED,
    BOTH_SITES,
    CLASSIFY,
    CONTRARY,
    DETECT,
    EXTERNAL,
    FAIR,
    FINDINGS,
    INTERNAL,
    MAIN,
    MORE_FILMS,
    STRONG,
    SWEEP,
    audited_arms,
    cohorts_of,
    one_fit,
    simulate,
)
from chexdet_fits import PLANTED as MARKS
from common import Claim, benchmark_arguments, write_results
from jobs import parts_folder, run_jobs

from scanweave.measures.bootstrap import Interval
from scanweave.measures.comparisons import mean_over_seeds
from scanweave.measures.proportions import proportion

TIERS: dict[str, dict[str, Any]] = {
    "smoke": {
        "seeds": (0,), "arms": tuple(MAIN), "swept": 0, "learnt": 12, "validated": 10, "tested": 16, "size": 128,
        "conspicuity": 3.0, "audited": 4, "repeats": 100,
        CLASSIFY: {"preset": "small", "encoder": "resnet10", "steps": 2, "config": {"training.batch_size": 4}},
        DETECT: {"preset": "small", "encoder": "resnet10", "steps": 2, "config": {"training.batch_size": 2}},
    },
    "proof": {
        "seeds": (700, 701, 702, 703, 704), "arms": tuple(ARMS), "swept": 3, "learnt": 600, "validated": 120,
        "tested": 240, "size": 128, "conspicuity": 1.0, "audited": 120, "repeats": 100,
        CLASSIFY: {"preset": "small", "encoder": "resnet18", "steps": 400, "config": {}},
        DETECT: {
            "preset": "small", "encoder": "resnet10", "steps": 600, "config": {
                "training.batch_size": 8, "network.sampled": 32, "network.head_width": 32,
                "network.training_proposals": 200, "network.proposals": 100,
            },
        },
    },
    "study": {
        "seeds": tuple(range(700, 710)), "arms": tuple(ARMS), "swept": 10, "learnt": 10_000, "validated": 1_000,
        "tested": 2_000, "size": 512, "conspicuity": 1.0, "audited": 500, "repeats": 500,
        CLASSIFY: {"preset": "chexnet", "encoder": "densenet121", "steps": 20_000, "config": {}},
        DETECT: {"preset": "chexdet", "encoder": "torchvision/efficientnet_b0", "steps": 30_000, "config": {}},
    },
}  # fmt: skip
"""Swept: on how many of the seeds the chances between are tried. Audited: films of each kind that are changed."""
GATE, APART, APART_FLIPPED, LOST, HIT, EQUAL = 0.90, 0.05, 0.10, 0.05, 0.90, 0.05
FOUND, ALARMS = 0.9, 0.2
AUROC, MERIT = "AUROC", "JAFROC"
POINTING = {CLASSIFY: "pointing game of the map", DETECT: "pointing game of the best mark"}
CLEAN = {system: f"{system} {FAIR:g}" for system in POINTING}
PLANTED = {system: f"{system} {STRONG:g}" for system in POINTING}


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    with tempfile.TemporaryDirectory() as name:
        kept = Path(name) if arguments.json is None else parts_folder(arguments.json)
        films = kept / "films"
        jobs = [(seed, arm) for seed in tier["seeds"] for arm in arms_of(seed, tier)]
        needed = {(seed, cohort) for seed, arm in jobs for cohort in cohorts_of({arm: ARMS[arm]})}
        list(run_jobs(simulate, sorted(needed), arguments, films, tier))
        table = pd.concat(run_jobs(one_fit, jobs, arguments, films, tier), ignore_index=True)
    shown = table[table["cohort"] != AUDITED].pivot_table("value", ["outcome", "measure", "arm"], "cohort")
    print(shown.round(3).to_string(), flush=True)
    write_results("chexdet", arguments, tier["seeds"], list(claims(Results(table))))


def arms_of(seed: int, tier: dict[str, Any]) -> list[str]:
    """Return the arms of a seed: those between only on the first ones, and the longest fits first."""
    swept = seed in tier["seeds"][: tier["swept"]]
    return sorted((name for name in tier["arms"] if swept or name not in SWEEP), key=lambda name: -ARMS[name].times)


class Results:
    """Measures of all arms and seeds, and intervals over the seeds.

    Args:
        table: Rows of `one_fit`.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        measured = table[table["cohort"] != AUDITED].set_index(["arm", "cohort", "outcome", "measure", "seed"])
        self.measured = measured["value"].sort_index()

    def by_seed(self, arm: str, cohort: str, finding: str, measure: str) -> pd.Series:
        """Return a measure of an arm by seed."""
        return self.measured.loc[arm, cohort, finding, measure]

    def has(self, arm: str) -> bool:
        """Tell whether an arm was fitted."""
        return arm in self.measured.index.get_level_values("arm")

    def apart(self, first: str, second: str, cohort: str, finding: str, measure: str) -> pd.Series:
        """Return a measure of one arm less that of another, of the seeds of both."""
        one, two = (self.by_seed(arm, cohort, finding, measure) for arm in (first, second))
        return (one - two).dropna()

    def lost(self, arm: str, finding: str) -> pd.Series:
        """Return the AUROC of an arm on internal films less that on external ones, by seed."""
        return self.by_seed(arm, INTERNAL, finding, AUROC) - self.by_seed(arm, EXTERNAL, finding, AUROC)

    def mean(self, arm: str, cohort: str, finding: str, measure: str, confidence: float = 0.95) -> Interval:
        """Return the mean of an arm over its seeds."""
        return mean_over_seeds(self.by_seed(arm, cohort, finding, measure), confidence)


def claims(results: Results) -> Iterator[Claim]:
    """Yield the gate, then the bars of the findings that pass it, then what is only reported."""
    passed = []
    for finding in FINDINGS:
        found = results.mean(CLEAN[CLASSIFY], EXTERNAL, finding, AUROC)
        passed += [finding] if found.value >= GATE and finding in MARKS.values() else []
        bar = GATE if finding in MARKS.values() else None
        control = {"detector": results.mean(CLEAN[DETECT], EXTERNAL, finding, AUROC).value}
        yield claim(f"gate: external AUROC of the classifier after rho 0.5, {finding}", found, bar, "higher", control)
    for finding in MARKS.values():
        yield from barred(results, finding, judged=finding in passed)
    for finding in FINDINGS:
        yield from reported(results, finding)
    yield from audits(results.table, passed)


def barred(results: Results, finding: str, *, judged: bool) -> Iterator[Claim]:
    """Yield the bars of a finding; where it does not pass the gate what was measured alone."""
    asked = partial(_asked, judged)
    own, other = PLANTED[DETECT], PLANTED[CLASSIFY]
    for cohort, bar in ((EXTERNAL, APART), (CONTRARY, APART_FLIPPED)):
        yield apart(results, own, other, cohort, finding, AUROC, asked(bar))
    yield apart(results, own, other, EXTERNAL, finding, MERIT, asked(0.0))
    lost = {arm: results.lost(arm, finding) for arm in (own, other)}
    name = f"AUROC that the detector loses from internal to external, {finding}"
    yield claim(name, mean_over_seeds(lost[own]), asked(LOST), "lower", {"classifier": float(lost[other].mean())})
    hits = results.mean(own, EXTERNAL, finding, POINTING[DETECT])
    mapped = results.mean(other, EXTERNAL, finding, POINTING[CLASSIFY]).value
    yield claim(
        f"films whose highest mark is on the finding, {finding}",
        hits,
        asked(HIT),
        "higher",
        {"classifier's map": mapped},
    )
    equal = mean_over_seeds(results.apart(own, other, INTERNAL, finding, AUROC), confidence=0.9)
    name = f"internal AUROC, detector less classifier: farther end of the 90 % interval, {finding}"
    farther, shown = max(abs(equal.low), abs(equal.high)), {"difference": equal.value}
    yield Claim(name, farther, np.nan, np.nan, "", equal.n, asked(EQUAL), "lower", shown)


def _asked(judged: bool, bar: float) -> float | None:
    return bar if judged else None


def reported(results: Results, finding: str) -> Iterator[Claim]:
    """Yield what has no bar: the sweep, exchanged encoders, more films, films of both sites."""
    for cohort in (EXTERNAL, CONTRARY):
        for system in POINTING:
            arms = {ARMS[name].rho: name for name in (*MAIN, *SWEEP) if ARMS[name].system == system}
            means = {
                rho: results.mean(name, cohort, finding, AUROC)
                for rho, name in sorted(arms.items())
                if results.has(name)
            }
            shown = {f"rho {rho:g}": one.value for rho, one in means.items()}
            yield claim(f"{cohort} AUROC of {system} after rho 0.95, {finding}", means[STRONG], None, "higher", shown)
    pairs = [("detect swapped", "classify swapped", cohort, AUROC) for cohort in (EXTERNAL, CONTRARY)]
    pairs += [(PLANTED[DETECT], MORE_FILMS, EXTERNAL, measure) for measure in (AUROC, MERIT)]
    pairs += [
        (system + BOTH_SITES, PLANTED[system], cohort, AUROC)
        for system in POINTING
        for cohort in (INTERNAL, EXTERNAL, CONTRARY)
    ]
    for first, second, cohort, measure in pairs:
        if results.has(first) and results.has(second):
            yield apart(results, first, second, cohort, finding, measure, None)


def audits(table: pd.DataFrame, passed: Sequence[str]) -> Iterator[Claim]:
    """Yield in how many runs the audit tells of a mark of a finding that passed, and in how many of the clean ones."""
    audited = table[(table["cohort"] == AUDITED) & table["outcome"].isin(passed)]
    clean = audited[audited["arm"] == CLEAN[CLASSIFY]].set_index(["seed", "outcome", "direction"])["high"]
    hits: dict[bool, list[bool]] = {True: [], False: []}
    said: list[bool] = []
    for (arm, seed), rows in audited.groupby(["arm", "seed"]):
        if planted := audited_arms()[str(arm)]:
            above = [
                row["low"] > clean.get((seed, row["outcome"], row["direction"]), np.inf)
                for row in rows.to_dict("records")
            ]
            hits[planted].append(any(above))
            said.append(bool(rows["found"].any()))
        else:
            hits[planted].append(bool(rows["found"].any()))
    for planted, words, bar, better in (
        (True, "runs with a planted mark in which the audit finds it", FOUND, "higher"),
        (False, "clean runs in which the audit tells of a mark", ALARMS, "lower"),
    ):
        if hits[planted]:
            shown = {"by the audit's own rule": float(np.mean(said))} if planted else {}
            yield claim(words, proportion(sum(hits[planted]), len(hits[planted])), bar, better, shown)


def apart(
    results: Results, first: str, second: str, cohort: str, finding: str, measure: str, bar: float | None
) -> Claim:
    """Return what the first arm has more of a measure than the second, paired by seed."""
    found = mean_over_seeds(results.apart(first, second, cohort, finding, measure))
    shown = {name: results.mean(name, cohort, finding, measure).value for name in (first, second)}
    return claim(f"{cohort} {measure}, {first} less {second}, {finding}", found, bar, "higher", shown)


def claim(name: str, found: Interval, bar: float | None, better: Any, shown: dict[str, float]) -> Claim:
    """Return a claim about a measure with its interval."""
    return Claim(name, found.value, found.low, found.high, "", found.n, bar, better, shown)


if __name__ == "__main__":
    main()
