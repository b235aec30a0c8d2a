"""One simulated chest film, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.simulate.fields import Array
from scanweave.simulate.films.chest import Chest, draw_chest
from scanweave.simulate.films.findings import Findings, draw_finding
from scanweave.simulate.films.marks import Landmarks, draw_mark, drawn_marks
from scanweave.simulate.films.plane import FilmPlane
from scanweave.simulate.films.settings import FINDINGS, MARKS, FilmSettings, SiteName
from scanweave.simulate.films.sites import SITES, Site
from scanweave.simulate.films.thickness import shadow
from scanweave.simulate.pairs import name_at
from scanweave.studies.boxes import Boxes

Mask = NDArray[np.bool_]


class Stream(IntEnum):
    """Independent sources of randomness of a film: what one draws does not move another."""

    ANATOMY, TEXTURE, PRESENCE, FINDING, AGREEMENT, MARK, SITE, NOISE, ANNOTATED = range(9)


@dataclass(frozen=True)
class Film:
    """Hold everything about one film.

    Attributes:
        pixels: The film, `(H, W)`, of 16 bits.
        masks: Mask `(H, W)` of each finding that is there.
        boxes: Boxes of findings and marks, classes by their names.
        labels: 0 or 1 for each finding that is planted.
        site: Name of the site.
        annotated: Whether its boxes and masks are to be told.
        truth: All that was drawn.
    """

    pixels: NDArray[np.uint16]
    masks: Mapping[str, Mask]
    boxes: Boxes
    labels: dict[str, int]
    site: SiteName
    annotated: bool
    truth: dict[str, Any]


@dataclass(frozen=True)
class Draws:
    """Hold the sources of randomness of one film, and what every kind of film draws from them."""

    seed: int
    index: int
    settings: FilmSettings

    def rng(self, stream: Stream, number: int = 0) -> Generator:
        """Return a source of randomness; `number` tells apart those of one kind."""
        return np.random.default_rng((self.seed, self.index, stream, number))

    def findings(self, chest: Chest) -> Findings:
        """Draw the findings in a chest."""
        drawn = {}
        for name in self.settings.planted:
            number = FINDINGS.index(name)
            if self.rng(Stream.PRESENCE, number).random() < self.settings.prevalence[name]:
                drawn[name] = draw_finding(name, self.rng(Stream.FINDING, number), chest, self.settings.conspicuity)
        return Findings(**drawn)  # type: ignore[arg-type]

    def site(self) -> tuple[SiteName, Site]:
        """Draw the site of the film."""
        name = name_at(self.settings.sites, self.rng(Stream.SITE).random())
        return name, SITES[name]

    def film(
        self, attenuation: Array, masks: Mapping[str, Mask], plane: FilmPlane, place: Landmarks, truth: Any
    ) -> Film:
        """Add marks to line integrals of attenuation `(H, W)`, and take the film.

        Args:
            attenuation: What the patient absorbs.
            masks: Mask of each finding that is there.
            plane: The pixels.
            place: Where marks are placed by.
            truth: What was drawn so far.
        """
        name, site = self.site()
        covered: dict[str, Mask] = dict(masks)
        marks, total = {}, attenuation.copy()
        for mark in drawn_marks(self.rng(Stream.AGREEMENT), self.settings, site, set(masks)):
            drawn = draw_mark(mark, self.rng(Stream.MARK, MARKS.index(mark)), plane, place, site)
            total += drawn.attenuation
            if drawn.mask.any():
                covered[mark], marks[mark] = drawn.mask, drawn.facts
        boxes = boxes_around(covered, attenuation.shape)
        told = {box: boxes.corners[number].astype(int).tolist() for number, box in enumerate(boxes.labels)}
        annotated = bool(self.rng(Stream.ANNOTATED).random() < self.settings.annotated)
        return Film(
            pixels=site.taken(self.rng(Stream.NOISE), total, plane.spacing, self.settings.noise),
            masks=masks,
            boxes=boxes,
            labels={finding: int(finding in masks) for finding in self.settings.planted},
            site=name,
            annotated=annotated,
            truth=truth | {"site": name, "annotated": annotated, "marks": marks, "boxes": told},
        )


def simulate_film(seed: int, index: int, settings: FilmSettings | None = None) -> Film:
    """Simulate one film of own anatomy.

    The same seed, index and settings give the same film, whatever else is simulated. Anatomy, findings and noise do not
    depend on `rho` or `shortcuts`, anatomy and findings not on sites: films differ where marks are, and only there.

    Args:
        seed: Seed of the cohort.
        index: Number of the film in it, from 0.
        settings: What to simulate; the defaults when left out.
    """
    draws = Draws(seed, index, settings or FilmSettings.model_validate({}))
    chest, plane = draw_chest(draws.rng(Stream.ANATOMY)), FilmPlane.square(draws.settings.size)
    findings = draws.findings(chest)
    seen = shadow(draws.rng(Stream.TEXTURE), chest, plane, findings)
    masks: dict[str, Mask] = {name: seen.masks[name] for name in findings.present}
    place = Landmarks(chest.apex, chest.carina, chest.hilum, chest.half_width)
    truth = {
        "view": chest.view,
        "spacing_mm": plane.spacing,
        "heart_ratio": findings.ratio(chest),
        "findings": {name: asdict(finding) for name, finding in findings.present.items()},
        "anatomy": asdict(chest),
    }
    return draws.film(seen.attenuation, masks, plane, place, truth)


def boxes_around(masks: Mapping[str, Mask], shape: tuple[int, ...]) -> Boxes:
    """Return the smallest box around each mask of a film of `shape` (H, W), in pixels; corners are edges, x first."""
    corners = []
    for mask in masks.values():
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        corners.append([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]])
    return Boxes(np.array(corners, np.float64), tuple(masks), "pixel", size=shape[::-1])
