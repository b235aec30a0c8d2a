"""Maps of where the evidence of a finding lies on a film, by occlusion, for any run that answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanweave.audit.film_changes import Corners, Image, touches
from scanweave.audit.mark_trials import MarkTrials
from scanweave.audit.marked_films import Film

WINDOWS = 8
"""Windows along each axis of a film, of which those that are tried overlap by half."""


class EvidenceMap(NamedTuple):
    """Hold how far the log-odds of a finding fall where a window is covered.

    Attributes:
        windows: Corners of each window `(W, 2, 2)` [pixel].
        drops: What the log-odds lose by covering it `(W,)`.
    """

    windows: Corners
    drops: NDArray[np.float64]

    @property
    def mass(self) -> float:
        """Sum of what speaks for the finding."""
        return float(np.clip(self.drops, 0, None).sum())

    def share(self, boxes: Corners) -> tuple[float, float]:
        """Return the share of the mass in windows that touch any of the boxes, and the share of such windows.

        The latter is what a map that is the same everywhere has. Without any mass the former is NaN.
        """
        on = np.array([touches(window, boxes) for window in self.windows])
        mass = np.clip(self.drops, 0, None)
        return float(mass[on].sum() / mass.sum()) if mass.any() else float("nan"), float(on.mean())

    def picture(self, size: tuple[int, int]) -> Image:
        """Return the mean drop of the windows over each pixel `(X, Y)`, of what speaks for the finding only."""
        total, times = np.zeros(size), np.zeros(size)
        for (start, stop), drop in zip(self.windows.astype(int), np.clip(self.drops, 0, None), strict=True):
            place = slice(start[0], stop[0]), slice(start[1], stop[1])
            total[place] += drop
            times[place] += 1
        return total / np.maximum(times, 1)


def occlusion_windows(size: tuple[int, int]) -> Corners:
    """Return the windows of a film `(W, 2, 2)` [pixel]: an eighth of each edge, half of that apart."""
    edges = [np.unique(np.rint(np.linspace(0, edge, 2 * WINDOWS + 1)).astype(int)) for edge in size]
    starts = [axis[:-2] if len(axis) > 2 else axis[:1] for axis in edges]
    stops = [axis[2:] if len(axis) > 2 else axis[-1:] for axis in edges]
    return np.array(
        [
            [[a, c], [b, d]]
            for a, b in zip(starts[0], stops[0], strict=True)
            for c, d in zip(starts[1], stops[1], strict=True)
        ],
        dtype=np.float64,
    )


def covered(image: Image, window: Corners) -> Image:
    """Return a film `(X, Y)` whose window `(2, 2)` shows the mean of it and its surroundings, half as wide again."""
    start, stop = window.astype(int)
    half = (stop - start + 1) // 2
    low, high = np.maximum(start - half, 0), np.minimum(stop + half, image.shape)
    made = image.copy()
    made[start[0] : stop[0], start[1] : stop[1]] = image[low[0] : high[0], low[1] : high[1]].mean()
    return made


def evidence_maps(trials: MarkTrials, film: Film, wanted: Collection[str]) -> dict[tuple[str, str], EvidenceMap]:
    """Return the maps of some findings on a film, by the names of run and finding; other runs are not asked."""
    windows, image = occlusion_windows(film.size), film.image()
    before = trials.before(film)
    asked = {name: one for name, one in trials.runs.items() if any(told.name in wanted for told in one.findings)}
    after = [trials.ask(film, covered(image, window), asked) for window in windows]
    found = {}
    for name, one in asked.items():
        for told in (told for told in one.findings if told.name in wanted):
            drops = [told.log_odds(before[name]) - told.log_odds(shares[name]) for shares in after]
            found[name, told.name] = EvidenceMap(windows, np.array(drops))
    return found


def evidence_rows(trials: MarkTrials, most: int) -> Iterator[tuple[dict[str, Any], EvidenceMap]]:
    """Map films that have a finding and its box: one row a run, finding and film, with its map.

    Args:
        trials: Films and runs.
        most: Films of each finding, at most; half of them have a mark too, where there are as many.
    """
    wanted = {told: _chosen(trials, told, most) for told in sorted(trials.told)}
    for name in dict.fromkeys(study for studies in wanted.values() for study in studies):
        film = trials.pool.film(name)
        if film is None:
            continue
        marks = film.corners(trials.marks)
        here = [told for told, studies in wanted.items() if name in studies]
        for (run, told), one in evidence_maps(trials, film, here).items():
            inside, even = one.share(film.corners([told]))
            on_marks, even_marks = one.share(marks) if len(marks) else (float("nan"), float("nan"))
            row = {"run": run, "finding": told, "study": name, "patient": film.study.patient, "mass": one.mass}
            row |= {"inside": inside, "inside, even": even, "on marks": on_marks, "on marks, even": even_marks}
            yield row, one


def _chosen(trials: MarkTrials, told: str, most: int) -> list[str]:
    """Return films with boxes of a finding, those with a mark first, of which no more than half are taken."""
    pool = trials.pool
    marked = set(pool.having(trials.marks))
    boxed = pool.having([told])
    first = [film.study.id for film in pool.films([name for name in boxed if name in marked], -(-most // 2))]
    rest = [name for name in boxed if name not in first and name not in marked]
    rest += [name for name in boxed if name in marked and name not in first]
    return first + [film.study.id for film in pool.films(rest, most - len(first))]
