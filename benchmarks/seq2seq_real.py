"""Seq2Seq on four real patients, leave one patient out, against regression and a plain U-Net on the same patients.

Two gliomas and two patients with multiple sclerosis, names unified to t1, t1c, t2, flair (`SCANWEAVE_DATA` names the
folder). Four patients are smoke-level evidence, whatever comes out. Every method makes each target of the patient left
out from the three others. Bars: the mean over cases and targets above every control, PSNR in the brain and SSIM in its
box.
"""

from __future__ import annotations

import os
import tempfile
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import ROOT, Claim, benchmark_arguments, write_results
from jobs import run_jobs
from seq2seq_controls import ConditionedUNet, QuadraticRegression

import scanweave as sw
from scanweave.measures.bootstrap import paired_difference
from scanweave.measures.image import image_quality
from scanweave.studies.cohort import Cohort
from scanweave.studies.layouts import import_cohort
from scanweave.studies.preparing.prepared_cache import PreparedCohort
from scanweave.studies.splits import make_splits, write_splits
from scanweave.systems.seq2seq.native_grid import native_study
from scanweave.systems.seq2seq.samples import CropSamples

COARSE = {"preparation.spacing": (6.0, 6.0, 6.0), "sampling.crop": (32, 32)}
"""Settings that make a fit a matter of seconds."""
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": (0,), "steps": 2, "folds": 1, "targets": 1, "own": COARSE},
    "proof": {"seeds": (0,), "steps": 2_500, "folds": 4, "targets": 4, "own": {}},
    "study": {"seeds": (0, 1, 2), "steps": 30_000, "folds": 4, "targets": 4, "own": {}},
}
"""`targets`: sequences of a patient that are made; `own`: settings of a tier, on top of the preset."""
RENAME = {"t1post": "t1c", "fla": "flair", "inpainting_mask": "-"}
MEASURES = {"PSNR in the brain": ("brain", "psnr", "dB"), "SSIM in the brain box": ("box", "ssim", "")}


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    jobs = list(product(tier["seeds"], range(tier["folds"])))
    table = pd.DataFrame(list(chain.from_iterable(run_jobs(one_fold, jobs, arguments, tier))))
    print(
        table.pivot_table(index=["patient", "target"], columns="method", values=["psnr", "ssim"]).round(3).to_string()
    )
    write_results("seq2seq_real", arguments, tier["seeds"], claims(table))


def real_cohort(folder: Path, seed: int) -> Cohort:
    """The four patients as one cohort, split to leave one out."""
    data = Path(os.environ.get("SCANWEAVE_DATA", ROOT.parent / "shared" / "data"))
    cohort = import_cohort([data / "mri_multiseq", data / "mri_ms"], folder, rename=RENAME, leave_out=["*_native"])
    write_splits(folder, make_splits(cohort.patients, len(cohort), seed=seed, validation=False))
    return cohort


def one_fold(seed: int, fold: int, tier: dict[str, Any]) -> list[dict[str, Any]]:
    """Fit everything on three patients; measure on the fourth."""
    with tempfile.TemporaryDirectory() as folder:
        return compared(Path(folder), seed, fold, tier)


def compared(folder: Path, seed: int, fold: int, tier: dict[str, Any]) -> list[dict[str, Any]]:
    """The same in a folder."""
    cohort = real_cohort(folder / "cohort", seed)
    steps = tier["steps"]
    config = tier["own"] | {"training.steps": steps, "training.seed": seed, "training.warm_up": min(50, steps // 4)}
    fitted: Any = sw.fit("seq2seq", cohort, folder / "run", config=config, fold=fold, say=lambda _: None)
    training = PreparedCohort(cohort.part("train", fold), fitted.plan).prepare()
    settings, names = fitted.config, fitted.sequences
    samples = CropSamples(training, names, network=settings.network, settings=settings.sampling, seed=seed)
    unet = ConditionedUNet(samples, names, settings.training, settings.objective.beta)
    rows = []
    for study in cohort.part("test", fold):
        prepared = fitted.prepare(study)
        native = native_study(study, prepared, fitted.plan)
        made = fitted.synthesizer.combine(prepared.volumes, names)
        for target in names[: tier["targets"]]:
            others = [name for name in names if name != target]
            methods = {"Seq2Seq": made[target], "U-Net": unet(prepared.volumes, target)}
            methods["quadratic, all"] = QuadraticRegression(training, others, target, seed)(prepared.volumes)
            best = best_source(training, others, target, seed)
            methods["quadratic, best source"] = QuadraticRegression(training, [best], target, seed)(prepared.volumes)
            for method, volume in methods.items():
                restored = fitted.native(volume, prepared, target).data
                quality = image_quality(restored, native.real[target], native.regions, native.span(target))
                row = {"patient": study.patient, "seed": seed, "target": target, "method": method}
                rows.append(row | {measure: quality[region][measure] for region, measure, _ in MEASURES.values()})
    return rows


def best_source(training: Any, others: list[str], target: str, seed: int) -> str:
    """The single source whose regression fits the training patients best."""

    def error(source: str) -> float:
        model = QuadraticRegression(training, [source], target, seed)
        errors = []
        for study in training:
            volumes = {name: study.slices(name, 0, study.frame.shape[2]) for name in (source, target)}
            errors.append(np.mean((model(volumes) - volumes[target]) ** 2))
        return float(np.mean(errors))

    return min(others, key=error)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Seq2Seq against each control, paired over patients and targets."""
    found = []
    for words, (_, measure, unit) in MEASURES.items():
        wide = table.pivot_table(index=["patient", "seed", "target"], columns="method", values=measure).reset_index()
        for control in (name for name in wide.columns if name not in ("patient", "seed", "target", "Seq2Seq")):
            gain = paired_difference(wide["Seq2Seq"], wide[control], list(wide["patient"]), seed=0)
            shown = {f"Seq2Seq {words}": float(wide["Seq2Seq"].mean()), control: float(wide[control].mean())}
            claim = Claim(
                f"{words}: over {control}", gain.value, gain.low, gain.high, unit, gain.n, 0.0, "higher", shown
            )
            found.append(claim)
    return found


if __name__ == "__main__":
    main()
