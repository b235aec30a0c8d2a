"""Films with boxes are imported from every way that people have them in, judged beside their films, and counted."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from scanweave.cli.cohort import CheckCohort, ShowCohort
from scanweave.errors import ScanweaveError
from scanweave.studies.box_images import fit_boxes
from scanweave.studies.boxes import Boxes
from scanweave.studies.checks.cohort_check import check_cohort
from scanweave.studies.formats import box_cells
from scanweave.studies.formats.coco_boxes import write_coco
from scanweave.studies.formats.json_boxes import write_box_json
from scanweave.studies.formats.table_boxes import write_box_table
from scanweave.studies.formats.voc_boxes import write_voc
from scanweave.studies.formats.yolo_boxes import write_yolo
from scanweave.studies.geometry import Geometry
from scanweave.studies.layouts import import_cohort, list_studies
from scanweave.studies.scan import Scan

SIZE = (40, 30)
TWO = Boxes(np.array([[[1, 2], [9, 12]], [[20, 5], [40, 30]]]), ("mass", "node"), size=SIZE)
BARE = Boxes(size=SIZE)
TRUTH = {"a.png": TWO, "b.png": BARE}


def films(folder, names=("a", "b", "c")):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 255, SIZE[::-1], dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")


def _json_a_file(folder):
    for name, boxes in TRUTH.items():
        write_box_json(folder / f"{name[:-4]}.json", boxes)


LAYOUTS = {
    "voc": lambda at: write_voc(at / "annotations", TRUTH),
    "yolo": lambda at: write_yolo(at / "labels", TRUTH, ["mass", "node"]),
    "json": lambda at: _json_a_file(at / "annotations"),
    "coco": lambda at: write_coco(at / "annotations/all.json", TRUTH),
    "csv": lambda at: write_box_table(at / "boxes.csv", TRUTH),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_each_layout_gives_the_same_boxes(tmp_path, kind):
    source = tmp_path / "source"
    films(source / "images")
    LAYOUTS[kind](source)
    told = []
    made = import_cohort(source, tmp_path / "out", say=told.append)
    assert made.about["layout"] == "boxes"
    assert made.counts("boxes") == {"boxes": 2}
    found = made["a"].boxes
    assert (found.unit, found.labels, found.size) == ("pixel", ("mass", "node"), SIZE)
    np.testing.assert_allclose(found.corners, TWO.corners, atol=1e-6)
    assert len(made["b"].boxes) == 0
    assert made["c"].boxes is None
    assert any("1 image without annotation" in line for line in told)
    assert [verdict.status for verdict in check_cohort(made)] == ["ok"] * 3


def test_one_file_of_all_is_read_once_and_again_when_it_changes(tmp_path, monkeypatch):
    films(tmp_path / "images")
    write_coco(tmp_path / "coco.json", TRUTH)
    made = import_cohort(tmp_path / "coco.json", tmp_path / "out", say=lambda line: None)
    read, calls = box_cells.read_box_file, []
    monkeypatch.setattr(box_cells, "read_box_file", lambda *args: calls.append(args) or read(*args))
    box_cells._read_many.cache_clear()
    assert [len(study.boxes) for study in made if study.boxes is not None] == [2, 0]
    assert len(calls) == 1
    write_coco(tmp_path / "coco.json", {"a.png": BARE, "b.png": BARE})
    assert len(made["a"].boxes) == 0
    assert len(calls) == 2


def test_check_reads_again_only_when_the_file_of_all_changed(tmp_path, capsys):
    films(tmp_path / "images", ("a", "b"))
    write_coco(tmp_path / "coco.json", TRUTH)
    import_cohort(tmp_path, tmp_path / "out", say=lambda line: None)
    assert CheckCohort(tmp_path / "out").run() == 0
    assert CheckCohort(tmp_path / "out").run() == 0
    assert "nothing changed" in capsys.readouterr().out
    content = json.loads((tmp_path / "coco.json").read_text())
    content["annotations"][0]["bbox"] = [1, 2, 0, 5]
    (tmp_path / "coco.json").write_text(json.dumps(content))
    assert CheckCohort(tmp_path / "out").run() == 1
    assert "no extent along x" in capsys.readouterr().out


def test_files_of_all_beside_folders_of_parts(tmp_path):
    films(tmp_path / "train", ("a",))
    films(tmp_path / "val", ("b",))
    write_coco(tmp_path / "annotations/instances_train.json", {"a.png": TWO})
    write_coco(tmp_path / "annotations/instances_val.json", {"val/b.png": BARE})
    rows = {row["study"]: row for row in list_studies(tmp_path).rows()}
    assert [(name, row["split"]) for name, row in rows.items()] == [("a", "train"), ("b", "validation")]
    assert rows["a"]["boxes"] == "annotations/instances_train.json#a.png"
    assert rows["b"]["boxes"] == "annotations/instances_val.json#val/b.png"


def test_other_names_of_classes_are_noticed(tmp_path, capsys):
    films(tmp_path / "images", ("a", "b"))
    write_yolo(tmp_path / "labels", TRUTH, ["mass", "node"])
    (tmp_path / "labels/classes.txt").rename(tmp_path / "classes.txt")
    made = import_cohort(tmp_path, tmp_path / "out", say=lambda line: None)
    assert CheckCohort(made.folder).run() == 0
    assert made["a"].boxes.labels == ("mass", "node")
    (tmp_path / "classes.txt").write_text("nodule\n")
    assert CheckCohort(made.folder).run() == 1
    assert "class '1' is not a number below 1" in capsys.readouterr().out
    (tmp_path / "classes.txt").unlink()
    assert CheckCohort(made.folder).run() == 1
    assert "the classes have no names" in capsys.readouterr().out


def test_parts_are_kept_and_boxes_without_image_told(tmp_path):
    for part, name in (("train", "a"), ("valid", "b")):
        films(tmp_path / part / "images", (name,))
        write_yolo(tmp_path / part / "labels", {f"{name}.png": TWO, "lost.png": TWO}, ["mass", "node"])
    listing = list_studies(tmp_path)
    assert {row["study"]: row["split"] for row in listing.rows()} == {"a": "train", "b": "validation"}
    assert listing.skipped["boxes without image"] == ["train/labels/lost.txt", "valid/labels/lost.txt"]


def test_a_refused_image_is_named_by_the_check_and_cannot_be_opened(tmp_path):
    films(tmp_path / "images")
    outside = Boxes(np.array([[[50, 5], [60, 20]]]), ("mass",), size=SIZE)
    write_coco(tmp_path / "coco.json", {"a.png": outside, "b.png": TWO})
    made = import_cohort(tmp_path, tmp_path / "out", say=lambda line: None)
    status = {verdict.study: verdict.status for verdict in check_cohort(made)}
    assert status == {"a": "refused", "b": "ok", "c": "ok"}
    with pytest.raises(ScanweaveError, match="lies outside of the image"):
        made["a"]


def test_boxes_are_judged_by_the_size_of_their_film(tmp_path):
    films(tmp_path / "images", ("a", "b"))
    beyond = Boxes(np.array([[[30, 20], [45, 28]]]), ("mass",))
    write_box_table(tmp_path / "boxes.csv", {"a.png": beyond, "b.png": beyond})
    made = import_cohort(tmp_path, tmp_path / "out", say=lambda line: None)
    assert {finding.kind for verdict in check_cohort(made) for finding in verdict.findings} == {"box-overhang"}
    assert made["a"].boxes.corners.tolist() == [[[30, 20], [40, 28]]]
    other = Boxes(np.array([[[3, 2], [4, 8]]]), ("mass",), size=(400, 300))
    fitted, [finding] = fit_boxes(other, made["a"].scans)
    assert fitted is None
    assert "400×300" in finding.words


def test_boxes_in_millimetres_must_touch_an_image():
    scan = Scan.of(np.zeros((4, 4, 4)), np.diag([2.0, 2.0, 2.0, 1.0]))
    inside = Boxes(np.array([[[1, 1, 1], [3, 3, 3]]]), ("x",), "mm")
    far = Boxes(np.array([[[1, 1, 1], [3, 3, 3]], [[90, 1, 1], [99, 3, 3]]]), ("x", "x"), "mm")
    assert fit_boxes(inside, {"t1": scan}) == (inside, ())
    fitted, [finding] = fit_boxes(far, {"t1": scan})
    assert fitted is None
    assert finding.words.startswith("box 2:")
    assert fit_boxes(far, {}) == (far, ())
    assert isinstance(scan.geometry, Geometry)


def test_show_tells_classes_and_counts(tmp_path, capsys):
    films(tmp_path / "images")
    write_voc(tmp_path / "annotations", TRUTH)
    import_cohort(tmp_path, tmp_path / "out", say=lambda line: None)
    ShowCohort(tmp_path / "out").run()
    assert "boxes mass 1 · node 1, in 2 annotated studies, 1 without any" in capsys.readouterr().out


def test_label_maps_beside_images_are_no_boxes(tmp_path):
    films(tmp_path / "images")
    films(tmp_path / "labels")
    (tmp_path / "labels/readme.txt").write_text("0 is background")
    assert list_studies(tmp_path).layout == "pairs"


@pytest.mark.real
def test_blood_smears_are_imported_by_one_command(real_data, tmp_path, capsys):
    made = import_cohort(real_data / "cells_bccd", tmp_path / "cells")
    assert made.present("boxes").popitem()[1] == len(made) == 304
    assert CheckCohort(made.folder).run() == 0
    assert "304 ok" in capsys.readouterr().out
    ShowCohort(made.folder).run()
    assert "in 304 annotated studies" in capsys.readouterr().out
    truth = {f"{study.id}.jpg": study.boxes for study in made}
    source = tmp_path / "source"
    shutil.copytree(real_data / "cells_bccd/images", source / "images")
    (source / "images").chmod(0o755)
    write_coco(source / "coco.json", truth)
    other = import_cohort(source, tmp_path / "coco", say=lambda line: None)
    for study in other:
        np.testing.assert_allclose(study.boxes.corners, made[study.id].boxes.corners, atol=1e-9)
