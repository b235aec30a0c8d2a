"""MGCA on simulated chest films with reports: what do its terms of words and prototypes add to plain pairs?

Films of three findings (effusion, pneumothorax, cardiomegaly) with reports of two institutions. Findings are told
without labels by sentences of a wording that no report of the training has, on new patients of the same institutions,
and on films of another site with reports of a third institution in that other wording. Arms: pairs alone, all three
terms, without words, without prototypes, and all terms with every film given another one's report. The learning rate of
each arm is chosen from three on a seed of its own, by the loss of pairs on validation patients; shuffled pairs take
that of all terms. Films are seen at 64 × 64.

Preconditions, without which no comparison is read: findings are told from labels by the same encoder with a mean AUROC
of 0.90, from the reports by their words with 0.98, from the histogram of a film with at most 0.75. Bars, written before
any run and those of the issue: pairs alone reach a mean AUROC of 0.70 without labels; all terms at most 0.01 below them
(lower end of the interval); shuffled pairs 0.5 ± 0.05. With the labels of 1 % of the films, and no other, Classify is
better from the encoder of all terms than from random weights, with the interval. The map of a finding's sentences is
highest on the finding more often than the middle of the film lies there, and than the map of another finding. Intervals
are Student's over the seeds, paired by seed.

An encoder that saw the films alone (MAE) is no arm here: no system of ours learns from films alone. Chosen before, on
other seeds: the size of the films and the width of the networks, by the time that they take, and how plainly findings
show (conspicuity), by the preconditions alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from common import Claim, benchmark_arguments, write_results
from reported_arms import PAIRS, Results, claim, common_claims, reported, run_arms
from reported_fits import FULL, SHUFFLED, Design

from scanweave.systems.mgca.evaluation import AGREE, PROTOTYPES, SHARED

NO_WORDS, NO_PROTOTYPES = "without words", "without prototypes"
ARMS: dict[str, dict[str, Any]] = {
    PAIRS: {"objective.token": 0.0, "objective.prototype": 0.0},
    FULL: {},
    NO_WORDS: {"objective.token": 0.0},
    NO_PROTOTYPES: {"objective.prototype": 0.0},
    SHUFFLED: {},
}
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {
        "seeds": (0, 1), "rates": (1e-3,), "tuning": 2, "learnt": 24, "validated": 10, "tested": 30, "few": 10,
        "conspicuity": 3.0, "steps": 2, "tuned": 2,
        "config": {"network.size": (32, 32), "network.width": 0.125, "network.small_images": False, "text.width": 16,
                   "text.layers": 1, "text.heads": 2, "training.batch_size": 8, "training.warm_up": 0},
    },
    "proof": {
        "seeds": (1201, 1202, 1203), "rates": (5e-4, 1e-3, 2e-3), "tuning": 1200, "learnt": 1_500, "validated": 200,
        "tested": 400, "few": 15, "conspicuity": 1.0, "steps": 1_500, "tuned": 300,
        "config": {"network.size": (64, 64), "network.small_images": False, "text.width": 64, "text.heads": 4},
    },
    "study": {
        "seeds": tuple(range(1201, 1206)), "rates": (5e-4, 1e-3, 2e-3), "tuning": 1200, "learnt": 10_000,
        "validated": 1_000, "tested": 1_000, "few": 100, "conspicuity": 1.0, "steps": 15_000, "tuned": 1_000,
        "config": {"network.size": (128, 128)},
    },
}  # fmt: skip
"""Few: labelled films that are one hundredth; tuned: steps of Classify."""


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    results = Results(run_arms(design(tier), tier, arguments))
    write_results("mgca", arguments, tier["seeds"], list(claims(results, design(tier))))


def design(tier: dict[str, Any]) -> Design:
    """Return what is asked of MGCA."""
    findings = ("effusion", "pneumothorax", "cardiomegaly")
    shape = {"findings": findings, "size": 128, "conspicuity": tier["conspicuity"], "rho": 0.5, "prevalence": 0.4}
    own = {"network.width": tier["config"].get("network.width", 0.5), "network.small_images": False}
    sites = {"sites": "A"}, {"sites": "B"}
    return Design("mgca", findings, "simulate_films", {**shape, **sites[0]}, sites[1], ARMS, own, {"pointing": True})


def claims(results: Results, asked: Design) -> Iterator[Claim]:
    """Yield preconditions, bars, and what has none."""
    yield from common_claims(results, asked)
    for arm in ARMS:
        yield from reported(results, arm)
        for measure in (AGREE, SHARED):
            found = results.by_seed(arm, PROTOTYPES, measure)
            if len(found):
                chance = results.by_seed(arm, PROTOTYPES, measure, of="control")
                yield claim(f"{arm}: {measure}", found, shown={"shuffled": chance})


if __name__ == "__main__":
    main()
