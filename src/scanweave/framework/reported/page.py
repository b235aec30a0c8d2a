"""Sections of a page that systems have that learn from images and their reports."""

from __future__ import annotations

from scanweave.framework.reported.prompts import Prompts
from scanweave.framework.reported.retrieval import RETRIEVAL
from scanweave.framework.run_outputs import result_file, result_table
from scanweave.framework.run_page import RunPage
from scanweave.measures.bootstrap import Interval
from scanweave.measures.summary import sureness
from scanweave.report.blocks import Section, Table
from scanweave.report.runs import tried_on

SHOWN = 3
"""Sentences of a side that are shown."""


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
    return [Section("How well films and reports find each other", lead, [Table(rows, caption, formats)])]


def _some(sentences: tuple[str, ...]) -> str:
    more = f" and {len(sentences) - SHOWN} more" if len(sentences) > SHOWN else ""
    return " · ".join(sentences[:SHOWN]) + more
