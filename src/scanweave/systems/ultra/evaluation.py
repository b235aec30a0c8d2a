"""Evaluation of reconstructions: by bin, by material, by edge and noise; with intervals over patients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.errors import ScanweaveError
from scanweave.framework.trial import Trial
from scanweave.measures.resolution import edge_mtf50, noise_summary
from scanweave.measures.slices import contrast_to_noise, slice_quality
from scanweave.report.saving import save_figure
from scanweave.studies.slice_scans import slice_image
from scanweave.studies.study import Study
from scanweave.systems.ultra.figures import Pictures, material_sheet, profile_plot, spectral_sheet
from scanweave.systems.ultra.fitted import FittedUltra
from scanweave.systems.ultra.images import SpectralImages
from scanweave.systems.ultra.plan import SpectralPlan
from scanweave.wording import count

Array = NDArray[np.floating]

MEASURES = ("psnr", "ssim", "rmse", "mtf50", "noise", "noise_frequency", "cnr")
FBP = "fbp"
IMAGES = "images.csv"
LEARNT = ("psnr", "ssim")
"""A network has learnt if it beats the filtered backprojection in both."""
BINS_PICTURE, MATERIALS_PICTURE, PROFILES_PICTURE = "bins.png", "materials.png", "profiles.png"
K_EDGE = "gadolinium"
"""The material whose contrast to noise is measured."""
LEAST_DENSITY = 5e-4
"""Density of the K-edge material [g/cm³] that makes an insert."""
ALL_BINS, WORST_BIN, ALL_MATERIALS = "bins", "worst bin", "materials"
SCALES = {"iodine": 0.01, "gadolinium": 0.005}
"""Density [g/cm³] by which the error of a material is divided in the mean over materials; 1 for all others."""


def evaluate(fitted: FittedUltra, trial: Trial, seed: int = 0) -> pd.DataFrame:
    """Reconstruct every study whose truth is known, and compare; the filtered backprojection is measured beside it.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        seed: Of the resampling behind the intervals.

    Returns:
        One row a study, method ("fbp", or the architecture) and image, as in `images.csv`.

    Raises:
        ScanweaveError: No study could be measured.
    """
    rows: list[dict[str, Any]] = []
    drawn: list[str] = []

    def told(study: Study) -> dict[str, Any]:
        found, pictures = measured(fitted, study)
        if not drawn:
            _draw(trial.folder, pictures, fitted)
        return {"rows": found, "drawn": not drawn}

    for name, found in trial.each(told, {}):
        rows += found["rows"]
        drawn += [name] * found["drawn"]
    table, summary = trial.tabulate(rows, ("method", "image"), MEASURES, IMAGES, seed=seed, picture=drawn[0])
    for line in (_in_short(summary), *notes(summary)):
        trial.say(line)
    return table


def notes(summary: pd.DataFrame) -> list[str]:
    """Say what a reader must know before the figures: whether the network is better than what it starts from."""
    means = {name: _means(summary, name) for name in LEARNT}
    return [
        f"note: {method} does not beat the filtered backprojection that it starts from in PSNR and SSIM: it has learnt "
        "too little. Train longer, and look at its learning curve"
        for method in means[LEARNT[0]]
        if method != FBP and not all(found[method] > found[FBP] for found in means.values())
    ]


def measured(fitted: FittedUltra, study: Study) -> tuple[list[dict[str, Any]], Pictures]:
    """Measure one study: its rows, and the images behind them.

    Raises:
        ScanweaveError: It has no truth, or cannot be reconstructed.
    """
    images = fitted.images_with_truth(study)
    assert images.truth is not None  # noqa: S101 - for the type checker
    made = {FBP: np.asarray(images.fbp), fitted.config.network.architecture: fitted.clean(images)}
    insert = slice_image(study.scans[K_EDGE], study.id) if K_EDGE in study.scans else None
    if insert is not None and insert.shape != images.truth.shape[1:]:
        step = "Put both on one grid, or leave that scan out"
        raise ScanweaveError(study.id, f"its {K_EDGE} has another size than its bins", step)
    rows = [
        {"study": study.id, "patient": study.patient, "method": method, **row}
        for method, bins in made.items()
        for row in measure(fitted.plan, bins, images, insert)
    ]
    return rows, Pictures(np.asarray(images.truth), made, images.geometry.pixel)


def measure(plan: SpectralPlan, bins: Array, images: SpectralImages, insert: Array | None) -> list[dict[str, Any]]:
    """Measure one reconstruction of a slice, by whatever method.

    Args:
        plan: Tells ranges and attenuation.
        bins: Reconstructed bins `(S, H, W)` [1/mm].
        images: The slice with its truth.
        insert: True density of the K-edge material [g/cm³] `(H, W)`, if known.

    Returns:
        A row for each bin, for the mean over bins and for the worst, and with a spectrum for each basis material and
        their mean. A material's `rmse` is that of its map [g/cm³] against the decomposition of the true bins.
    """
    truth, pixel = np.asarray(images.truth), images.geometry.pixel
    flat = _flat(truth)
    rows: list[dict[str, Any]] = []
    for name, one, real, span in zip(plan.bins, bins, truth, plan.span, strict=True):
        quality = slice_quality(one, real, span) | {"mtf50": edge_mtf50(one, real, pixel)}
        rows.append({"image": name, **quality, **noise_summary(one - real, flat, pixel)})
    table = pd.DataFrame(rows).drop(columns="image")
    rows.append({"image": ALL_BINS, **table.mean().to_dict()})
    rows.append({"image": WORST_BIN, "psnr": table["psnr"].min(), "ssim": table["ssim"].min()})
    return rows if plan.beam is None else rows + _materials(plan, bins, truth, insert)


def _materials(plan: SpectralPlan, bins: Array, truth: Array, insert: Array | None) -> list[dict[str, Any]]:
    made, real = plan.derived(bins), plan.derived(truth)
    rows: list[dict[str, Any]] = []
    for name in plan.materials:
        row: dict[str, Any] = {"image": name, "rmse": float(np.sqrt(np.mean((made[name] - real[name]) ** 2)))}
        if name == K_EDGE and insert is not None:
            row["cnr"] = contrast_to_noise(made[name], *_insert_regions(insert, truth))
        rows.append(row)
    shares = [row["rmse"] / SCALES.get(str(row["image"]), 1.0) for row in rows]
    return [*rows, {"image": ALL_MATERIALS, "rmse": float(np.sqrt(np.mean(np.square(shares))))}]


def _flat(truth: Array) -> NDArray[np.bool_]:
    """Return pixels within the body that lie away from edges of the mean of the bins."""
    mean = truth.mean(axis=0)
    dense = mean[mean > 0.2 * mean.max()]
    body = ndimage.binary_erosion(mean > 0.5 * np.median(dense), iterations=3) if dense.size else mean > np.inf
    if not body.any():
        return np.asarray(body)
    steepness = np.hypot(*np.gradient(ndimage.gaussian_filter(mean, 1.0)))
    return np.asarray(body & (steepness < np.quantile(steepness[body], 0.5)))


def _insert_regions(insert: Array, truth: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the inserts of the K-edge material without their rims, and the flat tissue that has none."""
    holds = insert > LEAST_DENSITY
    away = ~ndimage.binary_dilation(insert > 0, iterations=3)
    return ndimage.binary_erosion(holds), _flat(truth) & away


def _draw(folder: Path, pictures: Pictures, fitted: FittedUltra) -> None:
    save_figure(spectral_sheet(pictures, fitted.plan.bins, fitted.plan.span), folder / BINS_PICTURE)
    save_figure(profile_plot(pictures, fitted.plan.bins), folder / PROFILES_PICTURE)
    if fitted.plan.beam is not None:
        maps = {"truth": fitted.plan.derived(pictures.truth)}
        maps |= {method: fitted.plan.derived(bins) for method, bins in pictures.made.items()}
        save_figure(material_sheet(maps), folder / MATERIALS_PICTURE)


def _in_short(summary: pd.DataFrame) -> str:
    means = ", ".join(f"{method} {mean:.1f} dB" for method, mean in _means(summary, "psnr").items())
    return f"evaluation: {means} (PSNR, mean over bins, {count(int(summary['patients'].max()), 'patient')})"


def _means(summary: pd.DataFrame, measure_: str) -> dict[str, float]:
    """Mean of a measure over bins by method."""
    rows = summary[(summary["image"] == ALL_BINS) & (summary["measure"] == measure_)]
    return dict(zip(rows["method"], rows["mean"], strict=True))
