"""One fit of the benchmarks of MGCA and MG-3D: simulated images with reports, an arm, and what it is worth."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from common import silent
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import scanweave as sw
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import Splits, write_splits

INSTITUTIONS, OTHER_INSTITUTION = ("A=0.6", "B=0.4"), ("C=1",)
TESTED, OTHER, WORDED = 10_000, 20_000, 30_000
"""Added to a seed for its test patients, those of the other institution, and the reports that prompts come from."""
LEARNT, INTERNAL, EXTERNAL = "learnt", "internal", "other institution"
MOST_PROMPTS = 12
"""Sentences of a side that tell a finding."""
MEAN = "mean of the findings"
FULL, SHUFFLED, SUPERVISED, RANDOM = "full", "shuffled pairs", "supervised", "random weights"


class Design(NamedTuple):
    """Hold what a benchmark asks of a system, as plain values.

    Attributes:
        system: Its name.
        findings: That are planted and told.
        simulate: Name of the function that simulates images.
        shape: Settings of the images.
        other: Of those of the other institution, on top of them.
        arms: Settings of each arm on top of the preset `small` and the tier's; `pairs`: how many are learnt from.
        classify: Settings that let Classify see the same input with the same encoder.
        options: Of `evaluate`.
        mae: Whether few labels are also learnt from an encoder that saw the images alone.
    """

    system: str
    findings: tuple[str, ...]
    simulate: str
    shape: Mapping[str, Any]
    other: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any]]
    classify: Mapping[str, Any]
    options: Mapping[str, Any]
    mae: bool = False


def make_cohorts(seed: int, home: Path, design: Design, tier: Mapping[str, Any]) -> Path:
    """Write the cohorts of a seed into `home / seed`, and the sentences by which findings are told."""
    folder = home / str(seed)
    learnt = _reported(folder / LEARNT, design, seed, tier["learnt"] + tier["validated"], {})
    fold = {name: 1 if number < tier["validated"] else 2 for number, name in enumerate(learnt.patients)}
    for part in (learnt, Cohort.open(folder / f"{LEARNT} images")):
        write_splits(part.folder, Splits(3, True, seed, fold))  # fold 0, that of the test, stays empty
    unseen = {"wording": "unseen"}
    _reported(folder / INTERNAL, design, seed + TESTED, tier["tested"], {})
    other = design._replace(shape={**design.shape, **design.other})
    _reported(folder / EXTERNAL, other, seed + OTHER, tier["tested"], {"institutions": OTHER_INSTITUTION, **unseen})
    told = sw.simulate_reports(folder / f"{LEARNT} images", folder / "wordings", seed=seed + WORDED, **unseen)
    write_prompts(folder / "prompts.toml", told.folder, design.findings)
    return folder


def _reported(folder: Path, design: Design, seed: int, subjects: int, reports: Mapping[str, Any]) -> Cohort:
    images = getattr(sw, design.simulate)(
        folder.with_name(f"{folder.name} images"), subjects=subjects, seed=seed, **design.shape
    )
    return sw.simulate_reports(images, folder, seed=seed, **{"institutions": INSTITUTIONS, **reports})


def write_prompts(path: Path, reports: Path, findings: Sequence[str]) -> None:
    """Write sentences that tell findings: those of simulated reports that say one thing alone, the commonest first."""
    subjects = json.loads((reports / "truth.json").read_text(encoding="utf-8"))["subjects"]
    counts: dict[tuple[str, bool], Counter[str]] = {}
    for one in subjects.values():
        for sentence in one["sentences"]:
            if len(sentence["says"]) == 1:
                [(name, there)] = sentence["says"].items()
                counts.setdefault((name, bool(there)), Counter())[sentence["text"]] += 1
    lines = []
    for name in findings:
        sides = {
            side: [text for text, _ in counts[name, there].most_common(MOST_PROMPTS)]
            for side, there in (("present", True), ("absent", False))
        }
        lines += [f"[{name}]", *(f"{side} = {json.dumps(texts)}" for side, texts in sides.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def shuffled_reports(cohort: Cohort, folder: Path, seed: int) -> Cohort:
    """Return a cohort in which every study has the report of another one."""
    frame = cohort.frame.copy()
    texts = [name for name in frame.columns if name.startswith("text:")]
    turn = np.roll(np.random.default_rng(seed).permutation(len(frame)), 1)
    order = np.argsort(np.roll(turn, -1))  # a cycle: nobody keeps the own report
    frame[texts] = frame[texts].to_numpy()[turn[order]]
    about = {"name": "shuffled", "source": "benchmark", "layout": "simulated"}
    made = Cohort.create(folder, frame.to_dict("records"), root=cohort.root.resolve(), **about)
    splits = cohort.splits()
    assert splits is not None
    write_splits(made.folder, splits)
    return Cohort.open(made.folder)


def fit_pairs(
    design: Design, home: Path, run: Path, seed: int, config: Mapping[str, Any], *, shuffled: bool = False
) -> Any:
    """Fit the system to the pairs of a seed; findings are told by sentences of a wording that no report has."""
    cohort, config = Cohort.open(home / LEARNT), dict(config)
    if pairs := config.pop("pairs", None):
        validated, first = set(cohort.part("validation").studies), set(cohort.part("train").studies[:pairs])
        cohort = cohort.where(np.array([name in validated | first for name in cohort.studies]))
    if shuffled:
        cohort = shuffled_reports(cohort, run.with_name(f"{run.name} shuffled"), seed)
    told = {"training.seed": seed, "training.workers": 0, "training.device": "cpu"}
    told |= {"prompts.file": str(home / "prompts.toml"), "prompts.findings": tuple(design.findings)}
    return sw.fit(design.system, cohort, run, preset="small", config={**told, **config}, say=silent)


def best_validation(fitted: Any) -> float:
    """Return the lowest loss of pairs of a run's validations."""
    lines = (fitted.run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return min(float(row["pair loss"]) for row in rows if row["split"] == "validation")


def measured(fitted: Any, home: Path, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of the summaries of both test cohorts."""
    keys = {"keys": tuple(fitted.plan.labels)}
    for name in (INTERNAL, EXTERNAL):
        out = fitted.run.folder / f"evaluation {name}"
        summary = fitted.evaluate(Cohort.open(home / name), out, part="all", options={**keys, **options}, say=silent)
        for row in summary.to_dict("records"):
            told = {one: row.get(one) for one in ("outcome", "measure", "value", "low", "high", "control", "patients")}
            yield {"cohort": name, **told}


def few_labels(
    design: Design, home: Path, folder: Path, start: Mapping[str, Any], seed: int, about: Mapping[str, Any]
) -> float:
    """Fit Classify on few labelled studies, and return its mean AUROC over the findings on the internal test.

    Args:
        design: Findings.
        home: Cohorts of the seed.
        folder: Where the run goes.
        start: Settings of the encoder's beginning.
        seed: Of the training.
        about: `labels`: how many studies, `config` of the fit.
    """
    whole = Cohort.open(home / LEARNT)
    cohort = whole if about["labels"] is None else first_of(whole, about["labels"], design.findings)
    told = {"training.seed": seed, "training.workers": 0, "training.device": "cpu", "labels": tuple(design.findings)}
    run = folder / f"classify {len(list(folder.glob('classify *')))}"
    fitted: Any = sw.fit(
        "classify", cohort, run, preset="small", config={**told, **about["config"], **start}, say=silent
    )
    table = fitted.evaluate(Cohort.open(home / INTERNAL), run / "evaluation", part="all", say=silent)
    rows = table[(table["measure"] == "AUROC") & table["outcome"].isin(design.findings)]
    return float(rows["value"].mean())


def first_of(cohort: Cohort, number: int, findings: Sequence[str]) -> Cohort:
    """Return the first training studies alone, so that no other label chooses weights.

    A study of each side of each finding comes first, so that every one can be learnt.
    """
    train = cohort.part("train")
    table = train.frame[[f"label:{name}" for name in findings]].to_numpy(dtype=int)
    needed = [int(np.flatnonzero(table[:, column] == side)[0]) for column in range(table.shape[1]) for side in (1, 0)]
    order = list(dict.fromkeys([*needed, *range(len(train))]))[:number]
    chosen = {train.studies[place] for place in order}
    return cohort.where(np.array([name in chosen for name in cohort.studies]))


def text_oracle(home: Path, findings: Sequence[str]) -> float:
    """Return the mean AUROC of findings told from reports of the test by words of those that are learnt from."""
    parts = [Cohort.open(home / name).frame for name in (LEARNT, INTERNAL)]
    texts = [part.filter(like="text:").fillna("").agg(" ".join, axis=1) for part in parts]
    words = CountVectorizer(ngram_range=(1, 3), min_df=2, binary=True).fit(texts[0])
    known, asked = (words.transform(text) for text in texts)
    return _mean_auroc(known, asked, parts, findings)


def by_histogram(home: Path, findings: Sequence[str], bins: int = 32) -> float:
    """Return the mean AUROC of findings told from the histogram of the image alone."""
    cohorts = [Cohort.open(home / name) for name in (LEARNT, INTERNAL)]
    rows = []
    for cohort in cohorts:
        images = (np.asarray(next(iter(study.scans.values())).data) for study in cohort)
        shares = [np.quantile(image, np.linspace(0, 1, bins)) for image in images]
        rows.append(np.stack(shares))
    spread = rows[0].std(axis=0) + 1e-9
    known, asked = ((one - rows[0].mean(axis=0)) / spread for one in rows)
    return _mean_auroc(known, asked, [cohort.frame for cohort in cohorts], findings)


def _mean_auroc(known: Any, asked: Any, frames: Sequence[pd.DataFrame], findings: Sequence[str]) -> float:
    found = []
    for name in findings:
        truths = [frame[f"label:{name}"].to_numpy(dtype=int) for frame in frames]
        model = LogisticRegression(max_iter=2_000).fit(known, truths[0])
        found.append(roc_auc_score(truths[1], model.predict_proba(asked)[:, 1]))
    return float(np.mean(found))
