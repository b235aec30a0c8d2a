"""Another run beside the one that is tried: whether its evaluation is of the same studies."""

from __future__ import annotations

from pathlib import Path

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.run_outputs import find_output, tried
from scanweave.framework.trial import Trial


def evaluated_alike(other: Run, trial: Trial) -> Path:
    """Return the folder of another run's evaluation on the studies of a trial.

    Raises:
        ScanweaveError: It is not evaluated, or on studies that it has seen, on other ones, or on some slices alone.
    """
    folder = find_output(other, "evaluation")
    if folder is None:
        raise ScanweaveError(other.folder, "is not evaluated", f"First: scanweave evaluate {other.folder}")
    about = tried(folder, "evaluation") or {}
    why = ""
    if about.get("cohort") != trial.about["cohort"]:
        why = "was evaluated on other studies"
    elif about.get("seen") != 0:
        why = "was evaluated on studies that its fit saw, or does not tell"
    elif about.get("slices", 1) != trial.slices:
        why = "was evaluated on other slices"
    if why:
        raise ScanweaveError(other.folder, why, "Evaluate both on the same, which neither has seen")
    return folder
