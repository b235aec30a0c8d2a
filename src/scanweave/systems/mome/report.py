"""The report of a run: what was asked and planned, what was learnt, how good it is, what each modality gives."""

from __future__ import annotations

from pathlib import Path

from scanweave.framework.classification.page import METRICS, not_learnt, quality, shares_table
from scanweave.framework.run_page import RunPage
from scanweave.report.blocks import Block, KeyNumbers, Section
from scanweave.systems.mome.fitted import FittedMome

PAPER = """\
@article{luo2025mome,
  author  = {Luo, Luyang and others},
  title   = {A large model for non-invasive and personalized management of breast cancer from multiparametric {MRI}},
  journal = {Nature Communications},
  year    = {2025},
  note    = {arXiv:2408.12606}
}
"""


def write(fitted: FittedMome, page: RunPage, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        fitted: The fitted run.
        page: Its page.
        path: The file; None: `report.html` in the run.
    """
    plan = fitted.plan
    return page.write(
        path,
        f"MOME: {', '.join(plan.labels[:3])}{' …' if len(plan.labels) > 3 else ''}",
        f"Tells {', '.join(plan.outputs)} from {', '.join(plan.modalities)}; any of these may be absent.",
        [_plan(fitted, page), page.learning(METRICS), *quality(fitted, page)],
        paper=PAPER,
        closing="Probabilities are predictions of a network, not diagnoses.",
    )


def _plan(fitted: FittedMome, page: RunPage) -> Section:
    numbers = [
        ("Classes or findings", len(fitted.plan.outputs), ""),
        ("Modalities", len(fitted.plan.modalities), ", ".join(fitted.plan.modalities)),
    ]
    blocks: list[Block] = [
        *not_learnt(page),
        KeyNumbers(numbers),
        *page.parts(),
        shares_table(fitted.plan),
        page.planned((*fitted.plan.reasons, *fitted.preparation.reasons)),
    ]
    return Section("What was learnt from", "", blocks)
