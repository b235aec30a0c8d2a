"""Section of a page on how well a run answers in its own cohort and in others, side by side."""

from __future__ import annotations

from typing import Any

from scanweave.files import read_json
from scanweave.framework.run_outputs import AGAIN, kept_folders, result_file, shape_faults
from scanweave.framework.run_page import RunPage
from scanweave.measures.summary import estimate, sureness
from scanweave.report.blocks import Section, Table
from scanweave.report.saving import SUMMARY

TITLE = "Inside and outside"
MEASURES = ("AUROC", "AP50", "JAFROC")
"""Measures that are set side by side."""
LEAD = (
    "A fall from the cohort of the fit to another one may be a shortcut, other films or other patients: "
    "scanweave audit shortcuts tries the first."
)


def across_cohorts(page: RunPage) -> list[Section]:
    """Return the section of a run that was evaluated on several cohorts; none where it was on one.

    Raises:
        ScanweaveError: A file is not what this version writes.
    """
    columns: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for folder in kept_folders(page.run, "evaluation"):
        path = result_file(folder, f"{SUMMARY}.json")
        if path is None:
            continue
        record = read_json(path, AGAIN)
        with shape_faults(path):
            about = record["about"]
            name = about["name"] or "the cohort"
            heading = name if about["part"] in ("all", "unseen") else f"{name}, {about['part']} part"
            heading = f"{heading} ({folder.name})" if heading in columns else heading
            rows = [row for row in record["rows"] if row["measure"] in MEASURES]
            columns[heading] = {(row["outcome"], row["measure"]): row for row in rows}
    if len(columns) < 2:
        return []
    keys = dict.fromkeys(key for column in columns.values() for key in column)
    rows = [
        {"outcome": outcome, "measure": measure}
        | {heading: _cell(column.get((outcome, measure))) for heading, column in columns.items()}
        for outcome, measure in keys
    ]
    patients = [row["patients"] for column in columns.values() for row in column.values()]
    table = Table(rows, "The run on each cohort that it was evaluated on.", dict.fromkeys(columns, "{:.3f}"))
    return [Section(TITLE, f"{LEAD} {sureness(patients)}", [table])]


def _cell(row: dict[str, Any] | None) -> Any:
    if row is None or row["value"] is None:
        return None
    return estimate(row, row["patients"], "value") if row["low"] is not None else row["value"]
