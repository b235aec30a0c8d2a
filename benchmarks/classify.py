"""Classify on real chest films of 28 × 28 pixels (pneumonia or not), beside scikit-learn on the same pixels.

The bar is that of the issue: mean AUROC of the test films over 3 seeds at least 0.95, at most 10 minutes a fit on 2
cores. Films are divided as their source divides them; it names no patients, so a patient may stand in two parts.
The controls see the same training films: logistic regression (its strength chosen on the validation films), boosted
trees and a random forest.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import ROOT, Claim, benchmark_arguments, write_results
from jobs import run_jobs
from numpy.typing import NDArray

import scanweave as sw
from scanweave.measures.classification import auroc
from scanweave.measures.delong import auroc_interval
from scanweave.studies.layouts import import_cohort

BAR, MINUTES = 0.95, 10.0
"""Asked for before the run: mean AUROC; minutes of a fit."""
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""Of the logistic regression (C)."""
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": (0,), "films": 160, "trees": 40, "fit": {"training.steps": 6, "network.width": 0.125}},
    "proof": {"seeds": (0, 1, 2), "films": None, "trees": 400, "fit": {}},
    "study": {"seeds": tuple(range(10)), "films": None, "trees": 400, "fit": {}},
}
"""Films: so many of each part, or all. Fit: settings on top of the preset `small`."""
Parts = dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]


class Tried(NamedTuple):
    """Results of one seed: minutes of the fit, truth and scores of the test films."""

    minutes: float
    truth: NDArray[np.bool_]
    scores: NDArray[np.float64]
    operating: dict[str, float]


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    settings = {"training.workers": 0, "training.device": "cpu", **tier["fit"]}
    found = list(
        run_jobs(one_seed, [(seed,) for seed in tier["seeds"]], arguments, tier["films"], settings, timed=True)
    )
    control = controls(read_films(tier["films"]), tier["trees"])
    areas = [auroc(one.truth, one.scores) for one in found]
    spread = float(np.std(areas, ddof=1)) if len(areas) > 1 else float("nan")
    interval = auroc_interval(found[0].truth, np.mean([one.scores for one in found], axis=0))
    minutes = max(one.minutes for one in found)
    balanced = float(np.mean([one.operating["balanced accuracy"] for one in found]))
    nan, films = float("nan"), len(found[0].truth)
    claims = [
        Claim(
            "AUROC of the test films, mean of the seeds",
            float(np.mean(areas)),
            nan,
            nan,
            "",
            films,
            BAR,
            "higher",
            control,
        ),
        Claim("the same, standard deviation over the seeds", spread, nan, nan, "", len(areas), None, "lower"),
        Claim("AUROC of the mean probability", interval.value, interval.low, interval.high, "", films, None, "higher"),
        Claim("balanced accuracy at the frozen operating point", balanced, nan, nan, "", films, None, "higher"),
        Claim("minutes of the longest fit", minutes, nan, nan, "min", len(areas), MINUTES, "lower"),
    ]
    write_results("classify", arguments, tier["seeds"], claims)


def one_seed(seed: int, films: int | None, settings: dict[str, Any]) -> Tried:
    """Fit on the training films, and score the test films."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = folder / "films.npz"
        parts = read_films(films)
        arrays: dict[str, Any] = {}
        for part, (images, labels) in parts.items():
            arrays |= {f"{part}_images": images, f"{part}_labels": labels}
        np.savez(archive, **arrays)
        cohort = import_cohort(archive, folder / "cohort", say=str)
        start = time.monotonic()
        fitted: Any = sw.fit(
            "classify", cohort, folder / "run", preset="small", config={**settings, "training.seed": seed}, say=str
        )
        minutes = (time.monotonic() - start) / 60
        tested = list(cohort.part("test"))
        shares = np.array([fitted.probabilities(study)[1] for study in tested])
        truth = np.array([int(study.labels[fitted.plan.labels[0]]) == 1 for study in tested])
        rates = fitted.points["1"].confusion(truth, shares).rates()
        balanced = (rates["sensitivity"].value + rates["specificity"].value) / 2
    return Tried(minutes, truth, shares, {"balanced accuracy": balanced})


def read_films(films: int | None) -> Parts:
    """Return images and labels of each part, all or a random few of each."""
    data = Path(os.environ.get("SCANWEAVE_DATA", ROOT.parent / "shared" / "data"))
    found: Parts = {}
    with np.load(data / "medmnist" / "pneumoniamnist_rebuilt.npz") as archive:
        for part in ("train", "val", "test"):
            images, labels = archive[f"{part}_images"], archive[f"{part}_labels"].ravel().astype(np.int64)
            some = np.random.default_rng(0).permutation(len(labels))[:films] if films else slice(None)
            found[part] = images[some], labels[some]
    return found


def controls(parts: Parts, trees: int) -> dict[str, float]:
    """Return the AUROC on the test films of models of the pixels."""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    pixels = {part: images.reshape(len(images), -1) / 255.0 for part, (images, _) in parts.items()}
    truths = {part: labels for part, (_, labels) in parts.items()}

    def area(model: Any, part: str) -> float:
        return auroc(truths[part] == 1, model.predict_proba(pixels[part])[:, 1])

    def fitted(model: Any) -> Any:
        return model.fit(pixels["train"], truths["train"])

    lines = [fitted(LogisticRegression(C=strength, max_iter=500)) for strength in STRENGTHS]
    best = max(lines, key=lambda model: area(model, "val"))
    return {
        "logistic regression": area(best, "test"),
        "boosted trees": area(fitted(HistGradientBoostingClassifier(max_iter=trees, random_state=0)), "test"),
        "random forest": area(fitted(RandomForestClassifier(trees, random_state=0)), "test"),
    }


if __name__ == "__main__":
    main()
