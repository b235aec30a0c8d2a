"""The masked autoencoder as a user meets it: fit, predict, evaluate, report."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from monai.inferers.utils import sliding_window_inference
from scipy.ndimage import gaussian_filter

from masked_autoencoder.config import MaskedConfig
from masked_autoencoder.network import BlockFiller
from masked_autoencoder.plan import FILLED, FillingPlan
from masked_autoencoder.task import RANGE, MaskedTask, hide
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework import PreparedParts, RunPage, ScanSystem, Trial, native_scan
from scanweave.measures.image import decibels
from scanweave.report.grids import synthesis_grid
from scanweave.report.saving import save_figure
from scanweave.studies.preparing.preparation import PreparedStudy, background, prepare
from scanweave.studies.study import Study

PAPER = "@inproceedings{he2022mae, author = {He, Kaiming and others}, booktitle = {CVPR}, year = {2022}}"
METRICS = {"psnr": ("higher", "in hidden blocks of validation studies"), "loss": ("lower", "mean absolute error")}
PICTURE = "blocks.png"


class MaskedAutoencoder(ScanSystem[MaskedConfig]):
    """A fitted masked autoencoder with its verbs."""

    name = "masked-autoencoder"
    config_class, plan_class, in_cubes = MaskedConfig, FillingPlan, True

    def __init__(self, run: Run, device: str = "auto") -> None:
        super().__init__(run, device)
        self.network = self.loaded(lambda: BlockFiller(self.config.width))

    @classmethod
    def task(cls, config: MaskedConfig, parts: PreparedParts) -> MaskedTask:
        """Return what is trained on the prepared parts."""
        return MaskedTask(config, parts)

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Hide blocks of the scans of a study and fill them; the targets are `<scan>_filled`."""
        there = [f"{name}{FILLED}" for name in self.plan.rules if name in study.scans]
        names = {target: target.removesuffix(FILLED) for target in self.wanted(targets, there)}
        if not there or not set(names) <= set(there):
            raise ScanweaveError(study.id, "lacks a scan to fill", f"Give {', '.join(names.values())}")
        prepared = prepare(study, self.plan)
        made = {target: self.filled(prepared, name)[0] for target, name in names.items()}
        return study.answer(scans={t: native_scan(made[t], prepared, self.plan, name) for t, name in names.items()})

    def filled(self, prepared: PreparedStudy, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a scan with filled blocks, the scan as it is, and which voxels are filled, each `(X, Y, Z)`."""
        whole = np.nan_to_num(prepared.volumes[name], nan=background(self.plan, name))
        rng = np.random.default_rng([self.config.training.seed, zlib.crc32(prepared.id.encode())])
        hidden = hide(rng, whole.shape, self.config)
        both = torch.from_numpy(np.stack([whole, hidden]))[None].to(self.device)
        with torch.inference_mode():
            made = sliding_window_inference(both, self.config.crop, 1, self.network, mode="gaussian", cval=-1)
        return made[0, 0].cpu().numpy(), whole, hidden

    def measure(self, trial: Trial, options: Any) -> pd.DataFrame:
        """Fill hidden blocks of every study and compare with what stood there; a row a study, scan and method."""
        rows: list[dict[str, Any]] = []
        for _, (found, real, made) in trial.each(self.measured):
            if not rows:
                middle = next(iter(real.values())).shape[2] // 2
                save_figure(synthesis_grid(real, made, (1, 1, 1), middle), trial.folder / PICTURE)
            rows += found
        return trial.tabulate(rows, ("scan", "method"), ("psnr",), "blocks.csv")[0]

    def measured(self, study: Study) -> tuple[list[dict[str, Any]], dict[Any, np.ndarray], dict[Any, np.ndarray]]:
        """Return the rows of a study, its scans as they are, and as the network and a blur fill them."""
        prepared, rows, real, made = prepare(study, self.plan), [], {}, {}
        for scan in prepared.volumes:
            made["network", scan], real[scan], hidden = self.filled(prepared, scan)
            made["blur", scan] = blurred(real[scan], hidden, self.config.block)
            for method in ("network", "blur"):
                error = np.mean((made[method, scan] - real[scan])[hidden] ** 2, dtype=np.float64)
                who = {"study": study.id, "patient": study.patient, "scan": scan, "method": method}
                rows.append({**who, "psnr": float(decibels(error, RANGE))})
        return rows, real, made

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run from what its folder holds."""
        quality = page.measured(
            "How well blocks are filled",
            {"psnr": ("PSNR [dB] ↑", "{:.1f}")},
            caption="In hidden blocks; the blur is the mean of what surrounds them.",
            pictures={PICTURE: "Scans as they are, and with hidden blocks filled by the network and by a blur."},
        )
        lead = "An autoencoder fills hidden blocks of a volume from what surrounds them."
        return page.standard("Hidden blocks", lead, quality, metrics=METRICS, paper=PAPER, path=path)


def blurred(volume: np.ndarray, hidden: np.ndarray, width: float) -> np.ndarray:
    """Return a volume whose hidden voxels are the mean of the others around them, weighted by a Gaussian."""
    seen = gaussian_filter(np.where(hidden, 0, volume), width)
    weight = gaussian_filter((~hidden).astype(np.float32), width)
    return np.where(hidden, seen / np.maximum(weight, 1e-6), volume)
