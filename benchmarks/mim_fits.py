"""One arm of the benchmark of MiM for one seed: its pre-training, its fits on few labels, and what they are worth."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from common import ROOT, silent
from mim_controls import Contrast, Denoising, pretrain

import scanweave as sw
from scanweave.studies.cohort import Cohort
from scanweave.studies.preparing.prepared_cache import PreparedCohort
from scanweave.systems.mim.config import PRESETS, MimConfig

CONTROLS = {"denoising": Denoising, "contrast": Contrast}
PARTS = ("train", "validation", "test")
FILES = {"scan:mr": "imagesTr", "mask:hippocampus": "labelsTr"}
LEVELS = {"levels.extent": 32}
"""Hippocampi are some 35×51×35 voxels: crops of 32³, and their octants."""
SAME_ENCODER = {
    f"network.{name}": getattr(PRESETS["small"].network, name) for name in ("encoder", "widths", "depths", "heads")
}
HIDDEN_FILLED = {**SAME_ENCODER, "network.hidden": "filled", "network.decoder": "linear"}


class Arm(NamedTuple):
    """Tell how an encoder comes about, before it learns from labels.

    Attributes:
        preset: Of MiM; None: the encoder has random weights.
        config: Settings on top of it.
        control: What pre-trains in place of MiM, by name, with the settings of the preset.
        own: Settings of the fits on labels that are this arm's own.
        times: Factor on their steps.
    """

    preset: Literal["small", "mae", "simmim"] | None
    config: Mapping[str, Any] = {}
    control: str | None = None
    own: Mapping[str, Any] | None = None
    times: int = 1


SCRATCH, MAE, MIM = "random weights", "MAE", "MiM"
ARMS: dict[str, Arm] = {
    SCRATCH: Arm(None),
    MAE: Arm("mae"),
    MIM: Arm("small", LEVELS),
    "MiM without alignment": Arm("small", {**LEVELS, "loss.alignment": [0.0]}),
    "MiM, choice among parents": Arm("small", {**LEVELS, "loss.form": "parents"}),
    "SimMIM": Arm("simmim", HIDDEN_FILLED),
    "denoising": Arm("simmim", {**HIDDEN_FILLED, "loss.distance": "squared"}, "denoising"),
    "contrast": Arm("simmim", HIDDEN_FILLED, "contrast"),
    "random weights, 3 times the steps": Arm(None, times=3),
    "plain CNN, random weights": Arm(None, own={}),
}
MAIN = (SCRATCH, MAE, MIM)
"""Arms of all counts and seeds; the others have the middle count, and fewer seeds."""


def hippocampi(folder: Path, tier: Mapping[str, Any], *, masks: bool = True) -> Cohort:
    """Write the cohort: its cases in an order drawn once, so many to learn from, so many to test, the rest validate."""
    root = Path(os.environ.get("SCANWEAVE_DATA", ROOT.parent / "shared" / "data")) / "mr_hippocampus"
    images = sorted((root / "imagesTr").glob("*.nii.gz"))
    order, rows = np.random.default_rng(0).permutation(len(images)), []
    for place, number in enumerate(order):
        learns, tests = place < tier["unlabelled"], place >= len(images) - tier["tested"]
        part = PARTS[0] if learns else PARTS[2] if tests else PARTS[1]
        study = images[number].name.removesuffix(".nii.gz")
        kinds = FILES if masks else {kind: FILES[kind] for kind in FILES if not kind.startswith("mask:")}
        paths = {kind: f"{place}/{study}.nii.gz" for kind, place in kinds.items()}
        rows.append({"study": study, "patient": study, "split": part, **paths})
    return Cohort.create(folder, rows, root=root, name="hippocampus", source="mr_hippocampus", layout="table")


def one_arm(name: str, seed: int, tier: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Pre-train an arm and fit it to each count of labels; a row a fit, with its mean Dice on the test cases.

    The cases that are labelled are those of the seed, the same ones for every arm; fewer are part of more.
    """
    arm, counts = ARMS[name], tier["counts"] if name in MAIN else tier["counts"][1:2]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        cohort = hippocampi(folder / "cohort", tier)
        began = time.process_time()
        start = starting_point(arm, folder, seed, tier)
        spent = time.process_time() - began
        rows = [
            {"arm": name, "seed": seed, "labels": count, "pre-training [s]": spent, **measured}
            for count in counts
            for measured in [few_labels(arm, start, cohort, folder / f"{count}", count, seed, tier, part="test")]
        ]
    print(pd.DataFrame(rows).to_string(header=False, index=False), flush=True)
    return rows


def starting_point(arm: Arm, folder: Path, seed: int, tier: Mapping[str, Any]) -> dict[str, Any]:
    """Pre-train, and return the settings by which a fit begins from there, or has the same encoder."""
    steps = {"training.seed": seed, "training.device": "cpu", "training.workers": 0}
    images = hippocampi(folder / "images", tier, masks=False).part("train")
    shape = folder / "shape"
    if arm.preset is None:
        sw.fit("mim", images, shape, preset="small", config={**LEVELS, **steps, "training.steps": 1}, say=silent)
        return {"network.encoder": str(shape)} if arm.own is None else dict(arm.own)
    config = {**arm.config, **steps, "training.steps": tier["steps"]}
    if arm.control is None:
        run = folder / "run"
        sw.fit("mim", images, run, preset=arm.preset, config=config, say=silent)
        return {"start.source": str(run)}
    found: Any = sw.fit("mim", images, shape, preset=arm.preset, config={**config, "training.steps": 1}, say=silent)
    studies = PreparedCohort(images, found.plan).prepare()
    settings = found.config.training.model_copy(update={"steps": tier["steps"]})
    whole: MimConfig = found.config.model_copy(update={"training": settings})
    pretrain(CONTROLS[arm.control], whole, studies, folder / "control.safetensors")
    return {"network.encoder": str(shape), "start.source": str(folder / "control.safetensors")}


def few_labels(
    arm: Arm,
    start: Mapping[str, Any],
    cohort: Cohort,
    run: Path,
    count: int,
    seed: int,
    tier: Mapping[str, Any],
    *,
    part: Literal["validation", "test"],
) -> dict[str, Any]:
    """Fit Segment to some labelled cases, and return its mean Dice on a part, over both structures, and seconds."""
    labelled = cohort.part("train").labelled(count, seed, "mask:hippocampus")
    both = cohort.select([*labelled.studies, *cohort.part(part).studies[: tier["looked at"]]])
    steps = tier["tuned"] * arm.times
    config = {
        "training.steps": steps,
        "training.warm_up": steps // 10,
        "training.learning_rate": tier["rate"],
        "training.seed": seed,
        "training.device": "cpu",
        "training.workers": 0,
        "training.validate_every": steps,
        **start,
    }
    began = time.process_time()
    fitted: Any = sw.fit("segment", labelled, run, preset="small", config=config, say=silent)
    spent = time.process_time() - began
    table = fitted.evaluate(both, run / "evaluation", part=part, options={"pictures": 0}, say=silent)
    return {"Dice": float(table["Dice"].mean()), "fit [s]": spent}
