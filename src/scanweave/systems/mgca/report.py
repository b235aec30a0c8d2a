"""The report of a run: what it learnt from, how well it tells and finds, where words are looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scanweave.framework.classification.page import cautions, quality
from scanweave.framework.reported.page import prompts_table, retrieval_section
from scanweave.framework.run_outputs import result_picture
from scanweave.framework.run_page import RunPage
from scanweave.measures.summary import estimate
from scanweave.report.blocks import Block, Figure, KeyNumbers, Section, Table, Text
from scanweave.systems.mgca.evaluation import PROTOTYPES
from scanweave.systems.mgca.explanation import FILE
from scanweave.systems.mgca.fitted import FittedMgca
from scanweave.wording import listed

PAPER = """\
@inproceedings{wang2022mgca,
  author    = {Wang, Fuying and Zhou, Yuyin and Wang, Shujun and Vardhanabhuti, Varut and Yu, Lequan},
  title     = {Multi-granularity cross-modal alignment for generalized medical visual representation learning},
  booktitle = {NeurIPS},
  year      = {2022},
  note      = {arXiv:2210.06044}
}
"""
METRICS = {
    "pair loss": ("lower", "of films and reports in batches of validation pairs; the weights with the lowest are kept"),
    "found": ("higher", "how often a film's own report is the likest of a batch; at chance nothing is learnt yet"),
    "auroc": ("higher", "mean over the findings, told by sentences, on validation studies whose labels are known"),
}
WHERE = "Where words are looked for"


def write(fitted: FittedMgca, page: RunPage, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        fitted: The fitted run.
        page: Its page.
        path: The file; None: `report.html` in the run.
    """
    return page.write(
        path,
        "Learnt from films and their reports",
        f"Films ({listed(fitted.plan.scans)}) and their reports, brought into one space; no label was learnt from.",
        [
            _learnt(fitted, page),
            page.learning(METRICS),
            *_told(fitted, page),
            *page.results(WHERE, "explanation", _maps, FILE),
            Section("How to use it", "", [Text(_use(page))]),
        ],
        paper=PAPER,
        closing="What is told by sentences is a likeness of words and films, not a diagnosis.",
    )


def _learnt(fitted: FittedMgca, page: RunPage) -> Section:
    plan = fitted.plan
    pieces = plan.text.bert.vocab_size
    blocks: list[Block] = [
        *cautions(fitted, page),
        KeyNumbers([("Findings told", len(plan.outputs), ""), ("Pieces of words", pieces, "")]),
        *page.parts(),
        *([prompts_table(plan.prompts)] if plan.prompts else []),
        page.planned((*plan.reasons, *fitted.preparation.reasons)),
    ]
    return Section("What it learnt from", "", blocks)


def _told(fitted: FittedMgca, page: RunPage) -> list[Section]:
    """Return how well findings are told, where labels were known, and how well reports and films find each other."""
    record = page.record("evaluation")
    known = record is None or any(row["measure"] == "AUROC" for row in record["rows"])
    return [*(quality(fitted, page) if known else []), *retrieval_section(page), *_grains(record)]


def _grains(record: dict[str, Any] | None) -> list[Section]:
    """Return the section on words and prototypes of the newest evaluation; none where they were not measured."""
    rows = [
        {
            "of": row["outcome"],
            "measure": row["measure"],
            "value": estimate(row, row["patients"], "value") if row["low"] is not None else row["value"],
            "control": row["control"],
        }
        for row in (record["rows"] if record else [])
        if row["outcome"] == PROTOTYPES or row["measure"].startswith("pointing")
    ]
    if not rows:
        return []
    caption = (
        "Control: of the pointing game the middle of the film, of one prototype for both what shuffled pairs reach, of "
        "shared information what shuffled findings do."
    )
    return [Section("Words and prototypes", "", [Table(rows, caption, {"value": "{:.3f}", "control": "{:.3f}"})])]


def _maps(folder: Path, record: dict[str, Any]) -> Section:
    blocks: list[Block] = []
    for row in record["rows"]:
        picture = result_picture(folder, row["picture"])
        if picture is not None:
            caption = f"{row['study']}, {row['scan']}: where to look for {row['of']}."
            blocks.append(Figure(picture, caption, caption))
    lead = "Brighter places are more like the words. A map shows where words are looked for, not that they are true."
    return Section(WHERE, lead, blocks)


def _use(page: RunPage) -> str:
    folder = page.run.folder
    return (
        f'scanweave search {folder} "pleural effusion" --cohort COHORT --out FOUND finds studies by words. '
        f"scanweave fit classify --cohort COHORT --run RUN --from {folder} begins from this encoder of films, and so "
        "does detect. Whether it helps is to be measured on your own labels, against a fit from random weights."
    )
