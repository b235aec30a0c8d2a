"""Small volumes whose findings can be seen, with masks, and reports that name them in several ways."""

import nibabel
import numpy as np

from scanweave.studies.cohort import Cohort

SAID = {
    "nodule": (("There is a nodule.", "A nodule is seen.", "Nodule."), ("No nodule.", "There is no nodule.")),
    "effusion": (("There is an effusion.", "Effusion.", "An effusion is seen."), ("No effusion.", "No fluid seen.")),
}
PLACES = {"nodule": (slice(4, 14), slice(4, 14), slice(18, 28)), "effusion": (slice(18, 30), slice(2, 30), slice(0, 8))}
SMALL = {
    "network": {"encoder": "resnet10", "width": 0.125, "embedding": 16, "hidden": 32, "small_images": False},
    "text": {"width": 32, "layers": 1, "heads": 2, "most_tokens": 24, "dropout": 0.0},
    "objective": {"warm_in": 10},
    "sampling": {"crop": 1.0},
    "training": {"steps": 160, "batch_size": 16, "warm_up": 10, "validate_every": 50, "workers": 0, "ema_decay": None},
}
SMALL["network"] |= {"fusion_width": 32, "fusion_heads": 2}


def report_of(there, rng):
    """Return a report that says of each finding whether it is there, in any order."""
    said = [several[int(not there[name])] for name, several in SAID.items()]
    sentences = [one[int(rng.integers(len(one)))] for one in said]
    return " ".join(sentences[place] for place in rng.permutation(len(sentences)))


def make_volumes(folder, patients=96, seed=0):
    """Write volumes of 32³ voxels, masks, a report and labels of each; half of the patients have each finding."""
    (folder / "files").mkdir(parents=True)
    rng, rows = np.random.default_rng(seed), []
    for number in range(patients):
        there = {"nodule": number % 2, "effusion": number // 2 % 2}
        image, mask = rng.normal(0, 20, (32, 32, 32)), np.zeros((32, 32, 32), np.uint8)
        for value, (name, is_there) in enumerate(there.items(), start=1):
            if is_there:
                image[PLACES[name]] += 200
                mask[PLACES[name]] = value
        name = f"s{number:02d}"
        for kind, voxels in (("ct", image.astype(np.float32)), ("findings", mask)):
            nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / "files" / f"{name}_{kind}.nii.gz")
        part = ("train", "train", "train", "train", "validation", "test")[number // 4 % 6]
        row = {"study": name, "patient": f"p{number:02d}", "split": part, "text:findings": report_of(there, rng)}
        row |= {"scan:ct": f"files/{name}_ct.nii.gz", "mask:findings": f"files/{name}_findings.nii.gz"}
        rows.append(row | {f"label:{one}": is_there for one, is_there in there.items()})
    about = {"root": folder, "name": "told", "source": "test", "layout": "test"}
    structures = {"findings": {name: [value] for value, name in enumerate(SAID, start=1)}}
    return Cohort.create(folder / "c", rows, structures=structures, **about)
