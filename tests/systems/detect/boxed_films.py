"""Small films whose findings can be seen: bright squares and dark bars, with boxes, by labels alone, or without any."""

import imageio.v3 as imageio
import numpy as np

from scanweave.files import write_json
from scanweave.studies.cohort import Cohort

SIZE = (96, 64)
"""Pixels along X and Y."""


def draw_film(rng, square, bar, colour=False):
    """Return a film `(Y, X)` or `(Y, X, 3)` and its boxes."""
    width, height = SIZE
    film, boxes = rng.normal(100, 6, (height, width)), []
    for there, label, extent, value in ((square, "square", (14, 14), 70), (bar, "bar", (26, 7), -70)):
        if there:
            x, y = (int(rng.integers(2, edge - size - 2)) for edge, size in zip((width, height), extent, strict=True))
            film[y : y + extent[1], x : x + extent[0]] += value
            boxes.append({"label": label, "start": [x, y], "stop": [x + extent[0], y + extent[1]]})
    made = np.clip(film, 0, 255).astype(np.uint8)
    return (np.stack([made, made, 255 - made], axis=-1) if colour else made), boxes


def make_cohort(folder, films=36, annotated=1.0, labels=True, colour=False, seed=0):
    """Write films, a third of them of each part; `annotated` is the share of training films with boxes."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    (folder / "boxes").mkdir()
    rows = []
    for number in range(films):
        square, bar = number % 2 == 0, number % 3 == 0
        name, part = f"f{number:02d}", ("train", "train", "validation", "test")[number // 6 % 4]
        film, boxes = draw_film(rng, square, bar, colour)
        imageio.imwrite(folder / "images" / f"{name}.png", film)
        row = {"study": name, "patient": f"p{number:02d}", "split": part, "scan:film": f"images/{name}.png"}
        if labels:
            row |= {"label:square": int(square), "label:bar": int(bar)}
        if part != "train" or rng.random() < annotated:
            write_json(folder / "boxes" / f"{name}.json", {"unit": "pixel", "size": list(SIZE), "boxes": boxes})
            row["boxes"] = f"boxes/{name}.json"
        rows.append(row)
    return Cohort.create(folder, rows, root=".", name="films", source="test", layout="test")


TINY = {
    "network": {
        "encoder": "resnet10",
        "encoder_width": 0.25,
        "pyramid_width": 16,
        "pyramid_layers": 1,
        "head_width": 16,
        "sampled": 32,
        "training_proposals": 100,
        "proposals": 50,
    },
    "training": {
        "steps": 150,
        "warm_up": 10,
        "batch_size": 8,
        "learning_rate": 3e-3,
        "validate_every": 50,
        "workers": 0,
        "ema_decay": None,
    },
}
