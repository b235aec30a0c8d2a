"""Figures and tables as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from scanweave.files import atomic_write, read_json, write_json
from scanweave.report.pictures import DPI
from scanweave.spreadsheet_cells import write_csv

SUMMARY = "summary"


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=DPI, facecolor="white")


def save_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, whole or not at all; `scanweave.spreadsheet_cells.read_csv` reads it."""
    write_csv(path, table)


def save_summary(folder: Path, table: pd.DataFrame, about: Mapping[str, Any]) -> None:
    """Write a summary as `summary.csv`, and with what it is about as `summary.json`."""
    save_table(table, folder / f"{SUMMARY}.csv")
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    write_json(folder / f"{SUMMARY}.json", {"format": 1, "about": dict(about), "rows": rows})


def is_summary(content: object) -> bool:
    """Tell whether JSON is of the shape that `save_summary` writes."""
    if not isinstance(content, dict) or not isinstance(content.get("about"), dict):
        return False
    rows = content.get("rows")
    return isinstance(rows, list) and all(isinstance(row, dict) for row in rows)


def read_summary(folder: Path | None) -> dict[str, Any] | None:
    """Read what `save_summary` wrote: `about` and `rows`; None where there is none."""
    if folder is None or not (folder / f"{SUMMARY}.json").is_file():
        return None
    found: dict[str, Any] = read_json(folder / f"{SUMMARY}.json", f"Remove {folder}, and make it again")
    return found
