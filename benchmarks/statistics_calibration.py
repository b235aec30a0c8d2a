"""Do the intervals and tests of `measures/` keep their word: coverage 95 ± 1.5 %, type-I error 5 ± 1 %?

Patients are simulated so that the truth is known, and every method is used as a user would. A claim's value is how far
its rate lies from what it should be [percentage points]; the rate itself, and what other methods reach on the same
patients, stand beside it. Exact methods (Clopper-Pearson, exact McNemar) are held to the same bar, though they err on
the safe side by design. An interval that has no ends counts as a miss.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

import numpy as np
from common import Claim, benchmark_arguments, write_results
from jobs import run_jobs
from scipy.special import expit
from scipy.stats import norm, ttest_1samp

from scanweave.measures.bootstrap import Interval, bootstrap, bootstrap_measure
from scanweave.measures.classification import auroc
from scanweave.measures.comparisons import Comparison, Equivalent, NonInferior, compare_means, compare_resampled, holm
from scanweave.measures.decision_curve import decision_curve
from scanweave.measures.delong import auroc_interval, compare_aurocs
from scanweave.measures.proportions import compare_paired_proportions, compare_proportions, mcnemar, proportion

TIERS = {
    "smoke": {"replicates": 3, "repeats": 50},
    "proof": {"replicates": 500, "repeats": 1000},
    "study": {"replicates": 2500, "repeats": 2000},
}
SEEDS = (0, 1, 2, 3)
COVERAGE, COVERAGE_BAR = 95.0, 1.5
TYPE_ONE, TYPE_ONE_BAR = 5.0, 1.0
Generator = np.random.Generator
Outcomes = Mapping[str, bool]
"""Of one replicate: whether the interval covers, or the test refuses; the method first, then its controls."""


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    jobs = [(name, seed) for name in (*COVERS, *REFUSES) for seed in SEEDS]
    tier = TIERS[arguments.tier]
    found = run_jobs(counts, jobs, arguments, tier["replicates"], tier["repeats"])
    total: dict[str, Counter[str]] = defaultdict(Counter)
    for (name, _), count in zip(jobs, found, strict=True):
        total[name].update(count)
    replicates = len(SEEDS) * tier["replicates"]
    covered = [claim(f"coverage: {name}", total[name], replicates, COVERAGE, COVERAGE_BAR) for name in COVERS]
    refused = [claim(f"type-I error: {name}", total[name], replicates, TYPE_ONE, TYPE_ONE_BAR) for name in REFUSES]
    write_results("statistics_calibration", arguments, SEEDS, covered + refused)


def counts(name: str, seed: int, replicates: int, repeats: int) -> Counter[str]:
    """Return how often each method of an experiment covered or refused; its patients depend on its name only."""
    experiment, rng = (COVERS | REFUSES)[name], np.random.default_rng([seed, zlib.crc32(name.encode())])
    found: Counter[str] = Counter()
    for _ in range(replicates):
        found.update({method: int(yes) for method, yes in experiment(rng, repeats).items()})
    return found


def claim(name: str, found: Mapping[str, int], replicates: int, target: float, bar: float) -> Claim:
    """Return the claim that the rate of the first method is within `bar` of `target` [percentage points]."""
    rates = {method: proportion(count, replicates) for method, count in found.items()}
    rate = next(iter(rates.values()))
    off = [abs(100 * end - target) for end in (rate.value, rate.low, rate.high)]
    nearest = 0.0 if rate.low <= target / 100 <= rate.high else min(off)
    shown = {f"{method}: rate %": round(100 * one.value, 2) for method, one in rates.items()}
    return Claim(name, off[0], nearest, max(off), "points", rate.n, bar, "lower", shown)


def covers(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def refuses(comparison: Comparison) -> bool:
    return comparison.p < 0.05


def binormal(rng: Generator, positives: int, negatives: int, *areas: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return outcomes, and for every area under the curve a score that has it; scores correlate by 0.5."""
    positive = np.repeat([True, False], [positives, negatives])
    common = rng.normal(size=len(positive))
    own = [math.sqrt(0.5) * (common + rng.normal(size=len(positive))) for _ in areas]
    return positive, [score + math.sqrt(2) * norm.ppf(area) * positive for score, area in zip(own, areas, strict=True)]


def auroc_covers(area: float, positives: int, negatives: int) -> Callable[[Generator, int], Outcomes]:
    def experiment(rng: Generator, repeats: int) -> Outcomes:
        positive, (scores,) = binormal(rng, positives, negatives, area)
        return {scale: covers(auroc_interval(positive, scores, scale=scale), area) for scale in ("logit", "plain")}

    return experiment


def clustered_auroc_covers(rng: Generator, repeats: int) -> Outcomes:
    """80 patients with three rows each, which share their outcome and much of their score."""
    patients = np.repeat(np.arange(80), 3)
    positive = patients < 30
    scores = math.sqrt(2) * norm.ppf(0.8) * positive + math.sqrt(0.7) * rng.normal(size=80)[patients]
    scores += math.sqrt(0.3) * rng.normal(size=240)
    intervals = {"by patient": auroc_interval(positive, scores, patients), "by row": auroc_interval(positive, scores)}
    return {kind: covers(interval, 0.8) for kind, interval in intervals.items()}


def auroc_bootstrap_covers(area: float, positives: int, negatives: int) -> Callable[[Generator, int], Outcomes]:
    def experiment(rng: Generator, repeats: int) -> Outcomes:
        positive, (scores,) = binormal(rng, positives, negatives, area)
        options = {"strata": positive, "seed": int(rng.integers(2**31)), "repeats": repeats}
        found = bootstrap_measure(auroc, [positive, scores], range(len(positive)), **options)
        return {"BCa": covers(found, area), "DeLong, logit": covers(auroc_interval(positive, scores), area)}

    return experiment


def mean_covers(draw: Callable[[Generator], np.ndarray], truth: float) -> Callable[[Generator, int], Outcomes]:
    def experiment(rng: Generator, repeats: int) -> Outcomes:
        values, seed = draw(rng), int(rng.integers(2**31))
        patients = range(len(values))
        fast = bootstrap(values, patients, seed=seed, repeats=repeats)
        corrected = bootstrap_measure(np.mean, [values], patients, seed=seed, repeats=repeats)
        return {"percentile": covers(fast, truth), "BCa": covers(corrected, truth)}

    return experiment


def f1_of(truths: np.ndarray, called: np.ndarray) -> float:
    """Return the F1 of booleans, as `classification.f1` and 50 times as fast."""
    return 2 * np.count_nonzero(truths & called) / (np.count_nonzero(truths) + np.count_nonzero(called))


def f1_covers(rng: Generator, repeats: int) -> Outcomes:
    """100 patients with two rows each; three in ten are positive, sensitivity 0.8, specificity 0.9."""
    patients = np.repeat(np.arange(100), 2)
    truths = (rng.uniform(size=100) < 0.3)[patients]
    together = np.where(rng.uniform(size=100)[patients] < 0.5, rng.uniform(size=100)[patients], rng.uniform(size=200))
    called = together < np.where(truths, 0.8, 0.1)
    truth = 2 * 0.3 * 0.8 / (0.3 + 0.3 * 0.8 + 0.7 * 0.1)
    seed, kinds = int(rng.integers(2**31)), {"BCa": "bca", "percentile": "percentile"}
    return {
        kind: covers(bootstrap_measure(f1_of, [truths, called], patients, method=m, seed=seed, repeats=repeats), truth)
        for kind, m in kinds.items()
    }


def net_benefit_covers(rng: Generator, repeats: int) -> Outcomes:
    """150 patients whose true probabilities are spread evenly, at a threshold of 0.2."""
    probabilities = rng.uniform(size=150)
    positive = rng.uniform(size=150) < probabilities
    seed = int(rng.integers(2**31))
    (point,) = decision_curve(positive, probabilities, range(150), [0.2], seed=seed, repeats=repeats)
    return {"by patient": covers(point.model, (1 - 0.2**2) / 2 - (1 - 0.2) ** 2 / 2 * 0.25)}


def proportion_covers(patients: int, method: str) -> Callable[[Generator, int], Outcomes]:
    """Sensitivities between 0.6 and 0.98, another in every replicate, since coverage jumps from one to the next."""

    def experiment(rng: Generator, repeats: int) -> Outcomes:
        truth = rng.uniform(0.6, 0.98)
        successes = int(rng.binomial(patients, truth))
        reach = 1.96 * math.sqrt(successes / patients * (1 - successes / patients) / patients)
        plain = Interval(successes / patients, successes / patients - reach, successes / patients + reach, patients)
        return {method: covers(proportion(successes, patients, method), truth), "Wald": covers(plain, truth)}

    return experiment


def calls(rng: Generator, patients: int, both: float, only_first: float, only_second: float) -> np.ndarray:
    """Return whether two readers are right on each patient, `(2, patients)`."""
    shares = [both, only_first, only_second, 1 - both - only_first - only_second]
    kind = rng.choice(4, size=patients, p=shares)
    return np.stack([np.isin(kind, (0, 1)), np.isin(kind, (0, 2))])


def paired_proportions_cover(rng: Generator, repeats: int) -> Outcomes:
    return {"Tango": covers(compare_paired_proportions(*calls(rng, 60, 0.7, 0.15, 0.05)).difference, 0.1)}


def proportions_cover(rng: Generator, repeats: int) -> Outcomes:
    successes = int(rng.binomial(40, 0.9)), int(rng.binomial(60, 0.75))
    return {"Miettinen & Nurminen": covers(compare_proportions(successes, (40, 60)).difference, 0.15)}


def aurocs_differ(area: float, positives: int, negatives: int) -> Callable[[Generator, int], Outcomes]:
    def experiment(rng: Generator, repeats: int) -> Outcomes:
        positive, (first, second) = binormal(rng, positives, negatives, area, area)
        one, other = auroc_interval(positive, first), auroc_interval(positive, second)
        apart = one.low > other.high or other.low > one.high
        return {"DeLong": refuses(compare_aurocs(positive, first, second)), "intervals apart": apart}

    return experiment


def difference_covers(rng: Generator, repeats: int) -> Outcomes:
    positive, (first, second) = binormal(rng, 40, 60, 0.8, 0.7)
    return {"DeLong": covers(compare_aurocs(positive, first, second).difference, 0.1)}


def clustered_aurocs_differ(rng: Generator, repeats: int) -> Outcomes:
    """80 patients with three rows each, which share their outcome and half of each score."""
    patients = np.repeat(np.arange(80), 3)
    positive = patients < 30
    first, second = norm.ppf(0.8) * positive + (rng.normal(size=(2, 80))[:, patients] + rng.normal(size=(2, 240))) / 2
    comparisons = {
        "by patient": compare_aurocs(positive, first, second, patients),
        "by row": compare_aurocs(positive, first, second),
    }
    return {kind: refuses(comparison) for kind, comparison in comparisons.items()}


def aurocs_inferior(rng: Generator, repeats: int) -> Outcomes:
    positive, (first, second) = binormal(rng, 80, 120, 0.8, 0.85)
    return {"DeLong": refuses(compare_aurocs(positive, first, second, aim=NonInferior(0.05)))}


def mcnemar_refuses(method: str, patients: int) -> Callable[[Generator, int], Outcomes]:
    def experiment(rng: Generator, repeats: int) -> Outcomes:
        pairs = calls(rng, patients, 0.6, 0.15, 0.15)
        if method == "score":
            return {method: refuses(compare_paired_proportions(*pairs))}
        return {method: refuses(mcnemar(*pairs, method))}

    return experiment


def paired_proportions_inferior(rng: Generator, repeats: int) -> Outcomes:
    return {"Tango": refuses(compare_paired_proportions(*calls(rng, 100, 0.75, 0.05, 0.15), NonInferior(0.1)))}


def proportions_inferior(rng: Generator, repeats: int) -> Outcomes:
    successes = int(rng.binomial(100, 0.8)), int(rng.binomial(100, 0.9))
    return {"Miettinen & Nurminen": refuses(compare_proportions(successes, (100, 100), NonInferior(0.1)))}


def means_inferior(rng: Generator, repeats: int) -> Outcomes:
    first = rng.normal(-0.5, 1, size=15)
    return {"paired t": refuses(compare_means(first, np.zeros(15), NonInferior(0.5)))}


def means_equivalent(rng: Generator, repeats: int) -> Outcomes:
    first = rng.normal(0.5, 1, size=50)
    return {"two one-sided t": refuses(compare_means(first, np.zeros(50), Equivalent(0.5)))}


def resampled_differ(rng: Generator, repeats: int) -> Outcomes:
    """Two learners that see one feature each, equally good ones: nearest class mean, 15 random splits of 100."""
    positive = rng.uniform(size=100) < 0.5
    features = rng.normal(size=(2, 100)) + positive
    order = rng.permuted(np.tile(np.arange(100), (15, 1)), axis=1)
    train, test = order[:, :80], order[:, 80:]
    weight = positive[train] / positive[train].sum(axis=1, keepdims=True)
    other = ~positive[train] / (~positive[train]).sum(axis=1, keepdims=True)
    middle = (features[:, train] * (weight + other)).sum(axis=-1) / 2
    right = (features[:, test] > middle[..., None]) == positive[test]
    first, second = right.mean(axis=-1)
    plain = ttest_1samp(first - second, 0).pvalue
    return {"corrected": refuses(compare_resampled(first - second, 80, 20)), "plain t": bool(plain < 0.05)}


def any_of_five_differs(rng: Generator, repeats: int) -> Outcomes:
    p_values = 2 * norm.sf(np.abs(rng.normal(size=5)))
    return {"Holm": bool((holm(p_values) < 0.05).any()), "not adjusted": bool((p_values < 0.05).any())}


COVERS = {
    "AUROC 0.75, 100 + 100 patients": auroc_covers(0.75, 100, 100),
    "AUROC 0.75, 20 + 30 patients": auroc_covers(0.75, 20, 30),
    "AUROC 0.9, 15 + 35 patients": auroc_covers(0.9, 15, 35),
    "AUROC 0.95, 30 + 170 patients": auroc_covers(0.95, 30, 170),
    "AUROC 0.85, 10 + 100 patients": auroc_covers(0.85, 10, 100),
    "AUROC 0.8, 80 patients with 3 rows": clustered_auroc_covers,
    "AUROC 0.9 by BCa, 15 + 35 patients": auroc_bootstrap_covers(0.9, 15, 35),
    "AUROC 0.85 by BCa, 10 + 100 patients": auroc_bootstrap_covers(0.85, 10, 100),
    "F1 by BCa, 100 patients with 2 rows": f1_covers,
    "mean of a normal figure, 12 patients": mean_covers(lambda rng: rng.normal(size=12), 0.0),
    "mean of a share (logit-normal), 30 patients": mean_covers(lambda rng: expit(1.5 * rng.normal(size=30)), 0.5),
    "mean of a skewed figure (log-normal), 30 patients": mean_covers(lambda rng: rng.lognormal(size=30), math.exp(0.5)),
    "mean of a skewed figure (log-normal), 200 patients": mean_covers(
        lambda rng: rng.lognormal(size=200), math.exp(0.5)
    ),
    "net benefit, 150 patients": net_benefit_covers,
    "sensitivity by Wilson, 40 patients": proportion_covers(40, "wilson"),
    "sensitivity by Clopper-Pearson, 40 patients": proportion_covers(40, "clopper-pearson"),
    "difference of two AUROCs, 40 + 60 patients": difference_covers,
    "difference of paired proportions, 60 patients": paired_proportions_cover,
    "difference of proportions, 40 and 60 patients": proportions_cover,
}
REFUSES = {
    "two AUROCs of 0.8, 20 + 40 patients": aurocs_differ(0.8, 20, 40),
    "two AUROCs of 0.8, 10 + 100 patients": aurocs_differ(0.8, 10, 100),
    "two AUROCs of 0.8, 100 + 100 patients": aurocs_differ(0.8, 100, 100),
    "two AUROCs of 0.8, 80 patients with 3 rows": clustered_aurocs_differ,
    "AUROC worse by the margin, 80 + 120 patients": aurocs_inferior,
    "McNemar mid-p, 50 patients": mcnemar_refuses("mid-p", 50),
    "McNemar exact, 50 patients": mcnemar_refuses("exact", 50),
    "McNemar corrected, 50 patients": mcnemar_refuses("corrected", 50),
    "McNemar without correction, 50 patients": mcnemar_refuses("score", 50),
    "McNemar mid-p, 300 patients": mcnemar_refuses("mid-p", 300),
    "paired proportion worse by the margin, 100 patients": paired_proportions_inferior,
    "proportion worse by the margin, 100 and 100 patients": proportions_inferior,
    "mean worse by the margin, 15 patients": means_inferior,
    "means apart by the margin, 50 patients": means_equivalent,
    "two learners, 15 random splits of 100 patients": resampled_differ,
    "any of five tests": any_of_five_differs,
}


if __name__ == "__main__":
    main()
