"""Truth of a film: the boxes of its findings, where somebody looked for them, and which findings it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.boxes import Boxes
from scanweave.studies.cohort import Cohort
from scanweave.studies.columns import KINDS
from scanweave.studies.label_values import findings_matrix


class FilmTruth(NamedTuple):
    """Known findings of a film.

    Attributes:
        boxes: Of the classes, in pixels of the film; none where nobody drew any. Some may be ignored.
        looked: Whether all boxes of a class are among them `(K,)`: those of an annotated film, and none of a film whose
            label says that it has no such finding.
        answers: Whether the film has each finding `(K,)`: 1, 0 or NaN where nothing is known.
    """

    boxes: Boxes
    looked: NDArray[np.bool_]
    answers: NDArray[np.float64]

    @property
    def findings(self) -> Boxes:
        """The boxes that are to be found."""
        return self.boxes.select(~np.asarray(self.boxes.ignored))

    @property
    def ignored(self) -> Boxes:
        """The boxes that are neither to be found nor false when found."""
        return self.boxes.select(np.asarray(self.boxes.ignored))

    @property
    def is_complete(self) -> bool:
        """Tell whether the boxes of every class are there."""
        return bool(self.looked.all())

    @property
    def is_known(self) -> bool:
        """Tell whether anything is known."""
        return bool(self.looked.any() or not np.isnan(self.answers).all())


def film_truth(boxes: Boxes | None, labels: NDArray[np.float64], classes: Sequence[str]) -> FilmTruth:
    """Return what is known of a film.

    A box outweighs a label that denies it. A label of a finding of which an annotated film has no box is believed: the
    film has it, somewhere, and its boxes of that class are not all there. Where all boxes of a class are ignored nobody
    says whether the film has the finding: its label does, if there is one.

    Args:
        boxes: Of the film; None: nobody looked for any.
        labels: 1, 0 or NaN of each class `(K,)`.
        classes: Names of the classes, K.
    """
    if boxes is None:
        return FilmTruth(Boxes(), labels == 0, labels)
    own = boxes.select([name in classes for name in boxes.labels])
    sides = [own.select(np.asarray(own.ignored) == side).labels for side in (False, True)]
    drawn, ignored = (np.array([name in side for name in classes]) for side in sides)
    open_question = ~drawn & (ignored | (labels == 1))
    return FilmTruth(own, ~open_question, np.where(drawn, 1.0, np.where(open_question, labels, 0.0)))


def film_boxes(boxes: Boxes, size: tuple[int, int], study: str) -> Boxes:
    """Return boxes as they lie on a film, cut off at its border.

    Args:
        boxes: Of a study.
        size: Pixels of the film along X and Y.
        study: Its name.

    Raises:
        ScanweaveError: They are not in pixels, or of an image of another size.
    """
    if not len(boxes):
        return Boxes(size=size)
    if boxes.unit != "pixel":
        step = "Give boxes in pixels of the film: see docs/how-to/boxes.md"
        raise ScanweaveError(study, f"boxes in {boxes.unit}, where pixels of a film are needed", step)
    if boxes.size not in (None, size):
        words = f"boxes of an image of {_written(boxes.size)}, and the film has {_written(size)}"
        raise ScanweaveError(study, words, "Name the film that they lie on by --scan")
    return replace(boxes, size=size).clip()


def _written(size: Sequence[int] | None) -> str:
    return "×".join(map(str, size or ()))


def read_truths(cohort: Cohort, classes: Sequence[str]) -> dict[str, FilmTruth]:
    """Return what is known of each film of a cohort, by study.

    Raises:
        ScanweaveError: A file of boxes cannot be read, or a label is no finding.
    """
    labels = label_matrix(cohort.frame, classes)
    cells = cohort.frame["boxes"] if "boxes" in cohort.frame else [None] * len(cohort)
    read = KINDS["boxes"].read
    return {
        name: film_truth(read(cohort.root / str(cell)) if isinstance(cell, str) else None, row, classes)
        for name, cell, row in zip(cohort.studies, cells, labels, strict=True)
    }


def study_truth(boxes: Boxes | None, labels: Mapping[str, Any], classes: Sequence[str]) -> FilmTruth:
    """Return what is known of one study.

    Raises:
        ScanweaveError: A label is no finding.
    """
    return film_truth(
        boxes, label_matrix(pd.DataFrame([{f"label:{k}": v for k, v in labels.items()}]), classes)[0], classes
    )


def label_matrix(frame: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.float64]:
    """Return the labels that are called as classes `(N, K)`; NaN where there is none, or an uncertain one."""
    found = np.full((len(frame), len(classes)), np.nan)
    there = [number for number, name in enumerate(classes) if f"label:{name}" in frame]
    if there:
        found[:, there] = findings_matrix(frame, [classes[number] for number in there])
    return found


def chosen_classes(cohort: Cohort, asked: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Return the classes to find, in order, and why: those asked for, else those with a label of that name, else all.

    Args:
        cohort: The training films.
        asked: Names of classes, or none.

    Raises:
        ScanweaveError: There is no box, or none of a class that is asked for.
    """
    counts = box_counts(cohort)
    if not counts:
        step = "Import boxes with the films: see docs/how-to/boxes.md"
        raise ScanweaveError(cohort.folder, "has no box in its training films", step)
    told = " · ".join(f"{name} {number}" for name, number in counts.items())
    absent = [name for name in asked if name not in counts]
    if absent:
        raise ScanweaveError("classes", f"no training film has a box of '{absent[0]}'", f"There are {told}")
    named = cohort.names("label")
    labelled = tuple(name for name in counts if name in named)
    classes = tuple(dict.fromkeys(asked)) or labelled or tuple(counts)
    left = [name for name in counts if name not in classes]
    why = "as asked" if asked else "all of them" if not left else "those with a label of that name"
    beside = f"; not learnt: {', '.join(left)}" if left else ""
    return classes, f"classes: {', '.join(classes)}, {why}{beside}; boxes of the training films: {told}"


def box_counts(cohort: Cohort) -> dict[str, int]:
    """Return how many boxes of each class a cohort has that are to be found, sorted by name."""
    cells = cohort.frame["boxes"].dropna() if "boxes" in cohort.frame else []
    counts = Counter[str]()
    for cell in cells:
        with suppress(ScanweaveError):  # such a film is left out, and named, when it is checked
            boxes = KINDS["boxes"].read(cohort.root / str(cell))
            counts.update(boxes.select(~np.asarray(boxes.ignored)).labels)
    return dict(sorted(counts.items()))
