"""The report of a run: what was measured, what was learnt, spectral pictures, and how good they are."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.engine.run import Run
from scanweave.engine.selection import COHORT, find_output
from scanweave.errors import ScanweaveError
from scanweave.files import read_json
from scanweave.measures.bootstrap import Interval
from scanweave.report.blocks import Block, Figure, KeyNumbers, Section, Table, Text
from scanweave.report.curves import learning_curve
from scanweave.report.page import write_report
from scanweave.report.provenance import run_provenance
from scanweave.report.values import duration
from scanweave.systems.ultra.evaluation import (
    ALL_BINS,
    ALL_MATERIALS,
    BINS_PICTURE,
    K_EDGE,
    MATERIALS_PICTURE,
    PROFILES_PICTURE,
    SUMMARY,
    WORST_BIN,
)
from scanweave.systems.ultra.figures import NAMES
from scanweave.systems.ultra.plan import SpectralPlan

CITATION = """\
@article{wu2021ultra,
  author  = {Wu, Weiwen and others},
  title   = {Deep learning based spectral {CT} imaging},
  journal = {Neural Networks},
  year    = {2021}
}

@software{scanweave,
  author  = {{The scanweave founders}},
  title   = {scanweave: learn from incomplete, many-view medical imaging studies},
  version = {VERSION}
}"""
METRICS = {"psnr": "higher", "psnr_worst": "higher", "loss": "lower"}
COLUMNS = {
    "psnr": ("PSNR [dB] ↑", "{:.2f}"),
    "ssim": ("SSIM ↑", "{:.4f}"),
    "rmse": ("RMSE [1/mm] ↓", "{:.2e}"),
    "mtf50": ("edge MTF50 [1/mm] ↑", "{:.3f}"),
    "noise": ("noise [1/mm]", "{:.2e}"),
    "noise_frequency": ("noise frequency [1/mm]", "{:.3f}"),
}
MATERIAL_COLUMNS = {"rmse": ("RMSE [g/cm³] ↓", "{:.2e}"), "cnr": ("contrast to noise ↑", "{:.2f}")}


def write(run: Run, plan: SpectralPlan, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        run: The run.
        plan: What it knows of its scans.
        path: The file; None: `report.html` in the run.
    """
    summary, record = _summary(run)
    sections = [
        Section("In short", "", [KeyNumbers(_key_numbers(run, plan, summary))]),
        _scans(run, plan),
        _learning(run),
        *_results(run, plan, summary, record),
    ]
    kind = _kind(run)
    return write_report(
        path if path is not None else run.folder / "report.html",
        f"Clean energy bins: {run.folder.resolve().name}",
        f"{NAMES.get(kind, kind)} fitted to {len(plan.bins)} energy bins of spectral CT.",
        sections,
        run_provenance(run.record, run.config),
        CITATION.replace("VERSION", str(run.record.get("versions", {}).get("scanweave", "")) or "unknown"),
    )


def _key_numbers(run: Run, plan: SpectralPlan, summary: pd.DataFrame | None) -> list[tuple[str, Any, str]]:
    items: list[tuple[str, Any, str]] = [("Energy bins", len(plan.bins), "reconstructed together")]
    for method in () if summary is None else ("fbp", _kind(run)):
        for image, words in ((ALL_BINS, "mean over bins"), (WORST_BIN, "worst bin of each slice")):
            found = _estimate(summary, method, image, "psnr")
            if found is not None:
                rounded = Interval(round(found.value, 2), round(found.low, 2), round(found.high, 2), found.n)
                items.append((f"PSNR of {NAMES.get(method, method)} [dB]", rounded, f"{words}, {found.n} patients"))
    return items


def _scans(run: Run, plan: SpectralPlan) -> Section:
    geometry = plan.geometry
    facts = {
        "bins": ", ".join(plan.bins),
        "lower thresholds [keV]": ", ".join(f"{value:g}" for value in plan.thresholds) or "one window",
        "geometry": geometry.get("kind", "more than one"),
        "views": len(geometry["angles"]) if geometry else "more than one",
        "spectrum": f"up to {max(plan.energies):g} keV" if plan.energies else "unknown: no material maps",
    }
    blocks: list[Block] = [Table([{"what": k, "value": v} for k, v in facts.items()], "What was measured.")]
    known = run.folder / COHORT
    if known.is_file():
        about = read_json(known, "Remove it")
        rows = [{"part": part, **counts} for part, counts in about["parts"].items()]
        blocks.append(Table(rows, f"Parts of fold {about['fold']}; a patient's studies are all in one part."))
    ranges = ", ".join(f"{name} {span:.3g}" for name, span in zip(plan.bins, plan.span, strict=True))
    blocks.append(Text(f"Fixed ranges of PSNR and SSIM [1/mm]: {ranges}."))
    return Section("What was measured", "Line integrals are corrected for the beam hardening of water.", blocks)


def _learning(run: Run) -> Section:
    try:
        figure = learning_curve(run.metrics(), METRICS)
    except ScanweaveError:
        return Section("How it learnt", "", [Text("The run has no metrics yet.")])
    record = run.record
    items = [
        ("Steps", record.get("step"), ""),
        ("Time", duration(float(record.get("seconds") or 0)), f"on {record.get('device', 'unknown')}"),
        ("Weights kept", record.get("weights"), "best: highest validation PSNR"),
    ]
    caption = "psnr: mean over bins and validation slices, psnr_worst: of the worst bin; loss: what is minimised."
    numbers = KeyNumbers([item for item in items if item[1] is not None])
    return Section("How it learnt", "", [numbers, Figure(figure, caption, "Learning curves.", vector=True)])


def _results(
    run: Run, plan: SpectralPlan, summary: pd.DataFrame | None, record: dict[str, Any] | None
) -> list[Section]:
    folder = find_output(run, "evaluation")
    if summary is None or record is None or folder is None:
        command = f"scanweave evaluate {shlex.quote(run.folder.name)} --cohort COHORT"
        return [Section("How good it is", "", [Text(f"Not made yet. This makes it: {command}")])]
    case = record["about"]["picture"]
    shown = {
        BINS_PICTURE: f"{case}: each bin, from truth to error; one grey scale a column, one colour scale for all.",
        MATERIALS_PICTURE: f"{case}: material maps and virtual monoenergetic images, from 0 to the truth's brightest.",
        PROFILES_PICTURE: f"{case}: attenuation along one row of the lowest and the highest bin.",
    }
    figures = [
        Figure((folder / name).read_bytes(), caption, caption)
        for name, caption in shown.items()
        if (folder / name).is_file()
    ]
    lead = (
        "95 % intervals from resampling patients. PSNR and SSIM have the fixed range of each bin. Edge MTF50 is the "
        "frequency at which the truth's edges keep half their contrast; noise is the standard deviation of the error "
        "in flat tissue, its frequency the mean of its power."
    )
    by_bin = _table(summary, [*plan.bins, ALL_BINS, WORST_BIN], COLUMNS, "Energy bins.")
    materials = [name for name in summary["image"].unique() if name not in (*plan.bins, ALL_BINS, WORST_BIN)]
    caption = (
        f"Material maps against the decomposition of the true bins. '{ALL_MATERIALS}': root mean square over materials "
        f"in units of typical densities. Contrast to noise is that of {K_EDGE} inserts in flat tissue."
    )
    blocks: list[Block] = [by_bin]
    if materials:
        blocks.append(_table(summary, materials, MATERIAL_COLUMNS, caption))
    return [Section("Spectral pictures", "", figures), Section("How good it is", lead, blocks)]


def _table(summary: pd.DataFrame, images: list[str], columns: dict[str, tuple[str, str]], caption: str) -> Table:
    rows = [
        {"image": image, "method": NAMES.get(method, method)}
        | {title: _estimate(summary, method, image, name) for name, (title, _) in columns.items()}
        for image in images
        for method in summary["method"].unique()
    ]
    return Table(rows, caption, dict(columns.values()))


def _summary(run: Run) -> tuple[pd.DataFrame | None, dict[str, Any] | None]:
    folder = find_output(run, "evaluation")
    path = None if folder is None else folder / f"{SUMMARY}.json"
    if path is None or not path.is_file():
        return None, None
    record = read_json(path, "Remove it, and evaluate again")
    return pd.DataFrame(record["rows"]), record


def _estimate(summary: pd.DataFrame | None, method: str, image: str, measure: str) -> Interval | None:
    if summary is None:
        return None
    rows = summary[(summary["method"] == method) & (summary["image"] == image) & (summary["measure"] == measure)]
    if rows.empty:
        return None
    row = rows.iloc[0]
    low, high = (float("nan") if pd.isna(row[name]) else float(row[name]) for name in ("low", "high"))
    return Interval(float(row["mean"]), low, high, int(row["patients"]))


def _kind(run: Run) -> str:
    return str((run.config.get("network") or {}).get("architecture", "ultra"))
