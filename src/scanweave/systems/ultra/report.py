"""The report of a run: what was measured, what was learnt, spectral pictures, and how good they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.framework.run_page import RunPage, figures
from scanweave.measures.summary import row_of, sureness
from scanweave.report.blocks import Block, Caution, KeyNumbers, Section, Table, Text
from scanweave.report.runs import RECONSTRUCTED, tried_on
from scanweave.systems.ultra.evaluation import (
    ALL_BINS,
    ALL_MATERIALS,
    BINS_PICTURE,
    FBP,
    K_EDGE,
    MATERIALS_PICTURE,
    PROFILES_PICTURE,
    WORST_BIN,
    notes,
)
from scanweave.systems.ultra.figures import NAMES
from scanweave.systems.ultra.plan import SpectralPlan
from scanweave.wording import count

PAPER = """\
@article{wu2021ultra,
  author  = {Wu, Weiwen and others},
  title   = {Deep learning based spectral {CT} imaging},
  journal = {Neural Networks},
  year    = {2021}
}
"""
WORDS = {ALL_BINS: "mean over bins", ALL_MATERIALS: "all materials"}
"""Names of rows of a table."""
METRICS = {
    "psnr": ("higher", "mean over bins and validation slices"),
    "psnr_worst": ("higher", "of the worst bin"),
    "loss": ("lower", "what is minimised"),
}
COLUMNS = {
    "psnr": ("PSNR [dB] ↑", "{:.2f}"),
    "ssim": ("SSIM ↑", "{:.4f}"),
    "rmse": ("RMSE [1/mm] ↓", "{:.2e}"),
}
EDGE_COLUMNS = {
    "mtf50": ("edge MTF50 [1/mm] ↑", "{:.3f}"),
    "noise": ("noise [1/mm]", "{:.2e}"),
    "noise_frequency": ("noise frequency [1/mm]", "{:.3f}"),
}
MATERIAL_COLUMNS = {"rmse": ("RMSE [g/cm³] ↓", "{:.3g}"), "cnr": ("contrast to noise ↑", "{:.2f}")}


def write(page: RunPage, plan: SpectralPlan, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        page: The page of the run.
        plan: What it knows of its scans.
        path: The file; None: `report.html` in the run.
    """
    kind = str((page.run.config.get("network") or {}).get("architecture", "ultra"))
    record = page.record("evaluation")
    return page.write(
        path,
        "Clean energy bins",
        f"{NAMES.get(kind, kind)} fitted to {len(plan.bins)} energy bins of spectral CT.",
        [
            _short(plan, kind, pd.DataFrame() if record is None else pd.DataFrame(record["rows"])),
            _scans(page, plan),
            page.learning(METRICS),
            *page.results(
                "How good it is",
                "evaluation",
                lambda folder, record: [_pictures(folder, record), _quality(plan, record)],
            ),
        ],
        paper=PAPER,
        closing=RECONSTRUCTED,
    )


def _short(plan: SpectralPlan, kind: str, summary: pd.DataFrame) -> Section:
    items: list[tuple[str, Any, str]] = [("Energy bins", len(plan.bins), "reconstructed together")]
    titles = {method: f"PSNR of {NAMES.get(method, method)} [dB]" for method in (FBP, kind)}
    for method, title in titles.items():
        for image, words in ((ALL_BINS, "mean over bins"), (WORST_BIN, "worst bin of each slice")):
            found = row_of(summary, "psnr", method=method, image=image)
            if found is not None:
                items.append((title, found, f"{words}, {count(found.n, 'patient')}"))
    cautions = [] if summary.empty else [Caution(line.removeprefix("note: ")) for line in notes(summary)]
    return Section("In short", "", [*cautions, KeyNumbers(items, dict.fromkeys(titles.values(), "{:.2f}"))])


def _scans(page: RunPage, plan: SpectralPlan) -> Section:
    geometry = plan.geometry
    facts = {
        "bins": ", ".join(plan.bins),
        "lower thresholds [keV]": ", ".join(f"{value:g}" for value in plan.thresholds) or "one window",
        "geometry": geometry.get("kind", "more than one"),
        "views": len(geometry["angles"]) if geometry else "more than one",
        "spectrum": f"up to {max(plan.energies):g} keV" if plan.energies else "unknown: no material maps",
    }
    blocks: list[Block] = [Table([{"what": k, "value": v} for k, v in facts.items()], "What was measured.")]
    blocks += page.parts()
    ranges = ", ".join(f"{name} {span:.3g}" for name, span in zip(plan.bins, plan.span, strict=True))
    blocks.append(Text(f"Fixed ranges of PSNR and SSIM [1/mm]: {ranges}."))
    return Section("What was measured", "Line integrals are corrected for the beam hardening of water.", blocks)


def _pictures(folder: Path, record: dict[str, Any]) -> Section:
    case = record["about"]["picture"]
    shown = {
        BINS_PICTURE: f"{case}: each bin, from truth to error; one grey scale a column, one colour scale for all.",
        MATERIALS_PICTURE: f"{case}: material maps and monoenergetic images; black is 0, white what is written above.",
        PROFILES_PICTURE: f"{case}: attenuation along one row of the lowest and the highest bin.",
    }
    return Section("Spectral pictures", tried_on(record), list(figures(folder, shown)))


def _quality(plan: SpectralPlan, record: dict[str, Any]) -> Section:
    summary = pd.DataFrame(record["rows"])
    lead = (
        f"{tried_on(record)} {sureness(summary['patients'])} PSNR and SSIM have the fixed range of each bin. Edge "
        "MTF50 is the frequency at which the truth's edges keep half their contrast; noise is the standard deviation "
        "of the error in flat tissue, its frequency the mean of its power."
    )
    by_bin = [*plan.bins, ALL_BINS, WORST_BIN]
    blocks: list[Block] = [
        _table(summary, by_bin, COLUMNS, "Energy bins."),
        _table(summary, by_bin[:-1], EDGE_COLUMNS, "Edges and noise of the energy bins."),
    ]
    materials = [name for name in summary["image"].unique() if name not in by_bin]
    if materials:
        caption = (
            f"Material maps against the decomposition of the true bins. {WORDS[ALL_MATERIALS]}: root mean square over "
            f"materials in units of typical densities. Contrast to noise is that of {K_EDGE} inserts in flat tissue."
        )
        blocks.append(_table(summary, materials, MATERIAL_COLUMNS, caption))
    return Section("How good it is", lead, blocks)


def _table(summary: pd.DataFrame, images: list[str], columns: dict[str, tuple[str, str]], caption: str) -> Table:
    rows = [
        {"image": WORDS.get(image, image), "method": NAMES.get(method, method)}
        | {title: row_of(summary, name, method=method, image=image) for name, (title, _) in columns.items()}
        for image in images
        for method in summary["method"].unique()
    ]
    return Table(rows, caption, dict(columns.values()))
