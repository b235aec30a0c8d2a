"""Findings as a fitted run tells them: their probability, and whether it calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.framework.classification.answers import Answering
from scanweave.framework.classification.operating_points import HALF
from scanweave.framework.classification.validation import binary_truths
from scanweave.measures.operating_points import OperatingPoint
from scanweave.studies.cohort import Cohort

LEAST_PROBABILITY = 1e-4
"""Of a finding and of its opposite in a log-odds: beyond it a run is sure, and differences tell nothing."""
NEEDED = ("plan.outputs", "points", "probabilities")
"""Parts of a fitted run that answer for a film; see `Answering`."""


@dataclass(frozen=True)
class ToldFinding:
    """Hold a finding, or a class, as a run tells it.

    Attributes:
        name: Of the finding; of a label that is 0 or 1 that of the label.
        number: Its place among the outputs of the run.
        point: From which probability it is called; None: where it is the most probable class.
    """

    name: str
    number: int
    point: OperatingPoint | None

    def called(self, shares: NDArray[np.float64]) -> bool:
        """Tell whether it is called, from the probabilities of all outputs `(K,)`."""
        if self.point is None:
            return int(shares.argmax()) == self.number
        return bool(shares[self.number] >= self.point.threshold)

    def log_odds(self, shares: NDArray[np.float64]) -> float:
        """Return log(p / (1 − p)) from the probabilities of all outputs `(K,)`."""
        p = float(np.clip(shares[self.number], LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
        return float(np.log(p / (1 - p)))


def answering(run: Any, where: str | Path) -> Answering:
    """Return a run that answers for films, as such.

    Raises:
        ScanweaveError: Names the parts that it lacks.
    """
    parts = {"plan.outputs": getattr(run, "plan", None), "points": run, "probabilities": run}
    absent = [name for name in NEEDED if not hasattr(parts[name], name.rpartition(".")[2])]
    if absent:
        system = getattr(run, "name", "the run")
        reason = f"{system} offers no audit of shortcuts: it has no {', no '.join(absent)}"
        raise ScanweaveError(where, reason, "Name a run that tells findings of films, such as one of classify")
    if not scan_sources(run):
        raise ScanweaveError(where, "reads no image, so no mark on a film can mislead it", "Name a run on films")
    found: Answering = run
    return found


def scan_sources(run: Any) -> list[str]:
    """Return the names of the scans that a run reads."""
    return [column.removeprefix("scan:") for column in run.plan.sources if column.startswith("scan:")]


def common_scans(runs: Mapping[str, Any]) -> list[str]:
    """Return the names of the scans that all runs read: a film that one does not see tells nothing of it.

    Raises:
        ScanweaveError: There is none.
    """
    each = [scan_sources(run) for run in runs.values()]
    common = [scan for scan in each[0] if all(scan in others for others in each)]
    if not common:
        told = "; ".join(f"{name} reads {', '.join(own)}" for name, own in zip(runs, each, strict=True))
        raise ScanweaveError("RUN", f"no scan is read by all runs: {told}", "Audit them one by one")
    return common


def told_findings(run: Answering) -> list[ToldFinding]:
    """Return the findings that a run tells; of two classes the second one."""
    plan, points = run.plan, run.points
    other = HALF if plan.kind == "findings" else None
    return [
        ToldFinding(name, plan.outputs.index(output), points.get(output, other))
        for name, output in plan.findings.items()
    ]


def known_truths(run: Answering, findings: Sequence[ToldFinding], cohort: Cohort) -> dict[str, NDArray[np.float64]]:
    """Return of each finding what the labels of a cohort say of its studies: 1, 0 or NaN `(N,)`.

    Raises:
        ScanweaveError: A study has a class that the run does not know.
    """
    question, frame = run.plan.question, cohort.frame
    absent = [name for name in question.labels if f"label:{name}" not in frame]
    if len(absent) == len(question.labels):
        return {told.name: np.full(len(frame), np.nan) for told in findings}
    answers = question.answers(frame.assign(**{f"label:{name}": None for name in absent}))
    truths = binary_truths(answers, question)
    return {told.name: truths[told.number] for told in findings}
