"""Tables of measures with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scanweave.report.blocks import Table
from scanweave.report.values import Estimate

UNITS = {"psnr": "PSNR [dB] ↑", "ssim": "SSIM ↑", "nmse": "NMSE ↓", "gmsd": "GMSD ↓", "lpips": "LPIPS ↓"}
FORMATS = {"psnr": "{:.1f}", "ssim": "{:.3f}", "nmse": "{:.4f}", "gmsd": "{:.3f}", "lpips": "{:.3f}"}


def metric_table(rows: Mapping[tuple[str, ...], Mapping[str, Estimate]], by: tuple[str, ...], caption: str) -> Table:
    """Lay out estimates: one row for each key, one column for each measure, and the number of patients.

    Args:
        rows: Estimates by measure, by the values of the leading columns, such as `{("t1", "brain"): {"psnr": …}}`.
        by: Headings of the leading columns, such as `("target", "region")`.
        caption: What the table holds.
    """
    measures = list(dict.fromkeys(name for estimates in rows.values() for name in estimates))
    return Table(
        [_row(key, estimates, by, measures) for key, estimates in rows.items()],
        caption,
        {UNITS.get(name, name): FORMATS.get(name, "{:.3g}") for name in measures},
    )


def _row(
    key: tuple[str, ...], estimates: Mapping[str, Estimate], by: tuple[str, ...], measures: list[str]
) -> dict[str, Any]:
    cells = {UNITS.get(name, name): estimates.get(name) for name in measures}
    patients = max((estimate.n for estimate in estimates.values()), default=0)
    return {**dict(zip(by, key, strict=True)), **cells, "patients": patients}
