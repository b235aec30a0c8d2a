"""Segment beside nnU-Net v2 on real hippocampi, the same minutes for both on the same cores.

Task 4 of the Medical Segmentation Decathlon in part: 208 crops, labels 1 (anterior) and 2 (posterior); folds by case.
The files do not name the patient, so the two sides of one person may part between training and test, for both methods
alike. Each method has 15 minutes a fold for everything before prediction; all cases outside of the test fold train or
choose the weights. nnU-Net is its own code (PyPI) with a shortened schedule; `--nnunet PYTHON` names the Python that
has it, and without it only Segment is measured. Both are measured on the native grid by the same code. Bars: mean Dice
over both parts at least 0.87; not below nnU-Net's; at most half of its peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import psutil
from common import ROOT, Claim, benchmark_arguments, write_results
from jobs import part_name, parts_folder

from scanweave.files import write_json
from scanweave.measures.bootstrap import bootstrap
from scanweave.measures.segmentation import measure_structures, structure_masks
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import make_splits, write_splits

TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"cases": 8, "folds": 4, "used": (0,), "minutes": 0.0, "steps": 3},
    "proof": {"cases": None, "folds": 5, "used": (0, 1), "minutes": 15.0, "steps": None},
    "study": {"cases": None, "folds": 5, "used": (0, 1, 2, 3, 4), "minutes": 15.0, "steps": None},
}
DICE_BAR, DIFFERENCE_BAR, MEMORY_BAR = 0.87, 0.0, 0.5
PARTS = {"anterior": 1, "posterior": 2}
TRIAL_STEPS, ROOM = 12, 0.93
"""Steps that are timed before the fit; share of the time left that is planned."""
NOTE = "The files do not name the patient: the two sides of one person may be in training and test, for both methods."


def main() -> None:
    own = {"nnunet": {"type": Path, "default": None, "help": "Python of an environment with nnunetv2"}}
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS), **own)
    tier = TIERS[arguments.tier]
    arms = ["segment", *(["nnU-Net"] if arguments.nnunet else [])]
    results = [done(arm, fold, tier, arguments) for fold in tier["used"] for arm in arms]
    extra = "--nnunet PYTHON" if arguments.nnunet else ""
    for one in results:
        print(f"{one['arm']}, fold {one['fold']}: {one['told']}")
    write_results("segment", arguments, tier["used"], claims(results, arguments.tier != "smoke"), extra)
    print(NOTE)


def done(arm: str, fold: int, tier: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the result of an arm in a fold: kept beside `--json`, or made now, alone on all cores."""
    if arguments.json is None or arguments.tier == "smoke":
        return measured(arm, fold, tier, arguments.nnunet)
    path = parts_folder(arguments.json) / part_name(measured, (arm, fold), (tier,)).replace(".pickle", ".json")
    if not path.is_file():
        write_json(path, measured(arm, fold, tier, arguments.nnunet))
    return json.loads(path.read_text())


def measured(arm: str, fold: int, tier: dict[str, Any], nnunet: Path | None) -> dict[str, Any]:
    """Fit and predict one fold by one method; return Dice by case and part, seconds, and peak memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort = hippocampi(folder, tier)
        method = segment if arm == "segment" else nnunet_of
        made, told, peak = method(cohort, fold, tier, folder, nnunet)
        rows = [case(cohort, study, path) for study, path in made.items()]
    return {"arm": arm, "fold": fold, "told": told, "peak": peak, "rows": [row for table in rows for row in table]}


def hippocampi(folder: Path, tier: dict[str, Any]) -> Cohort:
    root = Path(os.environ.get("SCANWEAVE_DATA", ROOT.parent / "shared" / "data")) / "mr_hippocampus"
    images = sorted((root / "imagesTr").glob("*.nii.gz"))[: tier["cases"]]
    rows = []
    for image in images:
        study = image.name.removesuffix(".nii.gz")
        paths = {"scan:mr": f"imagesTr/{image.name}", "mask:hippocampus": f"labelsTr/{image.name}"}
        rows.append({"study": study, "patient": study, **paths})
    made = Cohort.create(folder / "cohort", rows, root=root, name="hippocampus", source=str(root), layout="table")
    write_splits(made.folder, make_splits(made.patients, tier["folds"], seed=0))
    return Cohort.open(made.folder)


def segment(
    cohort: Cohort, fold: int, tier: dict[str, Any], folder: Path, _: Path | None
) -> tuple[dict[str, Path], str, float]:
    """Fit with as many steps as the minutes hold, by the time of a few, and predict the test part."""
    started = time.monotonic()
    steps = tier["steps"]
    if steps is None:
        fitted(cohort, fold, folder / "trial", TRIAL_STEPS)  # prepares the cache too
        before = time.monotonic()
        fitted(cohort, fold, folder / "timed", 3 * TRIAL_STEPS)
        short = time.monotonic() - before
        before = time.monotonic()
        fitted(cohort, fold, folder / "start", TRIAL_STEPS)
        each = (short - (time.monotonic() - before)) / (2 * TRIAL_STEPS)
        steps = int(ROOM * (60 * tier["minutes"] - (time.monotonic() - started)) / each)
    peak = fitted(cohort, fold, folder / "run", steps)
    trained = time.monotonic() - started
    out = folder / "made"
    words = ["predict", str(folder / "run"), "--cohort", str(cohort.folder), "--out", str(out)]
    peak = max(peak, watched([*command(), *words, "--part", "test"]))
    found = Cohort.open(out)
    paths = {s: out / p for s, p in zip(found.studies, found.frame["mask:hippocampus"], strict=True)}
    return paths, f"{steps} steps, trained within {trained:.0f} s", peak


def fitted(cohort: Cohort, fold: int, run: Path, steps: int) -> float:
    words = ["fit", "segment", "--cohort", str(cohort.folder), "--run", str(run), "--fold", str(fold)]
    options = {"training.steps": steps, "training.validate_every": max(1, steps // 4), "training.device": "cpu"}
    more = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return watched([*command(), *words, *more])


def command() -> list[str]:
    return [sys.executable, "-m", "scanweave"]


def nnunet_of(
    cohort: Cohort, fold: int, tier: dict[str, Any], folder: Path, python: Path | None
) -> tuple[dict[str, Path], str, float]:
    """Run `segment_nnunet.py` on the same cases."""
    test = cohort.part("test", fold)
    rest = cohort.where(~cohort.frame["study"].isin(test.studies))
    root = cohort.root.resolve()
    pairs = rest.frame[["scan:mr", "mask:hippocampus"]].to_numpy().tolist()
    job = {
        "train": [[str(root / image), str(root / label)] for image, label in pairs],
        "test": [[s, str(root / p)] for s, p in zip(test.studies, test.frame["scan:mr"], strict=True)],
        "labels": PARTS,
        "work": str(folder / "nnunet"),
        "out": str(folder / "made"),
        "minutes": tier["minutes"],
    }
    write_json(folder / "job.json", job)
    peak = watched([str(python), str(ROOT / "benchmarks" / "segment_nnunet.py"), str(folder / "job.json")])
    about = json.loads((folder / "made" / "about.json").read_text())
    told = ", ".join(f"{name} {value}" for name, value in about.items())
    return {study: folder / "made" / f"{study}.nii.gz" for study in test.studies}, told, peak


def watched(words: list[str]) -> float:
    """Run a command; return the peak memory of it and its children [MiB], shared pages counted once (Linux's PSS)."""
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    family, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        total = 0
        for one in [family, *_children(family)]:
            try:
                total += one.memory_full_info().pss
            except psutil.Error:  # it ended just now
                continue
        peak = max(peak, total)
        time.sleep(2.0)
    told = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}:\n{told[-3000:]}")
    return peak / 2**20


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def case(cohort: Cohort, study: str, path: Path) -> list[dict[str, Any]]:
    truth = nib.load(cohort.root / cohort.frame.set_index("study").loc[study, "mask:hippocampus"])
    labels = [structure_masks(np.asarray(image.dataobj), PARTS) for image in (truth, nib.load(path))]
    spacing = tuple(float(size) for size in truth.header.get_zooms()[:3])
    table = measure_structures(*labels, spacing).assign(study=study)
    return table[["study", "structure", "Dice", "surface Dice", "HD95 [mm]"]].to_dict("records")


def claims(results: list[dict[str, Any]], barred: bool) -> list[Claim]:
    tables = {
        arm: pd.DataFrame([row for one in results if one["arm"] == arm for row in one["rows"]])
        for arm in dict.fromkeys(one["arm"] for one in results)
    }
    dice = {arm: table.groupby("study")["Dice"].mean() for arm, table in tables.items()}
    peaks = {arm: max(one["peak"] for one in results if one["arm"] == arm) for arm in tables}
    ours, made = dice["segment"], list[Claim]()
    other = {arm: float(values.mean()) for arm, values in dice.items() if arm != "segment"}

    def claim(name: str, values: pd.Series, bar: float | None, **more: Any) -> Claim:
        found = bootstrap(values, list(values.index), seed=0)
        return Claim(name, found.value, found.low, found.high, "", len(values), bar if barred else None, **more)

    made.append(claim("Dice, mean over both parts", ours, DICE_BAR, better="higher", control=other))
    for part in PARTS:
        by = {arm: table[table["structure"] == part].set_index("study")["Dice"] for arm, table in tables.items()}
        control = {arm: float(values.mean()) for arm, values in by.items() if arm != "segment"}
        made.append(claim(f"Dice, {part}", by["segment"], None, better="higher", control=control))
    if "nnU-Net" in dice:
        gain = (ours - dice["nnU-Net"]).dropna()
        made.append(claim("Dice over nnU-Net's of the same minutes", gain, DIFFERENCE_BAR, better="higher"))
        ratio = peaks["segment"] / peaks["nnU-Net"]
        bar = MEMORY_BAR if barred else None
        shown = {f"{arm} [MiB]": peak for arm, peak in peaks.items()}
        name = "peak memory over nnU-Net's, fit and prediction"
        made.append(Claim(name, ratio, np.nan, np.nan, "×", len(results) // 2, bar, "lower", shown))
    return made


if __name__ == "__main__":
    main()
