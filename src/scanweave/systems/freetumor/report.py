"""The report of a run: what was learnt from, how many made tumours counted, and how well tumours are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scanweave.framework.run_page import RunPage
from scanweave.framework.segmentation.page import METRICS, pictures_section, plan_section, quality_section
from scanweave.measures.summary import estimate, sureness
from scanweave.report.blocks import Block, Caution, KeyNumbers, Section, Table
from scanweave.systems.freetumor.fitted import SEGMENTOR, FittedFreeTumor

PAPER = """\
@article{wu2025freetumor,
  title   = {{FreeTumor}: large-scale generative tumor synthesis in computed tomography images},
  author  = {Wu, Linshan and others},
  journal = {Nature Communications},
  volume  = {16},
  pages   = {11053},
  year    = {2025}
}
"""
FEW, MANY = 0.2, 0.98
"""Shares of made tumours that count below and above which the judge decides nothing useful."""


def write(fitted: FittedFreeTumor, page: RunPage, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        fitted: The fitted run.
        page: Its page.
        path: The file; None: `report.html` in the run.
    """
    return page.write(
        path,
        f"FreeTumor: {', '.join(fitted.target.names)}",
        f"Outlines {', '.join(fitted.target.names)} from {fitted.scan}, learnt from drawn tumours, and from made ones "
        "in scans that have none.",
        [
            plan_section(fitted, page),
            _made(fitted, page),
            page.learning(METRICS, SEGMENTOR),
            *page.results(
                "How good it is",
                "evaluation",
                lambda folder, record: [
                    quality_section(record),
                    *_lesions(record),
                    pictures_section(folder, record),
                ],
            ),
        ],
        paper=PAPER,
        closing="Outlines are predictions: check them before you measure with them.",
    )


def acceptance(rows: list[dict[str, Any]]) -> float | None:
    """Return the share of offered tumours that counted, by the metrics of the last stage; None: none was offered."""
    own = [row for row in rows if row.get("stage") == SEGMENTOR and row.get("split") == "train" and "offered" in row]
    offered = sum(float(row["offered"]) for row in own)
    return sum(float(row["accepted"]) for row in own) / offered if offered else None


def _made(fitted: FittedFreeTumor, page: RunPage) -> Section:
    """Return what is known of the made tumours."""
    synthesis, share = fitted.config.synthesis, acceptance(fitted.run.metrics())
    words = {
        "learnt": "A generator made them, trained before a judge: a segmentor that saw drawn tumours alone.",
        "rules": "Rules made them: a drawn shape, a texture and a contrast.",
        "copied": "They are real tumours of other training studies.",
    }[synthesis.source]
    blocks: list[Block] = [*_cautions(share, judged=synthesis.judged)]
    numbers = [("Contrasts known", str(len(fitted.looks.contrasts)), "drawn tumours of the training studies")]
    if share is not None:
        numbers.append(("Made tumours that counted", f"{100 * share:.0f} %", "of those that were offered"))
    return Section("Made tumours", words, [*blocks, KeyNumbers(numbers)])


def _cautions(share: float | None, *, judged: bool) -> Iterator[Caution]:
    if share is None:
        yield Caution("No tumour was put into any crop: no scan without a tumour has the organ.")
    elif judged and share < FEW:
        yield Caution(
            f"The judge let {100 * share:.0f} % pass, so few made tumours were learnt from. A judge that saw few "
            "drawn tumours often finds none."
        )
    elif judged and share > MANY:
        yield Caution(
            f"The judge let {100 * share:.0f} % pass: it decides nothing. Look whether made tumours are far plainer "
            "than real ones."
        )


def _lesions(record: dict[str, Any]) -> Iterator[Section]:
    rows = record["about"].get("lesions_at_rate")
    if not rows:
        return
    shown = [
        {"measure": row["measure"], "value": estimate(row, int(row["patients"]), "value"), "tumours": row["lesions"]}
        for row in rows
    ]
    lead = (
        f"At the threshold {rows[0]['threshold']:g}, where most tumours are found at this price, so that runs can be "
        f"compared. {sureness([row['patients'] for row in rows])}"
    )
    yield Section("Tumours at one price", lead, [Table(shown, "Tumours, not voxels.", {"value": "{:.3f}"})])
