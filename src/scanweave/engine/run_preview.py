"""A run as a notebook shows it: facts, and the curve of its validation."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from scanweave.errors import ScanweaveError

if TYPE_CHECKING:
    from scanweave.engine.run import Run

WIDTH, HEIGHT, MARGIN = 360, 120, 8
"""Of the curve [CSS pixels]."""


def run_preview(run: Run) -> str:
    """Return a run as HTML: system, state, steps, time, and its first metric of the validation over the steps."""
    record = run.record
    facts = {
        "system": record.get("system", ""),
        "state": run.state,
        "preset": run.config.get("preset", ""),
        "steps": record.get("steps", ""),
        "weights": record.get("weights", ""),
        "device": record.get("device", ""),
        "seconds": record.get("seconds", ""),
    }
    rows = "".join(
        f"<tr><td>{label}</td><td>{escape(str(fact))}</td></tr>"
        for label, fact in facts.items()
        if fact not in ("", None)
    )
    return f"<div><b>Run {escape(run.folder.name)}</b><div>{_curve(run)}</div><table>{rows}</table></div>"


def _curve(run: Run) -> str:
    try:
        rows = run.metrics()
    except ScanweaveError as error:
        return escape(str(error))
    for split, prefer in (("validation", None), ("train", "loss")):
        told = [row for row in rows if row["split"] == split]
        names = [name for row in told for name, value in row.items() if isinstance(value, float)]
        if names:
            name = prefer if prefer in names else names[0]
            points = [(row["step"], row[name]) for row in told if isinstance(row.get(name), float)]
            return f"{_drawn(points)}<br>{escape(name)}, {split}, over the steps"
    return "no metrics yet"


def _drawn(points: Sequence[tuple[int, float]]) -> str:
    steps, values = zip(*points, strict=True)
    first, low = min(steps), min(values)
    across = (WIDTH - 2 * MARGIN) / (max(steps) - first or 1)
    up = (HEIGHT - 2 * MARGIN) / (max(values) - low or 1.0)
    shown = " ".join(f"{MARGIN + (x - first) * across:.1f},{HEIGHT - MARGIN - (y - low) * up:.1f}" for x, y in points)
    look = 'fill="none" stroke="#1f6feb" stroke-width="2"'
    ends = f"{low:.4g} to {max(values):.4g}"
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{ends}"><title>{ends}</title>'
        f'<polyline points="{shown}" {look}/></svg>'
    )
