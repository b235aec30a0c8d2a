"""Contributions: how much each sequence counts where another is made from all of them, and what attention adds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanweave.measures.summary import summarise
from scanweave.report.saving import save_figure, save_table
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import Frame, PreparedStudy, to_native
from scanweave.studies.scan import Scan
from scanweave.systems.seq2seq.figures import contribution_matrix
from scanweave.systems.seq2seq.native_grid import NativeStudy, Volume
from scanweave.systems.seq2seq.synthesis import FusingSynthesizer

CONTRIBUTIONS, MATRIX = "contributions.csv", "contributions.png"
KEYS = ["source", "target"]


def study_contributions(
    synthesizer: FusingSynthesizer, prepared: PreparedStudy, native: NativeStudy, plan: Plan, folder: Path
) -> list[dict[str, Any]]:
    """Measure the shares of a study's sequences, and write the attention map of each target as NIfTI.

    Args:
        synthesizer: The network.
        prepared: The study as the network sees it.
        native: The same on its native grid.
        plan: How it was made ready.
        folder: Where the maps go.

    Returns:
        One row a target and source: mean share in the brain, 1 together; and mean effect of attention there.
    """
    rows = []
    for target in native.real:
        shares, effect = synthesizer.contributions(prepared.volumes, target)
        others = list(shares)
        inside = {name: _mean(volume, prepared.frame, plan, native) for name, volume in shares.items()}
        seen = on_native_grid(effect, prepared.frame, plan)
        _write_map(folder, native, target, seen, others)
        rows += [
            {
                "study": native.id,
                "patient": native.patient,
                "source": name,
                "target": target,
                "share": share,
                "attention": float(seen[native.brain].mean()),
            }
            for name, share in inside.items()
        ]
    return rows


def save_contributions(rows: list[dict[str, Any]], folder: Path, order: list[str]) -> list[dict[str, Any]]:
    """Write the table and the figure of all studies; return means with intervals over patients as plain values."""
    table = pd.DataFrame(rows)
    summary = summarise(table, KEYS, ("share", "attention"), 0)
    save_table(table, folder / CONTRIBUTIONS)
    save_figure(contribution_matrix(summary, order), folder / MATRIX)
    plain = summary.astype(object).where(summary.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


def on_native_grid(values: Volume, frame: Frame, plan: Plan) -> Volume:
    """Return a map on the native grid; 0 beyond the crop."""
    full = np.zeros(frame.working.shape, dtype=np.float32)
    full[frame.box] = values
    return to_native(full, frame, plan)


def _mean(values: Volume, frame: Frame, plan: Plan, native: NativeStudy) -> float:
    return float(on_native_grid(values, frame, plan)[native.brain].mean())


def _write_map(folder: Path, native: NativeStudy, target: str, values: Volume, sources: list[str]) -> None:
    provenance: Mapping[str, Any] = {
        "what": "attention map: |prediction with weights by place - prediction without|, scans in [-1, 1]",
        "target": target,
        "sources": sources,
    }
    scan = Scan.of(values, native.grid.affine, synthetic=True)
    write_scan(folder / f"{native.id}_{target}_attention.nii.gz", scan, provenance)
