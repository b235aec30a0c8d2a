"""The report of a run: what was asked and planned, what was learnt, how good it is, where it looked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scanweave.framework.classification.page import METRICS, cautions, quality, shares_table
from scanweave.framework.localisation.page import localisation_sections
from scanweave.framework.run_outputs import result_picture
from scanweave.framework.run_page import RunPage
from scanweave.report.blocks import Block, Figure, KeyNumbers, Section
from scanweave.systems.classify.explanation import FILE, METHODS
from scanweave.systems.classify.fitted import FittedClassify

PAPERS = {
    "small": """\
@inproceedings{he2016resnet,
  author    = {He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  title     = {Deep residual learning for image recognition},
  booktitle = {CVPR},
  year      = {2016}
}
""",
    "chexnet": """\
@misc{rajpurkar2017chexnet,
  author = {Rajpurkar, Pranav and others},
  title  = {{CheXNet}: radiologist-level pneumonia detection on chest {X}-rays with deep learning},
  year   = {2017},
  note   = {arXiv:1711.05225}
}
""",
}


def write(fitted: FittedClassify, page: RunPage, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        fitted: The fitted run.
        page: Its page.
        path: The file; None: `report.html` in the run.
    """
    plan = fitted.plan
    return page.write(
        path,
        f"Classify: {', '.join(plan.labels[:3])}{' …' if len(plan.labels) > 3 else ''}",
        f"Tells {', '.join(plan.outputs)} from {', '.join(plan.scans)}; any of these scans may be absent.",
        [
            _plan(fitted, page),
            page.learning(METRICS),
            *quality(fitted, page),
            *localisation_sections(page),
            *page.results("Where it looked", "explanation", _maps, FILE),
        ],
        paper=PAPERS[fitted.config.preset],
        closing="Probabilities are predictions of a network, not diagnoses.",
    )


def _plan(fitted: FittedClassify, page: RunPage) -> Section:
    blocks: list[Block] = [
        *cautions(fitted, page),
        KeyNumbers([("Classes or findings", len(fitted.plan.outputs), ""), ("Scans", len(fitted.plan.scans), "")]),
        *page.parts(),
        shares_table(fitted.plan),
        page.planned((*fitted.plan.reasons, *fitted.preparation.reasons)),
    ]
    return Section("What was learnt from", "", blocks)


def _maps(folder: Path, record: dict[str, Any]) -> Section:
    blocks: list[Block] = []
    for row in record["rows"]:
        picture = result_picture(folder, row["picture"])
        if picture is not None:
            where = f" in {row['scan']}" if "scan" in row else ""  # earlier builds did not say
            caption = f"{row['study']}: what speaks for {row['of']}{where} (probability {row['probability']:.2f})."
            blocks.append(Figure(picture, caption, caption))
    method = METHODS[record["about"]["method"]]
    lead = f"{method}: brighter parts speak more for it. A map shows what moved the network, not where a disease is."
    return Section("Where it looked", lead, blocks)
