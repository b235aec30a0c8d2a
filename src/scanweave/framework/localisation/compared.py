"""Boxes of a run beside those of another run on the same studies, from what both have saved."""

from __future__ import annotations

from pathlib import Path

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.compared_runs import evaluated_alike
from scanweave.framework.localisation.detections import Detections, load_detections
from scanweave.framework.localisation.evaluation import COMPARISON
from scanweave.framework.trial import Trial
from scanweave.measures.detection_comparison import compare_detections
from scanweave.report.saving import save_table
from scanweave.studies.boxes import Boxes
from scanweave.wording import count, listed


def other_detections(trial: Trial, place: Path) -> tuple[Run, Detections]:
    """Return another run, and what it found in the studies of a trial.

    It may be of another system: a classifier whose maps became boxes beside a detector. Ask before studies are tried.

    Args:
        trial: What this run is tried on.
        place: Folder of the other.

    Raises:
        ScanweaveError: It is no run, is not evaluated on the same studies, or its boxes were not measured.
    """
    other = Run.open(place)
    theirs = load_detections(evaluated_alike(other, trial))
    if theirs is None:
        raise ScanweaveError(
            other.folder, "was evaluated without boxes", "Evaluate it again; classify: with --localise"
        )
    return other, theirs


def compare_localisation(trial: Trial, place: Path, *, seed: int, repeats: int) -> None:
    """Write `localisation_comparison.csv`, a row a class that both runs mark, and tell it; see `compare_detections`.

    Args:
        trial: Whose folder holds what `measure_localisation` wrote.
        place: Folder of the other run.
        seed: Of the resampling of patients.
        repeats: Number of resamples.

    Raises:
        ScanweaveError: As `other_detections`; the runs have no study or class in common, or other true boxes.
    """
    other, theirs = other_detections(trial, place)
    ours = load_detections(trial.folder)
    if ours is None:
        raise ScanweaveError(trial.folder, "holds no boxes of this run", "Measure them first")
    classes = [name for name in ours.classes if name in theirs.classes]
    if not classes:
        raise ScanweaveError(other.folder, "marks other classes", f"This run marks {listed(ours.classes)}")
    studies = [name for name in ours.studies if name in set(theirs.studies)]
    if not studies:
        raise ScanweaveError(other.folder, "was tried on none of these studies", "Evaluate both on the same")
    one, two = ours.of(studies), theirs.of(studies)
    for name, truth, known in zip(studies, one.truths, two.truths, strict=True):
        if not all(_same(truth, known, label) for label in classes):
            raise ScanweaveError(other.folder, f"was measured against other boxes of {name}", "Evaluate both anew")
    found = compare_detections(one.truths, one.found, two.found, one.patients, classes, seed=seed, repeats=repeats)
    save_table(found, trial.folder / COMPARISON)
    for row in found.to_dict("records"):
        words = ", ".join(
            f"{measure} {row[f'first {measure}']:.3f}, of {other.folder.name} {row[f'second {measure}']:.3f}, "
            f"p {row[f'{measure} p']:.3f}"
            for measure in ("AP50", "JAFROC")
            if row[f"{measure} p"] == row[f"{measure} p"]  # NaN: the films cannot tell
        )
        trial.say(f"{row['class']}: {words or 'the films cannot tell'} ({count(row['patients'], 'patient')})")


def _same(truth: Boxes, known: Boxes, label: str) -> bool:
    """Tell whether true boxes of a class are the same, in whatever order."""
    sides = [
        sorted(
            corners.ravel().tolist() for corners, name in zip(side.corners, side.labels, strict=True) if name == label
        )
        for side in (truth, known)
    ]
    return sides[0] == sides[1]
