"""ULTRA on simulated spectral CT whose truth is known, against what is simpler.

The bars are those of the issue: over a FBPConvNet for each bin with as many parameters in all, +0.3 dB in the mean and
+0.8 dB in the bin of the fewest counts, and material maps with at most 0.9 times the error; over vectorial total
variation +1 dB, and 20 times faster. Every network has the same studies, steps, batches and optimiser; the controls
learn by squared error, which PSNR measures; the weights of total variation are chosen on the validation part. Bodies
are textured, drawn on a finer grid than they are reconstructed on; piecewise constant ones are reported beside them.

`--part ablations` trains ULTRA without each of its parts; no bar, the table as it comes out.
"""

from __future__ import annotations

import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import Claim, benchmark_arguments, write_results
from jobs import run_jobs

import scanweave as sw
from scanweave.measures.bootstrap import bootstrap, paired_difference
from scanweave.nets.sizes import parameter_count
from scanweave.physics.ct.geometry import CtGeometry
from scanweave.physics.ct.operators import CtPhysics
from scanweave.physics.variation import TotalVariation
from scanweave.simulate.ct.cohort import simulate_ct
from scanweave.studies.cohort import Cohort
from scanweave.studies.slice_scans import slice_image
from scanweave.studies.splits import make_splits, write_splits
from scanweave.systems.ultra.config import SMALL, NetworkSettings
from scanweave.systems.ultra.evaluation import ALL_BINS, ALL_MATERIALS, K_EDGE, measure
from scanweave.systems.ultra.images import SpectralImages
from scanweave.systems.ultra.reconstruction import Reconstruction, equal_width

TIERS: dict[str, dict[str, Any]] = {
    "smoke": {
        "seeds": (0,),
        "subjects": 8,
        "flat": 2,
        "size": 32,
        "views": 24,
        "width": 6,
        "steps": 4,
        "few": 2,
        "rounds": 10,
    },
    "proof": {
        "seeds": (100, 101, 102),
        "subjects": 150,
        "flat": 10,
        "size": 64,
        "views": 60,
        "width": 16,
        "steps": 3_000,
        "few": 800,
        "rounds": 150,
    },
    "study": {
        "seeds": tuple(range(100, 105)),
        "subjects": 500,
        "flat": 30,
        "size": 128,
        "views": 90,
        "width": 32,
        "steps": 40_000,
        "few": 20_000,
        "rounds": 300,
    },
}
"""`flat`: piecewise constant bodies; `few`: steps of each ablation; `rounds`: iterations of total variation."""
FOLDS = 5
WEIGHTS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""λ of total variation that are tried."""
TUNED_ON = 6
"""Validation slices that λ is chosen on."""
SQUARED = {"objective.p": 2.0, "objective.tv": 0.0}
ABLATIONS: dict[str, dict[str, Any]] = {
    "p = 2": {"objective.p": 2.0},
    "p = 1.5": {"objective.p": 1.5},
    "p = 0.8": {"objective.p": 0.8},
    "no TV": {"objective.tv": 0.0},
    "isotropic TV": {"objective.tv_weights": "isotropic"},
    "adaptive TV": {"objective.tv_weights": "adaptive"},
    "bin correlation": {"objective.correlation": 1e-3},
    "no dense encoder": {"network.dense": False},
    "no multi-branch filters": {"network.multibranch": False},
    "no residual": {"network.residual": False},
    "plain U-Net, equal parameters": {"network.architecture": "fbpconvnet"},
    "U-Net for each bin, equal parameters": {"network.architecture": "fbpconvnet-per-bin"},
}
EQUAL = ("fbpconvnet", "fbpconvnet-per-bin")
Table = pd.DataFrame


def main() -> None:
    part = {"choices": ("controls", "ablations"), "default": "controls", "help": "what ULTRA is compared with"}
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS), part=part)
    tier, ablations = TIERS[arguments.tier], arguments.part == "ablations"
    seeds, tables = tier["seeds"], []
    for seed, table in zip(
        seeds, run_jobs(one_seed, [(seed,) for seed in seeds], arguments, tier, ablations), strict=True
    ):
        tables.append(table)
        shown = table[(table["image"] == ALL_BINS) & (table["set"] == "textured")]
        print(seed, shown.groupby("method")["psnr"].mean().round(2).to_dict(), flush=True)
    table = pd.concat(tables, ignore_index=True)
    claims = ablation_claims(table) if ablations else control_claims(table)
    write_results("ultra", arguments, seeds, claims, "--part ablations" if ablations else "")


def one_seed(seed: int, tier: dict[str, Any], ablations: bool) -> Table:
    """Simulate, fit and compare on the test patients of one seed: a row a patient, method and image."""
    with tempfile.TemporaryDirectory() as folder:
        return compared(Path(folder), seed, tier, ablations)


def compared(folder: Path, seed: int, tier: dict[str, Any], ablations: bool) -> Table:
    scan = {"size": tier["size"], "views": tier["views"]}
    cohort = simulate_ct(folder / "cohort", subjects=tier["subjects"], seed=seed, **scan)
    write_splits(cohort.folder, make_splits(cohort.patients, FOLDS, seed=seed))
    chosen, steps = arms(ablations, tier), tier["few" if ablations else "steps"]
    fitted = {
        name: fit(cohort, folder / name.replace(" ", "-"), seed, tier | {"steps": steps}, own)
        for name, own in chosen.items()
    }
    ultra, tests = fitted["ULTRA"], cohort.part("test")
    tables = [measured(tests, fitted, ultra, {}, "textured")]
    if not ablations:
        solvers = tuned(cohort, ultra, tier["rounds"])
        tables.append(measured(tests, {}, ultra, solvers, "textured"))
        flat = {"texture": 0.0, "uptake": 0.0}
        even = simulate_ct(folder / "flat", subjects=tier["flat"], seed=seed + 1, body=flat, **scan)
        tables.append(measured(even, {"ULTRA": ultra}, ultra, solvers, "piecewise constant"))
    table = pd.concat(tables, ignore_index=True)
    fewest = lowest_counts(tests, ultra.plan.bins)
    return table.assign(patient=f"{seed}-" + table["patient"], fewest=fewest)


def arms(ablations: bool, tier: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each network's settings, besides those that all share."""
    if ablations:
        return {"ULTRA": {}, **ABLATIONS}
    small = max(tier["width"] * 3 // 4, 4)
    return {
        "ULTRA": {},
        "FBPConvNet for each bin": {"network.architecture": "fbpconvnet-per-bin", **SQUARED},
        "FBPConvNet": {"network.architecture": "fbpconvnet", **SQUARED},
        "RED-CNN": {"network.architecture": "red-cnn", **SQUARED, "network.width": tier["width"]},
        "learned primal–dual": {
            "network.architecture": "lpd",
            "network.iterations": 3,
            "network.width": small,
            **SQUARED,
        },
    }


def fit(cohort: Cohort, run: Path, seed: int, tier: dict[str, Any], own: dict[str, Any]) -> Any:
    """Fit one network, as wide as gives ULTRA's number of parameters where that is asked for."""
    kind = own.get("network.architecture", "ultra")
    crop = min(48, tier["size"])
    shared = {
        "network.width": tier["width"],
        **({} if kind == "lpd" else {"sampling.crop": [crop, crop]}),
        "training.steps": tier["steps"],
        "training.seed": seed,
        "training.warm_up": min(50, tier["steps"] // 4),
        "training.validate_every": max(1, tier["steps"] // 4),
    }
    if kind in EQUAL:
        reference = NetworkSettings(width=tier["width"], levels=SMALL.network.levels)
        bins = len(cohort.names("scan")) - 2
        goal = parameter_count(Reconstruction(reference, [0.0] * bins, [1.0] * bins).body)
        shared["network.width"] = equal_width(reference.model_copy(update={"architecture": kind}), bins, goal)
    return sw.fit("ultra", cohort, run, preset="small", config=shared | own, say=lambda line: None)


def measured(studies: Cohort, fitted: dict[str, Any], ultra: Any, solvers: dict[str, Any], kind: str) -> Table:
    """Rows of every network, of total variation where `solvers` are given, and of the plain backprojection."""
    rows: list[dict[str, Any]] = []
    for study in studies:
        images, insert = ultra.images(study), slice_image(study.scans[K_EDGE])
        methods = {name: one.clean for name, one in fitted.items()}
        methods |= solvers or {"FBP": lambda images: np.asarray(images.fbp)}
        for name, make in methods.items():
            start = time.perf_counter()
            bins = make(images)
            who = {"patient": study.patient, "set": kind, "method": name, "seconds": time.perf_counter() - start}
            rows += [{**who, **row} for row in measure(ultra.plan, bins, images, insert)]
    return pd.DataFrame(rows)


def tuned(cohort: Cohort, ultra: Any, rounds: int) -> dict[str, Any]:
    """Total variation of each bin alone, λ chosen for each, and of all together, λ chosen for their mean."""
    validation = cohort.part("validation")
    slices = [ultra.images(validation[name]) for name in validation.studies[:TUNED_ON]]
    span = np.array(ultra.plan.span)[:, None, None]

    def errors(weight: float, coupled: bool) -> np.ndarray:
        made = [variation(one, span, [weight], coupled, rounds) - np.asarray(one.truth) for one in slices]
        return np.mean(np.square(np.stack(made) / span), axis=(0, 2, 3))

    alone = np.stack([errors(weight, False) for weight in WEIGHTS]).argmin(axis=0)
    together = int(np.stack([errors(weight, True) for weight in WEIGHTS]).mean(axis=1).argmin())
    each = [WEIGHTS[number] for number in alone]
    return {
        "TV": lambda images: variation(images, span, each, False, rounds),
        "vectorial TV": lambda images: variation(images, span, [WEIGHTS[together]], True, rounds),
    }


def variation(images: SpectralImages, span: np.ndarray, weights: list[float], coupled: bool, rounds: int) -> np.ndarray:
    """Reconstruct by total variation in shares of each bin's range; one weight for all bins, or one for each."""
    physics = physics_of(images.geometry)
    lines = torch.from_numpy((np.asarray(images.lines) / span).astype(np.float32))
    if coupled:
        return TotalVariation(physics, weights[0], rounds, coupled=True)(lines[None])[0].numpy() * span
    if len(weights) == 1:
        return TotalVariation(physics, weights[0], rounds)(lines[:, None])[:, 0].numpy() * span
    made = [TotalVariation(physics, w, rounds)(line[None, None])[0, 0] for w, line in zip(weights, lines, strict=True)]
    return torch.stack(made).numpy() * span


@lru_cache(maxsize=2)
def physics_of(geometry: CtGeometry) -> CtPhysics:
    """The scanner of a slice."""
    return CtPhysics(geometry)


def lowest_counts(studies: Cohort, bins: tuple[str, ...]) -> str:
    """The bin with the fewest counts behind the bodies."""
    means = np.mean([study.sinogram("ct").values.mean(axis=(1, 2)) for study in studies], axis=0)
    return bins[int(means.argmin())]


def control_claims(table: Table) -> list[Claim]:
    """The bars of the issue, and below them every control as it came out."""
    textured = table[table["set"] == "textured"]
    each, vectorial = "FBPConvNet for each bin", "vectorial TV"
    least = textured[textured["image"] == textured["fewest"]].assign(image=ALL_BINS)
    claims = [
        *gain("ULTRA over a FBPConvNet for each bin, mean over bins", textured, each, 0.3),
        *gain("ULTRA over a FBPConvNet for each bin, bin of the fewest counts", least, each, 0.8),
        error_ratio(textured, each),
        *gain("ULTRA over vectorial TV, mean over bins", textured, vectorial, 1.0),
        speed(textured, vectorial),
    ]
    others = [name for name in textured["method"].unique() if name not in ("ULTRA", each, vectorial)]
    for name in others:
        claims += gain(f"ULTRA over {name}, mean over bins", textured, name, None)
    even = table[table["set"] == "piecewise constant"]
    return claims + gain("ULTRA over vectorial TV on piecewise constant bodies", even, vectorial, None)


def ablation_claims(table: Table) -> list[Claim]:
    """Measure the worth of each part of ULTRA: PSNR, material error and edges without it."""
    claims = []
    for name in ABLATIONS:
        claims += gain(f"ULTRA over '{name}', mean over bins", table, name, None)
        claims.append(error_ratio(table, name, None))
        ours, theirs, patients = paired(table, ALL_BINS, "mtf50", name)
        found = paired_difference(ours, theirs, patients, seed=0)
        shown = {"ULTRA": float(np.mean(ours)), name: float(np.mean(theirs))}
        words = f"edge MTF50 of ULTRA over that of '{name}'"
        claims.append(Claim(words, found.value, found.low, found.high, "1/mm", found.n, None, "higher", shown))
    return claims


def gain(name: str, table: Table, control: str, bar: float | None) -> list[Claim]:
    """The mean difference of PSNR over patients and, under a bar, the lower end of its interval against 0."""
    ours, theirs, patients = paired(table, ALL_BINS, "psnr", control)
    found = paired_difference(ours, theirs, patients, seed=0)
    shown = {"ULTRA [dB]": float(np.mean(ours)), f"{control} [dB]": float(np.mean(theirs))}
    claim = Claim(name, found.value, found.low, found.high, "dB", found.n, bar, "higher", shown)
    if bar is None:
        return [claim]
    end = Claim(f"{name}: lower end of the interval", found.low, np.nan, np.nan, "dB", found.n, 0.0, "higher")
    return [claim, end]


def error_ratio(table: Table, control: str, bar: float | None = 0.9) -> Claim:
    """The error of ULTRA's material maps over the control's, mean over patients."""
    ours, theirs, patients = paired(table, ALL_MATERIALS, "rmse", control)
    found = bootstrap(ours / theirs, patients, seed=0)
    name = f"material RMSE of ULTRA over that of {control}"
    shown = {"ULTRA": float(np.mean(ours)), control: float(np.mean(theirs))}
    return Claim(name, found.value, found.low, found.high, "", found.n, bar, "lower", shown)


def speed(table: Table, control: str) -> Claim:
    """Measure how many times longer the control takes for a slice, on one thread, after the backprojection."""
    ours, theirs, patients = paired(table, ALL_BINS, "seconds", control)
    shown = {"ULTRA [s]": float(np.median(ours)), f"{control} [s]": float(np.median(theirs))}
    ratio = float(np.median(theirs) / np.median(ours))
    name = f"time of {control} over that of ULTRA"
    return Claim(name, ratio, np.nan, np.nan, "×", len(patients), 20.0, "higher", shown)


def paired(table: Table, image: str, measure_: str, control: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rows = table[(table["image"] == image) & table["method"].isin(["ULTRA", control])]
    wide = rows.pivot_table(index="patient", columns="method", values=measure_)
    return wide["ULTRA"].to_numpy(), wide[control].to_numpy(), list(wide.index)


if __name__ == "__main__":
    main()
