"""Every method of a run against the true images: figures an image, means with intervals by patient, a picture."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor

from scanweave.engine.selection import Choice, note_output, select_studies
from scanweave.files import atomic_folder, write_json
from scanweave.measures.batches import norms, psnr, relative_error, ssim
from scanweave.measures.bootstrap import bootstrap
from scanweave.report.saving import save_figure, save_table
from scanweave.studies.cohort import Cohort
from scanweave.systems.acid.figures import comparison_sheet
from scanweave.systems.acid.loop import Acid, Reconstruct, Record
from scanweave.systems.acid.pairs import Pairs, load_pairs
from scanweave.systems.acid.tuning import run_batched

if TYPE_CHECKING:
    from scanweave.systems.acid.system import AcidSystem

IMAGES, SUMMARY, SHEET = "images.csv", "summary", "images.png"
MEASURES = {"psnr": "PSNR [dB]", "ssim": "SSIM", "error": "relative error", "residual": "data residual"}
SHOWN = 3
Say = Callable[[str], None]


def evaluate(
    system: AcidSystem, cohort: Cohort, out: str | Path | None = None, *, part: Choice | None = None, say: Say = print
) -> pd.DataFrame:
    """Reconstruct the studies of a cohort by every method of the run and compare with their true images.

    Args:
        system: The fitted run.
        cohort: Studies with sinograms and true images.
        out: Folder to make; `evaluation` in the run if not given.
        part: Which studies; see `engine.selection.select_studies`.
        say: Takes lines about choices.

    Returns:
        One row a study and method: `psnr`, `ssim`, `error`, `residual`, `rounds`.
    """
    chosen = select_studies(system.run, cohort, part, say)
    physics, pairs = load_pairs(chosen.cohort, system.channels)
    physics, pairs = physics.to(system.device), pairs.to(system.device)
    table, made = compare(system.methods(physics), pairs, physics.A, system.choices.data_range)
    folder = Path(out) if out is not None else system.run.folder / "evaluation"
    summary = summarise(table)
    with atomic_folder(_free(folder)) as temporary:
        save_table(table, temporary / IMAGES)
        rows = {"format": 1, "about": chosen.about, "rows": summary}
        write_json(temporary / f"{SUMMARY}.json", rows)
        save_figure(comparison_sheet(pairs.truth.cpu(), made, list(pairs.names), SHOWN), temporary / SHEET)
    note_output(system.run, "evaluation", folder)
    say(" · ".join(f"{row['method']} {row['mean']:.2f} dB" for row in summary if row["measure"] == "psnr"))
    return table


def compare(
    methods: Mapping[str, Reconstruct], pairs: Pairs, forward: Reconstruct, data_range: float
) -> tuple[pd.DataFrame, dict[str, Tensor]]:
    """Reconstruct by every method, without derivatives, and measure.

    Args:
        methods: By name.
        pairs: What was measured and what is true.
        forward: A, for the data residual ‖p − A f‖ / ‖p‖.
        data_range: Span of the true images.

    Returns:
        One row an image and method, and the images by method.
    """
    rows, images = [], {}
    for name, method in methods.items():
        record = Record()
        made = run_batched(method, pairs.measurement, record if isinstance(method, Acid) else None)
        images[name] = made.cpu()
        with torch.no_grad():
            residual = norms(pairs.measurement - forward(made)) / norms(pairs.measurement)
        columns = {
            "psnr": psnr(made, pairs.truth, data_range), "ssim": ssim(made, pairs.truth, data_range),
            "error": relative_error(made, pairs.truth), "residual": residual,
            "rounds": record.rounds if record.residual else torch.zeros(len(pairs)),
        }  # fmt: skip
        plain = pd.DataFrame({key: values.cpu().numpy() for key, values in columns.items()})
        rows.append(plain.assign(method=name, study=pairs.names, patient=pairs.patients))
    return pd.concat(rows, ignore_index=True), images


def summarise(table: pd.DataFrame, seed: int = 0) -> list[dict[str, Any]]:
    """Means with 95 % intervals over patients, by method and measure."""
    rows = []
    for name, group in table.groupby("method", sort=False):
        for measure in MEASURES:
            found = bootstrap(group[measure], list(group["patient"]), seed=seed)
            rows.append(
                {
                    "method": name,
                    "measure": measure,
                    "mean": found.value,
                    "low": found.low,
                    "high": found.high,
                    "n": found.n,
                }
            )
    return rows


def _free(folder: Path) -> Path:
    """The folder, with an older evaluation taken away."""
    if (folder / IMAGES).is_file():
        shutil.rmtree(folder)
    return folder
