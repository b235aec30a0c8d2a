"""MG-3D on simulated CT with reports: what do hidden blocks, hidden words and soft answers add to plain pairs?

Bodies of three findings (effusion, consolidation, cardiomegaly) with reports of two institutions. Findings are told
without labels by sentences of a wording that no report of the training has, on new patients of the same institutions,
and on bodies of another site with reports of a third institution in that other wording. Arms: pairs alone, all terms,
without blocks, without soft answers, and all terms with every body given another one's report. The learning rate of
each arm is chosen from three on a seed of its own, by the loss of pairs on validation patients; shuffled pairs take
that of all terms. Bodies are simulated at 6 mm and seen at 48³. In the tier `study` pairs alone and all
terms are also learnt from 250, 1,000 and 2,000 pairs with two widths of the encoder.

Preconditions, without which no comparison is read: findings are told from labels by the same encoder with a mean AUROC
of 0.90, from the reports by their words with 0.98, from the histogram of a body with at most 0.75. Bars, written before
any run and those of the issue: pairs alone reach a mean AUROC of 0.70 without labels; all terms at most 0.01 below them
(lower end of the interval); shuffled pairs 0.5 ± 0.05. With the labels of 1 % of the bodies, and no other, Classify is
better from the encoder of all terms than from random weights, with the interval; from an encoder that MAE trained on
the same volumes it is printed. Hidden blocks are filled in with a smaller error by the own report than by another
patient's, with the interval. The map of a finding's sentences is highest on the finding more often than the middle of
the body lies there, and than the map of another finding. Intervals are Student's over the seeds, paired by seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from common import Claim, benchmark_arguments, write_results
from reported_arms import PAIRS, Results, common_claims, lower_end, reported, run_arms
from reported_fits import FULL, SHUFFLED, Design

from scanweave.systems.mg3d.evaluation import HIDDEN, LESS, OWN

ALONE: dict[str, Any] = {"objective.blocks": 0.0, "objective.pieces": 0.0, "objective.soft": 0.0}
ARMS: dict[str, dict[str, Any]] = {
    PAIRS: ALONE,
    FULL: {},
    "without blocks": {"objective.blocks": 0.0},
    "without soft answers": {"objective.soft": 0.0},
    SHUFFLED: {},
}
SCALED: dict[str, dict[str, Any]] = {
    f"{name}, {pairs} pairs, width {width}": {**own, "pairs": pairs, "network.width": width}
    for name, own in ((PAIRS, ALONE), (FULL, {}))
    for pairs in (250, 1_000, 2_000)
    for width in (0.25, 0.5)
}
SAME_ENCODER = {"network.encoder": "resnet18", "network.hidden": "filled", "network.block": 8}
"""Of MAE: hidden blocks hold one value, since this encoder cannot leave them out."""
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {
        "seeds": (0, 1), "rates": (1e-3,), "tuning": 2, "learnt": 24, "validated": 10, "tested": 30, "few": 10,
        "spacing": 8.0, "steps": 2, "tuned": 2, "arms": ARMS,
        "mae": {**SAME_ENCODER, "network.encoder_width": 0.125, "training.steps": 2, "training.batch_size": 2,
                "training.warm_up": 0, "training.validate_every": 2},
        "config": {"network.size": (32, 32, 32), "network.width": 0.125, "text.width": 16, "text.layers": 1,
                   "text.heads": 2, "network.fusion_width": 16, "network.fusion_heads": 2, "training.batch_size": 8,
                   "training.warm_up": 0},
    },
    "proof": {
        "seeds": (1301, 1302, 1303), "rates": (5e-4, 1e-3, 2e-3), "tuning": 1300, "learnt": 1_500, "validated": 200,
        "tested": 300, "few": 15, "spacing": 6.0, "steps": 1_500, "tuned": 300, "arms": ARMS,
        "mae": {**SAME_ENCODER, "network.encoder_width": 0.25, "training.steps": 1_500, "training.validate_every": 500},
        "config": {"network.size": (48, 48, 48), "network.width": 0.25, "text.width": 64, "text.heads": 4,
                   "network.fusion_width": 64, "network.fusion_heads": 4},
    },
    "study": {
        "seeds": tuple(range(1301, 1306)), "rates": (5e-4, 1e-3, 2e-3), "tuning": 1300, "learnt": 2_500,
        "validated": 500, "tested": 1_000, "few": 25, "spacing": 4.0, "steps": 15_000, "tuned": 1_000,
        "arms": {**ARMS, **SCALED}, "mae": {**SAME_ENCODER, "network.encoder_width": 0.5, "training.steps": 15_000},
        "config": {"network.size": (64, 64, 64)},
    },
}  # fmt: skip
"""Few: labelled bodies that are one hundredth; tuned: steps of Classify; mae: settings of the control's fit."""


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    asked = design(tier)
    results = Results(run_arms(asked, tier, arguments))
    write_results("mg3d", arguments, tier["seeds"], list(claims(results, asked)))


def design(tier: dict[str, Any]) -> Design:
    """Return what is asked of MG-3D."""
    findings = ("effusion", "consolidation", "cardiomegaly")
    shape = {"findings": findings, "spacing": tier["spacing"], "prevalence": 0.4, "sites": "A"}
    own = {"network.width": tier["config"].get("network.width", 0.5), "network.small_images": False}
    options = {"pointing": True, "filling": True, "pictures": 0}
    return Design("mg3d", findings, "simulate_bodies", shape, {"sites": "B"}, tier["arms"], own, options, mae=True)


def claims(results: Results, asked: Design) -> Iterator[Claim]:
    """Yield preconditions, bars, and what has none."""
    yield from common_claims(results, asked)
    less, own = (results.by_seed(FULL, HIDDEN, measure) for measure in (LESS, OWN))
    other = results.by_seed(FULL, HIDDEN, OWN, of="control")
    shown = {"own report": own, "another's": other}
    yield lower_end("error of hidden blocks with another patient's report less with the own", -less, 0.0, shown)
    for arm in asked.arms:
        yield from reported(results, arm)


if __name__ == "__main__":
    main()
