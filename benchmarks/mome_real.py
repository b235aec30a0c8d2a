"""MOME on real data: mechanics and honesty, no claim.

Three scans of a body, each on its own grid: CT, PET and T1 of four sarcomas. Every patient answers from each of the
seven subsets, and no bit of an answer depends on whether files outside of the subset are there, or on what others of
the batch show. The question, whether the tumour is larger than the median, is made up; four patients teach nothing.

Chest films of 48 patients with laboratory values, and whether the patient is on the ICU on the day of the film: a
state, not a forecast. Nested folds of patients: one fold is tested, one chooses steps and trees, the rest trains. MOME
learns from the film, or from film and table, and is then also shown one of both alone; CatBoost learns from the table.
Two controls look at no image and no value: the projection alone (who stands has no AP film in bed), and which values
were measured at all. What they reach is to be subtracted from every other figure. Films are the rows, patients the
units of the intervals: a few patients have most of the films.
"""

from __future__ import annotations

import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import Claim, benchmark_arguments, write_results
from jobs import run_jobs
from mome_cases import (
    FOLDS,
    SCANS,
    data_folder,
    film_cohort,
    read_films,
    sarcoma_cohort,
    simulated_films,
    simulated_sarcomas,
)

import scanweave as sw
from scanweave.external import require
from scanweave.measures.calibration import calibration_error, recalibration
from scanweave.measures.classification import brier
from scanweave.measures.delong import auroc_interval
from scanweave.studies.checks.cohort_check import verdicts
from scanweave.studies.cohort import Cohort
from scanweave.studies.tables.table_check import check_table
from scanweave.systems.mome.inference import Diagnoser
from scanweave.systems.mome.inputs import StudyInput
from scanweave.systems.mome.subsets import subset_logits, subset_names

TINY = {"network.width": 16, "network.heads": 2, "training.steps": 2, "training.warm_up": 0}
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": (0,), "folds": 1, "real": False, "films": TINY, "volumes": TINY, "trees": 20},
    "proof": {
        "seeds": (0,),
        "folds": FOLDS,
        "real": True,
        "films": {"training.steps": 400, "training.validate_every": 50, "training.warm_up": 20},
        "volumes": {"training.steps": 20, "training.batch_size": 4, "training.warm_up": 2},
        "trees": 500,
    },
    "study": {
        "seeds": (0, 1, 2),
        "folds": FOLDS,
        "real": True,
        "films": {"training.validate_every": 100},
        "volumes": {"training.steps": 200, "training.batch_size": 4},
        "trees": 2_000,
    },
}
"""`films` and `volumes`: settings of the two fits on top of the preset `small`; `folds`: how many are tested."""
FILM, BOTH, TREES, MEASURED, PROJECTION = (
    "MOME, film",
    "MOME, film and table",
    "CatBoost, table",
    "which values were measured",
    "AP or PA alone",
)
SHOWN = {"film": f"{BOTH}, shown the film alone", "table": f"{BOTH}, shown the table alone"}
"""What a fit to both answers from one of them."""
DEPTHS = (2, 4, 6)
"""Of CatBoost's trees; the validation fold chooses."""


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    (counts,) = run_jobs(sarcomas, [("sarcoma", tier["seeds"][0])], arguments, tier)
    arms = (FILM, BOTH, TREES, MEASURED, PROJECTION)
    jobs = [(arm, seed, fold) for arm in arms for seed in tier["seeds"] for fold in range(tier["folds"])]
    table = pd.DataFrame(list(chain.from_iterable(run_jobs(one_job, jobs, arguments, tier))))
    write_results("mome_real", arguments, tier["seeds"], [*of_sarcomas(counts), *of_films(table), *told_first(tier)])


def one_job(arm: str, seed: int, fold: int, tier: dict[str, Any]) -> list[dict[str, Any]]:
    """Fit an arm on the training patients of a fold; return its answers for those that are tested."""
    with tempfile.TemporaryDirectory() as name:
        films, cohort = film_material(Path(name), seed, tier)
        if arm in (FILM, BOTH):
            answers = network_answers(cohort, Path(name) / "run", (arm, seed, fold), tier)
        else:
            answers = {arm: plain_answers(cohort, films, (arm, seed, fold), tier)}
        tested = cohort.part("test", fold).frame
        about = films.set_index("study").loc[list(tested["study"]), ["patient", "label:icu"]]
    return [
        {"arm": own, "seed": seed, "study": study, "patient": row["patient"], "icu": row["label:icu"], "share": share}
        for own, shares in answers.items()
        for (study, row), share in zip(about.iterrows(), shares, strict=True)
    ]


def film_material(folder: Path, seed: int, tier: dict[str, Any]) -> tuple[pd.DataFrame, Cohort]:
    """Return the films, and the cohort of them in its folds."""
    root = data_folder() / "cxr" / "hannover" if tier["real"] else simulated_films(folder / "films")
    films = read_films(root)
    return films, film_cohort(films, root, folder / "cohort", seed)


def network_answers(
    cohort: Cohort, run: Path, job: tuple[str, int, int], tier: dict[str, Any]
) -> dict[str, list[float]]:
    """Return MOME's probabilities for the tested studies, and where it learnt from both, those from one alone."""
    arm, seed, fold = job
    alone = {"variables": "none", "sampling.drop": 0.0} if arm == FILM else {}
    config = {**tier["films"], "training.seed": seed, "training.workers": 0, "training.device": "cpu", **alone}
    fitted: Any = sw.fit("mome", cohort, run, preset="small", config=config, fold=fold, say=str)
    inputs = [fitted.input(study) for study in cohort.part("test", fold)]
    answers = {arm: fitted.diagnoser.probabilities(inputs)[:, 1].tolist()}
    for shown, name in SHOWN.items() if arm == BOTH else ():
        made = fitted.diagnoser.probabilities([one.only([shown]) for one in inputs])
        answers[name] = made[:, 1].tolist()
    return answers


def plain_answers(cohort: Cohort, films: pd.DataFrame, job: tuple[str, int, int], tier: dict[str, Any]) -> list[float]:
    """Return the probabilities of a model without images for the tested studies."""
    arm, seed, fold = job
    rows = films.set_index("study")
    train, choose, test = (rows.loc[list(cohort.part(part, fold).studies)] for part in ("train", "validation", "test"))
    if arm == PROJECTION:
        taught = train.groupby("projection")["label:icu"]
        shares = (taught.sum() + 1) / (taught.count() + 2)  # Laplace: no share is 0, which has no log-odds
        return test["projection"].map(shares).fillna(train["label:icu"].mean()).tolist()
    columns = [name for name in rows if name.startswith("table:")]
    if arm == MEASURED:
        columns = [name for name in columns if rows[name].isna().any()]
    matrices = [
        part[columns].notna().astype(float) if arm == MEASURED else coded(part[columns])
        for part in (train, choose, test)
    ]
    catboost = require("catboost", "benchmarks")
    best = None
    for depth in DEPTHS:
        model = catboost.CatBoostClassifier(
            iterations=tier["trees"],
            depth=depth,
            learning_rate=0.05,
            random_seed=seed,
            thread_count=1,
            verbose=False,
            allow_writing_files=False,
            early_stopping_rounds=50,
        )
        model.fit(matrices[0], train["label:icu"], eval_set=(matrices[1], choose["label:icu"]))
        loss = model.get_best_score()["validation"]["Logloss"]
        if best is None or loss < best[0]:
            best = loss, model
    assert best is not None
    return best[1].predict_proba(matrices[2])[:, 1].tolist()


def coded(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as numbers; CatBoost takes what is absent as such."""
    return table.assign(**{"table:sex": (table["table:sex"] == "m").astype(float)}).astype(float)


def sarcomas(_: str, seed: int, tier: dict[str, Any]) -> dict[str, float]:
    """Fit to CT, PET and T1 on their own grids; count what must hold on real arrays."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = data_folder() / "ct_sarcoma" if tier["real"] else simulated_sarcomas(folder / "source")
        cohort = sarcoma_cohort(source, folder)
        told = verdicts(cohort)
        config = {**tier["volumes"], "training.seed": seed, "training.workers": 0, "training.device": "cpu"}
        config["preparation.suv"] = "pet"
        fitted: Any = sw.fit("mome", cohort, folder / "run", preset="small", config=config, say=str)
        inputs = [fitted.input(study) for study in cohort]
        shapes = [{one.frames[name].shape for name in SCANS} for one in map(fitted.prepared, cohort)]
        logits = [subset_logits(fitted.diagnoser, one) for one in inputs]
        changed = sum(
            differs(fitted.diagnoser, one.only(names), other)
            for number, one in enumerate(inputs)
            for other in [inputs[number - 1]]
            for names in subset_names(fitted.plan.modalities)
        )
        other_files = sum(
            not np.array_equal(
                fitted.diagnoser.logits([fitted.input(study.only(names))]), fitted.diagnoser.logits([one.only(names)])
            )
            for study, one in zip(cohort, inputs, strict=True)
            for names in subset_names(fitted.plan.modalities)
        )
    return {
        "patients": len(inputs),
        "refused": sum(verdict.status == "refused" for verdict in told),
        "grids": sum(any(finding.kind == "grid" for finding in verdict.findings) for verdict in told),
        "three shapes": sum(len(one) == len(SCANS) for one in shapes),
        "answers": sum(int(np.isfinite(one).all(axis=1).sum()) for one in logits),
        "different": sum(len(np.unique(one[1:], axis=0)) == len(one) - 1 for one in logits),
        "changed": changed,
        "other files": other_files,
    }


def differs(diagnoser: Diagnoser, study: StudyInput, other: StudyInput) -> bool:
    """Tell whether an answer changes in any bit with what another patient of its batch shows."""
    spoiled = StudyInput({name: -3.0 * image for name, image in other.images.items()}, other.times, other.values)
    with torch.inference_mode():
        one, again = (diagnoser.network(diagnoser.batch([study, beside]))[0] for beside in (other, spoiled))
    return not torch.equal(one, again)


def of_sarcomas(counts: dict[str, float]) -> list[Claim]:
    """Claims that must hold for scans on their own grids."""
    n = int(counts["patients"])
    whole = n * (2 ** len(SCANS) - 1)
    asked = (
        ("check: sarcomas that the check refuses", counts["refused"], 0.0, "lower"),
        ("check: sarcomas whose three scans keep three grids", counts["three shapes"], float(n), "higher"),
        ("check: answers of sarcomas from every subset of CT, PET and T1", counts["answers"], float(whole), "higher"),
        ("check: sarcomas whose seven answers all differ", counts["different"], float(n), "higher"),
        ("check: answers that change with what others of the batch show", counts["changed"], 0.0, "lower"),
        ("check: answers that change with files outside of the subset", counts["other files"], 0.0, "lower"),
        ("sarcomas of which the check tells that grids differ", counts["grids"], None, "higher"),
    )
    nan = float("nan")
    return [Claim(name, value, nan, nan, "", n, bar, better) for name, value, bar, better in asked]  # type: ignore[arg-type]


def of_films(table: pd.DataFrame) -> list[Claim]:
    """AUROC with DeLong's interval by patient, and calibration, of the mean probability over the seeds; no bar."""
    means = table.groupby(["arm", "study"], sort=False).agg({"patient": "first", "icu": "first", "share": "mean"})
    areas, found = {}, []
    for arm, rows in means.groupby(level="arm", sort=False):
        areas[str(arm)] = auroc_interval(rows["icu"] > 0, rows["share"], list(rows["patient"]))
    controls = {name: areas[name].value for name in (PROJECTION, MEASURED)}
    for arm, area in areas.items():
        shown = {name: value for name, value in controls.items() if name != arm}
        found.append(Claim(f"{arm}: AUROC, ICU", area.value, area.low, area.high, "", area.n, None, "higher", shown))
    for arm, rows in means.groupby(level="arm", sort=False):
        truth, share = rows["icu"].to_numpy(dtype=int), rows["share"].to_numpy()
        slope = recalibration(truth > 0, share, list(rows["patient"])).slope
        found.append(
            Claim(f"{arm}: calibration slope", slope.value, slope.low, slope.high, "", slope.n, None, "higher")
        )
        nan, chance = float("nan"), float(np.mean(truth) * (1 - np.mean(truth)))
        error = calibration_error(truth, share)
        found.append(Claim(f"{arm}: calibration error", error, nan, nan, "", slope.n, None, "lower"))
        score = brier(truth, share)
        shown = {"prevalence": chance}
        found.append(Claim(f"{arm}: Brier score", score, nan, nan, "", slope.n, None, "lower", shown))
    return found


def told_first(tier: dict[str, Any]) -> list[Claim]:
    """Count what the check tells before any fit: variables whose presence alone tells the stay."""
    with tempfile.TemporaryDirectory() as name:
        films, cohort = film_material(Path(name), 0, tier)
        told = [one.study for one in check_table(cohort) if any(f.kind == "presence" for f in one.findings)]
    nan, words = float("nan"), "variables of which the check tells that presence alone tells the stay"
    print(f"{words}: {', '.join(told) or 'none'}", flush=True)
    return [Claim(words, len(told), nan, nan, "", films["patient"].nunique(), None, "lower")]


if __name__ == "__main__":
    main()
