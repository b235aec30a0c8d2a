"""The label-efficiency study: what a start from pre-trained weights is worth, by the number of labelled studies.

Every arm has the same network and settings and, for a count and a seed, the same labelled studies; fits of more studies
hold those of fewer. No study validates: with few labels that would be more labels. Arms are compared seed by seed on
the test part of the cohort.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from scanweave import api
from scanweave.configuration import Layer, option_layer
from scanweave.engine.saved_encoder import FILE as ENCODER
from scanweave.engine.weight_sources import find_run
from scanweave.errors import ScanweaveError
from scanweave.files import is_plain, read_json, write_json
from scanweave.measures.bootstrap import Interval
from scanweave.measures.comparisons import wald
from scanweave.report.saving import SUMMARY, save_table
from scanweave.studies.cohort import Cohort
from scanweave.wording import count, nearest

SCRATCH = "random weights"
MEASURES: Mapping[str, tuple[str, str]] = {
    "segment": ("Dice", "mean"),
    "classify": ("AUROC", "value"),
    "detect": ("AP50", "value"),
}
"""Measure by which each system is judged, and the column of its summary that holds it."""
TABLE, JSON = "labels.csv", "labels.json"
Say = Callable[[str], None]
AGAIN = "Remove it, and run the study again"


@dataclass(frozen=True)
class LabelStudy:
    """Hold what is compared, and on how much.

    Attributes:
        system: What is fitted.
        cohort: Labelled studies, split.
        starts: Runs to begin from; each is an arm, beside one from random weights.
        counts: Labelled studies that train; None: all of the training part.
        seeds: How many draws of studies, and of first weights.
        by: Column that is labelled; empty: the only label, else the only mask.
        fold: Whose training and test part.
        preset: Settings to start from; None: the system's first preset.
        config: Settings on top of it, the same for all arms.
    """

    system: str
    cohort: Cohort
    starts: Sequence[str]
    counts: Sequence[int | None]
    seeds: int
    by: str = ""
    fold: int = 0
    preset: str | None = None
    config: Sequence[Layer] = ()

    @property
    def arms(self) -> dict[str, Mapping[str, Any]]:
        """The settings of each arm that are its own: random weights in the shape of the first run, then the runs."""
        found: dict[str, Mapping[str, Any]] = {}
        first = next((start for start in self.starts if is_plain(find_run(start).folder / ENCODER)), None)
        found[SCRATCH] = {} if first is None else {"network.encoder": str(first)}
        return found | {start: {"start.source": str(start)} for start in self.starts}

    @property
    def sizes(self) -> dict[str, int]:
        """The number of labelled studies of each count, by its word."""
        whole = len(self.training)
        return {"all" if one is None else str(one): whole if one is None else one for one in self.counts}

    @property
    def training(self) -> Cohort:
        """The labelled studies of the training part."""
        part = self.cohort.part("train", self.fold)
        column = self.by if ":" in self.by else f"label:{self.by}"
        return part.where(part.frame[column].notna()) if self.by and column in part.frame else part


@dataclass
class LabelResults:
    """Hold what was found.

    Attributes:
        measure: By which arms are judged.
        values: A row a fit: `arm`, `count`, `studies`, `seed`, `value`.
        page: The page.
    """

    measure: str
    values: pd.DataFrame = field(default_factory=pd.DataFrame)
    page: Path = Path()

    @property
    def table(self) -> pd.DataFrame:
        """A row a count and arm: the mean over seeds, and what is above random weights, paired, as intervals."""
        rows = []
        wide = self.values.pivot_table("value", ["studies", "count", "seed"], "arm", sort=False)
        for (studies, word), group in wide.groupby(level=["studies", "count"], sort=True):
            for arm in wide.columns:
                more = group[arm] - group[SCRATCH]
                rows.append(
                    {
                        "labelled studies": studies,
                        "count": word,
                        "arm": arm,
                        self.measure: over_seeds(group[arm]),
                        "more than random weights": None if arm == SCRATCH else over_seeds(more),
                        "seeds won": "" if arm == SCRATCH else f"{int((more > 0).sum())} of {len(more)}",
                    }
                )
        return pd.DataFrame(rows)


def run_labels(study: LabelStudy, out: Path, say: Say = print) -> LabelResults:
    """Fit every arm to every count and seed, measure each on the test part, and write table, JSON and page.

    What an earlier call of the same study has measured is kept; a fit that was stopped goes on.

    Args:
        study: What is compared.
        out: Folder to make: `runs/`, `labels.csv`, `labels.json`, `labels.html`.
        say: Takes a line a fit.

    Raises:
        ScanweaveError: The system is not one that is judged here, a run is not there or offers no start, fewer studies
            are labelled than asked for, or `out` holds another study.
    """
    from scanweave.experiments import labels_page

    if study.system not in MEASURES:
        raise ScanweaveError("--system", f"'{study.system}' is not compared here", nearest(study.system, MEASURES))
    test = study.cohort.part("test", study.fold)
    if not len(test):
        raise ScanweaveError(study.cohort.folder, "has no test part", "Make one: scanweave cohort split COHORT")
    _claim(study, out)
    measure, rows = MEASURES[study.system][0], list[dict[str, Any]]()
    for word, number in study.sizes.items():
        for seed in range(study.seeds):
            chosen = study.training.labelled(number, seed, study.by or None)
            both = study.cohort.select([*chosen.studies, *test.studies])
            for arm, own in study.arms.items():
                value = _measured(study, out / "runs" / f"{_plain(arm)} {word} {seed}", both, own, seed)
                rows.append({"arm": arm, "count": word, "studies": number, "seed": seed, "value": value})
                say(f"{word} labelled, seed {seed}, {arm}: {measure} {value:.3f}")
    found = LabelResults(measure, pd.DataFrame(rows))
    save_table(found.values, out / TABLE)
    found.page = labels_page.write(out, found, study, len(test.patients))
    for row in found.table.to_dict("records"):
        if row["arm"] != SCRATCH:
            say(
                f"{count(row['labelled studies'], 'labelled study', 'labelled studies')}, {row['arm']}: "
                f"{_signed(row['more than random weights'])} against random weights"
            )
    return found


def over_seeds(values: pd.Series) -> Interval:
    """Return the mean over seeds with Student's interval; without one where there is one seed alone."""
    number = len(values)
    if number < 2:
        return Interval(float(values.mean()), float("nan"), float("nan"), number)
    variance = float(values.var(ddof=1)) / number
    return wald(float(values.mean()), variance, number, None, 0.95, student(number - 1)).difference


def _claim(study: LabelStudy, out: Path) -> None:
    """Note in a folder what is compared there, or refuse it where it holds another study."""
    asked = {
        "format": 1,
        "system": study.system,
        "cohort": study.cohort.digest,
        "arms": {name: dict(own) for name, own in study.arms.items()},
        "by": study.by,
        "fold": study.fold,
        "preset": study.preset,
    }
    path = out / JSON
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, asked)
    elif read_json(path, AGAIN) != asked:
        raise ScanweaveError(out, "holds a study of something else", "Choose another --out, or remove it")


def _measured(study: LabelStudy, run: Path, cohort: Cohort, own: Mapping[str, Any], seed: int) -> float:
    """Return the measure of one fit on the test part: mean over structures, classes or findings."""
    layers = [*study.config, {"training.seed": seed}, own]
    fitted = api.fit(
        study.system, cohort, run, preset=study.preset, config=layers, fold=study.fold, say=lambda line: None
    )
    path = run / "evaluation" / f"{SUMMARY}.json"
    if not path.is_file():
        fitted.evaluate(cohort, run / "evaluation", part="test", say=lambda line: None)
    measure, column = MEASURES[study.system]
    rows = [row for row in read_json(path, AGAIN)["rows"] if row["measure"] == measure]
    kept = [row[column] for row in rows if row.get("studies of", "all") == "all" and row[column] is not None]
    if not kept:
        raise ScanweaveError(run, f"{measure} could not be measured", "Look at its evaluation")
    return float(np.mean(kept))


def _plain(arm: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in arm)[-60:]


def _signed(one: Interval) -> str:
    ends = "" if np.isnan(one.low) else f" [{one.low:+.3f}, {one.high:+.3f}]"
    return f"{one.value:+.3f}{ends}"


def option_layers(system: str, device: str | None) -> list[Layer]:
    """Return the settings that options of the command give."""
    return [] if device is None else [option_layer(system, "--device", device)]
