"""Seq2Seq's preset `best` from every subset of the sequences to every other, on simulated brains with known ceilings.

Each arm is fitted once on complete studies of t1, t1c, t2 and flair; subsets are given at the test alone: 14 subsets,
28 of subset and target. Compared are `small`, which averages images; voxelwise quadratic regression from the same
inputs; and the simulator's oracle (boosted trees that know place and surroundings) from the best subset of the same
inputs, since a useless source costs it a little. PSNR in the brain, the same patients and range for all.

Bars, written before any run: an input more is never worse on average, from one to two and from two to three; at three
inputs `best` is 1.5 dB over `small`; for each number of inputs `best` is 1 dB over regression, or half of the way from
regression to the oracle where that is less; all intervals above 0, and so is every seed. Intervals resample the
patients of all seeds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import Claim, benchmark_arguments, write_results
from jobs import run_jobs
from seq2seq_cases import Case, Volume, control_material
from seq2seq_controls import QuadraticRegression

import scanweave as sw
from scanweave.measures.bootstrap import bootstrap, paired_difference
from scanweave.simulate import simulate_brain
from scanweave.simulate.oracle import subset_oracle
from scanweave.simulate.settings import MAIN, BrainSettings
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import make_splits, write_splits

Subset = tuple[str, ...]
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": (0,), "subjects": 5, "steps": 1, "spacing": 8.0, "voxels": 200},
    "proof": {"seeds": (310, 311, 312), "subjects": 40, "steps": 5_000, "spacing": 3.0, "voxels": 4_000},
    "study": {"seeds": tuple(range(310, 316)), "subjects": 120, "steps": 20_000, "spacing": 2.0, "voxels": 4_000},
}
"""Seeds that no other benchmark and no choice of a setting has used."""
FOLDS = 5
BEST, SMALL, QUADRATIC, ORACLE = "best", "small, averaging", "quadratic regression", "oracle"
PLACELESS = "best without weights by place"
"""The same fit with the attention set aside at the test."""
ABLATIONS: dict[str, dict[str, Any]] = {
    "best without edge term": {"objective.gradient": 0.0},
    "best without SSIM term": {"objective.structural": 0.0},
    "best trained on all inputs alone": {"sampling.all_share": 1.0},
}
"""Settings of `best` that are taken away one by one, in the tier `study`."""
MEASURED = "regression and oracle"
OVER_SMALL_DB, OVER_QUADRATIC_DB = 1.5, 1.0
ORACLE_RANGE, ORACLE_PERCENTILE = 2.0, 99
"""Range of the oracle's PSNR, in units of this percentile of the real scan in the brain."""
KEYS = ["patient", "seed", "sources", "target"]


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    arms = [BEST, SMALL, MEASURED, *(ABLATIONS if arguments.tier == "study" else ())]
    jobs = [(arm, seed) for arm in arms for seed in tier["seeds"]]
    table = pd.DataFrame(list(chain.from_iterable(run_jobs(one_job, jobs, arguments, tier))))
    table["inputs"] = table["sources"].str.count(r"\+") + 1
    wide = table.pivot_table(index=[*KEYS, "inputs"], columns="method", values="psnr").reset_index()
    methods = [name for name in wide.columns if name not in (*KEYS, "inputs")]
    print(wide.groupby(["inputs", "target"])[methods].mean().round(2).to_string(), flush=True)
    write_results("seq2seq_fusion", arguments, tier["seeds"], claims(wide, methods))


def one_job(arm: str, seed: int, tier: dict[str, Any]) -> list[dict[str, Any]]:
    """Simulate, fit an arm, and measure every subset on the test patients of one seed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort = simulate_brain(
            folder / "cohort", subjects=tier["subjects"], seed=seed, spacing=tier["spacing"], sequences=MAIN
        )
        write_splits(cohort.folder, make_splits(cohort.patients, FOLDS, seed=seed))
        if arm == MEASURED:
            return controls(cohort, seed, tier)
        return fitted(cohort, folder / "run", arm, seed, tier)


def questions() -> list[tuple[Subset, list[str]]]:
    """Every subset of the sequences that leaves some out, and those."""
    subsets = chain.from_iterable(combinations(MAIN, size) for size in range(1, len(MAIN)))
    return [(subset, [name for name in MAIN if name not in subset]) for subset in subsets]


def fitted(cohort: Cohort, run: Path, arm: str, seed: int, tier: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a fit of Seq2Seq."""
    steps = tier["steps"]
    config = ABLATIONS.get(arm, {}) | {
        "training.steps": steps,
        "training.seed": seed,
        "training.warm_up": min(50, steps // 4),
        "training.validate_every": max(1, steps // 4),
    }
    preset = "small" if arm == SMALL else "best"
    system: Any = sw.fit("seq2seq", cohort, run, preset=preset, config=config, say=lambda _: None)
    rows = []
    for study in cohort.part("test"):
        case = Case.of(study, system.plan)
        for subset, targets in questions():
            given = {name: case.volumes[name] for name in subset}
            for method, made in predicted(system.synthesizer, arm, given, targets):
                rows += [row(case, seed, subset, target, method, case.psnr(made[target], target)) for target in targets]
    return rows


def predicted(
    synthesizer: Any, arm: str, given: dict[str, Volume], targets: Sequence[str]
) -> Iterator[tuple[str, dict[str, Volume]]]:
    """Predict from a subset: `best` also with its weights by place set aside."""
    if arm == SMALL:
        yield arm, synthesizer.combine(given, targets)
        return
    wanted = [(tuple(given), target) for target in targets]
    yield arm, synthesizer.from_subsets(given, wanted)
    if arm == BEST:
        yield PLACELESS, synthesizer.from_subsets(given, wanted, attended=False)


def controls(cohort: Cohort, seed: int, tier: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the regression and of the oracle."""
    plan, training = control_material(cohort, 0, "best", {})
    models = {
        (subset, target): QuadraticRegression(training, subset, target, seed)
        for subset, targets in questions()
        for target in targets
    }
    tested = cohort.part("test")
    numbers = {study: int(study.rpartition("-")[2]) for study in cohort.studies}
    ceilings = subset_oracle(
        seed,
        learnt=[numbers[study] for study in cohort.part("train").studies],
        measured=[numbers[study] for study in tested.studies],
        voxels=tier["voxels"],
        settings=BrainSettings(sequences=MAIN, spacing=tier["spacing"]),
    )
    oracle = {(score.sources, score.target): score.psnr for score in ceilings}
    rows = []
    for study in tested:
        case = Case.of(study, plan)
        for (subset, target), model in models.items():
            rows.append(row(case, seed, subset, target, QUADRATIC, case.psnr(model(case.volumes), target)))
            found = oracle[best_part(oracle, subset, target), target][numbers[study.id]]
            rows.append(row(case, seed, subset, target, ORACLE, found + range_gain(case, target)))
    return rows


def best_part(oracle: dict[tuple[Subset, str], dict[int, float]], subset: Subset, target: str) -> Subset:
    """The part of a subset that the oracle makes a target best from, on average over the patients."""
    parts = chain.from_iterable(combinations(subset, size) for size in range(1, len(subset) + 1))
    return max(parts, key=lambda part: float(np.mean(list(oracle[part, target].values()))))


def range_gain(case: Case, target: str) -> float:
    """Return what the oracle's PSNR lacks for its other range [dB]: that of `Case.psnr`, with the same error."""
    real = case.native.real[target][case.native.brain]
    return float(20 * np.log10(case.native.span(target) / (ORACLE_RANGE * np.percentile(real, ORACLE_PERCENTILE))))


def row(case: Case, seed: int, subset: Subset, target: str, method: str, value: float) -> dict[str, Any]:
    patient = f"{seed}-{case.native.patient}"
    return {
        "patient": patient,
        "seed": seed,
        "sources": "+".join(subset),
        "target": target,
        "method": method,
        "psnr": value,
    }


def claims(wide: pd.DataFrame, methods: Sequence[str]) -> list[Claim]:
    """The bars, then what is only reported."""
    found = []
    for inputs, part in wide.groupby("inputs"):
        told = f"best over {QUADRATIC}, {inputs} input{'s' * (inputs > 1)}"
        way = float((part[ORACLE] - part[QUADRATIC]).mean())
        found += gain(
            told, part, QUADRATIC, min(OVER_QUADRATIC_DB, max(way, 0.0) / 2), {ORACLE: float(part[ORACLE].mean())}
        )
    most = wide[wide["inputs"] == len(MAIN) - 1]
    found += gain(f"best over {SMALL}, {len(MAIN) - 1} inputs", most, SMALL, OVER_SMALL_DB, {})
    found += more_inputs(wide)
    for method in methods:
        if method != BEST:
            found += gain(f"best over {method}, all subsets", wide, method, None, {})
    return found


def gain(name: str, table: pd.DataFrame, control: str, bar: float | None, more: dict[str, float]) -> list[Claim]:
    """The mean difference over patients; with a bar also the lower end of its interval, and the seeds above 0."""
    found = paired_difference(table[BEST], table[control], list(table["patient"]), seed=0)
    shown = {BEST: float(table[BEST].mean()), control: float(table[control].mean())} | more
    claim = Claim(name, found.value, found.low, found.high, "dB", found.n, bar, "higher", shown)
    by_seed = (table[BEST] - table[control]).groupby(table["seed"]).mean()
    return [claim] if bar is None else [claim, *certain(name, found.low, by_seed, found.n)]


def certain(name: str, low: float, by_seed: pd.Series, patients: int) -> list[Claim]:
    """That an interval lies above 0, and the mean of every seed too."""
    above, seeds = int((by_seed > 0).sum()), len(by_seed)
    return [
        Claim(f"{name}: lower end of the interval", low, np.nan, np.nan, "dB", patients, 0.0, "higher"),
        Claim(f"{name}: seeds above 0", above, np.nan, np.nan, f"of {seeds}", patients, float(seeds), "higher"),
    ]


def more_inputs(wide: pd.DataFrame) -> list[Claim]:
    """Return the gain of an input more over all nested subsets, by their number; and the step that adds least."""
    values = dict(zip(wide[KEYS].itertuples(index=False, name=None), wide[BEST], strict=True))
    steps = []
    for (patient, seed, sources, target), value in values.items():
        names = sources.split("+")
        for less in combinations(names, len(names) - 1) if len(names) > 1 else ():
            fewer = "+".join(less)
            added = value - values[patient, seed, fewer, target]
            steps.append((patient, seed, len(names), target, sources, fewer, added))
    table = pd.DataFrame(steps, columns=["patient", "seed", "inputs", "target", "sources", "fewer", "gain"])
    found = []
    for inputs, part in table.groupby("inputs"):
        mean = bootstrap(part["gain"], list(part["patient"]), seed=0)
        name = f"best: from {inputs - 1} to {inputs} inputs"
        found.append(Claim(name, mean.value, mean.low, mean.high, "dB", mean.n, 0.0, "higher"))
        found += certain(name, mean.low, part["gain"].groupby(part["seed"]).mean(), mean.n)
    means = table.groupby(["target", "sources", "fewer"])["gain"].mean()
    worse = f"best: steps of {len(means)} that make it worse on average"
    return [*found, Claim(worse, int((means < 0).sum()), np.nan, np.nan, "", 1, None, "lower")]


if __name__ == "__main__":
    main()
