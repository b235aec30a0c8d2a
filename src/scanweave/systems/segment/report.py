"""The report of a run: what was planned, what was learnt, and how well structures are outlined."""

from __future__ import annotations

from pathlib import Path

from scanweave.framework.run_page import RunPage
from scanweave.framework.segmentation.page import (
    METRICS,
    pictures_section,
    plan_section,
    quality_section,
    structures_in_words,
)
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


def write(fitted: FittedSegment, page: RunPage, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        fitted: The fitted run.
        page: Its page.
        path: The file; None: `report.html` in the run.
    """
    return page.write(
        path,
        f"Segment: {structures_in_words(fitted.target)}",
        f"Outlines {', '.join(fitted.target.names)} from {', '.join(fitted.scans)}; any of these scans may be absent.",
        [
            plan_section(fitted, page),
            page.learning(METRICS),
            *page.results(
                "How good it is",
                "evaluation",
                lambda folder, record: [quality_section(record), pictures_section(folder, record)],
            ),
        ],
        paper=PAPER,
        closing="Outlines are predictions: check them before you measure with them.",
    )
