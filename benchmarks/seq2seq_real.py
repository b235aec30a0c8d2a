"""Seq2Seq's preset `best` on four real patients, leave one patient out, against the strongest simple controls.

Two gliomas and two patients with multiple sclerosis, names unified to t1, t1c, t2, flair (`SCANWEAVE_DATA` names the
folder). Four patients are little evidence, whatever comes out. Every method makes each target of the patient left out
from the three others: `best` fitted from scratch (two seeds) and, where builtin:brain is installed, fine-tuned from it;
`small`, which averages images; quadratic regression on all others and on the best single one; boosted trees on the
3 × 3 × 3 neighbourhoods of all others; a U-Net on all others and the target's number. A fifth patient, a head with
skull in oblique 5 mm slices, is made by every fit and never trained on; it is told apart and is in no mean.

Bars, written before any run: `best` from scratch above the best control (by its mean over patients and targets) in PSNR
in the brain and in SSIM in its box, one interval above 0 and none below; no target more than 0.3 dB below quadratic
regression on all, on average over patients. The fine-tuned arm is held to the same. Intervals resample the patients,
each with all its targets; seeds are averaged before.
"""

from __future__ import annotations

import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import Claim, benchmark_arguments, write_results
from jobs import run_jobs
from seq2seq_cases import (
    BUILTIN,
    HEAD,
    MEASURES,
    Case,
    Methods,
    best_source,
    control_material,
    head_cohort,
    is_installed,
    measured,
    real_cohort,
)
from seq2seq_controls import BoostedTrees, ConditionedUNet, QuadraticRegression

import scanweave as sw
from scanweave.api import configure
from scanweave.measures.bootstrap import Interval, paired_difference
from scanweave.studies.cohort import Cohort
from scanweave.systems.seq2seq.samples import CropSamples

COARSE = {"preparation.spacing": (6.0, 6.0, 6.0), "sampling.crop": (32, 32)}
"""Settings that make a fit a matter of seconds."""
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": (0,), "steps": 2, "tuned": 1, "folds": 1, "targets": 1, "once": 2, "own": COARSE},
    "proof": {"seeds": (0, 1), "steps": 2_500, "tuned": 500, "folds": 4, "targets": 4, "once": 3, "own": {}},
    "study": {"seeds": (0, 1, 2), "steps": 10_000, "tuned": 2_500, "folds": 4, "targets": 4, "once": 3, "own": {}},
}
"""`tuned`: steps of a fit that begins from weights; `targets`: sequences of a patient that are made; `once`: how many
of the arms with one seed are there, all but in the smoke tier; `own`: settings of a tier, on top of the preset."""
BEST, TUNED, SMALL, UNET = "best", f"best from {BUILTIN}", "small, averaging", "U-Net"
ALL, SINGLE, TREES = "quadratic, all", "quadratic, best source", "boosted trees"
CONTROLS = (ALL, SINGLE, TREES, UNET)
PLAIN = "regression and trees"
"""The job that fits all controls but the U-Net."""
ONCE = (UNET, PLAIN, SMALL)
"""Arms with one seed."""
ALLOWED_LOSS_DB = -0.3


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    arms = [TUNED] if is_installed() else []
    if not arms:
        print(f"{BUILTIN} is not installed: no fine-tuned arm", flush=True)
    first, folds = tier["seeds"][0], range(tier["folds"])
    jobs = [(arm, seed, fold) for arm in (BEST, *arms) for seed in tier["seeds"] for fold in folds]
    jobs += [(arm, first, fold) for arm in ONCE[: tier["once"]] for fold in folds]
    table = pd.DataFrame(list(chain.from_iterable(run_jobs(one_job, jobs, arguments, tier))))
    for apart, part in table.groupby(table["patient"] == HEAD):
        print(f"{HEAD}, in no mean:" if apart else "patients left out:")
        wide = part.pivot_table(index=["patient", "target"], columns="method", values=["psnr", "ssim"])
        print(wide.round(3).to_string(), flush=True)
    write_results("seq2seq_real", arguments, tier["seeds"], claims(table))


def one_job(arm: str, seed: int, fold: int, tier: dict[str, Any]) -> list[dict[str, Any]]:
    """Fit an arm on three patients; measure on the fourth, and on the head apart."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort, head = real_cohort(folder / "cohort"), head_cohort(folder / "head")
        tested = [*cohort.part("test", fold), *head]
        arms = {BEST: fitted, TUNED: fitted, SMALL: fitted, UNET: unet, PLAIN: plain}
        return arms[arm](cohort, tested, folder / "run", (arm, seed, fold), tier)


def training_settings(arm: str, seed: int, tier: dict[str, Any]) -> dict[str, Any]:
    """The settings of a fit on top of its preset."""
    steps = tier["tuned" if arm == TUNED else "steps"]
    start = {"start.source": BUILTIN} if arm == TUNED else scratch()
    return (
        tier["own"] | start | {"training.steps": steps, "training.seed": seed, "training.warm_up": min(50, steps // 4)}
    )


def scratch() -> dict[str, Any]:
    """Settings that say to begin at random: by default, few patients begin from the model that ships if it is there."""
    return {"start.source": "none"} if is_installed() else {}


def fitted(
    cohort: Cohort, tested: list[Any], run: Path, job: tuple[str, int, int], tier: dict[str, Any]
) -> list[dict[str, Any]]:
    """Rows of a fit of Seq2Seq."""
    arm, seed, fold = job
    preset = "small" if arm == SMALL else "best"
    config = training_settings(arm, seed, tier)
    system: Any = sw.fit("seq2seq", cohort, run, preset=preset, config=config, fold=fold, say=lambda _: None)
    targets = list(system.sequences)[: tier["targets"]]

    def methods(case: Case) -> Methods:
        make = system.synthesizer.combine if arm == SMALL else system.synthesizer.fuse
        return ((arm, target, volume) for target, volume in make(case.volumes, targets).items())

    return measured([Case.of(study, system.plan) for study in tested], methods, seed=seed)


def unet(
    cohort: Cohort, tested: list[Any], run: Path, job: tuple[str, int, int], tier: dict[str, Any]
) -> list[dict[str, Any]]:
    """Rows of the U-Net, trained as `small` is."""
    _, seed, fold = job
    plan, training = control_material(cohort, fold, "small", tier["own"])
    settings: Any = configure("seq2seq", "small", training_settings(UNET, seed, tier))
    names = list(plan.scans)
    samples = CropSamples(training, names, network=settings.network, settings=settings.sampling, seed=seed)
    network = ConditionedUNet(samples, names, settings.training, settings.objective.beta)

    def methods(case: Case) -> Methods:
        return ((UNET, target, network(case.volumes, target)) for target in names[: tier["targets"]])

    return measured([Case.of(study, plan) for study in tested], methods, seed=seed)


def plain(
    cohort: Cohort, tested: list[Any], run: Path, job: tuple[str, int, int], tier: dict[str, Any]
) -> list[dict[str, Any]]:
    """Rows of the controls that are no network."""
    _, seed, fold = job
    plan, training = control_material(cohort, fold, "best", tier["own"])
    names = list(plan.scans)
    models = []
    for target in names[: tier["targets"]]:
        others = [name for name in names if name != target]
        single = best_source(training, others, target, seed)
        models.append((ALL, target, QuadraticRegression(training, others, target, seed)))
        models.append((SINGLE, target, QuadraticRegression(training, [single], target, seed)))
        models.append((TREES, target, BoostedTrees(training, others, target, seed)))

    def methods(case: Case) -> Methods:
        return ((method, target, model(case.volumes)) for method, target, model in models)

    return measured([Case.of(study, plan) for study in tested], methods, seed=seed)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Each arm of `best` against its bars; then what is only reported."""
    inside = table[table["patient"] != HEAD]
    arms = [arm for arm in (BEST, TUNED) if arm in set(table["method"])]
    found = [claim for arm in arms for claim in [*over_best_control(inside, arm), *over_regression(inside, arm)]]
    found += [claim for arm in arms for claim in reported(inside, arm)]
    return found + [claim for arm in arms for claim in apart(table[table["patient"] == HEAD], arm)]


def wide_of(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """A row for each patient and target, a column for each method, seeds averaged."""
    return table.pivot_table(index=["patient", "target"], columns="method", values=measure).reset_index()


def gained(wide: pd.DataFrame, arm: str, control: str) -> Interval:
    """Return the gain of an arm over a control, over patients with their targets kept together."""
    return paired_difference(wide[arm], wide[control], list(wide["patient"]), seed=0)


def over_best_control(table: pd.DataFrame, arm: str) -> list[Claim]:
    """Both measures against the best control of each, and their intervals."""
    found, above, below = [], 0, 0
    for words, (measure, unit) in MEASURES.items():
        wide = wide_of(table, measure)
        means = {name: float(wide[name].mean()) for name in CONTROLS}
        control = max(means, key=lambda name: means[name])
        gain = gained(wide, arm, control)
        above, below = above + (gain.low > 0), below + (gain.high < 0)
        name = f"{arm}: {words} over the best control ({control})"
        shown = {arm: float(wide[arm].mean())} | means
        found.append(Claim(name, gain.value, gain.low, gain.high, unit, gain.n, 0.0, "higher", shown))
    count, n = f"of {len(MEASURES)}", found[0].n
    found.append(Claim(f"{arm}: intervals above 0", above, np.nan, np.nan, count, n, 1.0, "higher"))
    found.append(Claim(f"{arm}: intervals below 0", below, np.nan, np.nan, count, n, 0.0, "lower"))
    return found


def over_regression(table: pd.DataFrame, arm: str) -> list[Claim]:
    """Each target against quadratic regression on all others."""
    wide = wide_of(table, "psnr")
    found = []
    for target, part in wide.groupby("target"):
        gain = gained(part, arm, ALL)
        name = f"{arm}: {target}, PSNR in the brain over quadratic regression"
        shown = {arm: float(part[arm].mean()), ALL: float(part[ALL].mean())}
        found.append(Claim(name, gain.value, gain.low, gain.high, "dB", gain.n, ALLOWED_LOSS_DB, "higher", shown))
    return found


def others(wide: pd.DataFrame) -> list[str]:
    """Return the controls of an arm of `best`: the controls, and `small` where it was fitted."""
    return [name for name in (*CONTROLS, SMALL) if name in wide]


def reported(table: pd.DataFrame, arm: str) -> list[Claim]:
    """Both measures over every other method, without a bar."""
    found = []
    for words, (measure, unit) in MEASURES.items():
        wide = wide_of(table, measure)
        for control in others(wide):
            gain = gained(wide, arm, control)
            shown = {arm: float(wide[arm].mean()), control: float(wide[control].mean())}
            name = f"{arm}: {words} over {control}"
            found.append(Claim(name, gain.value, gain.low, gain.high, unit, gain.n, None, "higher", shown))
    return found


def apart(table: pd.DataFrame, arm: str) -> list[Claim]:
    """The head with skull: one patient, so no interval, and no bar."""
    found = []
    for words, (measure, unit) in MEASURES.items():
        wide = wide_of(table, measure)
        means = {name: float(wide[name].mean()) for name in (arm, *others(wide))}
        control = max(CONTROLS, key=lambda name: means[name])
        name = f"{arm}: {words.replace('brain', 'head')} of {HEAD}, in no mean, over {control}"
        found.append(Claim(name, means[arm] - means[control], np.nan, np.nan, unit, 1, None, "higher", means))
    return found


if __name__ == "__main__":
    main()
