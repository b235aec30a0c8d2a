"""Marks pasted into films that lack them and masked on those that have them, and what runs say before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanweave.audit.film_changes import Corners, Image, carried, edge_of, filled, moved_box, touches, transplanted
from scanweave.audit.marked_films import Film, FilmPool, is_small
from scanweave.audit.told_findings import ToldFinding
from scanweave.framework.classification.answers import Answering

INSERTION, REMOVAL = "insertion", "removal"
DONORS, PLACES = 12, 13
"""Keep the draws of donors and of places apart from what else is drawn from a seed."""
MOST_DONORS = 40
"""Donors that are looked at for a film before it is left out."""
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class TriedRun:
    """Hold a run that is tried.

    Attributes:
        run: What answers.
        findings: Those of it that are tried.
        truths: What is known of each study, 1 or 0, by finding and study; others are not known.
    """

    run: Answering
    findings: Sequence[ToldFinding]
    truths: Mapping[str, Mapping[str, float]]


class Pair(NamedTuple):
    """Hold a film changed at its mark, and changed alike elsewhere or without one.

    Attributes:
        changed: With a mark pasted in, or its own one masked `(X, Y)`.
        control: With the same place of a film without the mark pasted in, or a free place of the same size masked.
        boxes: Where it was changed `(N, 2, 2)`, and
        control_boxes: where the control was [pixel].
        donor: Study that gave the mark, and
        control_donor: that without it; empty for what is masked.
    """

    changed: Image
    control: Image
    boxes: Corners
    control_boxes: Corners
    donor: str = ""
    control_donor: str = ""


@dataclass
class MarkTrials:
    """Try marks on films, and hold what runs say of films as they are.

    Attributes:
        pool: The films.
        runs: The runs by name.
        marks: Every class of boxes that is a mark.
        films: Films of each kind that are tried, at most.
        seed: Of donors and places.
        said: What each run says of a study as it is, by study.
    """

    pool: FilmPool
    runs: Mapping[str, TriedRun]
    marks: Sequence[str]
    films: int
    seed: int
    said: dict[str, dict[str, Shares]] = field(default_factory=dict)

    def ask(self, film: Film, image: Image, runs: Mapping[str, TriedRun] | None = None) -> dict[str, Shares]:
        """Return the probabilities `(K,)` of each run, or of some, for a film with these grey values."""
        study, asked = film.with_image(image), self.runs if runs is None else runs
        return {name: np.asarray(one.run.probabilities(study), dtype=np.float64) for name, one in asked.items()}

    def before(self, film: Film) -> dict[str, Shares]:
        """Return the probabilities `(K,)` of each run for a film as it is."""
        if film.study.id not in self.said:
            self.said[film.study.id] = self.ask(film, film.image())
        return self.said[film.study.id]

    def rows(self, mark: str) -> Iterator[dict[str, Any]]:
        """Try a mark on films, one of each patient for a direction: one row a run, finding, film and direction."""
        directions = ((INSERTION, self.pool.lacking(mark)), (REMOVAL, self.pool.having([mark])))
        for direction, studies in directions:
            tried: set[str] = set()
            for name in studies:
                film = self.pool.film(name) if len(tried) < self.films else None
                fresh = film is not None and film.study.patient not in tried
                pair = self.pair(film, mark, direction) if film is not None and fresh else None
                if film is not None and pair is not None:
                    tried.add(film.study.patient)
                    yield from self._told(film, mark, direction, pair)

    def pair(self, film: Film, mark: str, direction: str) -> Pair | None:
        """Return a film changed and its control, the same ones whenever it is asked; None where there is none."""
        draws = [self.seed, list(self.pool.classes).index(film.study.id), list(self.marks).index(mark)]
        if direction == REMOVAL:
            return self._masked(film, mark, np.random.default_rng([PLACES, *draws]))
        return self._inserted(film, mark, np.random.default_rng([DONORS, *draws]))

    @property
    def told(self) -> set[str]:
        """Findings that any run tells."""
        return {told.name for one in self.runs.values() for told in one.findings}

    def _others(self, mark: str) -> set[str]:
        """Every other class of boxes, whether it is tried or not: nothing else may change with a mark."""
        return set(frozenset[str]().union(*self.pool.classes.values())) - {mark}

    def _masked(self, film: Film, mark: str, rng: np.random.Generator) -> Pair | None:
        boxes = film.corners([mark])
        others = film.corners(self._others(mark))
        if not len(boxes) or not is_small(boxes, film.size) or _meet(boxes, others):
            return None
        taken = np.concatenate([others, boxes])
        moved: list[Corners] = []
        for corners in boxes:
            free = moved_box(rng, corners, np.stack([*taken, *moved]), film.size)
            if free is None:
                return None
            moved.append(free)
        image = film.image()
        return Pair(filled(image, boxes), filled(image, moved), boxes, np.stack(moved))

    def _inserted(self, film: Film, mark: str, rng: np.random.Generator) -> Pair | None:
        donor, boxes = self._donor(film, mark, rng)
        if donor is None:
            return None
        control = self._control_donor(film, donor, mark, rng)
        if control is None:
            return None
        image, there = film.image(), carried(boxes, donor.size, film.size)
        pasted = transplanted(image, donor.image(), boxes)
        plain = transplanted(image, control.image(), carried(boxes, donor.size, control.size))
        return Pair(pasted, plain, there, there, donor.study.id, control.study.id)

    def _donor(self, film: Film, mark: str, rng: np.random.Generator) -> tuple[Film | None, Corners]:
        """Return a film of another patient whose marks touch nothing else that counts, here or there."""
        others = self._others(mark)
        for donor in self._drawn(film, self.pool.having([mark]), rng):
            boxes = donor.corners([mark])
            there = carried(boxes, donor.size, film.size)
            apart = not _meet(boxes, donor.corners(others)) and not _meet(there, film.corners(others))
            if len(boxes) and is_small(boxes, donor.size) and apart:
                return donor, boxes
        return None, np.zeros((0, 2, 2))

    def _control_donor(self, film: Film, donor: Film, mark: str, rng: np.random.Generator) -> Film | None:
        boxes = donor.corners([mark])
        for control in self._drawn(film, self.pool.lacking(mark), rng):
            if not _meet(carried(boxes, donor.size, control.size), control.corners(self._others(mark))):
                return control
        return None

    def _drawn(self, film: Film, studies: Sequence[str], rng: np.random.Generator) -> Iterator[Film]:
        for number in rng.permutation(len(studies))[:MOST_DONORS]:
            other = self.pool.film(studies[number])
            if other is not None and other.study.patient != film.study.patient:
                yield other

    def _told(self, film: Film, mark: str, direction: str, pair: Pair) -> Iterator[dict[str, Any]]:
        before, after, control = self.before(film), self.ask(film, pair.changed), self.ask(film, pair.control)
        about = {"study": film.study.id, "patient": film.study.patient, "mark": mark, "direction": direction}
        for name, one in self.runs.items():
            for told in one.findings:
                states = {"before": before[name], "after": after[name], "control": control[name]}
                yield {
                    "run": name,
                    "finding": told.name,
                    **about,
                    "truth": one.truths[told.name].get(film.study.id, np.nan),
                    **{state: float(shares[told.number]) for state, shares in states.items()},
                    **{f"log-odds {state}": told.log_odds(shares) for state, shares in states.items()},
                    **{f"called {state}": told.called(shares) for state, shares in states.items()},
                    "donor": pair.donor,
                    "control donor": pair.control_donor,
                }


def _meet(boxes: Corners, others: Corners) -> bool:
    return any(touches(corners, others, edge_of(corners)) for corners in boxes)
