"""MOME on simulated breasts: the best possible answers from every subset of the modalities are known.

Asked is malignancy of the lesion in the middle of each scan, from a series after contrast agent (dce), one over
diffusion weighting (dwi), t2, a blood marker in the table, and fst1, a sham that shows nothing. A cohort a seed:
patients to learn from lack scans and variables at random, the test patients lack nothing, so that every subset can be
measured on all of them. The preset `small` as it is; the seeds are used nowhere else.

Bars, written before any run. AUROC, mean of the seeds: at most 0.03 below that of the Bayes probabilities of the same
patients with all modalities, at most 0.05 below it with any subset, and above the best single modality. Shapley shares
(|φ| over the sum of all, mean of the patients) within 0.05 of those of the Bayes log-odds; the sham's mean φ not to be
told from 0 by the interval over the seeds; contributions add up to 1e-5.

Beside it, without a bar, on the first seeds: other networks of about equal size, trained on the same samples with the
same settings; and logistic regression on means over the true lesion of complete patients, a model for every subset.
Whatever beats MOME is printed. Intervals of AUROCs are DeLong's over the patients of all seeds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import Claim, benchmark_arguments, write_results
from jobs import run_jobs
from mome_fits import JOINT, MODALITIES, MOME, SETTINGS, SHAM, Answers, baselines, ceiling, fit, simulate, tell
from mome_oracle import oracle
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval, bootstrap
from scanweave.measures.comparisons import mean_over_seeds, wald
from scanweave.measures.delong import aurocs_with_covariance
from scanweave.measures.shapley import shapley_shares, shapley_values
from scanweave.systems.mome.subsets import mask_of, subset_names

TIERS: dict[str, dict[str, Any]] = {
    "smoke": {
        "seeds": (0, 1), "compared": 1, "learnt": 18, "validated": 6, "tested": 8, "missing": 0.2, "steps": 2,
        "spacing": 6.0, "crop": 48.0,
    },
    "proof": {
        "seeds": (500, 501, 502, 503, 504), "compared": 3, "learnt": 1_500, "validated": 300, "tested": 400,
        "missing": 0.3, "steps": 2_000, "spacing": 3.0, "crop": 36.0,
    },
    "study": {
        "seeds": tuple(range(500, 510)), "compared": 10, "learnt": 6_000, "validated": 1_000, "tested": 1_000,
        "missing": 0.3, "steps": 10_000, "spacing": 2.0, "crop": 36.0,
    },
}  # fmt: skip
"""Compared: on how many of the seeds the others are fitted.

The crop was chosen before any run, on patients of another seed: a stem by itself, trained to tell the factor of `dwi`,
reached a correlation of 0.32 with 48 mm around the lesion and of 0.81 with 36 mm.
"""
OTHERS = "the others"
FROM_ALL, FROM_SUBSET, SHARES, SUM = 0.03, 0.05, 0.05, 1e-5
"""The bars."""
ALL = 2 ** len(MODALITIES) - 1
ALONE = [mask_of((name,), MODALITIES) for name in MODALITIES]
CEILING = "ceiling"
Array = NDArray[np.float64]


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    jobs = [(OTHERS, seed) for seed in tier["seeds"][: tier["compared"]]] + [(MOME, seed) for seed in tier["seeds"]]
    kept = {name: tier[name] for name in tier if name not in ("seeds", "compared")}
    ablations = arguments.tier == "study"
    answers = list(chain.from_iterable(run_jobs(one_job, jobs, arguments, kept, ablations)))
    arms = list(dict.fromkeys(one.arm for one in answers))
    by_arm = {arm: sorted((one for one in answers if one.arm == arm), key=lambda one: one.seed) for arm in arms}
    print(subset_areas(by_arm).round(3).to_string(), flush=True)
    write_results("mome", arguments, tier["seeds"], claims(by_arm))


def one_job(arm: str, seed: int, tier: dict[str, Any], ablations: bool) -> list[Answers]:
    """Simulate the cohorts of a seed, fit MOME or all others, and ask for every subset."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohorts = simulate(folder, seed, tier)
        variants = [MOME] if arm == MOME else [JOINT]
        if arm != MOME and ablations:
            variants += [one for one in SETTINGS if one not in (MOME, JOINT)]
        found = [ceiling(seed, cohorts.tested)] if arm == MOME else [oracle(seed, tier)]
        for number, variant in enumerate(variants):
            fitted = fit(variant, cohorts, folder / f"run-{number}", seed, tier)
            inputs = [fitted.input(study) for study in cohorts.tested]
            found.append(tell(variant, seed, fitted.diagnoser, inputs, cohorts.tested))
            if variant == JOINT:
                found += baselines(fitted, seed, cohorts, inputs, folder)
    return found


def subset_areas(by_arm: dict[str, list[Answers]]) -> pd.DataFrame:
    """Return the AUROC of each arm from each subset, mean of its seeds."""
    rows = {}
    for names in subset_names(MODALITIES):
        mask = mask_of(names, MODALITIES)
        rows["+".join(names)] = {arm: float(areas(found, [mask])[0].mean()) for arm, found in by_arm.items()}
    return pd.DataFrame(rows).T


def areas(found: Sequence[Answers], masks: Sequence[int]) -> tuple[Array, Array]:
    """Return AUROCs by seed and subset `(S, K)`, and their covariance `(S, K, K)`."""
    each = [aurocs_with_covariance(one.positive, one.values[:, masks].T) for one in found]
    return np.stack([area for area, _, _ in each]), np.stack([covariance for _, covariance, _ in each])


def difference(first: Sequence[Answers], second: Sequence[Answers], mask: int, other: int | None = None) -> Interval:
    """Return the AUROC of the first less that of the second, mean of the seeds of both.

    Args:
        first: Answers of an arm, one a seed.
        second: Of another, or of the same.
        mask: The subset that is given to the first.
        other: That given to the second; None: the same.
    """
    by_seed = {one.seed: one for one in second}
    pairs = [(one, by_seed[one.seed]) for one in first if one.seed in by_seed]
    apart, variances = [], []
    for one, two in pairs:
        if (one.positive != two.positive).any():
            raise ScanweaveError(one.arm, f"and {two.arm} were tested on different patients", "Run both anew")
        scores = [one.values[:, mask], two.values[:, mask if other is None else other]]
        found, covariance, _ = aurocs_with_covariance(one.positive, scores)
        apart.append(found[0] - found[1])
        variances.append(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    patients = sum(len(one.positive) for one, _ in pairs)
    variance = float(np.sum(variances)) / len(pairs) ** 2
    return wald(float(np.mean(apart)), variance, patients, limit=1.0).difference


def claims(by_arm: dict[str, list[Answers]]) -> list[Claim]:
    """Return the bars, then what is only reported."""
    ours, best = by_arm[MOME], by_arm[CEILING]
    return [
        *area_claims(ours, best, by_arm),
        *share_claims(ours, best),
        sham_claim(ours),
        sum_claim(ours),
        *compared(by_arm),
    ]


def area_claims(ours: Sequence[Answers], best: Sequence[Answers], by_arm: dict[str, list[Answers]]) -> list[Claim]:
    """Return how far it is below the ceiling, from all modalities and from the worst subset, and above each alone."""
    shown = {arm: float(areas(found, [ALL])[0].mean()) for arm, found in by_arm.items()}
    subsets = {"+".join(names): mask_of(names, MODALITIES) for names in subset_names(MODALITIES)}
    gaps = {name: difference(best, ours, mask) for name, mask in subsets.items()}
    worst = max(gaps, key=lambda name: gaps[name].value)
    alone = areas(ours, ALONE)[0].mean(axis=0)
    single = int(np.argmax(alone))
    above = difference(ours, ours, ALL, ALONE[single])
    controls = dict(zip(MODALITIES, alone.tolist(), strict=True))
    return [
        claim("AUROC below the ceiling, all modalities", gaps["+".join(MODALITIES)], FROM_ALL, "lower", shown),
        claim(f"AUROC below the ceiling, worst subset ({worst})", gaps[worst], FROM_SUBSET, "lower", {}),
        claim(f"AUROC above the best single modality ({MODALITIES[single]})", above, 0.0, "higher", controls),
        claim("AUROC with the sham over that without", difference(ours, ours, ALL, without(SHAM)), None, "higher", {}),
    ]


def without(name: str) -> int:
    """Return the subset of all modalities but one."""
    return ALL - mask_of((name,), MODALITIES)


def share_claims(ours: Sequence[Answers], best: Sequence[Answers]) -> list[Claim]:
    """Return how far mean Shapley shares lie from those of the Bayes log-odds, by modality."""
    patients = [f"{one.seed}-{number}" for one in ours for number in range(len(one.positive))]
    mine, true = (
        np.concatenate([shapley_shares(shapley_values(one.values)) for one in found]) for found in (ours, best)
    )
    found = []
    for number, name in enumerate(MODALITIES):
        off = distance(bootstrap(mine[:, number] - true[:, number], patients, seed=0))
        shown = {MOME: float(mine[:, number].mean()), CEILING: float(true[:, number].mean())}
        found.append(claim(f"Shapley share of {name}, off that of the ceiling", off, SHARES, "lower", shown))
    return found


def distance(found: Interval) -> Interval:
    """Return how far from 0 a figure lies, and its interval."""
    low, high = max(0.0, found.low, -found.high), max(abs(found.low), abs(found.high))
    return Interval(abs(found.value), low, high, found.n)


def sham_claim(ours: Sequence[Answers]) -> Claim:
    """Return how far the interval of the sham's mean contribution over the seeds, by Student's t, lies from 0."""
    each = np.array([shapley_values(one.values)[:, MODALITIES.index(SHAM)].mean() for one in ours])
    found = mean_over_seeds(each)
    shown = {"mean φ": found.value, "low": found.low, "high": found.high}
    away, nan = max(0.0, found.low, -found.high), float("nan")
    return Claim("sham: distance of its interval from 0", away, nan, nan, "log-odds", len(each), 0.0, "lower", shown)


def sum_claim(ours: Sequence[Answers]) -> Claim:
    """Return by how much contributions miss the answer from all modalities less that from none."""
    missed = [
        np.abs(shapley_values(one.values).sum(axis=1) - (one.values[:, ALL] - one.values[:, 0])).max() for one in ours
    ]
    patients, nan = sum(len(one.positive) for one in ours), float("nan")
    return Claim("check: contributions miss their sum", float(max(missed)), nan, nan, "", patients, SUM, "lower")


def compared(by_arm: dict[str, list[Answers]]) -> list[Claim]:
    """Return how far MOME is above each other arm, from all modalities and on average over the subsets."""
    found = []
    masks = [mask_of(names, MODALITIES) for names in subset_names(MODALITIES)]
    ours = by_arm[MOME]
    for arm, theirs in by_arm.items():
        if arm in (MOME, CEILING):
            continue
        seeds = {one.seed for one in theirs}
        mean, control = (
            float(areas([one for one in each if one.seed in seeds], masks)[0].mean()) for each in (ours, theirs)
        )
        shown = {"parameters": ours[0].parameters, f"{arm}, parameters": theirs[0].parameters}
        found.append(claim(f"AUROC over {arm}, all modalities", difference(ours, theirs, ALL), None, "higher", shown))
        means = Interval(mean - control, float("nan"), float("nan"), sum(len(one.positive) for one in theirs))
        found.append(claim(f"AUROC over {arm}, mean of all subsets", means, None, "higher", {MOME: mean, arm: control}))
    return found


def claim(name: str, found: Interval, bar: float | None, better: Any, shown: dict[str, float]) -> Claim:
    """Return a claim of an interval."""
    return Claim(name, found.value, found.low, found.high, "", found.n, bar, better, shown)


if __name__ == "__main__":
    main()
