"""The report of a run: what was planned, what was learnt, and how well structures are outlined."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.framework.run_page import RunPage, figures
from scanweave.measures.segmentation import PRESENT
from scanweave.measures.summary import row_of, sureness
from scanweave.report.blocks import Block, Caution, KeyNumbers, Section, Table
from scanweave.report.runs import tried_on
from scanweave.systems.segment.fitted import FittedSegment
from scanweave.systems.segment.target import SegmentTarget
from scanweave.wording import listed

PAPER = """\
@article{isensee2021nnunet,
  author  = {Isensee, Fabian and others},
  title   = {{nnU-Net}: a self-configuring method for deep learning-based biomedical image segmentation},
  journal = {Nature Methods},
  volume  = {18},
  year    = {2021}
}
"""
METRICS = {
    "dice": ("higher", "mean over structures and validation studies"),
    "loss": ("lower", "cross-entropy + 1 − soft Dice, at several sizes"),
}
POOR_DICE, NAMED = 0.2, 4
"""Mean Dice of a structure below which nobody would use its outlines; structures that a line names."""
COLUMNS = {"Dice": "{:.3f}", "surface Dice": "{:.3f}", "HD95 [mm]": "{:.1f}", "volume error [ml]": "{:.2f}"}


def write(fitted: FittedSegment, page: RunPage, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        fitted: The fitted run.
        page: Its page.
        path: The file; None: `report.html` in the run.
    """
    return page.write(
        path,
        f"Segment: {_structures(fitted.target)}",
        f"Outlines {', '.join(fitted.target.names)} from {', '.join(fitted.scans)}; any of these scans may be absent.",
        [
            _plan(fitted, page),
            page.learning(METRICS),
            *page.results(
                "How good it is", "evaluation", lambda folder, record: [_quality(record), _pictures(folder, record)]
            ),
        ],
        paper=PAPER,
        closing="Outlines are predictions: check them before you measure with them.",
    )


def _structures(target: SegmentTarget) -> str:
    """Return the names of the structures, or, where they have none, their numbers and the masks that hold them."""
    if not all(map(str.isdecimal, target.names)):
        return listed(target.names, NAMED)
    numbers = f"structure{'' if len(target.names) == 1 else 's'} {listed(target.names, NAMED)}"
    return f"{numbers} of the mask {' and '.join(target.masks)}"


def _not_learnt(page: RunPage) -> Iterator[Caution]:
    """Yield what a reader must know first: that the fit has plainly not learnt to outline a structure."""
    record = page.record("evaluation")
    if record is None:
        return
    means = {row["structure"]: row["mean"] for row in record["rows"] if row["measure"] == "Dice"}  # the last: present
    poor = [f"{name} {mean:.2f}" for name, mean in means.items() if mean is not None and mean < POOR_DICE]
    if poor:
        yield Caution(
            f"Plainly not learnt: mean Dice of {listed(poor, NAMED)}. Do not use these outlines; train for more steps, "
            "and look whether the masks lie on the scans."
        )


def _plan(fitted: FittedSegment, page: RunPage) -> Section:
    target = fitted.target
    reasons = [*fitted.plan.reasons, *target.reasons, *fitted.segmenter.plan.reasons]
    rows = []
    for reason in reasons:
        what, _, why = reason.partition(": ")
        rows.append({"what": what, "how and why": why})
    blocks: list[Block] = [
        *_not_learnt(page),
        KeyNumbers([("Structures", len(target.names), _kind(fitted)), ("Scans", len(fitted.scans), "")]),
        *page.parts(),
        Table(rows, "Planned from the training studies.", folded=True),
    ]
    return Section("What was learnt from", "", blocks)


def _kind(fitted: FittedSegment) -> str:
    """Say how many structures a voxel can belong to."""
    if len(fitted.target.names) == 1:
        return ""
    return "a voxel belongs to one at most" if fitted.target.exclusive else "a voxel may belong to several"


def _pictures(folder: Path, record: dict[str, Any]) -> Section:
    lead = "Studies from the worst to the best by their mean Dice, cut where the drawn structures are largest."
    return Section("Outlines", lead, list(figures(folder, record["about"].get("pictures", {}))))


def _different(summary: pd.DataFrame, structure: str) -> tuple[str, ...]:
    """Return which studies of a structure are told: those where it is present once only, if these are all of them."""
    dice = summary[(summary["structure"] == structure) & (summary["measure"] == "Dice")]
    studies = dict(zip(dice["studies of"], dice["studies"], strict=True))
    return ("all",) if studies.get("all") == studies.get(PRESENT) else ("all", PRESENT)


def _quality(record: dict[str, Any]) -> Section:
    summary = pd.DataFrame(record["rows"])
    rows = []
    for structure in summary["structure"].unique():
        for of in _different(summary, structure):
            found = {name: row_of(summary, name, structure=structure, **{"studies of": of}) for name in COLUMNS}
            if any(found.values()):
                rows.append({"structure": structure, "studies": of, **found})
    lead = (
        f"{tried_on(record)} {sureness(summary['patients'])} Surface Dice counts surfaces within "
        f"{record['about']['tolerance']:g} mm as right. HD95 is the larger of the two directed 95th percentiles."
    )
    return Section("How good it is", lead, [Table(rows, "Against the drawn structures, on the native grid.", COLUMNS)])
