"""The report of a run: what was learnt from, how good the answers are, and how well findings are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scanweave.framework.classification.page import METRICS, cautions, quality, shares_table
from scanweave.framework.localisation.evaluation import ALL
from scanweave.framework.localisation.page import localisation_sections
from scanweave.framework.run_page import RunPage
from scanweave.report.blocks import Block, Caution, KeyNumbers, Section
from scanweave.systems.detect.config import END_TO_END
from scanweave.systems.detect.fitted import FittedDetect
from scanweave.wording import listed

CHEXDET = """\
@article{luo2022chexdet,
  author  = {Luo, Luyang and others},
  title   = {Rethinking annotation granularity for overcoming shortcuts in deep learning-based radiograph diagnosis:
             a multicenter study},
  journal = {Radiology: Artificial Intelligence},
  volume  = {4},
  number  = {5},
  pages   = {e210299},
  year    = {2022}
}
"""
DFINE = """\
@misc{peng2024dfine,
  author = {Peng, Yansong and others},
  title  = {{D-FINE}: redefine regression task in {DETRs} as fine-grained distribution refinement},
  year   = {2024},
  note   = {arXiv:2410.13842}
}
"""
POOR_AP50 = 0.05
"""Average precision below which nobody would use the boxes."""
CURVES = {
    "AP50": ("higher", "mean over classes, on annotated validation films"),
    **{name: METRICS[name] for name in ("auroc", "log loss", "loss")},
}


def write(fitted: FittedDetect, page: RunPage, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        fitted: The fitted run.
        page: Its page.
        path: The file; None: `report.html` in the run.
    """
    plan = fitted.plan
    return page.write(
        path,
        f"Detect: {', '.join(plan.outputs[:3])}{' …' if len(plan.outputs) > 3 else ''}",
        f"Finds {', '.join(plan.outputs)} in {plan.scan}, and tells whether a film has them.",
        [
            _plan(fitted, page),
            page.learning(CURVES),
            *localisation_sections(page),
            *quality(fitted, page),
        ],
        paper=DFINE if fitted.config.network.detector in END_TO_END else CHEXDET,
        closing="Boxes are predictions of a network, not diagnoses.",
    )


def _not_learnt(fitted: FittedDetect, page: RunPage) -> Iterator[Caution]:
    """Yield what a reader must know first: boxes that are plainly not found; of a run without boxes, its answers."""
    record = page.record("evaluation")
    rows = record["rows"] if record else []
    found = {row["outcome"]: row["value"] for row in rows if row["measure"] == "AP50" and row["value"] is not None}
    if not found:
        yield from cautions(fitted, page)
        return
    poor = [f"{name} {value:.2f}" for name, value in found.items() if value < POOR_AP50 and name != ALL]
    if poor:
        yield Caution(
            f"Plainly not learnt: AP50 of {listed(poor)}. Do not use these boxes; train for more steps, or on more "
            "films."
        )


def _plan(fitted: FittedDetect, page: RunPage) -> Section:
    height, width = fitted.plan.size
    blocks: list[Block] = [
        *_not_learnt(fitted, page),
        KeyNumbers([("Classes", len(fitted.plan.outputs), ""), ("Input", f"{width}×{height}", "pixels")]),
        *page.parts(),
        shares_table(fitted.plan),
        page.planned((*fitted.plan.reasons, *fitted.preparation.reasons)),
    ]
    return Section("What was learnt from", "", blocks)
