"""Sections on a page of a run that outlines structures: what was planned, and how well structures are outlined."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.framework.run_page import RunPage, figures
from scanweave.framework.segmentation.fitted import FittedSegmentation
from scanweave.framework.segmentation.target import SegmentationTarget
from scanweave.measures.segmentation import PRESENT
from scanweave.measures.summary import row_of, sureness
from scanweave.report.blocks import Block, Caution, KeyNumbers, Section, Table
from scanweave.report.runs import tried_on
from scanweave.wording import listed

METRICS = {
    "dice": ("higher", "mean over structures and validation studies"),
    "loss": ("lower", "cross-entropy + 1 − soft Dice, at several sizes"),
}
POOR_DICE, NAMED = 0.2, 4
"""Mean Dice of a structure below which nobody would use its outlines; structures that a line names."""
COLUMNS = {"Dice": "{:.3f}", "surface Dice": "{:.3f}", "HD95 [mm]": "{:.1f}", "volume error [ml]": "{:.2f}"}


def structures_in_words(target: SegmentationTarget) -> str:
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


def plan_section(fitted: FittedSegmentation[Any], page: RunPage) -> Section:
    """Return what was learnt from, and how studies are made ready."""
    target = fitted.target
    reasons = [*fitted.plan.reasons, *target.reasons, *fitted.segmenter.plan.reasons]
    blocks: list[Block] = [
        *_not_learnt(page),
        KeyNumbers([("Structures", len(target.names), _kind(fitted)), ("Scans", len(fitted.scans), "")]),
        *page.parts(),
        page.planned(reasons),
    ]
    return Section("What was learnt from", "", blocks)


def _kind(fitted: FittedSegmentation[Any]) -> str:
    """Say how many structures a voxel can belong to."""
    if len(fitted.target.names) == 1:
        return ""
    return "a voxel belongs to one at most" if fitted.target.exclusive else "a voxel may belong to several"


def pictures_section(folder: Path, record: dict[str, Any]) -> Section:
    """Return pictures of studies from the worst to the best."""
    lead = "Studies from the worst to the best by their mean Dice, cut where the drawn structures are largest."
    return Section("Outlines", lead, list(figures(folder, record["about"].get("pictures", {}))))


def _different(summary: pd.DataFrame, structure: str) -> tuple[str, ...]:
    """Return which studies of a structure are told: those where it is present once only, if these are all of them."""
    dice = summary[(summary["structure"] == structure) & (summary["measure"] == "Dice")]
    studies = dict(zip(dice["studies of"], dice["studies"], strict=True))
    return ("all",) if studies.get("all") == studies.get(PRESENT) else ("all", PRESENT)


def quality_section(record: dict[str, Any]) -> Section:
    """Return how well each structure is outlined."""
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
