"""Faulty boxes and unusual films, in every format: repaired as the docs say, or left out of a fit in one line."""

import json

import numpy as np
import pytest
from boxed_films import TINY
from PIL import Image

import scanweave as sw
from scanweave.errors import ScanweaveError
from scanweave.studies.checks.cohort_check import check_cohort
from scanweave.studies.layouts import import_cohort
from scanweave.studies.splits import make_splits, write_splits

WIDTH, HEIGHT = 40, 30
SOUND = [("mass", 1, 2, 9, 12)]


def coco(folder, boxes):
    names = sorted({name for name, *_ in boxes})
    annotations = [
        {"id": k, "image_id": 1, "category_id": names.index(name) + 1, "bbox": [a, b, c - a, d - b]}
        for k, (name, a, b, c, d) in enumerate(boxes, 1)
    ]
    images = [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}]
    categories = [{"id": k, "name": name} for k, name in enumerate(names, 1)]
    content = {"images": images, "categories": categories, "annotations": annotations}
    (folder / "annotations.json").write_text(json.dumps(content), encoding="utf-8")


def voc(folder, boxes):
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a + 1}</xmin><ymin>{b + 1}</ymin><xmax>{c}</xmax><ymax>{d}</ymax>"
        "</bndbox></object>"
        for name, a, b, c, d in boxes
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>1</depth></size>"
    (folder / "annotations").mkdir()
    text = f"<annotation><filename>a.png</filename>{size}{objects}</annotation>"
    (folder / "annotations" / "a.xml").write_text(text, encoding="utf-8")


def yolo(folder, boxes):
    names = sorted({name for name, *_ in boxes})
    lines = [
        f"{names.index(name)} {(a + c) / 2 / WIDTH} {(b + d) / 2 / HEIGHT} {(c - a) / WIDTH} {(d - b) / HEIGHT}\n"
        for name, a, b, c, d in boxes
    ]
    (folder / "labels").mkdir()
    (folder / "labels" / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    (folder / "labels" / "a.txt").write_text("".join(lines), encoding="utf-8")


def table(folder, boxes):
    rows = "".join(f"a.png,{name},{a},{b},{c},{d}\n" for name, a, b, c, d in boxes)
    (folder / "boxes.csv").write_text("image,label,x1,y1,x2,y2\n" + rows, encoding="utf-8")


FORMATS = {"coco": coco, "voc": voc, "yolo": yolo, "csv": table}
REPAIRED = {
    "sound": (SOUND, [[1, 2], [9, 12]]),
    "beyond the border": ([("mass", 30, 5, 50, 20)], [[30, 5], [40, 20]]),
    "before the border": ([("mass", -5, -5, 9, 12)], [[0, 0], [9, 12]]),
    "swapped corners": ([("mass", 20, 20, 5, 5)], [[5, 5], [20, 20]]),
    "one axis swapped": ([("mass", 20, 5, 5, 20)], [[5, 5], [20, 20]]),
    "the same twice": (SOUND * 2, [[1, 2], [9, 12]]),
}
REFUSED = {
    "outside": ([("mass", 50, 5, 60, 20)], "outside"),
    "no width": ([("mass", 5, 5, 5, 20)], "no extent"),
    "no area": ([("mass", 5, 5, 5, 5)], "no extent"),
    "shares for pixels": ([("mass", 0.1, 0.2, 0.5, 0.6)], "shares of the image"),
    "not a number": ([("mass", float("nan"), 2, 9, 12)], "not finite"),
    "one bad box among sound ones": ([*SOUND, ("mass", 5, 5, 5, 5)], "no extent"),
    "no class": ([("", 1, 2, 9, 12)], "class"),
}


def film(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8)


def imported(folder, write, boxes):
    (folder / "source" / "images").mkdir(parents=True)
    Image.fromarray(film()).save(folder / "source" / "images" / "a.png")
    write(folder / "source", boxes)
    return import_cohort(folder / "source", folder / "c", say=lambda line: None)


@pytest.mark.parametrize("kind", REPAIRED)
@pytest.mark.parametrize("name", FORMATS)
def test_what_can_be_mended_is(tmp_path, name, kind):
    boxes, corners = REPAIRED[kind]
    cohort = imported(tmp_path, FORMATS[name], boxes)
    (verdict,) = check_cohort(cohort)
    assert verdict.status == ("ok" if kind == "sound" else "repaired")
    np.testing.assert_allclose(cohort["a"].boxes.corners, [corners], atol=1e-9)


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("name", FORMATS)
def test_what_cannot_be_mended_refuses_its_film_in_one_line(tmp_path, name, kind):
    boxes, words = REFUSED[kind]
    cohort = imported(tmp_path, FORMATS[name], boxes)
    (verdict,) = check_cohort(cohort)
    assert verdict.status == "refused"
    with pytest.raises(ScanweaveError) as stop:
        _ = cohort["a"].boxes
    assert words in str(stop.value)
    assert "\n" not in str(stop.value)


def test_numbers_of_pixels_are_no_shares(tmp_path):
    def pixels(folder, boxes):
        yolo(folder, boxes)
        (folder / "labels" / "a.txt").write_text("0 5 7 8 10\n", encoding="utf-8")

    with pytest.raises(ScanweaveError, match="look like pixels"):
        _ = imported(tmp_path, pixels, SOUND)["a"].boxes


@pytest.mark.parametrize(
    ("place", "value"), [("image_id", 7), ("category_id", 7), ("bbox", [1, 2, 3]), ("bbox", ["x", 1, 2, 3])]
)
def test_numbers_that_point_nowhere_are_told(tmp_path, place, value):
    def pointing(folder, boxes):
        coco(folder, boxes)
        path = folder / "annotations.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["annotations"].append({**content["annotations"][0], "id": 9, place: value})
        path.write_text(json.dumps(content), encoding="utf-8")

    cohort = imported(tmp_path, pointing, SOUND)
    if place == "image_id":  # no film is at fault: the box belongs to none
        assert len(cohort["a"].boxes) == 1
    else:
        with pytest.raises(ScanweaveError):
            _ = cohort["a"].boxes


def save_jpeg(path):
    """A film on its side, whose header says so: its boxes are those of the upright one."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(film())).save(path.with_suffix(".jpg"), exif=exif, quality=95)


def save_deep(path):
    Image.fromarray(film().astype(np.uint16) * 257).save(path)


def save_colour(path):
    Image.fromarray(np.stack([film(k) for k in range(3)], axis=-1)).save(path)


@pytest.mark.parametrize("save", [save_jpeg, save_deep, save_colour])
def test_boxes_belong_to_the_film_as_it_is_shown(tmp_path, save):
    (tmp_path / "source" / "images").mkdir(parents=True)
    save(tmp_path / "source" / "images" / "a.png")
    voc(tmp_path / "source", SOUND)
    cohort = import_cohort(tmp_path / "source", tmp_path / "c", say=lambda line: None)
    study = cohort["a"]
    (scan,) = study.scans.values()
    assert scan.geometry.shape[:2] == study.boxes.size == (WIDTH, HEIGHT)
    (verdict,) = check_cohort(cohort)
    assert verdict.status in ("ok", "repaired")  # turned upright as its header says


def test_a_fit_leaves_out_the_film_of_a_bad_box(tmp_path):
    source = tmp_path / "source"
    (source / "images").mkdir(parents=True)
    rows = []
    for number in range(9):
        Image.fromarray(film(number)).save(source / "images" / f"f{number}.png")
        rows.append(f"f{number}.png,mass,5,5,{5 if number == 4 else 20},20\n")
    (source / "boxes.csv").write_text("image,label,x1,y1,x2,y2\n" + "".join(rows), encoding="utf-8")
    cohort = import_cohort(source, tmp_path / "c", say=lambda line: None)
    write_splits(cohort.folder, make_splits(cohort.patients, 3, seed=1))
    lines = []
    settings = {**TINY, "training": {**TINY["training"], "steps": 1, "warm_up": 0, "validate_every": 1}}
    sw.fit("detect", sw.Cohort.open(cohort.folder), tmp_path / "run", preset="small", config=settings, say=lines.append)
    assert any(line.startswith("check: ok 8 · refused and left out 1") for line in lines)
