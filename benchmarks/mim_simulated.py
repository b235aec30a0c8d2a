"""Scaling of pre-training with unlabelled scans: MAE and MiM of three levels on simulated CT bodies.

For each seed 16, 64 and 256 bodies are learnt from without labels, then findings of other patients are told by
Classify from 8, 32 and 128 labelled studies, and hippocampi of real MR are segmented from 4 (another modality and
organ). The control has random weights in the same encoder, and the same labelled studies, steps and first weights of
what follows the encoder. Crops are of 96³ voxels of 3 mm, views of 48³: 1 + 4 + 16 of them, which MAE sees as so many
crops. Measured is the mean AUROC over the findings on 128 test patients, and the mean Dice on 48 test hippocampi.

Beside them, a logistic regression on the histogram of the scan: what can be told without looking where anything is. All
arms have as many steps of pre-training, so that in the proof tier MiM sees some two crops of each of 256 scans, and MAE
forty.

No bar was set: a pilot of this size told nothing. Intervals are Student's over seeds: with two they are wide.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import Claim, benchmark_arguments, silent, write_results
from jobs import run_jobs
from mim_fits import Arm, few_labels, hippocampi
from mim_labels import TIERS as HIPPOCAMPI
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import scanweave as sw
from scanweave.measures.comparisons import mean_over_seeds
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import Splits, write_splits

SCRATCH, MAE, MIM, HISTOGRAM = "random weights", "MAE", "MiM", "histogram"
BINS = np.linspace(-1000, 500, 61)
"""Edges of the histogram [HU]."""
FINDINGS = ("cardiomegaly", "effusion", "steatosis", "splenomegaly")
"""Those that fill more than a few of the network's voxels."""
OTHERS = 10_000
"""Added to a seed for the patients that are labelled, and twice for those that test."""
THREE_LEVELS = {
    "levels.extent": 96,
    "levels.view": 48,
    "levels.units": [3, 1, 1],
    "levels.ratios": [0.5, 0.6, 0.5],
    "levels.children": [4, 4],
    "loss.reconstruction": [1.0, 1.0, 1.0],
    "loss.alignment": [0.1, 0.1],
}
VIEWS = 21
ARMS: dict[str, tuple[str, Mapping[str, Any]]] = {
    MAE: ("mae", {"levels.extent": 48, "levels.view": 48}),
    MIM: ("small", THREE_LEVELS),
}
_PROOF = {"spacing": 3.0, "unlabelled": (16, 64, 256), "counts": (8, 32, 128), "tested": 128, "crops": 2}
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {
        "spacing": 8.0,
        "unlabelled": (2,),
        "counts": (12,),
        "tested": 6,
        "crops": 1,
        "seeds": (0,),
        "steps": 1,
        "tuned": 1,
    },
    "proof": {**_PROOF, "seeds": (0, 1), "steps": 300, "tuned": 150},
    "study": {**_PROOF, "seeds": (0, 1, 2, 3, 4), "steps": 2_000, "tuned": 500},
}


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    kinds = [(SCRATCH, 0), *((name, number) for number in tier["unlabelled"] for name in ARMS)]
    with tempfile.TemporaryDirectory() as folder:
        bodies = Path(folder)
        for seed in tier["seeds"]:
            simulate(seed, bodies, tier)
        jobs = [(name, number, seed) for seed in tier["seeds"] for name, number in kinds]
        rows = list(chain.from_iterable(run_jobs(one_arm, jobs, arguments, bodies, tier)))
    table = pd.DataFrame(rows)
    means = table.groupby(["task", "labels", "unlabelled", "arm"]).mean(numeric_only=True)
    print(means.round(3).to_string(), flush=True)
    write_results("mim_simulated", arguments, tier["seeds"], list(claims(table)))


def simulate(seed: int, bodies: Path, tier: Mapping[str, Any]) -> None:
    """Write the bodies of a seed: those without labels, those that have them, and those that test."""
    sizes = {"unlabelled": max(tier["unlabelled"]), "labelled": max(tier["counts"]), "tested": tier["tested"]}
    for number, (name, size) in enumerate(sizes.items()):
        about = {"spacing": tier["spacing"], "sites": {"A": 0.4, "B": 0.3, "C": 0.3}, "workers": 2}
        made = sw.simulate_bodies(bodies / str(seed) / name, subjects=size, seed=seed + number * OTHERS, **about)
        write_splits(made.folder, Splits(2, False, seed, dict.fromkeys(made.patients, 1)))  # all train, in fold 0


def one_arm(name: str, number: int, seed: int, bodies: Path, tier: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Pre-train an arm on some bodies, and return what it is worth for each task and count of labels."""
    about = {"arm": name, "unlabelled": number, "seed": seed}
    steps = {"training.seed": seed, "training.device": "cpu", "training.workers": 0}
    with tempfile.TemporaryDirectory() as made:
        folder, home = Path(made), bodies / str(seed)
        run = folder / "run"
        preset, config = ARMS.get(name, ARMS[MIM])
        batch = tier["crops"] * (VIEWS if name == MAE else 1)
        config = {**config, **steps, "training.batch_size": batch, "training.steps": tier["steps"] if number else 1}
        whole = Cohort.open(home / "unlabelled")
        images = whole.where(np.arange(len(whole)) < (number or 1))
        sw.fit("mim", images, run, preset=preset, config=config, say=silent)
        start = {"start.source": str(run)} if number else {"network.encoder": str(run)}
        rows = [
            {**about, "task": "findings", "labels": count, "value": findings(start, home, folder, count, steps, tier)}
            for count in tier["counts"]
        ]
        if not number:
            for count in tier["counts"]:
                told = by_histogram(first(Cohort.open(home / "labelled"), count), Cohort.open(home / "tested"))
                rows.append({**about, "arm": HISTOGRAM, "task": "findings", "labels": count, "value": told})
        cases = {**HIPPOCAMPI["smoke" if tier["tuned"] == 1 else "proof"], "tuned": tier["tuned"]}
        cohort = hippocampi(folder / "hippocampi", cases)
        dice = few_labels(Arm(None), start, cohort, folder / "mr", 4, seed, cases, part="test")["Dice"]
        return [*rows, {**about, "task": "hippocampi", "labels": 4, "value": dice}]


def first(cohort: Cohort, number: int) -> Cohort:
    """Return the first studies of a cohort; before all others those by which each finding is present and absent."""
    table = cohort.frame[[f"label:{name}" for name in FINDINGS]].to_numpy(dtype=int)
    needed = [int(np.flatnonzero(table[:, column] == side)[0]) for column in range(table.shape[1]) for side in (1, 0)]
    order = list(dict.fromkeys([*needed, *range(len(cohort))]))[:number]
    return cohort.where(np.isin(np.arange(len(cohort)), order))


def findings(
    start: Mapping[str, Any], home: Path, folder: Path, count: int, steps: Mapping[str, Any], tier: Mapping[str, Any]
) -> float:
    """Fit Classify to some labelled bodies, and return its mean AUROC over the findings on the test bodies."""
    config = {**steps, **start, "training.steps": tier["tuned"], "training.batch_size": 8, "labels": list(FINDINGS)}
    labelled = first(Cohort.open(home / "labelled"), count)
    run = folder / f"findings-{count}"
    fitted: Any = sw.fit("classify", labelled, run, preset="small", config=config, say=silent)
    table = fitted.evaluate(Cohort.open(home / "tested"), run / "evaluation", part="all", say=silent)
    return float(table[(table["measure"] == "AUROC") & table["outcome"].isin(FINDINGS)]["value"].mean())


def by_histogram(labelled: Cohort, tested: Cohort) -> float:
    """Return the mean AUROC over the findings of a logistic regression on the histograms of the scans."""
    parts = [np.stack([np.histogram(study.scans["ct"].data, BINS)[0] for study in part]) for part in (labelled, tested)]
    shares = [np.sqrt(part / part.sum(axis=1, keepdims=True)) for part in parts]
    found = []
    for name in FINDINGS:
        truths = [part.frame[f"label:{name}"].to_numpy(dtype=int) for part in (labelled, tested)]
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)).fit(shares[0], truths[0])
        found.append(roc_auc_score(truths[1], model.predict_proba(shares[1])[:, 1]))
    return float(np.mean(found))


def claims(table: pd.DataFrame) -> Iterator[Claim]:
    """Yield by how much each arm is above random weights, paired by seed."""
    for (task, labels), own in table.groupby(["task", "labels"], sort=False):
        control = own[own["arm"] == SCRATCH].set_index("seed")["value"]
        measure = "AUROC" if task == "findings" else "Dice"
        for (arm, number), group in own[own["arm"] != SCRATCH].groupby(["arm", "unlabelled"], sort=False):
            values = group.set_index("seed")["value"]
            found = mean_over_seeds(values - control)
            shown = {arm: float(values.mean()), SCRATCH: float(control.mean())}
            learnt = f" on {number} scans" if number else ""
            name = f"{task}, {labels} labels: {measure} of {arm}{learnt} over {SCRATCH}"
            yield Claim(name, found.value, found.low, found.high, "", found.n, None, "higher", shown)


if __name__ == "__main__":
    main()
