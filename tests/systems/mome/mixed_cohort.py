"""A small cohort of two volumes, a series, a film and a table, of which some are absent."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from PIL import Image

from scanweave.studies.cohort import Cohort

TINY = {
    "network": {"width": 16, "heads": 2, "sparse_layers": 1, "soft_layers": 1, "experts": 2, "stem": [4, 8]},
    "training": {"steps": 30, "warm_up": 0, "batch_size": 8, "validate_every": 10, "workers": 0, "ema_decay": None},
}


def make_cohort(folder, patients=24):
    """Write patients of whom `ill` ones have a bright spot in t2 and a high marker; each modality is absent in turn."""
    rng, rows = np.random.default_rng(0), []
    (folder / "images").mkdir(parents=True)
    for number in range(patients):
        ill = number % 2
        part = ("train", "validation", "test")[number // 6 % 3]
        row = {"study": f"s{number:02d}", "patient": f"p{number:02d}", "split": part, "label:ill": ill}
        shapes = {"t2": (12, 14, 10), "dwi": (8, 8, 6), "dce": (10, 10, 8, 3)}
        for place, (name, shape) in enumerate(shapes.items()):
            if number % 5 == place:
                continue
            image = rng.normal(100, 5, shape).astype(np.float32)
            if ill and name == "t2":
                image[3:9, 3:9, 2:8] += 80
            path = folder / "images" / f"{row['study']}_{name}.nii.gz"
            nib.save(nib.Nifti1Image(image, np.diag([5.0, 5.0, 5.0, 1.0])), path)
            row[f"scan:{name}"] = f"images/{path.name}"
        if number % 4:
            path = folder / "images" / f"{row['study']}_film.png"
            Image.fromarray(rng.normal(100, 5, (24, 20)).clip(0, 255).astype(np.uint8)).save(path)
            row["scan:film"] = f"images/{path.name}"
        if number % 5 != 4:
            row["table:marker"] = float(ill + rng.normal(0, 0.3))
        row["table:sex"] = "female" if number % 3 else "male"
        rows.append(row)
    return Cohort.create(folder, rows, root=".", name="mixed", source="test", layout="test")
