"""The report of a run: what was learnt, what the loop does with it, and how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.framework.run_outputs import result_picture
from scanweave.framework.run_page import RunPage
from scanweave.measures.summary import row_of, sureness
from scanweave.report.blocks import Block, Caution, Figure, KeyNumbers, Section, Table
from scanweave.report.runs import RECONSTRUCTED, tried_on
from scanweave.systems.acid.evaluation import MEASURES, SHEET, notes
from scanweave.systems.acid.figures import convergence_plot
from scanweave.systems.acid.plan import AcidPlan
from scanweave.systems.acid.tuning import Choices

PAPER = """\
@article{wu2022acid,
  author  = {Wu, Weiwen and others},
  title   = {Stabilizing deep tomographic reconstruction},
  journal = {Patterns},
  year    = {2022},
  note    = {arXiv:2008.01846}
}
"""
METRICS = {
    "psnr": ("higher", "of the network alone on validation images"),
    "loss": ("lower", "‖Φ(y) − f‖ / ‖f‖"),
    "residual": ("lower", "the same on the network's own residuals, its BREN ratio; 1 is as bad as no feedback"),
}
KINDS = {"truth": "true images", "errors": "the network's own errors"}


def write(page: RunPage, plan: AcidPlan, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        page: The page of the run.
        plan: What it knows of its scanner.
        path: The file; None: `report.html` in the run.
    """
    chosen = Choices.load(page.run.folder)
    return page.write(
        path,
        "Reconstruction true to its data",
        "ACID: a network's image, corrected by feeding what the data still disagree with through the network again.",
        [
            _short(chosen, page.record("evaluation")),
            _scanner(page, plan),
            page.learning(METRICS),
            _loop(chosen),
            *page.results("How good it is", "evaluation", _quality),
        ],
        paper=PAPER,
        closing=RECONSTRUCTED,
    )


def _short(chosen: Choices, record: dict[str, Any] | None) -> Section:
    errors = chosen.bren["errors"]
    items = [
        ("BREN ratio", errors["mean"], f"on the network's own errors; largest {errors['worst']:.3g}"),
        ("Feedback", chosen.feedback, chosen.reason),
        ("Step", chosen.step, f"chosen on {chosen.part} images"),
        ("Threshold", chosen.threshold, "in root mean squares of A†p, likewise"),
    ]
    told = [] if record is None else notes(pd.DataFrame(record["rows"]))
    return Section(
        "In short", "", [*(Caution(f"{_begun(line.removeprefix('note: '))}.") for line in told), KeyNumbers(items)]
    )


def _begun(words: str) -> str:
    return words[:1].upper() + words[1:]


def _scanner(page: RunPage, plan: AcidPlan) -> Section:
    geometry = plan.physics.get("geometry", {})
    facts = {
        "scanner": geometry.get("kind", plan.physics["kind"]),
        "views": len(geometry["angles"]) if geometry else "lines of k-space",
        "channels of an image": ", ".join(plan.channels),
    }
    blocks: list[Block] = [Table([{"what": k, "value": v} for k, v in facts.items()], "What was measured.")]
    blocks += page.parts()
    return Section("What was measured", "", blocks)


def _loop(chosen: Choices) -> Section:
    rows = [
        {
            "images": KINDS.get(name) or f"smooth noise, {name.split()[-1]} of their size",
            "mean ratio": ratio["mean"],
            "largest": ratio["worst"],
            "share at 1 or above": ratio["above"],
            "n": ratio["n"],
        }
        for name, ratio in chosen.bren.items()
    ]
    tried = [
        {**{name: value for name, value in r.items() if name != "psnr"}, "PSNR [dB]": r["psnr"]} for r in chosen.tried
    ]
    lead = "Convergence rests on a bounded relative error norm: ‖f − Φ(A f)‖ < ‖f‖ on what is fed back. Measured here."
    stops = "in use the loop stops an image at the dashed line" if chosen.discrepancy else "nor is there one in use"
    caption = f"Mean over {chosen.part} images, with no stop; {stops}."
    blocks: list[Figure | Table] = [
        Table(rows, "‖f − Φ(A f)‖ / ‖f‖ by kind of image."),
        Figure(
            convergence_plot(chosen.curve, chosen.noise * chosen.discrepancy),
            caption,
            "Data residual falling over the rounds.",
            vector=True,
        ),
        Table(tried, f"What was tried on {chosen.part} images.", {"PSNR [dB]": "{:.2f}"}, folded=True),
    ]
    return Section("The loop", lead, blocks)


def _quality(folder: Path, record: dict[str, Any]) -> Section:
    summary = pd.DataFrame(record["rows"])
    rows = [
        {"method": method} | {words: row_of(summary, name, method=method) for name, words in MEASURES.items()}
        for method in summary["method"].unique()
    ]
    lead = (
        f"{tried_on(record)} {sureness(summary['patients'])} TV: total variation, its weight chosen on the same images "
        "as the loop."
    )
    blocks: list[Block] = [Table(rows, "Against the true images.", {"PSNR [dB]": "{:.2f}"})]
    picture = result_picture(folder, SHEET)
    if picture is not None:
        caption = "True images, reconstructions, and their absolute errors on one scale a case."
        blocks.append(Figure(picture, caption, "Reconstructions by every method and their errors."))
    return Section("How good it is", lead, blocks)
