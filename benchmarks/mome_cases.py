"""Real patients for MOME, and stand-ins of the same layout for the smoke tier.

Chest films of Hannover (48 patients, ICU stay on the day of the film) with laboratory values; CT, PET and T1 of four
soft-tissue sarcomas, each on a grid of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from common import ROOT
from PIL import Image

from scanweave.studies.cohort import Cohort
from scanweave.studies.layouts import import_cohort
from scanweave.studies.splits import make_splits, write_splits

LABORATORY = ("crp", "d-dimer", "factor_xii", "ldh", "lymphocytes", "neutrophils", "pco2", "po2")
"""Values that are read, beside the sex. Offsets, projection, machine and death are kept out: they tell the stay."""
FOLDS = 5
SCANS = ("ct", "pet", "t1")
SIMULATED_PATIENTS = 40


def data_folder() -> Path:
    """Return the folder of real data."""
    return Path(os.environ.get("SCANWEAVE_DATA", ROOT.parent / "shared" / "data"))


def read_films(folder: Path) -> pd.DataFrame:
    """Return a row a film: `study`, `patient`, `scan:film`, `label:icu`, the table, and `projection` apart from it."""
    told = pd.read_csv(folder / "data.csv")
    stays = (told["icu_admission_offset"] <= 0) & (told["icu_release_offset"] >= 0)
    names = {"study": told["image_id"], "patient": told["patient_id"], "scan:film": told["image_id"] + ".jpg"}
    frame = pd.DataFrame({**names, "label:icu": stays.astype(int), "table:sex": told["sex"]})
    for name in LABORATORY:
        values = told[f"{name}_val"].astype(float)
        # infinity is what lies beyond what the assay measures: it counts as nothing, or as the most that was measured
        frame[f"table:{name}"] = values.replace({-np.inf: 0.0, np.inf: values[np.isfinite(values)].max()})
    frame["projection"] = told["projection"]
    return frame


def film_cohort(films: pd.DataFrame, root: Path, folder: Path, seed: int) -> Cohort:
    """Return the films as a cohort of five folds of patients, stratified by whether a patient was ever on the ICU."""
    rows = films.drop(columns="projection").astype(object)
    rows = rows.where(rows.notna(), None)
    cohort = Cohort.create(
        folder, rows.to_dict("records"), root=root.resolve(), name="hannover", source="hannover", layout="records"
    )
    ever = films.groupby("patient")["label:icu"].max().astype(str).to_dict()
    write_splits(folder, make_splits(cohort.patients, FOLDS, seed=seed, stratify=ever))
    return cohort


def simulated_films(folder: Path) -> Path:
    """Write noise of the layout of the films: one a patient, of whom half stay on the ICU and have a high CRP."""
    rng, rows = np.random.default_rng(0), []
    folder.mkdir(parents=True)
    for number in range(SIMULATED_PATIENTS):
        stays, name = number % 2, f"f{number:02d}"
        Image.fromarray(rng.integers(0, 255, (40, 32), dtype=np.uint8)).save(folder / f"{name}.jpg")
        row = {"image_id": name, "patient_id": f"p{number:02d}", "sex": "fm"[number // 2 % 2]}
        row |= {"icu_admission_offset": -1.0 if stays else None, "icu_release_offset": 2.0 if stays else None}
        row |= {f"{value}_val": rng.normal(stays, 1) if rng.random() < 0.7 else None for value in LABORATORY}
        rows.append(row | {"projection": "ap" if stays or rng.random() < 0.5 else "pa"})
    pd.DataFrame(rows).to_csv(folder / "data.csv", index=False)
    return folder


def sarcoma_cohort(source: Path, folder: Path) -> Cohort:
    """Return the sarcomas as one training part, with a made-up question: is the tumour larger than the median?"""
    found = import_cohort(source, folder / "imported", rename={"MR_T1_mask": "mask:t1"}, say=lambda _: None)
    volumes = {}
    for study in found:
        mask = study.masks["t1"]
        volumes[study.id] = float((mask.load() > 0).sum()) * float(np.prod(mask.geometry.spacing))
    middle = float(np.median(list(volumes.values())))
    frame = found.frame.astype(object)
    rows = frame.where(frame.notna(), None).to_dict("records")
    asked = [row | {"label:large": int(volumes[row["study"]] > middle), "split": "train"} for row in rows]
    return Cohort.create(
        folder / "asked", asked, root=found.root.resolve(), name="sarcoma", source="sarcoma", layout="records"
    )


def simulated_sarcomas(folder: Path) -> Path:
    """Write four patients of the layout of the sarcomas: noise on three grids, and a mask of growing size."""
    rng = np.random.default_rng(0)
    for number in range(4):
        own = folder / f"STS_{number:03d}"
        own.mkdir(parents=True)
        for name, spacing in (("CT", 2.0), ("PET", 4.0), ("MR_T1", 3.0)):
            affine, shape = np.diag([spacing, spacing, 4.0, 1.0]), (round(48 / spacing), round(48 / spacing), 8)
            nib.save(nib.Nifti1Image(rng.gamma(2, 2, shape).astype(np.float32), affine), own / f"{name}_image.nii.gz")
            mask = np.zeros(shape, np.uint8)
            mask[: 3 + number, 2:5, 2:6] = 1
            nib.save(nib.Nifti1Image(mask, affine), own / f"{name}_mask.nii.gz")
    return folder
