"""Does learning from made tumours help to find real ones, where few are drawn? Simulated livers, every arm alike.

The "real" tumours are irregular clumps with rims and dead cores, painted before blur and noise of the scanner; the made
ones are put into finished scans by other shapes (`simulate tumours` and `scanweave.tumours` share no process). Of each
seed a few scans have drawn tumours, others are healthy; all arms have the same network, steps and augmentation, and
their last moving average of weights counts, since there is nothing to validate on. Compared is at the threshold with
0.5 false tumours a test scan, each network at its own; a tumour is found if a fifth of it is.

The gate comes first (specification e.4): with tumours drawn in all scans the network must be 15 points of Dice ahead of
the one that has the few, and alarm in at most a fifth of the healthy test scans. Else the figures below say nothing of
FreeTumor, and are published as they are. Bars are those of the specification (e.5), set before any arm was run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from common import Claim, benchmark_arguments, write_results
from freetumor_fits import ARMS, Tested, fitted_arm
from jobs import run_jobs
from numpy.typing import NDArray

from scanweave.measures.bootstrap import interval, patient_counts
from scanweave.measures.lesion_rates import LesionRates, at_rate, smallest_third

OURS, CONTROL, HEALTHY_TOO = "FreeTumor", "real only", "real and healthy"
RULES, COPIED, ORACLE = "rules of real contrast", "copied", "oracle"
PROOF = (CONTROL, HEALTHY_TOO, RULES, COPIED, OURS, ORACLE)
RATE, REPEATS = 0.5, 1_000
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {
        "seeds": (0,),
        "arms": (CONTROL, OURS),
        "drawn": 2,
        "healthy": 2,
        "tested": 4,
        "ill": 0.5,
        "steps": 2,
        "generator": 2,
        "sizes": {"spacing": 6.0},
        "config": {"network.patch": [16, 16, 16], "network.first_channels": 4},
    },
    "proof": {
        "seeds": (900, 901, 902, 903, 904),
        "arms": PROOF,
        "drawn": 4,
        "healthy": 60,
        "tested": 150,
        "ill": 0.7,
        "steps": 1_000,
        "generator": 400,
    },
    "study": {
        "seeds": (900, 901),
        "arms": tuple(ARMS),
        "drawn": 4,
        "healthy": 60,
        "tested": 150,
        "ill": 0.7,
        "steps": 1_000,
        "generator": 400,
    },
}
Parts = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Numerator and denominator of a share or mean, of each scan."""
Measure = Callable[[Sequence[LesionRates]], Parts]
Better = Literal["higher", "lower"]


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    jobs = [(arm, seed) for seed in tier["seeds"] for arm in tier["arms"]]
    tested: list[Tested] = []
    for found in run_jobs(fitted_arm, jobs, arguments, tier):
        for one in found:
            tested.append(one)
            share = "" if one.accepted is None else f", {100 * one.accepted:.0f} % of made tumours counted"
            print(f"{one.arm}, seed {one.seed}, {one.part}: Dice {_dice(one):.3f}{share}", flush=True)
    write_results("freetumor", arguments, tier["seeds"], list(claims(tested)))


def claims(tested: Sequence[Tested]) -> Iterator[Claim]:
    """Yield the gate, then FreeTumor beside the others, in each part of the test scans."""
    same = [one for one in tested if one.part == "same scanner"]
    elsewhere = [one for one in tested if one.part != "same scanner"]
    arms = list(dict.fromkeys(one.arm for one in same))
    if ORACLE in arms:
        yield paired(same, "gate: oracle less real only, Dice", dice, (ORACLE, CONTROL), 0.15)
        yield single(same, "gate: alarm rate of the oracle in healthy scans", alarm, ORACLE, 0.2, "lower")
    for name, measure, bars in COMPARED:
        for other in (other for other in bars if other in arms):
            better: Better = "lower" if measure is alarm else "higher"
            yield paired(same, f"FreeTumor less {other}: {name}", measure, (OURS, other), bars[other], better)
    for arm in arms:
        for name, measure in (("Dice", dice), ("sensitivity", found), ("alarm rate", alarm)):
            yield single(same, f"{arm}: {name}", measure, arm, None, "lower" if measure is alarm else "higher")
    for other in (other for other in (CONTROL, RULES) if elsewhere and other in arms):
        yield paired(elsewhere, f"another scanner: FreeTumor less {other}, Dice", dice, (OURS, other), None)


def dice(scans: Sequence[LesionRates]) -> Parts:
    """Return the Dice of scans with a tumour, at the threshold of the rate."""
    place = at_rate(scans, RATE)
    ill = np.array([bool(one.volumes_ml) for one in scans], float)
    return ill * [one.dice[place] for one in scans], ill


def found(scans: Sequence[LesionRates], most: float = np.inf) -> Parts:
    """Return the tumours found there, and how many there are."""
    place = at_rate(scans, RATE)
    counted = [np.array(one.volumes_ml) <= most for one in scans]
    hits = [np.sum(np.array(one.found[place], bool)[kept]) for one, kept in zip(scans, counted, strict=True)]
    return np.array(hits, float), np.array([kept.sum() for kept in counted], float)


def found_small(scans: Sequence[LesionRates]) -> Parts:
    """Return those of the smallest third."""
    return found(scans, smallest_third(scans))


def alarm(scans: Sequence[LesionRates]) -> Parts:
    """Return the healthy scans in which anything is found there."""
    place = at_rate(scans, RATE)
    well = np.array([not one.volumes_ml for one in scans], float)
    return well * [one.false[place] > 0 for one in scans], well


COMPARED: tuple[tuple[str, Measure, dict[str, float | None]], ...] = (
    ("Dice", dice, {CONTROL: 0.05, RULES: -0.02, COPIED: -0.02, HEALTHY_TOO: None}),
    (f"sensitivity at {RATE:g} false a scan", found, {CONTROL: 0.05, HEALTHY_TOO: None, RULES: None}),
    ("the same, smallest third", found_small, {CONTROL: 0.10, HEALTHY_TOO: None, RULES: None}),
    ("alarm rate in healthy scans", alarm, {CONTROL: 0.0}),
)
"""What is compared with which arms, and the bar of each difference; None: it is reported."""


def over_scans(tested: Sequence[Tested], measure: Measure, arm: str) -> NDArray[np.float64]:
    """Return the mean of a measure over seeds, of all scans and of resamples of them `(1 + REPEATS,)`."""
    each = []
    for one in (one for one in tested if one.arm == arm):
        number = len(one.rates)
        counts = np.concatenate([np.ones((1, number), np.int64), patient_counts(number, REPEATS, seed=one.seed)])
        above, below = measure(one.rates)
        with np.errstate(invalid="ignore"):  # a resample without any such scan has no value
            each.append(counts @ above / (counts @ below))
    return np.asarray(np.mean(each, axis=0))


def single(tested: Sequence[Tested], name: str, measure: Measure, arm: str, bar: float | None, better: Better) -> Claim:
    """Return a claim about one arm."""
    return _claim(tested, name, over_scans(tested, measure, arm), bar, better)


def paired(
    tested: Sequence[Tested],
    name: str,
    measure: Measure,
    arms: tuple[str, str],
    bar: float | None,
    better: Better = "higher",
) -> Claim:
    """Return a claim about the difference of two arms on the same scans."""
    one, two = (over_scans(tested, measure, arm) for arm in arms)
    shown = dict(zip(arms, (float(one[0]), float(two[0])), strict=True))
    return replace(_claim(tested, name, one - two, bar, better), control=shown)


def _claim(
    tested: Sequence[Tested], name: str, values: NDArray[np.float64], bar: float | None, better: Better
) -> Claim:
    scans = sum(len(one.rates) for one in tested if one.arm == tested[0].arm)
    spread = interval(float(values[0]), values[1:], scans)
    return Claim(name, spread.value, spread.low, spread.high, "", scans, bar, better)


def _dice(one: Tested) -> float:
    above, below = dice(one.rates)
    return float(above.sum() / max(below.sum(), 1))


if __name__ == "__main__":
    main()
