"""The report of a run: what was planned, what was learnt, and how well structures are outlined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.framework.run_page import RunPage, figures
from scanweave.measures.segmentation import PRESENT
from scanweave.measures.summary import row_of, sureness
from scanweave.report.blocks import Block, KeyNumbers, Section, Table
from scanweave.report.runs import tried_on
from scanweave.systems.segment.fitted import FittedSegment

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
        f"Structures of {', '.join(fitted.target.masks)}",
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


def _plan(fitted: FittedSegment, page: RunPage) -> Section:
    target = fitted.target
    reasons = [*fitted.plan.reasons, *target.reasons, *fitted.segmenter.plan.reasons]
    blocks: list[Block] = [
        KeyNumbers([("Structures", len(target.names), _kind(fitted)), ("Scans", len(fitted.scans), "")]),
        *page.parts(),
        page.planned(reasons),
    ]
    return Section("What was learnt from", "", blocks)


def _kind(fitted: FittedSegment) -> str:
    """Say how many structures a voxel can belong to."""
    return "of which a voxel has one at most" if fitted.target.exclusive else "of which a voxel may have several"


def _pictures(folder: Path, record: dict[str, Any]) -> Section:
    lead = "Studies from the worst to the best by their mean Dice, cut where the drawn structures are largest."
    return Section("Outlines", lead, list(figures(folder, record["about"].get("pictures", {}))))


def _quality(record: dict[str, Any]) -> Section:
    summary = pd.DataFrame(record["rows"])
    rows = []
    for structure in summary["structure"].unique():
        for of in ("all", PRESENT):
            found = {name: row_of(summary, name, structure=structure, **{"studies of": of}) for name in COLUMNS}
            if any(found.values()):
                rows.append({"structure": structure, "studies": of, **found})
    lead = (
        f"{tried_on(record)} {sureness(summary['patients'])} Surface Dice counts surfaces within "
        f"{record['about']['tolerance']:g} mm as right. HD95 is the larger of the two directed 95th percentiles."
    )
    return Section("How good it is", lead, [Table(rows, "Against the drawn structures, on the native grid.", COLUMNS)])
