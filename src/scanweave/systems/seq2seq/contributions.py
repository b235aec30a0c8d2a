"""Contributions: what is lost where a sequence is left out of making another, its weight, and what attention adds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanweave.framework.scan_preparation import native_scan
from scanweave.measures.image import psnr
from scanweave.measures.summary import summarise
from scanweave.report.saving import save_figure, save_table
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import Frame, PreparedStudy, to_native
from scanweave.studies.scan import Scan
from scanweave.systems.seq2seq.figures import contribution_matrix
from scanweave.systems.seq2seq.native_grid import NativeStudy, Volume
from scanweave.systems.seq2seq.synthesis import FusingSynthesizer, frames_of

CONTRIBUTIONS, MATRIX = "contributions.csv", "contributions.png"
KEYS = ["source", "target"]


def study_contributions(
    synthesizer: FusingSynthesizer, prepared: PreparedStudy, native: NativeStudy, plan: Plan, folder: Path
) -> list[dict[str, Any]]:
    """Measure what each sequence of a study adds, and write the attention map of each target as NIfTI.

    Args:
        synthesizer: The network.
        prepared: The study as the network sees it.
        native: The same on its native grid.
        plan: How it was made ready.
        folder: Where the maps go.

    Returns:
        One row a target and source, in the brain: what the target loses in PSNR without the source [dB], NaN where
        there is no other; its mean weight, 1 together; and the mean effect of attention.
    """
    rows = []
    full = _quality(synthesizer.fuse(prepared.volumes, list(native.real)), prepared, native, plan)
    lost = _lost(synthesizer, prepared, native, plan, full)
    for target in native.real:
        weights, effect = synthesizer.contributions(prepared.volumes, target)
        seen = on_native_grid(effect, prepared.frame, plan)
        _write_map(folder, native, target, seen, list(weights))
        rows += [
            {
                "study": native.id,
                "patient": native.patient,
                "source": name,
                "target": target,
                "lost": lost.get((name, target), np.nan),
                "weight": float(on_native_grid(volume, prepared.frame, plan)[native.brain].mean()),
                "attention": float(seen[native.brain].mean()),
            }
            for name, volume in weights.items()
        ]
    return rows


def _lost(
    synthesizer: FusingSynthesizer,
    prepared: PreparedStudy,
    native: NativeStudy,
    plan: Plan,
    full: Mapping[str, float],
) -> dict[tuple[str, str], float]:
    """Return by source and target what the prediction from all others loses where that source is left out [dB]."""
    found, names = {}, list(prepared.volumes)
    for source in names if len(names) > 2 else ():
        left = {target: tuple(n for n in names if n not in (source, target)) for target in full if target != source}
        made = synthesizer.from_subsets(prepared.volumes, [(others, target) for target, others in left.items()])
        for target, value in _quality(made, prepared, native, plan).items():
            found[source, target] = full[target] - value
    return found


def _quality(made: Mapping[str, Volume], prepared: PreparedStudy, native: NativeStudy, plan: Plan) -> dict[str, float]:
    """Return the PSNR of each target in the brain [dB], of a series the mean over its frames."""
    found = {}
    for target, volume in made.items():
        images = frames_of(np.asarray(native_scan(volume, prepared, plan, target).data))
        pairs = zip(images, frames_of(native.real[target]), strict=True)
        found[target] = float(np.mean([psnr(*pair, native.span(target), native.brain) for pair in pairs]))
    return found


def save_contributions(rows: list[dict[str, Any]], folder: Path, order: list[str]) -> list[dict[str, Any]]:
    """Write the table of all studies, and the figure where anything was left out.

    Returns:
        Means with intervals over patients, as plain values.
    """
    table = pd.DataFrame(rows)
    summary = summarise(table, KEYS, ("lost", "weight", "attention"), 0)
    save_table(table, folder / CONTRIBUTIONS)
    if table["lost"].notna().any():  # it needs a study of three sequences
        save_figure(contribution_matrix(summary, order), folder / MATRIX)
    plain = summary.astype(object).where(summary.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


def on_native_grid(values: Volume, frame: Frame, plan: Plan) -> Volume:
    """Return a map on the native grid; 0 beyond the crop."""
    full = np.zeros(frame.working.shape, dtype=np.float32)
    full[frame.box] = values
    return to_native(full, frame, plan)


def _write_map(folder: Path, native: NativeStudy, target: str, values: Volume, sources: list[str]) -> None:
    provenance: Mapping[str, Any] = {
        "what": "attention map: |prediction with weights by place - prediction without|, scans in [-1, 1]",
        "target": target,
        "sources": sources,
    }
    scan = Scan.of(values, native.grid.affine, synthetic=True)
    write_scan(folder / f"{native.id}_{target}_attention.nii.gz", scan, provenance)
