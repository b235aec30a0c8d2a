"""MGCA on simulated chest films with reports: what do its terms of words and prototypes add to plain pairs?

Films of three findings (effusion, pneumothorax, cardiomegaly) with reports of two institutions. Findings are told
without labels by sentences of a wording that no report of the training has, on new patients of the same institutions,
and on films of another site with reports of a third institution in that other wording. Arms: pairs alone, all three
terms, without words, without prototypes, and all terms with every film given another one's report. The learning rate of
pairs alone and of all terms is chosen from three on a seed of its own, by the loss of pairs on validation patients; the
two ablations take that of all terms. Films are seen at 64 × 64.

Preconditions, without which no comparison is read: findings are told from labels by the same encoder with a mean AUROC
of 0.90, from the reports by their words with 0.98. What the histogram of a film tells is printed beside them. Bars,
written before any run and those of the issue: pairs alone reach a mean AUROC of 0.70 without labels; all terms at most
0.01 below them (lower end of the interval); shuffled pairs 0.5 ± 0.05. With the labels of 1 % of the films Classify is
better from the encoder of all terms than from random weights, with the interval. The map of a finding's sentences is
highest on the finding more often than the middle of the film lies there, and than the map of another finding. Intervals
are Student's over the seeds, paired by seed.

Chosen before, on the seed of the rates: the size of the films and the width of the networks, by the time that they
take, and how plainly findings show (conspicuity), by the supervised precondition.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from common import Claim, benchmark_arguments, write_results
from jobs import parts_folder, run_jobs
from reported_fits import (
    EXTERNAL,
    FULL,
    INTERNAL,
    MEAN,
    RANDOM,
    SHUFFLED,
    SUPERVISED,
    Question,
    best_validation,
    by_histogram,
    few_labels,
    fit_pairs,
    make_cohorts,
    measured,
    text_oracle,
)

import scanweave as sw
from scanweave.measures.bootstrap import Interval
from scanweave.measures.comparisons import mean_over_seeds
from scanweave.systems.mgca.evaluation import AGREE, PROTOTYPES, SHARED

FINDINGS = ("effusion", "pneumothorax", "cardiomegaly")
PAIRS, NO_WORDS, NO_PROTOTYPES = "pairs alone", "without words", "without prototypes"
ARMS: dict[str, dict[str, float]] = {
    PAIRS: {"objective.token": 0.0, "objective.prototype": 0.0},
    FULL: {},
    NO_WORDS: {"objective.token": 0.0},
    NO_PROTOTYPES: {"objective.prototype": 0.0},
    SHUFFLED: {},
}
TUNED = (PAIRS, FULL)
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {
        "seeds": (0, 1), "rates": (1e-3,), "tuning": 2, "learnt": 24, "validated": 10, "tested": 30, "few": 10,
        "conspicuity": 3.0, "steps": 2, "tuned": 2,
        "config": {"network.size": (32, 32), "network.width": 0.125, "network.small_images": False, "text.width": 16,
                   "text.layers": 1, "text.heads": 2, "training.batch_size": 8, "training.warm_up": 0},
    },
    "proof": {
        "seeds": (1201, 1202, 1203), "rates": (5e-4, 1e-3, 2e-3), "tuning": 1200, "learnt": 1_500, "validated": 200,
        "tested": 400, "few": 15, "conspicuity": 3.0, "steps": 1_500, "tuned": 300,
        "config": {"network.size": (64, 64), "network.small_images": False, "text.width": 64, "text.heads": 4},
    },
    "study": {
        "seeds": tuple(range(1201, 1206)), "rates": (5e-4, 1e-3, 2e-3), "tuning": 1200, "learnt": 10_000,
        "validated": 1_000, "tested": 1_000, "few": 100, "conspicuity": 1.5, "steps": 15_000, "tuned": 1_000,
        "config": {"network.size": (128, 128)},
    },
}  # fmt: skip
"""Few: labelled films that are one hundredth; tuned: steps of Classify."""
CHANCE, NEAR, ENOUGH, SUPERVISED_BAR, TEXT_BAR, LOST = 0.5, 0.05, 0.70, 0.90, 0.98, -0.01
CHECKS = "checks"
AUROC, POINTING, OTHER = "AUROC", "pointing game of the map", "pointing game of another finding's words"


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    with tempfile.TemporaryDirectory() as name:
        kept = Path(name) if arguments.json is None else parts_folder(arguments.json)
        home = kept / "films"
        every = [(seed,) for seed in (tier["tuning"], *tier["seeds"])]
        list(run_jobs(cohorts, every, arguments, home, tier))
        tries = [(arm, rate) for arm in TUNED for rate in tier["rates"]]
        losses = dict(zip(tries, run_jobs(one_rate, tries, arguments, home, tier), strict=True))
        rates = {arm: min(tier["rates"], key=lambda rate: losses[arm, rate]) for arm in TUNED}
        print(f"rates: {rates}", flush=True)
        chosen = {arm: rates[PAIRS if arm == PAIRS else FULL] for arm in ARMS}
        jobs = [(arm, seed) for seed in tier["seeds"] for arm in (*ARMS, CHECKS)]
        table = pd.concat(run_jobs(one_job, jobs, arguments, home, tier, chosen), ignore_index=True)
    wide = table[table["measure"] == AUROC].pivot_table("value", ["cohort", "outcome"], "arm")
    print(wide.round(3).to_string(), flush=True)
    write_results("mgca", arguments, tier["seeds"], list(claims(Results(table))))


def question(tier: Mapping[str, Any]) -> Question:
    shape = {"findings": FINDINGS, "size": 128, "conspicuity": tier["conspicuity"], "rho": 0.5, "prevalence": 0.4}
    return Question("mgca", FINDINGS, sw.simulate_films, {**shape, "sites": "A"}, {"sites": "B"})


def cohorts(seed: int, home: Path, tier: Mapping[str, Any]) -> Path:
    """Write the cohorts of a seed."""
    return make_cohorts(seed, home, question(tier), tier)


def settings_of(arm: str, rate: float, tier: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an arm changes in the preset `small`."""
    steps = tier["steps"]
    training = {"training.steps": steps, "training.learning_rate": rate, "training.validate_every": max(1, steps // 10)}
    return {**tier["config"], **training, **ARMS[arm]}


def one_rate(arm: str, rate: float, home: Path, tier: Mapping[str, Any]) -> float:
    """Fit an arm at a rate on the seed of the rates, and return the lowest loss of pairs of its validations."""
    seed = tier["tuning"]
    with tempfile.TemporaryDirectory() as folder:
        config = settings_of(arm, rate, tier)
        return best_validation(fit_pairs(question(tier), home / str(seed), Path(folder) / "run", seed, config))


def one_job(arm: str, seed: int, home: Path, tier: Mapping[str, Any], rates: Mapping[str, float]) -> pd.DataFrame:
    """Return the measures of an arm of a seed, or of what is checked before all arms."""
    asked, own = question(tier), home / str(seed)
    about = {"config": {"training.steps": tier["tuned"], "training.validate_every": max(1, tier["tuned"] // 5)}}
    about["config"] |= {"network.size": tier["config"]["network.size"], "network.small_images": False}
    about["config"] |= {"training.warm_up": min(50, tier["tuned"] // 4)}
    few, every = {**about, "labels": tier["few"]}, {**about, "labels": None}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        width = {"network.width": tier["config"].get("network.width", 0.5)}
        if arm == CHECKS:
            rows = [
                _row(SUPERVISED, few_labels(asked, own, folder, width, seed, every)),
                _row(RANDOM, few_labels(asked, own, folder, width, seed, few)),
                _row("reports", text_oracle(own, FINDINGS)),
                _row("histogram", by_histogram(own, FINDINGS)),
            ]
            return pd.DataFrame(rows).assign(arm=arm, seed=seed)
        config = settings_of(arm, rates[arm], tier)
        fitted = fit_pairs(asked, own, folder / "run", seed, config, shuffled=arm == SHUFFLED)
        rows = list(measured(fitted, own, {"pointing": True}))
        if arm == FULL:
            start = {"start.source": str(fitted.run.folder)}
            rows.append(_row("few labels", few_labels(asked, own, folder, start, seed, few)))
    return pd.DataFrame(rows).assign(arm=arm, seed=seed)


def _row(outcome: str, value: float) -> dict[str, Any]:
    return {"cohort": INTERNAL, "outcome": outcome, "measure": AUROC, "value": value}


class Results:
    """Measures of all arms and seeds.

    Args:
        table: Rows of `one_job`.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table.set_index(["arm", "cohort", "outcome", "measure", "seed"]).sort_index()

    def by_seed(self, arm: str, outcome: str, measure: str = AUROC, cohort: str = INTERNAL, of: str = "value") -> Any:
        """Return a measure of an arm, by seed; empty where it was not taken."""
        try:
            return self.table[of].loc[arm, cohort, outcome, measure].astype(float)
        except KeyError:
            return pd.Series(dtype=float)


def claims(results: Results) -> Iterator[Claim]:
    """Yield preconditions, bars, and what has none."""
    told = partial(results.by_seed, CHECKS)
    yield claim("precondition: AUROC from all labels", told(SUPERVISED), SUPERVISED_BAR)
    yield claim("precondition: AUROC from the words of the reports", told("reports"), TEXT_BAR)
    yield claim("AUROC from the histogram of the film", told("histogram"))
    pairs, full = results.by_seed(PAIRS, MEAN), results.by_seed(FULL, MEAN)
    yield claim("AUROC without labels, pairs alone", pairs, ENOUGH)
    yield lower_end("AUROC without labels, all terms less pairs alone", full - pairs, LOST, {PAIRS: pairs, FULL: full})
    off = (results.by_seed(SHUFFLED, MEAN) - CHANCE).abs()
    yield claim("AUROC without labels, shuffled pairs: distance from 0.5", off, NEAR, better="lower")
    few, random = results.by_seed(FULL, "few labels"), told(RANDOM)
    yield lower_end("AUROC with 1 % of labels, from all terms less random weights", few - random, 0.0, {RANDOM: random})
    for finding in FINDINGS:
        yield from pointing(results, finding)
    for arm in ARMS:
        yield from reported(results, arm)


def pointing(results: Results, finding: str) -> Iterator[Claim]:
    """Yield how often the map of a finding's sentences is highest on it, beside the middle and another's sentences."""
    hits, other = (results.by_seed(FULL, finding, measure) for measure in (POINTING, OTHER))
    middle = results.by_seed(FULL, finding, POINTING, of="control")
    name = f"pointing game, {finding}: all terms less"
    yield lower_end(f"{name} the middle of the film", hits - middle, 0.0, {FULL: hits, "middle": middle})
    yield lower_end(f"{name} another finding's sentences", hits - other, 0.0, {FULL: hits, "other": other})


def reported(results: Results, arm: str) -> Iterator[Claim]:
    """Yield what is printed of an arm."""
    for cohort in (INTERNAL, EXTERNAL):
        if arm not in (PAIRS, SHUFFLED) or cohort == EXTERNAL:
            yield claim(f"AUROC without labels, {arm}, {cohort}", results.by_seed(arm, MEAN, cohort=cohort))
    for right in ("exact pair", "same key"):
        for way in ("image → report", "report → image"):
            outcome = f"{way}, {right}"
            chance = results.by_seed(arm, outcome, "R@10", of="control")
            yield claim(f"R@10, {arm}, {outcome}", results.by_seed(arm, outcome, "R@10"), shown={"chance": chance})
    for measure in (AGREE, SHARED):
        found = results.by_seed(arm, PROTOTYPES, measure)
        if len(found):
            chance = results.by_seed(arm, PROTOTYPES, measure, of="control")
            yield claim(f"{arm}: {measure}", found, shown={"shuffled": chance})


def claim(
    name: str, values: Any, bar: float | None = None, *, better: Any = "higher", shown: Mapping[str, Any] | None = None
) -> Claim:
    """Return a claim on the mean over seeds."""
    found: Interval = mean_over_seeds(values)
    controls = {key: float(own.mean()) for key, own in (shown or {}).items()}
    return Claim(name, found.value, found.low, found.high, "", found.n, bar, better, controls)


def lower_end(name: str, values: Any, bar: float, shown: Mapping[str, Any]) -> Claim:
    """Return a claim that the lower end of the interval of the mean over seeds is above a bar."""
    found: Interval = mean_over_seeds(values)
    controls = {"mean": found.value, **{key: float(own.mean()) for key, own in shown.items()}}
    return Claim(f"{name}, lower end", found.low, found.low, found.high, "", found.n, bar, "higher", controls)


if __name__ == "__main__":
    main()
