"""Seconds of `evaluate` on a clinical-sized study before and now, and the report of many test studies.

    python benchmarks/evaluate_speed.py --before PATH --tier proof --json benchmarks/results/evaluate_speed.json

PATH is a checkout of an older commit of scanweave. Both versions evaluate the same run of Seq2Seq, preset `small`,
which the older one fitted for a single step: what a network has learnt costs no time. The study is a real one of
240 × 240 × 155 voxels with four sequences (`mri_multiseq`; the other patient there trains). Whole processes, one after
the other in turn, each on all cores. Both must measure the same PSNR. Then a simulated cohort is evaluated and reported
on: 300 test patients in the proof tier, size and seconds of the report. Bars: twice as fast; 15 MB; 60 s.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import ROOT, Claim, benchmark_arguments, write_results

TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"real": False, "repeats": 1, "patients": 6, "bars": False},
    "proof": {"real": True, "repeats": 3, "patients": 300, "bars": True},
    "study": {"real": True, "repeats": 10, "patients": 300, "bars": True},
}
SPEED_BAR, SIZE_BAR, SECONDS_BAR, PSNR_BAR = 2.0, 15.0, 60.0, 1e-3
"""Times as fast; size [MB] and seconds of the report; largest difference of PSNR [dB]."""
STUDIES = ("BraTS-GLI-00001-000", "TCGA-FG-6692")
COARSE = "6"
"""Voxel size [mm] of simulated brains, whose number is what counts."""
TRAINED = 6
"""Simulated patients that train and validate."""


def main() -> None:
    own = {"before": {"type": Path, "default": ROOT, "help": "checkout of an older commit"}}
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS), **own)
    tier = TIERS[arguments.tier]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        claims = [*speed(folder, tier, arguments.before.resolve()), *report(folder, tier)]
    write_results("evaluate_speed", arguments, (0,), claims, "--before PATH")


def speed(folder: Path, tier: dict[str, Any], before: Path) -> list[Claim]:
    """Evaluate one study by both versions in turn."""
    cohort, run = folder / "cohort", folder / "run"
    if tier["real"]:
        data = Path(os.environ.get("SCANWEAVE_DATA", ROOT.parent / "shared" / "data")) / "mri_multiseq"
        (folder / "source").mkdir()
        for study in STUDIES:
            (folder / "source" / study).symlink_to(data / study)
        whole(before, "cohort", "import", folder / "source", "--out", cohort)
    else:
        whole(before, "simulate", "brain", "--subjects", "2", "--spacing", COARSE, "--out", cohort)
    whole(before, "cohort", "split", cohort, "--folds", "2", "--no-validation")
    fit(before, cohort, run)
    # Each has its own copy: an older version does not read the verdicts of a newer one.
    cohorts = {"before": cohort, "now": shutil.copytree(cohort, folder / "cohort-now", symlinks=True)}
    versions = {"before": before, "now": ROOT}
    seconds: dict[str, list[float]] = {name: [] for name in versions}
    for number in range(tier["repeats"]):
        for name, version in versions.items():
            out = folder / f"{name}-{number}"
            seconds[name].append(whole(version, "evaluate", run, "--cohort", cohorts[name], "--out", out))
    old, new = (np.array(found) for found in seconds.values())
    ratios = old / new
    tables = [pd.read_csv(folder / f"{name}-0" / "pairs.csv") for name in versions]
    keys = ["study", "source", "target", "kind", "region"]
    one, other = (table.set_index(keys)["psnr"].sort_index() for table in tables)
    bars = tier["bars"]
    low, high = (float(ratios.min()), float(ratios.max())) if len(ratios) > 1 else (np.nan, np.nan)
    beside = {"before [s]": float(np.median(old)), "now [s]": float(np.median(new))}
    return [
        Claim(
            "evaluate of a study of four sequences: times as fast as before (median, range)",
            float(np.median(ratios)),
            low,
            high,
            "×",
            len(ratios),
            SPEED_BAR if bars else None,
            "higher",
            beside,
        ),
        Claim(
            "largest difference of PSNR between both versions",
            float((one - other).abs().max()),
            np.nan,
            np.nan,
            "dB",
            len(one),
            PSNR_BAR if bars else None,
            "lower",
        ),
    ]


def report(folder: Path, tier: dict[str, Any]) -> list[Claim]:
    """Evaluate many simulated patients, and write their report."""
    cohort, run, patients = folder / "many", folder / "run-of-many", tier["patients"]
    whole(ROOT, "simulate", "brain", "--subjects", str(patients + TRAINED), "--spacing", COARSE, "--out", cohort)
    tests = pd.read_parquet(cohort / "manifest.parquet")["patient"][TRAINED:]
    whole(ROOT, "cohort", "split", cohort, "--folds", "2", "--no-validation", "--test", *tests)
    fit(ROOT, cohort, run)
    evaluated = whole(ROOT, "evaluate", run, "--cohort", cohort)
    seconds = whole(ROOT, "report", run)
    size = (run / "report.html").stat().st_size / 1e6
    tested = pd.read_csv(run / "evaluation" / "pairs.csv", usecols=["study"])["study"].nunique()
    bars = tier["bars"]
    named = f"report of {tested} test studies"
    return [
        Claim(f"{named}: size", size, np.nan, np.nan, "MB", tested, SIZE_BAR if bars else None, "lower"),
        Claim(
            f"{named}: seconds",
            seconds,
            np.nan,
            np.nan,
            "s",
            tested,
            SECONDS_BAR if bars else None,
            "lower",
            {"their evaluation [s]": evaluated},
        ),
    ]


def fit(version: Path, cohort: Path, run: Path) -> None:
    words = ["--preset", "small", "--training.steps", "1", "--training.device", "cpu"]
    whole(version, "fit", "seq2seq", "--cohort", cohort, "--run", run, *words)


def whole(version: Path, *words: str | Path) -> float:
    """Run a verb of a version to its end and return the seconds that it took."""
    environment = os.environ | {"PYTHONPATH": str(version / "src")}
    command: Sequence[str] = [sys.executable, "-m", "scanweave", *map(str, words)]
    started = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return time.monotonic() - started


if __name__ == "__main__":
    main()
