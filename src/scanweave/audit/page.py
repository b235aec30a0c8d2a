"""The page of a stability audit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from scanweave.audit.figures import curve_plot, history_plot, picture_row, structure_plot, views_plot
from scanweave.audit.results import StabilityAudit
from scanweave.audit.settings import AuditSettings
from scanweave.measures.bootstrap import Interval, bootstrap
from scanweave.measures.stability.audit_setup import Setup
from scanweave.measures.stability.curve import NOISE, OWN, strongest, target_of
from scanweave.measures.stability.validity import Check
from scanweave.measures.summary import LEAST_PATIENTS_FOR_INTERVAL, sureness
from scanweave.report.blocks import Block, Caution, Figure, Section, Table, Text
from scanweave.report.page import write_report
from scanweave.report.runs import tried_on

TITLES = {
    "measurement": "Worst perturbations of the measurement",
    "image": "Worst perturbations of the image, measured",
}
STRUCTURES = "AUC, small structures"
FORMATS = {
    "PSNR [dB]": "{:.1f}",
    STRUCTURES: "{:.3f}",
    "amplification": "{:.2f}",
    "amplification, measurement": "{:.2f}",
    "amplification, image": "{:.2f}",
    "with noise": "{:.2f}",
    "error": "{:.3f}",
    "largest error": "{:.3f}",
}
"""Number format of each column."""
SEEN = {"auc": "AUC", "cnr": "CNR"}
"""Headings of what is measured of a small structure."""
WORDS = {
    "measurement": "e with ‖e‖ ≤ η ‖p‖ is added to what was measured: more than any object could cause.",
    "image": "r with ‖r‖ ≤ η ‖x‖ is added to the object, so A r to the measurement: only what an object could cause.",
}


def write(path: Path, found: StabilityAudit, setup: Setup, settings: AuditSettings, about: Mapping[str, Any]) -> Path:
    """Write the page.

    Args:
        path: The file.
        found: What was found.
        setup: What it was found on.
        settings: How much was tried.
        about: How it came about, by label.
    """
    sections = [_short(found, setup, settings)]
    sections += [_perturbed(name, found, setup, settings) for name in found.curves]
    if found.structures is not None:
        sections.append(_structures(found))
    if found.views is not None:
        sections.append(_views(found.views))
    sections += [_believable(name, found, settings) for name in found.checks]
    images = min(settings.images, len(setup.truth))
    subtitle = f"Every method on {images} images: its own worst case, small structures, and more data."
    tried = {f"Audit, {name}": str(value) for name, value in settings.model_dump(mode="json").items()}
    return write_report(path, "Stability audit", subtitle, sections, {**about, **tried})


def summary_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return means with intervals over patients, by method, size and perturbation: strongest known, own, and noise."""
    worst = strongest(table).assign(kind="strongest")
    rows = []
    kept = table[table["kind"].isin(["none", OWN, NOISE])]
    for (name, share, kind), group in pd.concat([kept, worst]).groupby(["method", "share", "kind"], sort=False):
        row: dict[str, Any] = {"method": name, "share": share, "kind": kind}
        for measure in ("amplification", "error", "psnr"):
            if group[measure].notna().any():
                interval = bootstrap(group[measure], list(group["patient"]), seed=0)
                row[measure] = {"mean": interval.value, "low": _known(interval.low), "high": _known(interval.high)}
        rows.append(row)
    return rows


def _short(found: StabilityAudit, setup: Setup, settings: AuditSettings) -> Section:
    size = max(settings.radii)
    rows: list[dict[str, Any]] = []
    first = next(iter(found.curves.values()))
    for name in dict.fromkeys(first["method"]):
        row: dict[str, Any] = {"method": name}
        clean = first[(first["method"] == name) & (first["kind"] == "none")]
        row["PSNR [dB]"] = _estimate(clean, "psnr")
        for domain, table in found.curves.items():
            worst = strongest(table)
            worst = worst[(worst["method"] == name) & (worst["share"] == size)]
            row[f"amplification, {domain}"] = _estimate(worst, "amplification")
        if found.structures is not None:
            row[STRUCTURES] = float(found.structures[found.structures["method"] == name]["auc"].mean())
        rows.append(row)
    failed = sum(not check.passed for checks in found.checks.values() for check in checks)
    caption = (
        f"Amplification (‖f(p + e) − f(p)‖ / ‖x‖) / η under the strongest known perturbation of {size:.1%}. AUC: the "
        "mean over structures and contrasts, at which 0.5 is blind."
    )
    words = "" if failed else "All checks of the attacks hold."
    taken = tried_on({"about": setup.about, "rows": [{"studies": len(setup.truth)}]})
    if taken and settings.images < len(setup.truth):
        taken += f" The first {settings.images} were tried."
    blocks: list[Block] = [Table(rows, caption, FORMATS)]
    if failed:
        fails = "check of the attacks fails" if failed == 1 else "checks of the attacks fail"
        blocks.insert(0, Caution(f"{failed} {fails}, so that a method may be less stable than it looks: see the end."))
    sure = sureness([len(set(setup.patients[: settings.images]))])
    return Section("In short", " ".join(part for part in (taken, words, sure) if part), blocks)


def _perturbed(domain: str, found: StabilityAudit, setup: Setup, settings: AuditSettings) -> Section:
    table, size = found.curves[domain], max(settings.radii)
    rows: list[dict[str, Any]] = []
    worst = strongest(table)
    for name in dict.fromkeys(table["method"]):
        for share in settings.radii:
            group = worst[(worst["method"] == name) & (worst["share"] == share)]
            noise = table[(table["method"] == name) & (table["share"] == share) & (table["kind"] == NOISE)]
            rows.append(
                {
                    "method": name,
                    "η": f"{share:.1%}",
                    "amplification": _estimate(group, "amplification"),
                    "with noise": float(noise["amplification"].mean()),
                    "error": _estimate(group, "error"),
                    "PSNR [dB]": float(group["psnr"].mean()),
                    "largest error": float(group["error"].max()),
                }
            )
    blocks: list[Block] = [
        Figure(
            curve_plot(table),
            "Lines: strongest known perturbation. Dashed: noise of equal norm.",
            "Relative error and amplification by size of the perturbation, for every method.",
            vector=True,
        ),
        Table(rows, "Means over images.", FORMATS),
        Figure(
            _attacked(domain, found, setup, size),
            f"One image under each method's own perturbation of {size:.1%}, on one grey scale.",
            "Reconstructions of every method under its own attack.",
        ),
        Figure(
            _attacked(domain, found, setup, size, change=True),
            "What the perturbation changed: absolute differences, on one scale.",
            "Absolute difference that the attack made, for every method.",
        ),
    ]
    return Section(TITLES[domain], WORDS[domain], blocks)


def _attacked(domain: str, found: StabilityAudit, setup: Setup, size: float, *, change: bool = False) -> Any:
    images = {} if change else {"truth": setup.truth[0, 0]}
    for name in setup.methods:
        target = target_of(setup.part(0, 1), name, domain)  # type: ignore[arg-type]
        with torch.no_grad():
            made = target.perturbed(found.attacks[domain][name, size].perturbation[:1])
            images[name] = (made - target.reconstruct(target.measurement)).abs()[0, 0] if change else made[0, 0]
    return picture_row({name: image.cpu().numpy() for name, image in images.items()}, signed=change)


def _structures(found: StabilityAudit) -> Section:
    table = found.structures
    assert table is not None  # noqa: S101 - the caller asked
    rows = table.rename(columns=SEEN).to_dict("records")
    by_insert = table.groupby(["method", "insert"], sort=False)["auc"].mean().unstack()[list(table["insert"].unique())]
    short = [{"method": name, **row} for name, row in by_insert.to_dict("index").items()]
    three = dict.fromkeys(by_insert.columns, "{:.3f}")
    lead = (
        "Structures that no training image shows. AUC of the matched filter, signal and background known: 0.5 is blind."
    )
    pictures = picture_row({name: image.cpu().numpy() for name, image in found.pictures.items()})
    blocks: list[Block] = [
        Figure(pictures, "Text at the highest contrast.", "The image with text, and every method's reconstruction."),
        Figure(
            structure_plot(table), "AUC by contrast of the structure.", "AUC by contrast for every insert.", vector=True
        ),
        Table(short, "AUC, the mean over contrasts.", three),
        Table(
            rows,
            "Every structure at every contrast. AUC and CNR (over the ring around it); recovered: the share of "
            "the contrast that is shown.",
            {"AUC": "{:.3f}", "CNR": "{:.2f}", "recovered": "{:.2f}"},
            folded=True,
        ),
    ]
    return Section("Small structures", lead, blocks)


def _views(table: pd.DataFrame) -> Section:
    means = table.groupby(["method", "factor"], sort=False)["psnr"].mean().unstack()
    rows = [
        {"method": name, **{f"{factor:g}×": value for factor, value in row.items()}} for name, row in means.iterrows()
    ]
    lead = "Measured anew with fewer and more views than the network was trained on: more data should not be worse."
    figure = Figure(views_plot(table), "Mean over images.", "PSNR by amount of data, for every method.", vector=True)
    formats = {name: "{:.1f}" for name in rows[0] if name != "method"}
    return Section("More data", lead, [figure, Table(rows, "Mean PSNR [dB].", formats)])


def _believable(domain: str, found: StabilityAudit, settings: AuditSettings) -> Section:
    size = max(settings.radii)
    lead = (
        "What an attack finds is a lower bound. A weak attack makes every method look stable, so it is checked itself."
    )
    rows = [_check_row(check) for check in found.checks[domain]]
    caption = f"Change over the iterations at {size:.1%}, a line a restart, the mean over images."
    figure = Figure(history_plot(found.attacks[domain], size), caption, "Attack losses over iterations.", vector=True)
    words = Text("The strongest known perturbation of a method may be another method's: the figures above use it then.")
    return Section(f"Can the attacks be believed: {domain}", lead, [figure, Table(rows, "Checks."), words])


def _check_row(check: Check) -> dict[str, Any]:
    return {"method": check.method, "check": check.check, "holds": "yes" if check.passed else "NO", "found": check.says}


def _estimate(rows: pd.DataFrame, measure: str) -> Interval:
    """Return the mean over images with its interval over patients; of few patients none, as in every report."""
    found = bootstrap(rows[measure], list(rows["patient"]), seed=0)
    nan = float("nan")
    return found if found.n >= LEAST_PATIENTS_FOR_INTERVAL else Interval(found.value, nan, nan, found.n)


def _known(value: float) -> float | None:
    return None if value != value else value
