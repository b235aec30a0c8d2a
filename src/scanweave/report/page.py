"""The report: one HTML file without any outside reference, to open, keep, print and send."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write
from scanweave.report.blocks import Block, Caution, Figure, KeyNumbers, Section, Table, Text
from scanweave.report.pictures import Picture, picture
from scanweave.report.values import is_number, written

BUDGET = 5_000_000
"""Size [bytes] above which pictures are made coarser, so that a report can be sent by mail."""


@dataclass(frozen=True)
class _Entry:
    anchor: str
    title: str
    lead: str
    blocks: list[tuple[str, Any]]


def write_report(
    path: str | Path,
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    provenance: Mapping[str, Any],
    citation: str = "",
    footer: str = "",
) -> Path:
    """Write a report as one HTML file, whole or not at all.

    All text is escaped; the page allows no script and asks for nothing from outside.

    Args:
        path: The `.html` file to write.
        title: Title of the page.
        subtitle: One sentence below it.
        sections: The contents.
        provenance: How the figures came about, by label: command, commit, seeds, versions (`provenance.environment`).
        citation: A BibTeX entry.
        footer: What must not be taken from the page, after "Research use only."

    Raises:
        ScanweaveError: A figure has no alternative text or its bytes are no picture.
    """
    entries = [_entry(section, number) for number, section in enumerate(sections, start=1)]
    _fit(entries)
    page = _environment().get_template("page.html.j2")
    style = Markup(_environment().get_template("page.css").render())  # noqa: S704 - our own file, not input
    html = page.render(
        title=title,
        subtitle=subtitle,
        entries=entries,
        provenance=provenance,
        citation=citation.strip(),
        style=style,
        footer=footer,
    )
    path = Path(path)
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("scanweave.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def _entry(section: Section, number: int) -> _Entry:
    slug = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")
    return _Entry(f"s{number}-{slug}", section.title, section.lead, [_view(block) for block in section.blocks])


def _view(block: Block) -> tuple[str, Any]:
    """Return the name of the template's part for a block and what it needs."""
    match block:
        case Figure():
            if not block.alt.strip():
                raise ScanweaveError("figure", "it has no alternative text", "Say in `alt` what it shows")
            return "figure", {
                "picture": picture(block.picture, block.vector),
                "caption": block.caption,
                "alt": block.alt,
            }
        case Table():
            return "table", _table(block)
        case KeyNumbers():
            return "numbers", [
                (label, *written(value, block.formats.get(label)), note) for label, value, note in block.items
            ]
        case Caution():
            return "caution", block.text
        case Text():
            return "text", [part.strip() for part in block.text.split("\n\n") if part.strip()]


def _table(table: Table) -> dict[str, Any]:
    columns = list(table.rows[0]) if table.rows else []
    shown = table.rows[: table.limit]
    numeric = {column: all(is_number(row.get(column)) for row in shown) for column in columns}
    cells = [[(*written(row.get(c), table.formats.get(c)), numeric[c]) for c in columns] for row in shown]
    return {
        "caption": table.caption,
        "columns": [(column, numeric[column]) for column in columns],
        "rows": cells,
        "left_out": len(table.rows) - len(shown),
        "folded": table.folded,
    }


def _fit(entries: list[_Entry]) -> None:
    """Make pictures coarser, the largest first, until together they keep within the budget."""
    views = [view for entry in entries for kind, view in entry.blocks if kind == "figure"]

    def size() -> int:
        return sum(len(view["picture"].uri) for view in views)

    for _ in range(8 * len(views)):
        coarse = [view for view in views if view["picture"].raster]
        if not coarse or size() < 0.9 * BUDGET:
            return
        largest = max(coarse, key=lambda view: len(view["picture"].data))
        shrunk: Picture = largest["picture"].smaller(0.7)
        largest["picture"] = shrunk
