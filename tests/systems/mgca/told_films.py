"""Small films whose findings can be seen, with reports that name them in several ways."""

import numpy as np
from PIL import Image

from scanweave.studies.boxes import Boxes
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.json_boxes import write_box_json

SAID = {
    "nodule": (("There is a nodule.", "A nodule is seen.", "Nodule."), ("No nodule.", "There is no nodule.")),
    "effusion": (("There is an effusion.", "Effusion.", "An effusion is seen."), ("No effusion.", "No fluid seen.")),
}
PLACES = {"nodule": ((4, 4), (12, 12)), "effusion": ((2, 22), (30, 30))}
"""Corners (x, y) of the bright boxes."""
SMALL = {
    "network": {"encoder": "resnet10", "width": 0.125, "embedding": 16, "hidden": 32, "prototypes": 8},
    "text": {"width": 32, "layers": 1, "heads": 2, "most_tokens": 24, "dropout": 0.0},
    "objective": {"warm_in": 20, "frozen_steps": 5},
    "training": {"steps": 300, "batch_size": 24, "warm_up": 10, "validate_every": 100, "workers": 0, "ema_decay": None},
}


def report_of(there, rng):
    """Return a report that says of each finding whether it is there, in any order."""
    said = [several[int(not there[name])] for name, several in SAID.items()]
    sentences = [one[int(rng.integers(len(one)))] for one in said]
    return " ".join(sentences[place] for place in rng.permutation(len(sentences)))


def make_cohort(folder, patients=72, labels=True, reports=True, seed=0):
    """Write films of 32 × 32 pixels, a report of each, boxes and labels; half of the patients have each finding."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(patients):
        there = {"nodule": number % 2, "effusion": number // 2 % 2}
        image = rng.normal(90, 6, (32, 32))
        corners = [PLACES[name] for name, one in there.items() if one]
        for (x0, y0), (x1, y1) in corners:
            image[y0:y1, x0:x1] += 90
        name = f"s{number:02d}"
        (folder / "films").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / "films" / f"{name}.png")
        named = tuple(one for one, is_there in there.items() if is_there)
        write_box_json(folder / "films" / f"{name}.json", Boxes(np.array(corners, float), named, size=(32, 32)))
        part = ("train", "train", "train", "train", "validation", "test")[number // 4 % 6]
        row = {"study": name, "patient": f"p{number:02d}", "split": part, "scan:film": f"films/{name}.png"}
        row |= {"text:findings": report_of(there, rng)} if reports else {}
        row |= {"boxes": f"films/{name}.json"}
        rows.append(row | ({f"label:{one}": is_there for one, is_there in there.items()} if labels else {}))
    return Cohort.create(folder / "c", rows, root=folder, name="told", source="test", layout="test")
