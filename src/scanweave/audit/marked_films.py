"""Films of a cohort that boxes of marks and findings are known of, opened on use."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.audit.film_changes import Corners, Image, boxes_of
from scanweave.errors import ScanweaveError
from scanweave.studies.boxes import Boxes
from scanweave.studies.cohort import Cohort
from scanweave.studies.columns import KINDS
from scanweave.studies.study import Study
from scanweave.wording import listed, nearest

LARGEST_MARK_SHARE = 0.25
"""Share of a film from which a box is no mark on it: little is left to fill it from."""
ORDER = 11
"""Keeps the order of films apart from what else is drawn from a seed."""


@dataclass(frozen=True, eq=False)
class Film:
    """Hold a film with the boxes on it.

    Attributes:
        study: What it belongs to.
        scan: Name of the scan.
        boxes: In its pixels.
    """

    study: Study
    scan: str
    boxes: Boxes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height [pixel]."""
        width, height = self.study[self.scan].geometry.shape[:2]
        return width, height

    @cached_property
    def kind(self) -> np.dtype[Any]:
        """Type of its grey values."""
        return np.asarray(self.study[self.scan].grey().load()).dtype

    def image(self) -> Image:
        """Return its grey values `(X, Y)`, read now."""
        grey = self.study[self.scan].grey().load()
        return np.asarray(grey, dtype=np.float64).reshape(self.size)

    def corners(self, names: Collection[str]) -> Corners:
        """Return the corners `(N, 2, 2)` of the boxes of some classes."""
        return boxes_of(self.boxes, names)

    def with_image(self, image: Image) -> Study:
        """Return its study with other grey values `(X, Y)`, rounded and cut to what its type holds."""
        scan, kind = self.study[self.scan].grey(), self.kind
        if kind.kind in "iu":
            limits = np.iinfo(kind)
            image = np.clip(np.rint(image), limits.min, limits.max)
        made: NDArray[np.generic] = image.reshape(scan.geometry.shape).astype(kind)
        return self.study.with_scans({**self.study.scans, self.scan: replace(scan, load=lambda: made, path=None)})


class FilmPool:
    """Hold the annotated films of a cohort, in an order that is drawn once, one film of every patient first.

    Args:
        cohort: The studies that may be tried.
        scans: Names of the scans that the runs read.
        seed: Draws the order.

    Raises:
        ScanweaveError: The cohort has no boxes.
    """

    def __init__(self, cohort: Cohort, scans: Sequence[str], seed: int) -> None:
        if "boxes" not in cohort.frame or not cohort.frame["boxes"].notna().any():
            step = "Take in boxes of markers and tubes (docs/how-to/boxes.md); maps need none: scanweave explain"
            raise ScanweaveError(cohort.folder, "has no boxes, so it is not known where marks are", step)
        self.cohort, self.scans = cohort, scans
        self.left_out: dict[str, str] = {}
        self.classes = dict(self._classes(np.random.default_rng([seed, ORDER])))
        self._films: dict[str, Film | None] = {}

    def having(self, names: Collection[str]) -> list[str]:
        """Return the studies with a box of any of these classes, in order."""
        return [study for study, classes in self.classes.items() if classes & set(names)]

    def lacking(self, name: str) -> list[str]:
        """Return the annotated studies without a box of this class, in order."""
        return [study for study, classes in self.classes.items() if name not in classes]

    def films(self, studies: Sequence[str], most: int) -> Iterator[Film]:
        """Return the first films of these studies that can be used, `most` of them."""
        found = 0
        for name in studies:
            if found == most:
                return
            film = self.film(name)
            if film is not None:
                found += 1
                yield film

    def film(self, name: str) -> Film | None:
        """Return the film of a study that its boxes are on; None, and noted, where it cannot be used."""
        if name not in self._films:
            try:
                self._films[name] = self._opened(name)
            except ScanweaveError as error:
                self.left_out[name] = error.reason
                self._films[name] = None
        return self._films[name]

    def _classes(self, rng: np.random.Generator) -> Iterator[tuple[str, frozenset[str]]]:
        frame = self.cohort.frame
        annotated = frame[frame["boxes"].notna()]
        drawn = annotated.iloc[rng.permutation(len(annotated))]
        turn = drawn.groupby("patient", sort=False).cumcount().to_numpy()
        rows = drawn.iloc[np.argsort(turn, kind="stable")]
        for study, cell in zip(rows["study"], rows["boxes"], strict=True):
            try:
                yield str(study), frozenset(KINDS["boxes"].read(self.cohort.root / str(cell)).labels)
            except ScanweaveError as error:
                self.left_out[str(study)] = error.reason

    def _opened(self, name: str) -> Film:
        study = self.cohort[name]
        boxes = study.boxes
        if boxes is None or boxes.unit != "pixel":
            raise ScanweaveError(name, "its boxes are not in the pixels of a film", "Give them in pixels")
        known = {scan: study.scans[scan] for scan in self.scans if scan in study.scans}
        fits = [
            scan
            for scan, one in known.items()
            if one.frames is None and one.geometry.shape[2] == 1 and boxes.size in (None, one.geometry.shape[:2])
        ]
        if len(fits) != 1:
            reason = f"its boxes belong to {'several films' if fits else 'no film that the run reads'}"
            raise ScanweaveError(name, reason, "Say the size of their film beside the boxes")
        if known[fits[0]].channels is not None:
            raise ScanweaveError(name, f"{fits[0]} is in colour", "The audit changes grey films alone")
        width, height = known[fits[0]].geometry.shape[:2]
        share = boxes.volumes / (width * height)
        return Film(study, fits[0], boxes.select(np.flatnonzero(share > 0)))


def chosen_marks(pool: FilmPool, asked: Sequence[str], told: Collection[str]) -> list[str]:
    """Return the classes of boxes that are marks: those asked for, or all that are neither told nor labelled.

    Args:
        pool: The films.
        asked: Names that the user gave; may be none.
        told: Findings that the runs tell.

    Raises:
        ScanweaveError: A name is no class of the boxes, or there is no mark.
    """
    there = sorted(frozenset().union(*pool.classes.values()))
    for name in asked:
        if name not in there:
            raise ScanweaveError("marks", f"no film of these studies has a box '{name}'", nearest(name, there))
        if name in told:
            raise ScanweaveError("marks", f"'{name}' is a finding that the run tells", "Leave it out")
    labels = pool.cohort.names("label")
    marks = list(dict.fromkeys(asked)) or [name for name in there if name not in told and name not in labels]
    if not marks:
        reason = f"all boxes of these films are of findings ({listed(there) or 'none'})"
        raise ScanweaveError("marks", reason, "Draw boxes around markers, tubes or devices, and take them in")
    return marks


def is_small(corners: Corners, size: tuple[int, int]) -> bool:
    """Tell whether boxes `(N, 2, 2)` together leave enough of a film to fill them from."""
    areas = (corners[:, 1] - corners[:, 0]).prod(axis=1)
    return bool(areas.sum() <= LARGEST_MARK_SHARE * size[0] * size[1])
