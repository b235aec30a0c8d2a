"""One seed of the benchmark of Beta-Rank: a network, its prunings by several rankings, and what each is worth."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import ROOT, silent
from numpy.typing import NDArray

import scanweave as sw
from scanweave.files import read_json
from scanweave.framework.pruning.pruned_run import FILE
from scanweave.measures.classification import auroc
from scanweave.pruning import prune
from scanweave.studies.cohort import Cohort
from scanweave.studies.layouts import import_cohort
from scanweave.studies.splits import Splits, make_splits, write_splits

PNEUMONIA, FEW, RETINA, FILMS = "pneumonia, normals cut to 10 %", "25 films a class", "retina", "simulated films"
NORMALS = 0.1
"""Share of the normal films that is kept to learn from."""
PER_CLASS = 25
COLOURS = ("red", "green", "blue")
GRADES = (1, 5, 10)
"""Last grade of each of three classes of the fundus photographs."""
FINDINGS = ("effusion", "pneumothorax", "cardiomegaly")
TESTED = 10_000
"""Seed of the simulated films that test; they are the same ones for all seeds."""
UNPRUNED = "unpruned"
Array = NDArray[np.float64]


class Tried(NamedTuple):
    """Hold what one network is worth.

    Attributes:
        material: What it learnt.
        seed: Of its fit.
        ranking: By which its parent was pruned; `UNPRUNED` for the parent itself.
        cut: Share of the multiply-adds that was to go.
        left: Share of them that is left.
        balanced: Balanced accuracy on the test images.
        macro: F1, mean over the classes.
        worst: Lowest recall of a class.
        auroc: Mean over classes, each against the others.
    """

    material: str
    seed: int
    ranking: str
    cut: float
    left: float
    balanced: float
    macro: float
    worst: float
    auroc: float


def one_seed(
    material: str, seed: int, rankings: Sequence[str], cuts: Sequence[float], tier: Mapping[str, Any]
) -> list[Tried]:
    """Fit a network, prune it by each ranking to each cut, and try all of them on the same test images."""
    settings = tier["materials"][material]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort = cohort_of(material, folder, seed, settings)
        config = {**settings["config"], "training.seed": seed, "training.workers": 0, "training.device": "cpu"}
        config |= {"training.steps": settings["steps"]}
        parent: Any = sw.fit("classify", cohort, folder / "run", preset="small", config=config, say=silent)
        tested = tests_of(material, folder, cohort, settings)
        volumes = [dict(parent.prepared(study).volumes) for study in tested]
        truth = truths(tested, parent.plan.labels, parent.plan)
        found = [_tried(parent, volumes, truth, (material, seed, UNPRUNED, 0.0, 1.0))]
        for number, (ranking, cut) in enumerate((ranking, cut) for cut in cuts for ranking in rankings):
            out = folder / f"pruned-{number}"
            made: Any = prune(folder / "run", out, flops=1 - cut, ranking=ranking, seed=seed, device="cpu", say=silent)
            before, after = read_json(out / FILE, "")["flops"]
            found.append(_tried(made, volumes, truth, (material, seed, ranking, cut, after / before)))
        return found


def _tried(run: Any, volumes: Sequence[Mapping[str, Any]], truth: NDArray[np.int64], about: tuple[Any, ...]) -> Tried:
    """Return what a network is worth; findings and the second of two classes are called by their frozen points."""
    shares = run.classifier.probabilities(volumes)
    if run.plan.kind == "classes":
        second = run.points.get(run.plan.outputs[1]) if len(run.plan.outputs) == 2 else None
        called = shares.argmax(axis=1) if second is None else second.call(shares[:, 1]).astype(int)
        return Tried(*about, *measured(called, truth[:, 0], shares))
    each = []
    for column, name in enumerate(run.plan.outputs):
        called = run.points[name].call(shares[:, column]).astype(int)
        both = np.stack([1 - shares[:, column], shares[:, column]], axis=1)
        each.append(measured(called, truth[:, column], both))
    return Tried(*about, *np.mean(each, axis=0).tolist())


def measured(called: NDArray[np.int64], truth: NDArray[np.int64], shares: Array) -> tuple[float, float, float, float]:
    """Return balanced accuracy, macro F1, lowest recall and AUROC of calls and probabilities `(N, K)`."""
    recalls, scores, areas = [], [], []
    for number in range(shares.shape[1]):
        own, said = truth == number, called == number
        hits = float((own & said).sum())
        recalls.append(hits / max(own.sum(), 1))
        scores.append(2 * hits / max(own.sum() + said.sum(), 1))
        areas.append(auroc(own, shares[:, number]))
    return float(np.mean(recalls)), float(np.mean(scores)), min(recalls), float(np.mean(areas))


def truths(studies: Sequence[Any], labels: Sequence[str], plan: Any) -> NDArray[np.int64]:
    """Return the class of each study `(N, 1)`, or its findings `(N, K)`."""
    if plan.kind == "classes":
        return np.array([[plan.outputs.index(str(study.labels[labels[0]]))] for study in studies])
    return np.array([[int(study.labels[name]) for name in plan.outputs] for study in studies])


def cohort_of(material: str, folder: Path, seed: int, settings: Mapping[str, Any]) -> Cohort:
    """Return what a network learns from; what tests it is in it, or is simulated apart."""
    if material in (PNEUMONIA, FEW):
        return _pneumonia(folder, seed, settings, few=material == FEW)
    if material == RETINA:
        return _retina(folder, seed, settings)
    about = {"size": settings["size"], "findings": FINDINGS, "conspicuity": settings["conspicuity"], "shortcuts": ()}
    made = sw.simulate_films(folder / "learnt", subjects=settings["films"], seed=seed, **about)
    validated = settings["films"] // 5
    fold = {name: 1 if number < validated else 2 for number, name in enumerate(made.patients)}
    write_splits(made.folder, Splits(3, True, seed, fold))  # fold 0, that of the test, stays empty
    return Cohort.open(made.folder)


def tests_of(material: str, folder: Path, cohort: Cohort, settings: Mapping[str, Any]) -> list[Any]:
    """Return the studies that test."""
    if material != FILMS:
        return list(cohort.part("test"))
    about = {"size": settings["size"], "findings": FINDINGS, "conspicuity": settings["conspicuity"], "shortcuts": ()}
    return list(sw.simulate_films(folder / "tested", subjects=settings["tested"], seed=TESTED, **about))


def _pneumonia(folder: Path, seed: int, settings: Mapping[str, Any], *, few: bool) -> Cohort:
    """Write real chest films of 28 × 28 pixels: few of the normal ones, or few of both classes, to learn from."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Any] = {}
    with np.load(_data() / "medmnist" / "pneumoniamnist_rebuilt.npz") as archive:
        for part in ("train", "val", "test"):
            images, labels = archive[f"{part}_images"], archive[f"{part}_labels"].ravel().astype(np.int64)
            kept = np.arange(len(labels))
            if part == "train":
                normal, ill = (rng.permutation(np.flatnonzero(labels == side)) for side in (0, 1))
                sizes = (PER_CLASS, PER_CLASS) if few else (round(NORMALS * len(normal)), len(ill))
                kept = np.sort(np.concatenate([normal[: sizes[0]], ill[: sizes[1]]]))
            most = settings.get("most")
            kept = kept if most is None else rng.permutation(kept)[:most]
            arrays |= {f"{part}_images": images[kept], f"{part}_labels": labels[kept]}
    np.savez(folder / "films.npz", **arrays)
    return import_cohort(folder / "films.npz", folder / "cohort", say=silent)


def _retina(folder: Path, seed: int, settings: Mapping[str, Any]) -> Cohort:
    """Return fundus photographs in three classes of grades; both eyes of a patient are in one part."""
    root = _data() / "retina_dr"
    rows = []
    for path in sorted(root.glob("*/*.jpg")):
        grade = int(path.parent.name)
        place = next(number for number, last in enumerate(GRADES) if grade <= last)
        patient = path.stem.rpartition("_")[0] or path.stem
        study = f"{path.parent.name}-{path.stem}"
        image = str(path.relative_to(root))
        colours = {f"scan:{name}": f"{image}#{number}" for number, name in enumerate(COLOURS)}
        rows.append({"study": study, "patient": patient, **colours, "label:grade": "ABC"[place]})
    if settings.get("most"):
        rows = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))[: settings["most"]]]
    made = Cohort.create(folder / "cohort", rows, root=root, name="retina", source="retina_dr", layout="table")
    worst = made.frame.groupby("patient")["label:grade"].max()
    write_splits(made.folder, make_splits(made.patients, 5, seed=seed, stratify=dict(worst)))
    return Cohort.open(made.folder)


def _data() -> Path:
    return Path(os.environ.get("SCANWEAVE_DATA", ROOT.parent / "shared" / "data"))
