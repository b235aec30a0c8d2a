"""Seq2Seq on simulated brains whose truth is known: planted ranking, map of the unique lesion part, synthesis.

The bars are those of the issue: the planted extremes of C_d in all but at most one seed, AUROC of the map of t1c for
the enhancing rim at least 0.90, and pairwise synthesis at least 1 dB over voxelwise quadratic regression of the same
pair (PSNR in the brain) and over the mean of the sources (from all of them).
"""

from __future__ import annotations

import tempfile
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import Claim, benchmark_arguments, write_results
from jobs import run_jobs
from seq2seq_controls import QuadraticRegression, mean_of_sources

import scanweave as sw
from scanweave.measures.bootstrap import bootstrap, paired_difference
from scanweave.measures.image import psnr
from scanweave.simulate import simulate_brain
from scanweave.studies.cohort import Cohort
from scanweave.studies.preparing.prepared_cache import PreparedCohort
from scanweave.studies.splits import make_splits, write_splits
from scanweave.systems.seq2seq.native_grid import native_study

TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": (0,), "subjects": 6, "steps": 4, "spacing": 6.0},
    "proof": {"seeds": tuple(range(100, 106)), "subjects": 40, "steps": 10_000, "spacing": 3.0},
    "study": {"seeds": tuple(range(100, 110)), "subjects": 120, "steps": 30_000, "spacing": 2.0},
}
MISSING = 0.15
FOLDS = 5


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    seeds, pairs, wholes, areas = tier["seeds"], [], [], []
    orders: list[bool] = []
    for seed, found in zip(seeds, run_jobs(one_seed, [(seed,) for seed in seeds], arguments, tier), strict=True):
        pairs.append(found["pairs"])
        wholes.append(found["wholes"])
        areas.append(found["areas"])
        orders.append(all(found["order"]))
        print(seed, found["order"], found["pairs"][["made", "control"]].mean().round(2).to_dict(), flush=True)
    claims = [
        Claim(
            "seeds with the planted unique sequence highest and the redundant one lowest in C_d",
            sum(orders),
            np.nan,
            np.nan,
            f"of {len(seeds)}",
            len(seeds),
            max(1, len(seeds) - 1),
            "higher",
        ),
        area_claim(pd.concat(areas)),
        *gain("pair synthesis over quadratic regression", pd.concat(pairs), 1.0, "quadratic regression"),
        *gain("synthesis from all over the mean of the sources", pd.concat(wholes), 0.0, "mean of the sources"),
    ]
    write_results("seq2seq_truth", arguments, seeds, claims)


def one_seed(seed: int, tier: dict[str, Any]) -> dict[str, Any]:
    """Simulate, fit, and compare on the test patients of one seed."""
    with tempfile.TemporaryDirectory() as folder:
        return compared(Path(folder), seed, tier)


def compared(folder: Path, seed: int, tier: dict[str, Any]) -> dict[str, Any]:
    """The same in a folder."""
    cohort = simulate_brain(
        folder / "cohort",
        subjects=tier["subjects"],
        seed=seed,
        spacing=tier["spacing"],
        protocol="random",
        missing=MISSING,
    )
    write_splits(cohort.folder, make_splits(cohort.patients, FOLDS, seed=seed))
    config = {
        "training.steps": tier["steps"],
        "training.seed": seed,
        "training.warm_up": min(50, tier["steps"] // 4),
        "training.validate_every": max(1, tier["steps"] // 4),
    }
    fitted: Any = sw.fit("seq2seq", cohort, folder / "run", preset="small", config=config, say=lambda line: None)
    ranking = fitted.rank(cohort, say=lambda line: None)
    hardness = dict(zip(ranking.table["sequence"], ranking.table["C_d"], strict=True))
    order = sorted(hardness, key=lambda name: -hardness[name])
    maps = fitted.explain(cohort, options={"pictures": 0}, say=lambda line: None)
    rim = next(column for column in maps if column.startswith("auroc_2"))
    areas = maps[maps["sequence"] == "t1c"][["patient", rim]].dropna().rename(columns={rim: "area"})
    made = pd.read_csv(folder / "run" / "evaluation" / "pairs.csv")
    made = made[made["region"] == "brain"].set_index(["study", "kind", "source", "target"])["psnr"]
    pairs, wholes = controls(cohort, fitted, made)
    tag = {"patient": lambda table: f"{seed}-" + table["patient"].astype(str)}
    return {
        "order": (order[0] == "t1c", order[-1] == "t2r"),
        "pairs": pairs.assign(**tag),
        "wholes": wholes.assign(**tag),
        "areas": areas.assign(**tag),
    }


def controls(cohort: Cohort, fitted: Any, made: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """PSNR in the brain of Seq2Seq and of its controls, for every pair and for every target from all."""
    training = PreparedCohort(cohort.part("train"), fitted.plan).prepare()
    models = {pair: QuadraticRegression(training, pair[:1], pair[1], 0) for pair in permutations(fitted.sequences, 2)}
    pairs, wholes = [], []
    for study in cohort.part("test"):
        prepared = fitted.prepare(study)
        native = native_study(study, prepared, fitted.plan)

        def quality(volume: Any, target: str, prepared: Any = prepared, native: Any = native) -> float:
            restored = fitted.native(volume, prepared, target).data
            return psnr(restored, native.real[target], native.span(target), native.brain)

        for source, target in permutations(native.real, 2):
            control = quality(models[source, target](prepared.volumes), target)
            pairs.append((study.patient, made[study.id, "pair", source, target], control))
        for target in native.real:
            control = quality(mean_of_sources(prepared.volumes, target), target)
            wholes.append((study.patient, made[study.id, "all", "all", target], control))
    columns = ["patient", "made", "control"]
    return pd.DataFrame(pairs, columns=columns), pd.DataFrame(wholes, columns=columns)


def gain(name: str, table: pd.DataFrame, bar: float, control: str) -> list[Claim]:
    """The mean difference of PSNR over patients, and the lower end of its interval against 0."""
    found = paired_difference(table["made"], table["control"], list(table["patient"]), seed=0)
    shown = {"Seq2Seq [dB]": float(table["made"].mean()), f"{control} [dB]": float(table["control"].mean())}
    return [
        Claim(name, found.value, found.low, found.high, "dB", found.n, bar, "higher", shown),
        Claim(f"{name}: lower end of the interval", found.low, np.nan, np.nan, "dB", found.n, 0.0, "higher"),
    ]


def area_claim(table: pd.DataFrame) -> Claim:
    """The mean AUROC over patients; 0.5 is chance."""
    found = bootstrap(table["area"], list(table["patient"]), seed=0)
    name = "AUROC of the map of t1c for the enhancing rim, in the brain"
    return Claim(name, found.value, found.low, found.high, "", found.n, 0.9, "higher", {"chance": 0.5})


if __name__ == "__main__":
    main()
