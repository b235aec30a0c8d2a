"""Arms of the benchmarks of MGCA and MG-3D: one job each, the choice of a rate, and the claims that both make."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from common import Claim, silent
from jobs import parts_folder, run_jobs
from reported_fits import (
    EXTERNAL,
    FULL,
    INTERNAL,
    LEARNT,
    MEAN,
    RANDOM,
    SHUFFLED,
    SUPERVISED,
    Design,
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
from scanweave.studies.cohort import Cohort

PAIRS = "pairs alone"
CHECKS, MAE, FEW = "checks", "MAE", "few labels"
CHANCE, NEAR, ENOUGH, SUPERVISED_BAR, TEXT_BAR, HISTOGRAM_BAR, LOST = 0.5, 0.05, 0.70, 0.90, 0.98, 0.75, -0.01
"""The bars. The issue asks that a histogram tell findings "near chance", without a figure: that one is ours, written
down before the run, when pilots on other seeds had given 0.71 to 0.78 for films."""
AUROC, POINTING, OTHER = "AUROC", "pointing game of the map", "pointing game of another finding's words"
FILLING = ("filling", "pictures")
"""Options of `evaluate` that only a run takes that fills in blocks."""
Tier = Mapping[str, Any]


def run_arms(design: Design, tier: Tier, arguments: argparse.Namespace) -> pd.DataFrame:
    """Run all jobs of a benchmark, and return their rows."""
    with tempfile.TemporaryDirectory() as name:
        kept = Path(name) if arguments.json is None else parts_folder(arguments.json)
        home = kept / "cohorts"
        every = [(seed,) for seed in (tier["tuning"], *tier["seeds"])]
        list(run_jobs(cohorts, every, arguments, design, home, tier))
        tuned = [arm for arm in design.arms if arm != SHUFFLED and "pairs" not in design.arms[arm]]
        tries = [(arm, rate) for arm in tuned for rate in tier["rates"]]
        losses = dict(zip(tries, run_jobs(one_rate, tries, arguments, design, home, tier), strict=True))
        rates = {arm: min(tier["rates"], key=lambda rate: losses[arm, rate]) for arm in tuned}
        print(f"rates: {rates}", flush=True)
        chosen = {arm: rates.get(arm, rates[PAIRS if arm.startswith(PAIRS) else FULL]) for arm in design.arms}
        jobs = [(arm, seed) for seed in tier["seeds"] for arm in (*design.arms, CHECKS)]
        table = pd.concat(run_jobs(one_job, jobs, arguments, design, home, tier, chosen), ignore_index=True)
    wide = table[table["measure"] == AUROC].pivot_table("value", ["cohort", "outcome"], "arm")
    print(wide.round(3).to_string(), flush=True)
    return table


def cohorts(seed: int, design: Design, home: Path, tier: Tier) -> Path:
    """Write the cohorts of a seed."""
    return make_cohorts(seed, home, design, tier)


def settings_of(arm: str, rate: float, design: Design, tier: Tier) -> dict[str, Any]:
    """Return what an arm changes in the preset `small`."""
    steps = tier["steps"]
    training = {"training.steps": steps, "training.learning_rate": rate, "training.validate_every": max(1, steps // 10)}
    return {**tier["config"], **training, **design.arms[arm]}


def one_rate(arm: str, rate: float, design: Design, home: Path, tier: Tier) -> float:
    """Fit an arm at a rate on the seed of the rates, and return the lowest loss of pairs of its validations."""
    seed = tier["tuning"]
    with tempfile.TemporaryDirectory() as folder:
        config = settings_of(arm, rate, design, tier)
        return best_validation(fit_pairs(design, home / str(seed), Path(folder) / "run", seed, config))


def one_job(arm: str, seed: int, design: Design, home: Path, tier: Tier, rates: Mapping[str, float]) -> pd.DataFrame:
    """Return the measures of an arm of a seed, or of what is checked before all arms."""
    own = home / str(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arm == CHECKS:
            return pd.DataFrame(_checks(design, own, folder, seed, tier)).assign(arm=arm, seed=seed)
        config = settings_of(arm, rates[arm], design, tier)
        fitted = fit_pairs(design, own, folder / "run", seed, config, shuffled=arm == SHUFFLED)
        fills = config.get("objective.blocks", 1.0) > 0
        options = {key: value for key, value in design.options.items() if fills or key not in FILLING}
        rows = list(measured(fitted, own, options))
        if arm == FULL:
            start = {"start.source": str(fitted.run.folder)}
            rows.append(_row(FEW, few_labels(design, own, folder, start, seed, _classify(tier, tier["few"]))))
    return pd.DataFrame(rows).assign(arm=arm, seed=seed)


def _checks(design: Design, own: Path, folder: Path, seed: int, tier: Tier) -> Iterator[dict[str, Any]]:
    """Yield what a supervised fit, the words of the reports and the histogram tell, and few labels without reports."""
    asked = (design, own, folder, dict(design.classify), seed)
    yield _row(SUPERVISED, few_labels(*asked, _classify(tier, None)))
    yield _row(RANDOM, few_labels(*asked, _classify(tier, tier["few"])))
    yield _row("reports", text_oracle(own, design.findings))
    yield _row("histogram", by_histogram(own, design.findings))
    if design.mae:
        run = folder / "mae"
        told = {"training.seed": seed, "training.workers": 0, "training.device": "cpu"}
        sw.fit("mim", Cohort.open(own / LEARNT), run, preset="mae", config={**told, **tier["mae"]}, say=silent)
        start = {"start.source": str(run)}
        yield _row(MAE, few_labels(design, own, folder, start, seed, _classify(tier, tier["few"])))


def _classify(tier: Tier, labels: int | None) -> dict[str, Any]:
    """Return how many labels Classify learns from, and how."""
    steps = tier["tuned"]
    config = {"training.steps": steps, "training.validate_every": max(1, steps // 5)}
    config |= {"training.warm_up": min(50, steps // 4), "network.size": tier["config"]["network.size"]}
    return {"labels": labels, "config": config}


def _row(outcome: str, value: float) -> dict[str, Any]:
    return {"cohort": INTERNAL, "outcome": outcome, "measure": AUROC, "value": value}


class Results:
    """Measures of all arms and seeds.

    Args:
        table: Rows of `run_arms`.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table.set_index(["arm", "cohort", "outcome", "measure", "seed"]).sort_index()

    def by_seed(self, arm: str, outcome: str, measure: str = AUROC, cohort: str = INTERNAL, of: str = "value") -> Any:
        """Return a measure of an arm, by seed; empty where it was not taken."""
        try:
            return self.table[of].loc[arm, cohort, outcome, measure].astype(float)
        except KeyError:
            return pd.Series(dtype=float)


def common_claims(results: Results, design: Design) -> Iterator[Claim]:
    """Yield the preconditions and bars that both systems have."""
    told = {name: results.by_seed(CHECKS, name) for name in (SUPERVISED, RANDOM, "reports", "histogram", MAE)}
    yield claim("precondition: AUROC from all labels", told[SUPERVISED], SUPERVISED_BAR)
    yield claim("precondition: AUROC from the words of the reports", told["reports"], TEXT_BAR)
    histogram = told["histogram"]
    yield claim("precondition: AUROC from the histogram of the image", histogram, HISTOGRAM_BAR, better="lower")
    pairs, full = results.by_seed(PAIRS, MEAN), results.by_seed(FULL, MEAN)
    yield claim("AUROC without labels, pairs alone", pairs, ENOUGH)
    yield lower_end("AUROC without labels, all terms less pairs alone", full - pairs, LOST, {PAIRS: pairs, FULL: full})
    off = (results.by_seed(SHUFFLED, MEAN) - CHANCE).abs()
    yield claim("AUROC without labels, shuffled pairs: distance from 0.5", off, NEAR, better="lower")
    few, random = results.by_seed(FULL, FEW), told[RANDOM]
    yield lower_end("AUROC with 1 % of labels, from all terms less random weights", few - random, 0.0, {RANDOM: random})
    if len(told[MAE]):
        less = few - told[MAE]
        yield claim("AUROC with 1 % of labels, from all terms less from MAE", less, shown={MAE: told[MAE]})
    for finding in design.findings:
        yield from pointing(results, finding)


def pointing(results: Results, finding: str) -> Iterator[Claim]:
    """Yield how often the map of a finding's sentences is highest on it, beside the middle and another's sentences."""
    hits, other = (results.by_seed(FULL, finding, measure) for measure in (POINTING, OTHER))
    middle = results.by_seed(FULL, finding, POINTING, of="control")
    if len(hits):
        name = f"pointing game, {finding}: all terms less"
        yield lower_end(f"{name} the middle of the image", hits - middle, 0.0, {FULL: hits, "middle": middle})
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
