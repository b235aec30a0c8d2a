"""A label-efficiency study: what is compared, and on how much; and its results.

Every arm has the same network and settings and, for a count and a seed, the same labelled studies; fits of more studies
hold those of fewer. No study validates: with few labels that would be more labels. Arms are compared seed by seed on
the test part of the cohort, of whose patients the pre-training should have seen no image either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.configuration import Layer, configure
from scanweave.engine.cohort_parts import count_seen
from scanweave.engine.saved_encoder import FILE as ENCODER
from scanweave.engine.saved_encoder import SavedEncoder
from scanweave.engine.weight_sources import find_run
from scanweave.errors import ScanweaveError
from scanweave.framework.classification.question import text_of
from scanweave.measures.comparisons import mean_over_seeds
from scanweave.studies.cohort import Cohort
from scanweave.wording import count, nearest

SCRATCH = "random weights"
MEASURES: Mapping[str, tuple[str, str]] = {"segment": ("Dice", "mean"), "classify": ("AUROC", "value")}
"""Measure by which each system is judged, and the column of its summary that holds it."""
LABELLED: Mapping[str, tuple[str, str]] = {"segment": ("mask", "mask"), "classify": ("labels", "label")}
"""Setting of each system that names what it learns, and the kind of column that holds it."""
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
        fold: Whose training and test part.
        preset: Settings to start from; None: the system's first preset.
        config: Settings on top of it, the same for all arms.
    """

    system: str
    cohort: Cohort
    starts: Sequence[str]
    counts: Sequence[int | None]
    seeds: int
    fold: int = 0
    preset: str | None = None
    config: Sequence[Layer] = ()

    @property
    def arms(self) -> dict[str, Mapping[str, Any]]:
        """The settings of each arm that are its own: random weights in the shape of the runs, then the runs."""
        found: dict[str, Mapping[str, Any]] = {SCRATCH: {"network.encoder": str(self.starts[0])}}
        return found | {start: {"start.source": str(start)} for start in self.starts}

    @property
    def heading(self) -> str:
        """The column that is labelled.

        Raises:
            ScanweaveError: The cohort has several, and no setting names one.
        """
        setting, kind = LABELLED[self.system]
        settings = configure(self.system, self.preset, self.config, None, lambda line: None)
        named = getattr(settings, setting) or self.cohort.names(kind)
        if len(named) != 1 and not getattr(settings, setting):
            words = f"the cohort has {count(len(named), kind)} ({', '.join(named)})"
            raise ScanweaveError(f"--{setting}", words, "Name one")
        return f"{kind}:{named[0]}"

    @property
    def training(self) -> Cohort:
        """The labelled studies of the training part."""
        part = self.cohort.part("train", self.fold)
        if self.heading not in part.frame:
            raise ScanweaveError(self.heading, "is not in the cohort", "Name another")
        return part.where(part.frame[self.heading].notna())

    @property
    def sizes(self) -> dict[str, int]:
        """The number of labelled studies of each count, by its word; equal numbers once.

        Raises:
            ScanweaveError: Fewer studies are labelled.
        """
        whole, found = len(self.training), dict[int, str]()
        for one in self.counts:
            number = whole if one is None else one
            if number > whole:
                raise ScanweaveError(
                    "--counts", f"{number}, and {whole} training studies are labelled", "Ask for fewer"
                )
            found.setdefault(number, "all" if one is None else str(one))
        return {word: number for number, word in sorted(found.items())}

    def chosen(self, number: int, seed: int) -> Cohort:
        """Return the labelled studies of a draw; of classes, as many of each as there can be, one at least.

        Raises:
            ScanweaveError: There are fewer studies than classes.
        """
        drawn = self.training.labelled(number, seed, self.heading)
        if self.system == "classify":
            classes = {text_of(value) for value in self.training.frame[self.heading]}
            there = {text_of(value) for value in drawn.frame[self.heading]}
            if there != classes:
                words = f"{number} studies do not hold all of {', '.join(sorted(classes))}"
                raise ScanweaveError("--counts", words, "Begin with more")
        return drawn

    def check(self) -> list[str]:
        """Refuse what cannot be compared before anything is fitted, and return what must be told.

        Raises:
            ScanweaveError: The system is not one that is judged here, no study tests, a run has no encoder, several
                have different ones, or fewer studies are labelled than asked for.
        """
        if self.system not in MEASURES:
            raise ScanweaveError("--system", f"'{self.system}' is not compared here", nearest(self.system, MEASURES))
        if self.seeds < 1:
            raise ScanweaveError("--seeds", f"{self.seeds} is too small", "Give 1 or more")
        if not len(self.test):
            raise ScanweaveError(self.cohort.folder, "has no test part", "Make one: scanweave cohort split COHORT")
        encoders = [SavedEncoder.load(find_run(start).folder / ENCODER) for start in self.starts]
        if any(one != encoders[0] for one in encoders):
            reason = "the runs have different encoders, which random weights cannot have all at once"
            raise ScanweaveError("--from", reason, "Run a study for each")
        for number in self.sizes.values():
            for seed in range(self.seeds):
                self.chosen(number, seed)
        seen = {start: count_seen(find_run(start), self.test) for start in self.starts}
        return [
            f"{start} has learnt, without labels, from images of {number} of the {len(self.test)} test studies"
            for start, number in seen.items()
            if number
        ]

    @property
    def test(self) -> Cohort:
        """The studies on which all arms are measured."""
        return self.cohort.part("test", self.fold)


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
                        self.measure: mean_over_seeds(group[arm]),
                        "more than random weights": None if arm == SCRATCH else mean_over_seeds(more),
                        "seeds won": "" if arm == SCRATCH else f"{int((more > 0).sum())} of {len(more)}",
                    }
                )
        return pd.DataFrame(rows)
