"""Rows of a summary in words: a line an outcome, with the figures that are looked at first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from scanweave.wording import count

FIRST = (
    "AUROC",
    "AUPRC",
    "balanced accuracy",
    "sensitivity",
    "specificity",
    "AP50",
    "FROC score",
    "JAFROC",
    "pointing",
)
"""Beginnings of the measures that are told; all are in the summary."""
MOST_CONTROLS = 2
"""Figures of a line beside which that of the control is told."""


def outcome_lines(rows: Sequence[Mapping[str, Any]], control: str) -> Iterator[str]:
    """Yield a line for each outcome, and last where the other measures are.

    Args:
        rows: Each `outcome`, `measure`, `value`, `low`, `high`, `patients`, `control`; NaN where there is none.
        control: Words of the control.
    """
    by_outcome: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_outcome.setdefault(row["outcome"], []).append(row)
    left = 0
    for outcome, own in by_outcome.items():
        chosen = [row for row in own if row["measure"].startswith(FIRST) and row["measure"] != "JAFROC-1"] or own
        left += len(own) - len(chosen)
        told = [_figure(row, control if place < MOST_CONTROLS else "") for place, row in enumerate(chosen)]
        yield f"{outcome} ({count(max(row['patients'] for row in own), 'patient')}): {', '.join(told)}"
    if left:
        yield f"{count(left, 'more figure')}: summary.csv"


def _figure(row: Mapping[str, Any], control: str) -> str:
    interval = "" if np.isnan(row["low"]) else f" [{row['low']:.3f}, {row['high']:.3f}]"
    beside = f" ({control} {row['control']:.3f})" if control and not np.isnan(row["control"]) else ""
    return f"{row['measure']} {row['value']:.3f}{interval}{beside}"
