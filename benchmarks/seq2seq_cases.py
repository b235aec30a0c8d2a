"""Patients as the benchmarks of Seq2Seq prepare and measure them, and the real ones among them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as itk  # noqa: N813 - as the project calls it
from common import ROOT
from numpy.typing import NDArray
from seq2seq_controls import QuadraticRegression

from scanweave.api import configure
from scanweave.engine.weight_sources import find_weights
from scanweave.errors import ScanweaveError
from scanweave.framework.predicting import known_scans
from scanweave.framework.scan_preparation import native_scan
from scanweave.measures.image import psnr, ssim
from scanweave.measures.structural_similarity import EDGE
from scanweave.studies.cohort import Cohort
from scanweave.studies.layouts import import_cohort
from scanweave.studies.preparing.foreground import bounding_box
from scanweave.studies.preparing.plan import Plan, learn_plan
from scanweave.studies.preparing.preparation import PreparedStudy, background, prepare
from scanweave.studies.preparing.prepared_cache import CachedStudy, PreparedCohort
from scanweave.studies.splits import make_splits, write_splits
from scanweave.studies.study import Study
from scanweave.systems.seq2seq.native_grid import NativeStudy, native_study

Volume = NDArray[np.float32]
Methods = Iterator[tuple[str, str, Volume]]
"""Method, target, and what it makes of that, on the prepared grid in [-1, 1]."""

RENAME = {"t1post": "t1c", "fla": "flair", "inpainting_mask": "-"}
HEAD = "gbm_3"
"""A head with skull in 5 mm oblique slices: no training study is like it, so it stands apart from the mean."""
SERIES = {"T1prereg": "t1", "T1post": "t1c", "T2reg": "t2", "FLAIRreg": "flair"}
"""What the folders of its DICOM series are called within, and which sequence each is."""
MEASURES = {"PSNR in the brain": ("psnr", "dB"), "SSIM in the brain box": ("ssim", "")}
BUILTIN = "builtin:brain"


@dataclass(frozen=True, eq=False)
class Case:
    """A patient to be measured.

    Attributes:
        plan: How studies are prepared.
        prepared: As a network sees it.
        native: Its real scans, as they were acquired.
    """

    plan: Plan
    prepared: PreparedStudy
    native: NativeStudy

    @classmethod
    def of(cls, study: Study, plan: Plan) -> Case:
        """Prepare a study by a plan."""
        prepared = prepare(known_scans(study, list(plan.scans)), plan)
        return cls(plan, prepared, native_study(study, prepared, plan))

    @cached_property
    def volumes(self) -> dict[str, Volume]:
        """Prepared scans, background where they do not cover."""
        return {name: np.nan_to_num(v, nan=background(self.plan, name)) for name, v in self.prepared.volumes.items()}

    def quality(self, volume: Volume, target: str) -> dict[str, float]:
        """Return `psnr` in the brain [dB] and `ssim` in its box, on the native grid."""
        native, box = self.native, self.native.regions["box"]
        near = bounding_box(box, EDGE)  # no window of the box reaches further
        made, real = self.restored(volume, target)[near], native.real[target][near]
        span = native.span(target)
        return {"psnr": psnr(made, real, span, native.brain[near]), "ssim": ssim(made, real, span, box[near])}

    def psnr(self, volume: Volume, target: str) -> float:
        """Return PSNR in the brain alone [dB]."""
        native = self.native
        return psnr(self.restored(volume, target), native.real[target], native.span(target), native.brain)

    def restored(self, volume: Volume, target: str) -> NDArray[Any]:
        """Return a volume or series in [-1, 1] on the native grid, in the intensities of the real target."""
        return native_scan(volume, self.prepared, self.plan, target).data


def measured(cases: Sequence[Case], methods: Callable[[Case], Methods], **about: Any) -> list[dict[str, Any]]:
    """Return a row for each case, method and target."""
    return [
        {"patient": case.native.patient, "method": method, "target": target, **about, **case.quality(volume, target)}
        for case in cases
        for method, target, volume in methods(case)
    ]


def real_cohort(folder: Path) -> Cohort:
    """The four patients as one cohort, split to leave one out; the split is the same for all seeds."""
    data = real_data()
    cohort = import_cohort(
        [data / "mri_multiseq", data / "mri_ms"], folder, rename=RENAME, leave_out=["*_native"], say=lambda _: None
    )
    write_splits(folder, make_splits(cohort.patients, len(cohort), seed=0, validation=False))
    return cohort


def head_cohort(folder: Path) -> Cohort:
    """The head with skull, converted from its DICOM series: it is only ever tested on."""
    source, images = real_data() / "dicom" / HEAD, folder / "images" / HEAD
    images.mkdir(parents=True)
    for words, name in SERIES.items():
        (series,) = source.glob(f"*{words}*")
        files = itk.ImageSeriesReader.GetGDCMSeriesFileNames(str(series))
        itk.WriteImage(itk.ReadImage(files, itk.sitkFloat32), str(images / f"{name}.nii.gz"))
    return import_cohort(folder / "images", folder / "cohort", say=lambda _: None)


def real_data() -> Path:
    """The folder of the real scans."""
    return Path(os.environ.get("SCANWEAVE_DATA", ROOT.parent / "shared" / "data"))


def control_material(cohort: Cohort, fold: int, preset: str, own: Mapping[str, Any]) -> tuple[Plan, list[CachedStudy]]:
    """Return the plan that a fit would learn from the training part, and that part prepared."""
    settings: Any = configure("seq2seq", preset, own)
    training = cohort.part("train", fold)
    plan = learn_plan(training, cohort.names(), settings.preparation)
    return plan, PreparedCohort(training, plan).prepare()


def best_source(training: Sequence[CachedStudy], others: Sequence[str], target: str, seed: int) -> str:
    """The single source whose regression fits the training patients best."""

    def error(source: str) -> float:
        model = QuadraticRegression(training, [source], target, seed)
        errors = []
        for study in training:
            volumes = {name: study.slices(name, 0, study.frame.shape[2]) for name in (source, target)}
            errors.append(np.nanmean((model(volumes) - volumes[target]) ** 2))
        return float(np.mean(errors))

    return min(others, key=error)


def is_installed(source: str = BUILTIN) -> bool:
    """Tell whether weights are there to begin from."""
    try:
        find_weights(source)
    except ScanweaveError:
        return False
    return True
