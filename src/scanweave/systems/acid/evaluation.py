"""Every method of a run against the true images: figures an image, means with intervals by patient, a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from scanweave.framework.trial import Trial
from scanweave.measures.batches import norms, psnr, relative_error
from scanweave.measures.slices import slice_quality
from scanweave.measures.summary import summarise
from scanweave.report.saving import save_figure, save_table
from scanweave.studies.cohort import Cohort
from scanweave.systems.acid.figures import comparison_sheet
from scanweave.systems.acid.fitted import FittedAcid
from scanweave.systems.acid.loop import Acid, Reconstruct, Record
from scanweave.systems.acid.measurement_pairs import Pairs, load_pairs
from scanweave.systems.acid.tuning import run_batched
from scanweave.wording import count

IMAGES, SHEET = "images.csv", "images.png"
WORDS = {"A†": "A†, the linear reconstruction", "TV": "tuned total variation", "network": "its own network"}
MEASURES = {"psnr": "PSNR [dB]", "ssim": "SSIM", "error": "relative error", "residual": "data residual"}
SHOWN = 3
Say = Callable[[str], None]


def evaluate(fitted: FittedAcid, trial: Trial) -> pd.DataFrame:
    """Reconstruct the studies of a cohort by every method of the run and compare with their true images.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.

    Returns:
        One row a study and method: `psnr`, `ssim`, `error`, `residual`, `rounds`, as in `images.csv`.

    Raises:
        ScanweaveError: No study could be measured.
    """
    physics, pairs = measured_pairs(fitted, trial.cohort, trial.left_out, trial.say)
    table, made = compare(fitted.methods(physics), pairs, physics.A, fitted.choices.data_range)
    summary = summarise(table, ("method",), tuple(MEASURES))
    save_table(table, trial.folder / IMAGES)
    save_figure(comparison_sheet(pairs.truth.cpu(), made, list(pairs.names), SHOWN), trial.folder / SHEET)
    trial.conclude(summary)
    means = " · ".join(f"{method} {mean:.2f} dB" for method, mean in _psnr(summary).items())
    for line in (f"evaluation: {means} (PSNR, {count(len(set(pairs.patients)), 'patient')})", *notes(summary)):
        trial.say(line)
    return table


def measured_pairs(
    fitted: FittedAcid, cohort: Cohort, left_out: dict[str, str], say: Say
) -> tuple[LinearPhysics, Pairs]:
    """Return the scanner and the measured and true images of a cohort, on the device of a fitted run.

    Args:
        fitted: The fitted run.
        cohort: Studies with sinograms of one geometry and true images.
        left_out: Is told the reason for each study that cannot be read.
        say: Takes a line for each of these.
    """
    known = fitted.plan.thresholds or None
    physics, pairs = load_pairs(cohort, fitted.channels, thresholds=known, left_out=left_out)
    for name, reason in left_out.items():
        say(f"left out: {name}: {reason}")
    return physics.to(fitted.device), pairs.to(fitted.device)


def notes(summary: pd.DataFrame) -> list[str]:
    """Say what a reader must know before the figures: what is no better than something simpler."""
    means = _psnr(summary)
    simpler = {"network": ("A†", "TV"), "ACID": ("network", "TV")}
    return [
        f"note: {method} ({means[method]:.2f} dB) does not beat {WORDS[other]} ({means[other]:.2f} dB) here"
        for method, others in simpler.items()
        for other in others
        if not means[method] > means[other]
    ]


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
            "psnr": psnr(made, pairs.truth, data_range),
            "ssim": _similarity(made, pairs.truth, data_range),
            "error": relative_error(made, pairs.truth),
            "residual": residual,
            "rounds": record.rounds if record.residual else torch.zeros(len(pairs)),
        }
        plain = pd.DataFrame({key: values.cpu().numpy() for key, values in columns.items()})
        rows.append(plain.assign(method=name, study=pairs.names, patient=pairs.patients))
    return pd.concat(rows, ignore_index=True), images


def _psnr(summary: pd.DataFrame) -> dict[str, float]:
    """Mean PSNR [dB] by method."""
    rows = summary[summary["measure"] == "psnr"]
    return dict(zip(rows["method"], rows["mean"], strict=True))


def _similarity(made: Tensor, truth: Tensor, data_range: float) -> Tensor:
    """Return the SSIM of each image, the mean over its channels."""
    slices = zip(made.flatten(0, 1).cpu().numpy(), truth.flatten(0, 1).cpu().numpy(), strict=True)
    values = [slice_quality(*pair, data_range)["ssim"] for pair in slices]
    return torch.tensor(values).reshape(len(made), -1).mean(dim=1)
