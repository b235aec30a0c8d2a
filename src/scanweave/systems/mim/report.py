"""The report of a run: what it learnt from, whether its features collapsed, how well it reconstructs, what it tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.framework.run_page import RunPage, figures, summary_rows
from scanweave.measures.summary import estimate, sureness
from scanweave.report.blocks import Block, Caution, KeyNumbers, Section, Table, Text
from scanweave.report.runs import tried_on
from scanweave.systems.mim.evaluation import PLAIN
from scanweave.systems.mim.fitted import FittedMim
from scanweave.systems.mim.levels import Level, views_of
from scanweave.wording import listed

PAPER = """\
@article{zhuang2025mim,
  author  = {Zhuang, Jiaxin and others},
  title   = {{MiM}: Mask in Mask Self-Supervised Pre-Training for {3D} Medical Image Analysis},
  journal = {IEEE Transactions on Medical Imaging},
  volume  = {44},
  number  = {9},
  pages   = {3727--3740},
  year    = {2025},
  doi     = {10.1109/TMI.2025.3564382}
}
"""
METRICS = {
    "error": ("lower", "of the hidden blocks of all levels, weighted; the weights with the lowest are kept"),
    "feature rank": ("higher", "directions in which features of views differ; near 1 they have collapsed"),
    "feature deviation": ("higher", "how much features of views differ; near 0 they have collapsed"),
}
COLLAPSED = {"feature rank": 2.0, "feature deviation": 0.01}
"""Spread of the features below which they hardly tell views apart."""


def write(fitted: FittedMim, page: RunPage, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        fitted: The fitted run.
        page: Its page.
        path: The file; None: `report.html` in the run.
    """
    return page.write(
        path,
        "Pre-training by masks within masks",
        f"An encoder that learnt to reconstruct hidden blocks of {listed(fitted.plan.scans)}, without labels.",
        [
            Section(
                "What it learnt from",
                "",
                [*_cautions(page), *page.parts(), *_levels(fitted), page.planned(fitted.plan.reasons)],
            ),
            page.learning(METRICS),
            *page.results("How well it reconstructs", "evaluation", _quality),
            Section("How to use it", "", [Text(_use(page))]),
        ],
        paper=PAPER,
        closing="Reconstructions of hidden blocks show what the network expects, not what is there.",
    )


def _cautions(page: RunPage) -> list[Block]:
    """Return a warning where the features of views are all alike."""
    for name, least in COLLAPSED.items():
        values = [row[name] for row in page.run.metrics() if row.get(name) is not None]
        if values and values[-1] < least:
            words = (
                f"The encoder has collapsed: its features of different views hardly differ ({name} {values[-1]:.2g})."
            )
            return [Caution(f"{words} Do not begin from this run; lower the learning rate, or train on more volumes.")]
    return []


def _levels(fitted: FittedMim) -> list[Block]:
    levels = fitted.reconstructor.levels
    views = views_of(levels)
    rows = [
        _level_row(number, level, count) for number, (level, count) in enumerate(zip(levels, views, strict=True), 1)
    ]
    caption = f"Levels of a crop; the network sees each view as {fitted.config.levels.view}³ voxels."
    return [KeyNumbers([("Views of a crop", sum(views), "")]), Table(rows, caption)]


def _level_row(number: int, level: Level, views: int) -> dict[str, Any]:
    return {
        "level": number,
        "views": views,
        "region [voxels]": f"{level.extent}³",
        "hidden units": f"{level.hidden} of {level.units**3}",
        "looked into": level.children or "–",
    }


def _quality(folder: Path, record: dict[str, Any]) -> list[Section]:
    summary = pd.DataFrame(record["rows"])
    lead = f"{tried_on(record)} {sureness(summary['patients'])} Beside it the error that the mean of each block has."
    shown = {"error": ("error", "{:.3f}"), PLAIN: (PLAIN, "{:.3f}")}
    caption = "Error of hidden blocks, by scan and level."
    table = Table(summary_rows(summary, shown), caption, dict(shown.values()))
    made = [Section("How well it reconstructs", lead, [table, *figures(folder, record["about"]["pictures"])])]
    probes = record["about"].get("probes") or []
    return made + ([_probes(probes)] if probes else [])


def _probes(probes: list[dict[str, Any]]) -> Section:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in probes:
        key = (row["what"], row["measure"])
        rows.setdefault(key, {"what": row["what"], "measure": row["measure"]})[row["features"]] = estimate(
            row, row["patients"], "value"
        )
    lead = (
        "A linear model on features in which nothing is changed, fitted on training studies and tried on others; "
        "beside it the same with random weights. Only what is above that was learnt."
    )
    table = Table(
        list(rows.values()),
        "Labels by AUROC, structures by Dice.",
        dict.fromkeys(("fitted", "random weights"), "{:.3f}"),
    )
    return Section("What is told from its features", lead, [table])


def _use(page: RunPage) -> str:
    folder = page.run.folder
    return (
        f"scanweave fit segment --cohort COHORT --run RUN --from {folder} begins from this encoder, and so does "
        "classify. Whether it helps is to be measured on your own labels, against a fit from random weights: on many "
        "labels it may not."
    )
