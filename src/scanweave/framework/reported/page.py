"""Sections of a page that systems have that learn from images and their reports."""

from __future__ import annotations

from typing import Any

from scanweave.framework.classification.page import cautions, quality
from scanweave.framework.reported.drafting import DRAFTS, NEIGHBOUR
from scanweave.framework.reported.fitted_pairs import FittedPairs
from scanweave.framework.reported.prompts import Prompts
from scanweave.framework.reported.retrieval import RETRIEVAL
from scanweave.framework.run_outputs import result_file, result_table
from scanweave.framework.run_page import RunPage
from scanweave.measures.bootstrap import Interval
from scanweave.measures.summary import estimate, sureness
from scanweave.report.blocks import Block, KeyNumbers, Section, Table
from scanweave.report.runs import tried_on

SHOWN = 3
"""Sentences of a side that are shown."""
METRICS = {
    "pair loss": (
        "lower",
        "of images and reports in batches of validation pairs; the weights with the lowest are kept",
    ),
    "found": ("higher", "how often an image's own report is the likest of a batch; at chance nothing is learnt yet"),
    "auroc": ("higher", "mean over the findings, told by sentences, on validation studies whose labels are known"),
}
"""Curves of the training, with which way is better and what they are."""
CLOSING = "What is told by sentences is a likeness of words and images, not a diagnosis."


def learnt_section(fitted: FittedPairs[Any], page: RunPage) -> Section:
    """Return the section on what a run learnt from."""
    plan = fitted.plan
    blocks: list[Block] = [
        *cautions(fitted, page),
        KeyNumbers([("Findings told", len(plan.outputs), ""), ("Pieces of words", plan.text.bert.vocab_size, "")]),
        *page.parts(),
        *([prompts_table(plan.prompts)] if plan.prompts else []),
        page.planned((*plan.reasons, *fitted.preparation.reasons)),
    ]
    return Section("What it learnt from", "", blocks)


def told_sections(fitted: FittedPairs[Any], page: RunPage, title: str, outcomes: dict[str, str]) -> list[Section]:
    """Return how well findings are told, where labels were known, and how well reports and images find each other.

    Args:
        fitted: The fitted run.
        page: Its page.
        title: Of the section on what the system measures beside these.
        outcomes: Outcomes of the summary that belong to it, with what their control is.
    """
    record = page.record("evaluation")
    known = record is None or any(row["measure"] == "AUROC" for row in record["rows"])
    return [*(quality(fitted, page) if known else []), *retrieval_section(page), *_own_rows(record, title, outcomes)]


def _own_rows(record: dict[str, Any] | None, title: str, outcomes: dict[str, str]) -> list[Section]:
    found = [
        row
        for row in (record["rows"] if record else [])
        if row["outcome"] in outcomes or row["measure"].startswith("pointing") or row["outcome"].startswith(DRAFTS)
    ]
    if not found:
        return []
    rows = [
        {
            "of": row["outcome"],
            "measure": row["measure"],
            "value": estimate(row, row["patients"], "value") if row["low"] is not None else row["value"],
            "control": row["control"],
        }
        for row in found
    ]
    told = {row["outcome"]: outcomes[row["outcome"]] for row in found if row["outcome"] in outcomes}
    pointing = any(row["measure"].startswith("pointing") for row in found)
    drafts = any(row["outcome"].startswith(DRAFTS) for row in found)
    more = ["of the pointing game the middle of the image"] * pointing + [f"of drafts {NEIGHBOUR}"] * drafts
    caption = f"Control: {', '.join([*more, *told.values()])}."
    return [Section(title, "", [Table(rows, caption, {"value": "{:.3f}", "control": "{:.3f}"})])]


def prompts_table(prompts: Prompts) -> Table:
    """Return the sentences by which findings are told."""
    rows = [
        {"finding": name, "there if it is like": _some(one.present), "rather than": _some(one.absent)}
        for name, one in prompts.items()
    ]
    return Table(rows, "Sentences by which findings are told; the mean of all of a side counts.", {})


def retrieval_section(page: RunPage) -> list[Section]:
    """Return the section on retrieval of the newest evaluation; none where nothing was retrieved.

    Raises:
        ScanweaveError: A file is not what this version writes.
    """
    folder, record = page.folder("evaluation"), page.record("evaluation")
    if folder is None or record is None or result_file(folder, RETRIEVAL) is None:
        return []
    table = result_table(folder, RETRIEVAL)
    rows = [
        {
            "direction": one["direction"],
            "right": one["right"],
            "measure": one["measure"],
            "value": Interval(one["value"], one["low"], one["high"], int(one["patients"])),
            "by chance": one["chance"],
        }
        for one in table.to_dict("records")
    ]
    formats = dict.fromkeys(["value", "by chance"], "{:.3f}")
    caption = (
        f"Among {int(table['items'].iloc[0])} pairs. Same key: every report of the same words, or of the same labels, "
        "is right; exact pair: its own alone. Compare figures only at the same number of pairs."
    )
    lead = f"{tried_on(record)} {sureness([int(n) for n in table['patients']])}"
    return [Section("How well images and reports find each other", lead, [Table(rows, caption, formats)])]


def _some(sentences: tuple[str, ...]) -> str:
    more = f" and {len(sentences) - SHOWN} more" if len(sentences) > SHOWN else ""
    return " · ".join(sentences[:SHOWN]) + more
