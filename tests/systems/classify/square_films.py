"""Small cohorts of films and volumes whose labels can be seen."""

import nibabel as nib
import numpy as np
from PIL import Image

from scanweave.studies.cohort import Cohort


def make_cohort(folder, patients=24, shape=(20, 20, 1), scans=("film",), labels=None, seed=0):
    """Write images with a bright square in the upper half where `ill` is 1; scans are absent in turn."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(patients):
        ill = number % 2
        part = ("train", "validation", "test")[number // 6 % 3]
        row = {"study": f"s{number:02d}", "patient": f"p{number:02d}", "split": part}
        for place, scan in enumerate(scans):
            if len(scans) > 1 and number % 5 == place:
                continue
            image = rng.normal(100, 5, shape).astype(np.float32)
            if ill:
                image[3:9, 3:9] += 60
            path = folder / "images" / f"{row['study']}_{scan}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(image, np.diag([2.0, 2.0, 2.0, 1.0])), path)
            row[f"scan:{scan}"] = f"images/{path.name}"
        rows.append(row | (labels(number) if labels else {"label:ill": ill}))
    return Cohort.create(folder, rows, root=".", name="films", source="test", layout="test")


def views(folder):
    """Write films of two views of different sizes, as PNG, absent in turn; the square is in the lateral one."""
    rng, rows = np.random.default_rng(0), []
    for number in range(24):
        part = ("train", "validation", "test")[number // 6 % 3]
        row = {"study": f"s{number:02d}", "patient": f"p{number:02d}", "split": part, "label:ill": number % 2}
        for view, size, absent in (("frontal", (24, 20), 4), ("lateral", (20, 16), 5)):
            if number % 6 == absent:
                continue
            image = rng.normal(100, 5, size)
            if number % 2 and view == "lateral":
                image[3:9, 3:9] += 100
            path = folder / f"{row['study']}_{view}.png"
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)
            row[f"scan:{view}"] = path.name
        rows.append(row)
    return Cohort.create(folder / "c", rows, root=folder, name="views", source="test", layout="test")


SMALL = {
    "network": {"encoder": "resnet10", "width": 0.125},
    "training": {"steps": 40, "warm_up": 0, "batch_size": 8, "validate_every": 10, "workers": 0, "ema_decay": None},
}
