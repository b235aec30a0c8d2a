"""Evaluation of boxes: average precision, FROC, JAFROC, whether the best mark lies on a lesion, and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.framework.localisation.detections import FILE, Detections, of_classes
from scanweave.framework.told_rows import outcome_lines
from scanweave.framework.trial import Trial
from scanweave.measures.bootstrap import Interval, bootstrap
from scanweave.measures.detection import LEVELS, MEAN, detection_table
from scanweave.measures.froc import Marks, froc_table
from scanweave.measures.jafroc import VARIANTS, jafroc_table
from scanweave.report.overlays import box_overlay
from scanweave.report.saving import save_figure, save_table
from scanweave.studies.boxes import Boxes
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.wording import count, listed

DETECTION, FROC, JAFROC, COMPARISON = "detection.csv", "froc.csv", "jafroc.csv", "localisation_comparison.csv"
PICTURES = "boxes"
"""Folder of the pictures."""
ALL = "mean of the classes"
FROC_SCORE, BEST_MARK, BEST_POINT = "FROC score", "pointing game of the best mark", "pointing game of the map"
MEASURES = (*LEVELS, FROC_SCORE, *VARIANTS, BEST_MARK, BEST_POINT)
"""Measures of the rows that `measure_localisation` returns, and the one that a system of maps adds to them."""
MIDDLE = "the middle of the image"
"""Control of the pointing games."""
SHOWN, MARKS_DRAWN = 2, 6
"""Films drawn of the worst and of the best; marks drawn of a class in one, the highest."""
Row = dict[str, Any]


def measure_localisation(
    trial: Trial,
    studies: list[str],
    patients: list[str],
    truths: list[Boxes],
    found: list[Boxes],
    classes: Sequence[str],
    *,
    seed: int,
    repeats: int,
    scans: Collection[str],
) -> list[Row]:
    """Measure boxes against true ones, into the folder of a trial.

    Writes `detection.csv` (AP at IoU 0.3, 0.5 and 0.5:0.95), `froc.csv`, `jafroc.csv`, `detections.json` and pictures
    of the films with the worst and the best marks; tells the main figures.

    Args:
        trial: Where the results go.
        studies: Names, N.
        patients: Whose they are, N.
        truths: True boxes of each; of a study that was looked at without a finding none. One that nobody annotated is
            to be left out.
        found: Detections in each, with scores.
        classes: Classes to measure; boxes of others count for nothing.
        seed: Of the resampling of patients.
        repeats: Number of resamples.
        scans: Names of the films that boxes may lie on, for pictures.

    Returns:
        Rows of a summary: `outcome` (a class, or `ALL`), `measure` (of `MEASURES`), `value`, `low`, `high`,
        `patients`, `studies`, and `control`: how often the middle of the image lies on the finding, for `BEST_MARK`.

    Raises:
        ScanweaveError: There is no true box of the classes, lengths differ, or detections have no finite scores.
    """
    true, marked = ([of_classes(boxes, classes) for boxes in side] for side in (truths, found))
    made = Detections(tuple(classes), list(studies), list(patients), true, marked)
    marks = made.marks()
    told = {name: one for name, one in marks.items() if len(one.lesion_scores)}
    if not told:
        raise ScanweaveError("boxes", f"no study has one of {listed(classes)}", "Evaluate studies with such boxes")
    precision = detection_table(made.truths, made.found, patients, seed=seed, repeats=repeats)
    curves = {name: froc_table(one, patients, seed=seed, repeats=repeats) for name, one in told.items()}
    figures = jafroc_table(told, patients)
    forget_localisation(trial.folder)
    save_table(precision, trial.folder / DETECTION)
    save_table(pd.concat([table.assign(**{"class": name}) for name, table in curves.items()]), trial.folder / FROC)
    save_table(figures, trial.folder / JAFROC)
    replace(made, pictures=_draw(trial, made, marks, scans)).save(trial.folder)
    rows = [*_rows(precision, curves, figures), *_best_marks(made, told, seed, repeats)]
    for line in outcome_lines(rows, MIDDLE):
        trial.say(line)
    return rows


def forget_localisation(folder: Path) -> None:
    """Remove what an earlier call wrote into a folder, of other studies perhaps."""
    for picture in (folder / PICTURES).glob("*.png") if (folder / FILE).exists() else ():
        picture.unlink()
    for name in (DETECTION, FROC, JAFROC, COMPARISON, FILE):
        (folder / name).unlink(missing_ok=True)


def film_of(study: Study, boxes: Boxes) -> Scan:
    """Return the film of a study that boxes belong to, by its size.

    Raises:
        ScanweaveError: The boxes are not in pixels, no film of the study has the size of their image, or several have.
    """
    if boxes.unit != "pixel":
        raise ScanweaveError(
            study.id, f"boxes in {boxes.unit}, not in pixels of a film", "Give films with boxes in pixels"
        )
    films = [scan for scan in study.scans.values() if scan.geometry.shape[2] == 1]
    alike = [film for film in films if boxes.size is None or film.geometry.shape[:2] == boxes.size]
    if len(alike) != 1:
        reason = f"{count(len(alike), 'film')} of the size of its boxes"
        raise ScanweaveError(study.id, reason, "Boxes must belong to one film: leave the other films out of the cohort")
    return alike[0]


def summary_row(outcome: str, measure: str, one: Interval, studies: int, control: float = float("nan")) -> Row:
    """Return a row of a summary."""
    figures = {"value": one.value, "low": one.low, "high": one.high, "patients": one.n}
    return {"outcome": outcome, "measure": measure, **figures, "studies": studies, "control": control}


def pointing_row(
    outcome: str,
    measure: str,
    hits: Sequence[float],
    middles: Sequence[float],
    patients: Sequence[str],
    *,
    seed: int,
    repeats: int,
) -> Row:
    """Return the row of a pointing game.

    Args:
        outcome: Class.
        measure: What points.
        hits: Of each study with such a lesion, whether it hits, 0 to 1.
        middles: Whether the middle of its image does.
        patients: Whose it is.
        seed: Of the resampling.
        repeats: Number of resamples.
    """
    found = bootstrap(hits, patients, seed=seed, repeats=repeats)
    return summary_row(outcome, measure, found, len(hits), float(np.mean(middles)))


def middle_hits(truth: Boxes, name: str) -> float:
    """Return 1 if the middle of the image lies in a true box of a class, 0 if not; NaN if its size is unknown."""
    if truth.size is None:
        return float("nan")
    return float(_inside(np.array(truth.size) / 2, _to_find(truth, name).corners))


def _to_find(truth: Boxes, name: str) -> Boxes:
    """Return the true boxes of a class without those that are ignored."""
    return truth.select([label == name and not aside for label, aside in zip(truth.labels, _aside(truth), strict=True)])


def _aside(truth: Boxes) -> list[bool]:
    return [False] * len(truth) if truth.ignored is None else np.asarray(truth.ignored).tolist()


def _best_marks(made: Detections, told: Mapping[str, Marks], seed: int, repeats: int) -> Iterator[Row]:
    """Yield how often the highest mark of a film with a lesion has its centre in one."""
    for name, marks in told.items():
        films = np.unique(marks.lesion_images).tolist()
        hits, middles = [], []
        for film in films:
            marked, truth = of_classes(made.found[film], [name]), _to_find(made.truths[film], name)
            scores = _scores(marked)
            centres = marked.corners.mean(axis=1)[scores == scores.max(initial=-np.inf)]
            hits.append(float(np.mean([_inside(centre, truth.corners) for centre in centres])) if len(centres) else 0.0)
            middles.append(middle_hits(truth, name))
        people = [made.patients[film] for film in films]
        yield pointing_row(name, BEST_MARK, hits, middles, people, seed=seed, repeats=repeats)


def _inside(point: NDArray[np.float64], corners: NDArray[np.float64]) -> bool:
    return bool(((point >= corners[:, 0]) & (point <= corners[:, 1])).all(axis=1).any())


def _scores(found: Boxes) -> NDArray[np.float64]:
    return np.zeros(len(found)) if found.scores is None else found.scores


def _rows(precision: pd.DataFrame, curves: Mapping[str, pd.DataFrame], figures: pd.DataFrame) -> Iterator[Row]:
    for row in precision.to_dict("records"):
        if not np.isnan(row["value"]):
            outcome = ALL if row["class"] == MEAN else row["class"]
            yield summary_row(outcome, row["measure"], _estimate(row), row["images"])
    for name, table in curves.items():
        mean = table[table["measure"] == FROC_SCORE].iloc[0].to_dict()
        yield summary_row(name, FROC_SCORE, _estimate(mean), mean["images"])
    for row in figures.to_dict("records"):
        yield summary_row(row["class"], row["measure"], _estimate(row), row["images"])


def _estimate(row: Mapping[Any, Any]) -> Interval:
    return Interval(float(row["value"]), float(row["low"]), float(row["high"]), int(row["patients"]))


def _draw(trial: Trial, made: Detections, marks: Mapping[str, Marks], scans: Collection[str]) -> dict[str, str]:
    """Draw the films with the worst and the best marks; return what each picture shows, by its name."""
    margins, ill = _margins(marks, len(made.studies))
    order = np.argsort(margins, kind="stable").tolist()
    best = [place for place in reversed(order) if ill[place]][:SHOWN]
    chosen = dict.fromkeys(order[:SHOWN], "worst") | dict.fromkeys(best, "best")
    pictures = {}
    for place, words in chosen.items():
        name, truth, found = made.studies[place], made.truths[place], made.found[place]
        try:
            film = film_of(trial.study(name).only(scans), truth)
        except ScanweaveError as error:
            trial.say(f"not drawn: {error}")
            continue
        highest = _highest(found)
        image = np.asarray(film.data)
        image = image if film.channels else image.astype(np.float32)
        figure = box_overlay(image, film.geometry.spacing, truth, found.select(highest), classes=made.classes)
        file = f"{PICTURES}/{name}.png"
        save_figure(figure, trial.folder / file)
        pictures[file] = f"{name}: one of the {words}, by its lowest-rated lesion less its highest false mark."
    return pictures


def _highest(found: Boxes) -> list[int]:
    """Return the places of the highest marks of each class."""
    order, counts, kept = np.argsort(-_scores(found), kind="stable").tolist(), Counter[str](), []
    for place in order:
        counts[found.labels[place]] += 1
        if counts[found.labels[place]] <= MARKS_DRAWN:
            kept.append(place)
    return kept


def _margins(marks: Mapping[str, Marks], studies: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the lowest score of a lesion less the highest false one of each film, and which films have lesions."""
    lesions, false = np.full(studies, np.inf), np.zeros(studies)
    for one in marks.values():
        np.minimum.at(lesions, one.lesion_images, np.where(np.isfinite(one.lesion_scores), one.lesion_scores, 0))
        np.maximum.at(false, one.false_images, one.false_scores)
    ill = np.isfinite(lesions)
    return np.where(ill, lesions, 0) - false, ill
