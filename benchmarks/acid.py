"""ACID on textured bodies: clean accuracy, worst-case stability, small structures, more data, convergence, and MRI.

The bars are those of the issue and its spec (section 6, B7 to B12). Bodies are measured on a finer grid than they are
reconstructed on. Step, threshold and stop of ACID, and the weight of TV, are chosen on validation images; the test
images are looked at once. Every method is attacked by itself; what counts is the strongest perturbation that is known
of it, its own or another method's. "network with jitter" is the same network, trained with noise of random size on its
measurements (the control of Genzel et al.). Attacks are made on part of the test images, for their cost.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from acid_scans import Scan, make_pairs, make_scan, measuring
from common import Claim, benchmark_arguments, write_results
from jobs import run_jobs

from scanweave.audit.settings import AuditSettings
from scanweave.audit.stability import audit_stability, write_audit
from scanweave.measures.batches import norms
from scanweave.measures.bootstrap import bootstrap, paired_difference
from scanweave.measures.stability.audit_setup import Setup
from scanweave.measures.stability.curve import NOISE, strongest
from scanweave.measures.stability.more_views import largest_drop
from scanweave.systems.acid.config import SMALL
from scanweave.systems.acid.error_norm import bren_ratio
from scanweave.systems.acid.evaluation import compare
from scanweave.systems.acid.loop import Record
from scanweave.systems.acid.measurement_pairs import Pairs
from scanweave.systems.acid.system import AcidSystem
from scanweave.systems.acid.tuning import run_batched

CT = "parallel, few views"
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {
        "seeds": (0,),
        "scans": (CT, "MRI 4"),
        "size": 32,
        "views": 8,
        "training": 6,
        "validation": 3,
        "test": 2,
        "attacked": 2,
        "steps": 4,
        "width": 4,
        "levels": 2,
        "rounds": 2,
        "radii": (0.02,),
        "iterations": 1,
        "warm_up": 1,
        "restarts": 1,
        "contrasts": (0.2,),
        "factors": (0.5, 1.0),
        "tuning": {"steps": (0.3,), "thresholds": (0.01,), "tv_weights": (0.003,)},
    },
    "proof": {
        "seeds": (200, 201, 202),
        "scans": (CT, "MRI 4"),
        "size": 64,
        "views": 30,
        "training": 500,
        "validation": 16,
        "test": 50,
        "attacked": 17,
        "steps": 1_200,
        "width": 16,
        "levels": 3,
        "rounds": 12,
        "radii": (0.02,),
        "iterations": 12,
        "warm_up": 4,
        "restarts": 2,
        "contrasts": (0.05, 0.1, 0.2),
        "factors": (0.5, 1.0, 2.0, 4.0),
    },
    "study": {
        "seeds": (200, 201, 202, 203, 204),
        "scans": (CT, "fan, few views", "parallel, low dose", "MRI 4", "MRI 8"),
        "size": 128,
        "views": 50,
        "training": 3_000,
        "validation": 32,
        "test": 60,
        "attacked": 30,
        "steps": 20_000,
        "width": 32,
        "levels": 4,
        "rounds": 30,
        "radii": (0.005, 0.01, 0.02, 0.05),
        "iterations": 60,
        "warm_up": 5,
        "restarts": 5,
        "contrasts": (0.02, 0.05, 0.1, 0.2),
        "factors": (0.5, 1.0, 2.0, 4.0),
    },
}
GATE = 0.02
"""Size of the perturbations that the bars speak of."""
JITTER = 0.05


def main() -> None:
    pages = {"type": Path, "default": None, "help": "folder for the audit pages of every scan and seed"}
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS), pages=pages)
    tier = TIERS[arguments.tier]
    jobs = [(scan, seed) for scan in tier["scans"] for seed in tier["seeds"]]
    found: dict[str, list[dict[str, Any]]] = {scan: [] for scan in tier["scans"]}
    results = run_jobs(one_seed, jobs, arguments, tier, arguments.pages)
    for (scan, seed), result in zip(jobs, results, strict=True):
        found[scan].append(result)
        means = result["clean"].groupby("method")["psnr"].mean().round(2).to_dict()
        print(scan, seed, means, result["choices"], flush=True)
    claims = [claim for scan, results in found.items() for claim in claims_of(scan, results)]
    write_results("acid", arguments, tier["seeds"], claims)


def one_seed(name: str, seed: int, tier: dict[str, Any], pages: Path | None) -> dict[str, Any]:
    """Simulate, fit with and without jitter, and try everything on the test images of one seed."""
    scan = make_scan(name, tier["size"], tier["views"])
    parts = {
        part: make_pairs(scan, tier[part], tier["size"], seed, room)
        for room, part in enumerate(("training", "validation", "test"))
    }
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(scan, parts, Path(folder) / "run", seed, tier, 0.0)
        jittered = fit(scan, parts, Path(folder) / "jitter", seed, tier, JITTER)
        test, physics = parts["test"], scan.physics
        methods = {**fitted.methods(physics), "network with jitter": jittered.phi(physics)}
        clean, _ = compare(methods, test, physics.A, fitted.choices.data_range)
        setup = setup_of(scan, fitted, jittered, test)
        settings = AuditSettings(
            images=tier["attacked"],
            domains=("image",),
            batch=tier["attacked"],
            seed=seed,
            **{key: tier[key] for key in ("radii", "iterations", "warm_up", "restarts", "contrasts", "factors")},
        )
        audit = audit_stability(setup, settings, lambda line: None)
        if pages is not None:
            write_audit(
                pages / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}", audit, setup, settings, {"Scan": name}
            )
        noise = norms(test.measurement - physics.A(test.truth)) / norms(test.measurement)
        return {
            "clean": clean,
            "curve": audit.curves["image"],
            "checks": audit.checks["image"],
            "structures": audit.structures,
            "views": audit.views,
            "convergence": convergence(fitted, physics, test),
            "choices": {
                key: getattr(fitted.choices, key)
                for key in ("step", "threshold", "discrepancy", "feedback", "tv_weight")
            },
            "bren": fitted.choices.bren,
            "noise": float(noise.mean()),
        }


def fit(scan: Scan, parts: dict[str, Pairs], run: Path, seed: int, tier: dict[str, Any], jitter: float) -> AcidSystem:
    """Fit one network and choose its loop."""
    steps = tier["steps"]
    training = SMALL.training.model_copy(
        update={
            "steps": steps,
            "seed": seed,
            "warm_up": min(50, steps // 4),
            "validate_every": max(1, steps // 4),
            "checkpoint_every": steps,
            "device": "cpu",
        }
    )
    config = SMALL.model_copy(
        update={
            "training": training,
            "network": SMALL.network.model_copy(update={"width": tier["width"], "levels": tier["levels"]}),
            "loop": SMALL.loop.model_copy(update={"iterations": tier["rounds"]}),
            "sampling": SMALL.sampling.model_copy(update={"jitter": jitter}),
            "tuning": SMALL.tuning.model_copy(update=tier.get("tuning", {})),
        }
    )
    return AcidSystem.fit_pairs(
        scan.physics, parts["training"], parts["validation"], run, config, say=lambda line: None
    )


def setup_of(scan: Scan, fitted: AcidSystem, jittered: AcidSystem, test: Pairs) -> Setup:
    """Return what the audit tries: images, their measurements, and the methods with their controls."""

    def more(factor: float) -> Any:
        other = scan.with_data(factor)
        return fitted.methods(other.physics), measuring(other)

    physics = scan.physics
    return Setup(
        truth=test.truth,
        measurement=test.measurement,
        forward=physics.A,
        measure=measuring(scan),
        methods={**fitted.methods(physics), "network with jitter": jittered.phi(physics)},
        patients=test.patients,
        data_range=fitted.choices.data_range,
        more=more,
    )


def convergence(fitted: AcidSystem, physics: Any, test: Pairs) -> pd.DataFrame:
    """Residual, successive change and the BREN ratio of the loop's own errors by round, without a stop."""
    acid, record = fitted.acid(physics), Record()
    acid.noise = None
    run_batched(acid, test.measurement, record, batch=len(test), keep=True)
    rows = []
    for number, image in enumerate(record.images):
        change = float(record.change[number - 1].mean()) if number else np.nan
        ratio = float(bren_ratio(acid.phi, physics, image - test.truth).mean())
        rows.append((number, float(record.residual[number].mean()), change, ratio))
    return pd.DataFrame(rows, columns=["round", "residual", "change", "bren"])


def claims_of(scan: str, results: Sequence[dict[str, Any]]) -> list[Claim]:
    """All claims of one scan; the tables of its seeds are joined."""
    claims = [*clean_claims(scan, results), *attack_claims(scan, results), *structure_claims(scan, results)]
    return [*claims, *view_claims(scan, results), *convergence_claims(scan, results)]


def clean_claims(scan: str, results: Sequence[dict[str, Any]]) -> list[Claim]:
    """PSNR against the network and TV, and how near the residual comes to the noise."""
    table = pd.concat([result["clean"] for result in results])
    wide = table.pivot(index="patient", columns="method", values="psnr")
    shown = {f"{name} [dB]": float(wide[name].mean()) for name in wide}
    claims = []
    for other, bar in (("network", 0.5), ("TV", -1.0)):
        found = paired_difference(wide["ACID"], wide[other], list(wide.index), seed=0)
        name = f"{scan}: PSNR of ACID over {'its own network' if other == 'network' else 'tuned TV'}"
        claims.append(Claim(name, found.value, found.low, found.high, "dB", found.n, bar, "higher", shown))
    acid = table[table["method"] == "ACID"]
    noise = float(np.mean([result["noise"] for result in results]))
    off = abs(float(acid["residual"].mean()) / noise - 1)
    name = f"{scan}: distance of ACID's data residual from the noise level"
    control = {
        "noise level": noise,
        "network's residual": float(table[table["method"] == "network"]["residual"].mean()),
    }
    return [*claims, Claim(name, off, np.nan, np.nan, "", len(acid), 0.2, "lower", control)]


def attack_claims(scan: str, results: Sequence[dict[str, Any]]) -> list[Claim]:
    """Amplification and PSNR under the strongest known perturbation of the gate's size, and the attacks' checks."""
    curve = pd.concat([result["curve"] for result in results])
    worst = pd.concat([strongest(result["curve"]) for result in results])
    worst, noise = worst[worst["share"] == GATE], curve[(curve["share"] == GATE) & (curve["kind"] == NOISE)]
    gain = worst.pivot(index="patient", columns="method", values="amplification")
    quality = worst.pivot(index="patient", columns="method", values="psnr")
    ratio = bootstrap(gain["ACID"] / gain["network"], list(gain.index), seed=0)
    random = noise.groupby("method")["amplification"].mean()
    shown = {f"{name}": float(gain[name].mean()) for name in gain}
    shown |= {f"{name}, noise": float(random[name]) for name in ("network", "ACID")}
    attacked = paired_difference(quality["ACID"], quality["network"], list(quality.index), seed=0)
    decibels = {f"{name} [dB]": float(quality[name].mean()) for name in quality}
    checks = [check for result in results for check in result["checks"]]
    failed = {f"{c.method}, {c.check}": c.value for c in checks if not c.passed}
    return [
        Claim(
            f"{scan}: worst-case amplification at 2 % of ACID over its network's, mean of the images' ratios",
            ratio.value,
            ratio.low,
            ratio.high,
            "",
            ratio.n,
            0.85,
            "lower",
            shown,
        ),
        Claim(
            f"{scan}: attacked PSNR at 2 % of ACID over its network",
            attacked.value,
            attacked.low,
            attacked.high,
            "dB",
            attacked.n,
            0.5,
            "higher",
            decibels,
        ),
        Claim(
            f"{scan}: share of the attacks' own checks that hold",
            float(np.mean([check.passed for check in checks])),
            np.nan,
            np.nan,
            "",
            len(checks),
            1.0,
            "higher",
            failed,
        ),
    ]


def structure_claims(scan: str, results: Sequence[dict[str, Any]]) -> list[Claim]:
    """AUC of the matched filter over inserts and contrasts, a seed a row."""
    tables = [result["structures"].groupby("method")["auc"].mean() for result in results]
    wide, seeds = pd.DataFrame(tables).reset_index(drop=True), list(range(len(results)))
    shown = {str(name): float(wide[name].mean()) for name in wide}
    claims = []
    for other, bar in (("network", 0.0), ("TV", -0.02)):
        found = paired_difference(wide["ACID"], wide[other], seeds, seed=0)
        name = f"{scan}: AUC of small structures, ACID over {other}"
        claims.append(Claim(name, found.value, found.low, found.high, "", found.n, bar, "higher", shown))
    return claims


def view_claims(scan: str, results: Sequence[dict[str, Any]]) -> list[Claim]:
    """Largest fall of PSNR where there are more data."""
    table = pd.concat([result["views"] for result in results])
    drops = {name: largest_drop(table, name) for name in table["method"].unique()}
    means = table[table["method"] == "ACID"].groupby("factor")["psnr"].mean()
    shown = {name: drop for name, drop in drops.items() if name != "ACID"}
    shown |= {f"ACID at {factor:g}× [dB]": float(value) for factor, value in means.items()}
    name = f"{scan}: largest fall of ACID's PSNR from one amount of data to the next"
    return [Claim(name, drops["ACID"], np.nan, np.nan, "dB", table["patient"].nunique(), 0.1, "lower", shown)]


def convergence_claims(scan: str, results: Sequence[dict[str, Any]]) -> list[Claim]:
    """BREN on the network's errors, the ratio of successive changes, and the largest rise of the residual."""
    errors = [result["bren"]["errors"] for result in results]
    tables = [result["convergence"] for result in results]
    changes = [after / before for t in tables for before, after in pairwise(t["change"].dropna()) if before > 0]
    ratio = float(np.exp(np.mean(np.log(changes)))) if changes else np.nan
    # Below the noise a residual may rise: a network that reproduces its data to the last digit fits their noise.
    floored = [t["residual"].clip(lower=result["noise"]) for t, result in zip(tables, results, strict=True)]
    rises = [after / before - 1 for residual in floored for before, after in pairwise(residual)]
    kinds = {f"on {name}": float(np.mean([r["bren"][name]["mean"] for r in results])) for name in results[0]["bren"]}
    last = {"on the last iterate's errors": float(np.mean([t["bren"].iloc[-1] for t in tables]))}
    ends = {
        "first residual": float(np.mean([t["residual"].iloc[0] for t in tables])),
        "last residual": float(np.mean([t["residual"].iloc[-1] for t in tables])),
    }
    return [
        Claim(
            f"{scan}: BREN ratio on the network's own errors",
            float(np.mean([e["mean"] for e in errors])),
            np.nan,
            np.nan,
            "",
            len(errors),
            1.0,
            "lower",
            kinds | last,
        ),
        Claim(f"{scan}: mean ratio of successive changes", ratio, np.nan, np.nan, "", len(tables), 1.0, "lower"),
        Claim(
            f"{scan}: largest rise of the data residual in a round, above the noise",
            max(*rises, 0.0),
            np.nan,
            np.nan,
            "",
            len(tables),
            0.0,
            "lower",
            ends,
        ),
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
