"""Sections of the report of every run: how it learnt, which studies its figures are of, what was not made yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.files import is_folder, real_path
from scanweave.report.blocks import Block, Figure, KeyNumbers, Section, Table, Text
from scanweave.report.curves import learning_curve
from scanweave.report.provenance import shown_path
from scanweave.report.values import duration
from scanweave.wording import count

PARTS = {
    "train": "trains the network",
    "validation": "chooses the weights",
    "test": "is set aside for the figures below",
}
UNTELLING = {"", "cohort", "data", "out", "output", "results", "run"}
"""Names of folders that tell a reader nothing."""
SIMULATOR = "scanweave simulate "
"""Beginning of the source of a cohort that was simulated."""
RECONSTRUCTED = "A network shaped these images: they may show what was not there, and lack what was."
"""The last line of a page with images that a network reconstructed."""
SOFTWARE = """\
@software{scanweave,
  author  = {{The scanweave founders}},
  title   = {scanweave: learn from incomplete, many-view medical imaging studies},
  version = {VERSION}
}"""


def titled(title: str, folder: Path) -> str:
    """Return a title with the name of the run's folder, where that tells a reader something."""
    name = real_path(folder).name
    return title if name in UNTELLING else f"{title}: {name}"


def citation(paper: str, record: Mapping[str, Any]) -> str:
    """Return the BibTeX entry of a paper and that of the version of scanweave that fitted a run."""
    version = str((record.get("versions") or {}).get("scanweave", "")) or "unknown"
    return f"{paper.strip()}\n\n{SOFTWARE.replace('VERSION', version)}"


def cohort_parts(about: Mapping[str, Any]) -> list[Block]:
    """Return the parts of the cohort of a fit, from the run's `cohort.json`, and whether its patients are simulated."""
    source = str(about.get("source", ""))
    told = [Text(f"All of its patients are simulated, by {source}.")] if source.startswith(SIMULATOR) else []
    rows = [{"part": name, "what for": PARTS[name], **about["parts"][name]} for name in PARTS]
    return [*told, Table(rows, f"Parts of fold {about['fold']}; a patient's studies are all in one part.")]


def learning(
    metrics: list[dict[str, Any]], record: Mapping[str, Any], described: Mapping[str, tuple[str, str]]
) -> Section:
    """Return a section on how a run learnt: its curves, its time, and which weights were kept.

    Args:
        metrics: The lines of its `metrics.jsonl`.
        record: Its `run.json`.
        described: The metrics to show: whether "higher" or "lower" is better, and what each is in words. The first one
            chooses the weights.
    """
    try:
        figure = learning_curve(metrics, {name: better for name, (better, _) in described.items()})
    except ScanweaveError:
        return Section("How it learnt", "", [Text("The run has no metrics yet.")])
    chosen, (better, _) = next(iter(described.items()))
    best = f"{'highest' if better == 'higher' else 'lowest'} validation {'PSNR' if chosen == 'psnr' else chosen}"
    drawn = [name for name in described if any(row.get(name) is not None for row in metrics)]
    caption = "; ".join(f"{name}: {described[name][1]}" for name in drawn) + "."
    items = [
        ("Steps", record.get("step"), ""),
        ("Time", duration(float(record.get("seconds") or 0)), f"on {record.get('device', 'unknown')}"),
        ("Weights kept", *_weights_kept(record.get("weights"), best)),
        ("Steps skipped", record.get("skipped"), "for a loss that was not finite"),
    ]
    numbers = KeyNumbers([item for item in items if item[1] is not None])
    alt = f"Learning curves over the steps: {', '.join(drawn)}."
    return Section("How it learnt", "", [numbers, Figure(figure, caption, alt, vector=True)])


KEPT = {
    "best": ("best", "those of the {}"),
    "last": ("last", "of the last step: nobody validated"),
    "ema": ("moving average", "over the last steps: nobody validated"),
}
"""The weights that a run keeps, by their name in its record: in words, and the reason."""


def _weights_kept(name: Any, best: str) -> tuple[Any, str]:
    words, reason = KEPT.get(str(name), (name, ""))
    return words, reason.format(best)


def not_made(title: str, verb: str, folder: Path, record: Mapping[str, Any], elsewhere: Path | None = None) -> Section:
    """Return a section that tells the command by which its contents are made, or shown if they lie `elsewhere`."""
    if elsewhere is not None:
        command = f"scanweave report {shown_path(folder)} --results {shown_path(elsewhere)}"
        return Section(title, "", [Text(f"Made, but outside of the run's folder. This shows it: {command}")])
    cohort = str((record.get("cohort") or {}).get("path", ""))
    given = shown_path(cohort) if cohort and is_folder(cohort) else "COHORT"
    command = f"scanweave {verb} {shown_path(folder)} --cohort {given}"
    return Section(title, "", [Text(f"Not made yet. This makes it: {command}")])


def tried_on(record: Mapping[str, Any]) -> str:
    """Say which studies results are of, in a sentence; empty where they do not tell.

    Args:
        record: `about`, what was chosen, and `rows`, each with its number of `studies` or with the name of its `study`.
    """
    about, rows = record.get("about") or {}, record.get("rows") or []
    if not about:
        return ""
    studies = max((row["studies"] for row in rows if "studies" in row), default=0) or len({r["study"] for r in rows})
    parts = {"all": "all studies", "unseen": "all studies of patients that the fit did not see"}
    part = parts.get(about["part"], f"the {about['part']} part of fold {about['fold']}")
    name = "the cohort" if about["name"] in UNTELLING else f"the cohort “{about['name']}”"
    seen = {None: " Whether the fit saw them is not known.", 0: ""}.get(
        about["seen"], f" The fit saw {about['seen']} of them."
    )
    if about.get("slices", 1) > 1:
        seen += f" A first look: one of {about['slices']} slices of each."
    left = f" Left out: {len(about['left_out'])}." if about["left_out"] else ""
    return f"{count(studies, 'study', 'studies')}, {part} of {name}.{seen}{left}"
