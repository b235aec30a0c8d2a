"""Boxes come back from every format as they were written, and every bad line of a file is told in one line."""

from __future__ import annotations

import json
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.boxes import Boxes
from scanweave.studies.formats.box_files import read_box_file
from scanweave.studies.formats.coco_boxes import read_coco, write_coco
from scanweave.studies.formats.json_boxes import read_box_json, write_box_json
from scanweave.studies.formats.table_boxes import read_box_table, write_box_table
from scanweave.studies.formats.voc_boxes import read_voc, write_voc
from scanweave.studies.formats.yolo_boxes import read_yolo, write_yolo

NAMES = ["Nodule", "mass"]
IMAGES = {
    "a.png": Boxes([[[0, 0], [10, 20]], [[3.25, 4.5], [100, 90.125]]], NAMES, size=(640, 480)),
    "b.png": Boxes(size=(100, 50)),
    "c.png": Boxes([[[99, 49], [100, 50]]], ("mass",), size=(100, 50)),
}
SCORED = {"a.png": Boxes([[[1, 2], [3, 4]]], ("mass",), scores=[0.125], size=(640, 480))}
SIZES = {name: boxes.size for name, boxes in IMAGES.items()}

WRITE = {
    "coco": lambda folder, images: write_coco(folder / "boxes.json", images, NAMES),
    "voc": write_voc,
    "yolo": lambda folder, images: write_yolo(folder, images, NAMES),
    "table": lambda folder, images: write_box_table(folder / "boxes.csv", images),
}
PLACE = {"coco": "boxes.json", "voc": "", "yolo": "", "table": "boxes.csv"}


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, boxes in expected.items():
        assert found[name].labels == boxes.labels
        assert found[name].size == boxes.size
        assert found[name].ignored.tolist() == boxes.ignored.tolist()
        assert (found[name].scores is None) == (boxes.scores is None)
        if boxes.scores is not None:
            np.testing.assert_allclose(found[name].scores, boxes.scores, atol=1e-9)
        np.testing.assert_allclose(found[name].corners, boxes.corners, atol=1e-6)


@pytest.mark.parametrize("images", [IMAGES, SCORED], ids=["truth", "predictions"])
@pytest.mark.parametrize("kind", WRITE)
def test_round_trip(tmp_path, kind, images):
    WRITE[kind](tmp_path, images)
    found = read_box_file(tmp_path / PLACE[kind], sizes=SIZES)
    assert found.findings == ()
    same(found.boxes, images)


@pytest.mark.parametrize("kind", ["coco", "voc"])
def test_ignored_boxes_stay_ignored(tmp_path, kind):
    images = {"a.png": Boxes([[[1, 2], [3, 4]], [[5, 5], [9, 9]]], NAMES, ignored=[True, False], size=(640, 480))}
    WRITE[kind](tmp_path, images)
    same(read_box_file(tmp_path / PLACE[kind]).boxes, images)


@pytest.mark.parametrize(
    "boxes",
    [
        Boxes([[[-10.5, 2, 3], [4, 5.25, 6]]], ("lesion",), "mm"),
        Boxes([[[1, 2, 3], [4, 5, 6]]], ("lesion",), "voxel", scores=[0.5], size=(9, 9, 9)),
        Boxes([[[1, 2], [4, 5]]], ("lesion",), "pixel", ignored=[True], size=(9, 9)),
        Boxes(unit="mm"),
    ],
)
def test_own_json_round_trip(tmp_path, boxes):
    write_box_json(tmp_path / "study.json", boxes)
    found = read_box_file(tmp_path / "study.json")
    assert found.findings == ()
    assert found.boxes["study"].unit == boxes.unit
    same(found.boxes, {"study": boxes})


def test_own_json_of_today_is_read(tmp_path):
    path = tmp_path / "s.json"
    path.write_text('[{"label": "tumour", "start": [1, 2, 3], "stop": [4, 5, 6]}]')
    assert read_box_json(path).boxes["s"].corners.tolist() == [[[1, 2, 3], [4, 5, 6]]]


def test_pycocotools_counts_from_one(tmp_path):
    write_coco(tmp_path / "boxes.json", IMAGES)
    content = json.loads((tmp_path / "boxes.json").read_text())
    for part in content.values():
        assert [one["id"] for one in part] == list(range(1, len(part) + 1))


COCO = {
    "images": [{"id": 7, "file_name": "a.png", "width": 100, "height": 50}, {"id": 8, "file_name": "b.png"}],
    "categories": [{"id": 3, "name": "mass"}],
    "annotations": [],
}


@pytest.mark.parametrize(
    ("change", "words", "kept"),
    [
        ({"image_id": 99}, "points to no image", {"a.png", "b.png"}),
        ({"category_id": 9}, "points to no category", {"b.png"}),
        ({"bbox": [1, 2, 3]}, "no bbox", {"b.png"}),
        ({"bbox": None}, "no bbox", {"b.png"}),
        ({"bbox": [1, 2, "3", 4]}, "not finite", {"b.png"}),
        ({"bbox": [1, 2, True, 4]}, "not finite", {"b.png"}),
        ({"bbox": [float("nan"), 2, 3, 4]}, "not finite", {"b.png"}),
        ({"bbox": [10**400, 2, 3, 4]}, "not finite", {"b.png"}),
        ({"bbox": [1, 2, 0, 4]}, "no extent along x", {"b.png"}),
        ({"bbox": [0.1, 0.2, 0.3, 0.4]}, "shares of the image", {"b.png"}),
        ({"bbox": [200, 2, 3, 4]}, "outside of the image of 100×50", {"b.png"}),
        ({"bbox": [90, 2, 30, 4]}, "beyond the image", {"a.png", "b.png"}),
        ({"bbox": [20, 20, -5, -5]}, "stop lies before start", {"a.png", "b.png"}),
        ({"score": 7}, "the score 7", {"b.png"}),
    ],
)
def test_bad_coco_annotation_is_told_in_one_line(tmp_path, change, words, kept):
    one = {"id": 5, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], **change}
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({**COCO, "annotations": [one]}))
    found = read_coco(path)
    (finding,) = found.findings
    assert words in str(finding)
    assert "annotation 5" in str(finding)
    assert "\n" not in str(finding)
    assert set(found.boxes) == kept


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", "images is no list"),
        ('{"images": [], "annotations": []}', "categories is no list"),
        ("{", "not valid JSON"),
        ("[" * 100000, "nested too deeply"),
        (json.dumps({**COCO, "images": COCO["images"] + [{"id": "7", "file_name": "c"}]}), "two images have the id 7"),
        (json.dumps({**COCO, "images": [{"id": 1, "file_name": "a"}, {"id": 2, "file_name": "a"}]}), "named 'a'"),
        (json.dumps({**COCO, "images": [{"id": 1}]}), "lacks its id or file_name"),
    ],
)
def test_bad_coco_file_is_one_error(tmp_path, text, words):
    path = tmp_path / "boxes.json"
    path.write_text(text)
    with pytest.raises(ScanweaveError, match=words):
        read_coco(path)


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "c:\\a.png", "a/../../b.png", " "])
def test_image_names_stay_in_their_folder(tmp_path, name):
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({**COCO, "images": [{"id": 1, "file_name": name}]}))
    found = read_coco(path)
    assert found.boxes == {}
    assert found.findings[0].kind == "image-name"


def voc(inner, name="a.png", size="<size><width>100</width><height>50</height></size>"):
    return f"<annotation><filename>{name}</filename>{size}{inner}</annotation>"


def voc_object(x1, y1, x2, y2, name="mass"):
    box = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
    return f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"


def test_voc_counts_from_one_and_includes_the_last_pixel(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(voc(voc_object(1, 1, 100, 50)))
    assert read_voc(path).boxes["a.png"].corners.tolist() == [[[0, 0], [100, 50]]]
    path.write_text(voc(voc_object(0, 0, 99, 49)))
    assert read_voc(path, first_pixel=0).boxes["a.png"].corners.tolist() == [[[0, 0], [100, 50]]]
    found = read_voc(path)
    assert {finding.kind for finding in found.findings} == {"first-pixel", "box-overhang"}
    assert found.boxes["a.png"].corners.tolist() == [[[0, 0], [99, 49]]]


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "document type"),
        (OUTSIDE, "document type"),
        ("<annotation>", "not well-formed"),
        ("", "not well-formed"),
        ("<kml></kml>", "root is <kml>"),
        ("<a b='/>'>" * 200, "nested more than 64 deep"),
        ("<annotation>" + "x" * 2**20 + "</annotation>", "over the budget"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "not well-formed"),
    ],
    ids=["bomb", "outside", "open", "empty", "kml", "deep", "large", "encoding"],
)
def test_bad_xml_is_one_error_alone_and_a_finding_in_a_folder(tmp_path, text, words):
    path = tmp_path / "bad.xml"
    path.write_text(text)
    with pytest.raises(ScanweaveError, match=words):
        read_voc(path)
    (tmp_path / "a.xml").write_text(voc(""))
    found = read_voc(tmp_path)
    assert list(found.boxes) == ["a.png"]
    assert words in str(found.findings[0])


def test_voc_objects_that_cannot_be_used_refuse_their_image(tmp_path):
    (tmp_path / "a.xml").write_text(voc(voc_object(5, 5, 9, 9) + voc_object("five", 5, 9, 9)))
    (tmp_path / "b.xml").write_text(voc(voc_object(5, 5, 9, 9), "b.png"))
    (tmp_path / "c.xml").write_text(voc(voc_object(5, 5, 9, 9), "b.png"))
    (tmp_path / "d.xml").write_text(voc(voc_object(5, 5, 9, 9, ""), "d.png"))
    (tmp_path / "e.xml").write_text(voc(voc_object(5, 5, 9, 9, "Mass"), "e.png", ""))
    found = read_voc(tmp_path, classes=["mass"])
    assert list(found.boxes) == ["e.png"]
    told = {(finding.scan, finding.kind) for finding in found.findings}
    assert {("a.png", "box-non-finite"), ("b.png", "image-twice"), ("d.png", "box-class")} <= told
    assert {("e.png", "box-class-case"), ("e.png", "image-size")} <= told
    assert found.boxes["e.png"].labels == ("mass",)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.1", "4 numbers, not 5 or 6"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3", "7 numbers"),
        ("2 0.5 0.5 0.1 0.1", "class '2'"),
        ("-1 0.5 0.5 0.1 0.1", "class '-1'"),
        ("mass 0.5 0.5 0.1 0.1", "class 'mass'"),
        ("0 320 240 100 100", "look like pixels"),
        ("0 nan 0.5 0.1 0.1", "not finite"),
        ("0 0.5 0.5 0 0.1", "no extent along x"),
        ("0 1.4 0.5 0.1 0.1", "outside of the image"),
    ],
)
def test_bad_yolo_line_refuses_its_image(tmp_path, line, words):
    (tmp_path / "a.txt").write_text(f"1 0.5 0.5 0.1 0.1\n{line}\n")
    (tmp_path / "b.txt").write_text("")
    (tmp_path / "z.txt").write_text("")
    found = read_yolo(tmp_path, SIZES, NAMES)
    assert list(found.boxes) == ["b.png"]
    assert [finding.kind for finding in found.findings if finding.scan is None] == ["box-nowhere"]
    (told,) = [str(finding) for finding in found.findings if finding.scan == "a.png"]
    assert words in told
    assert "line 2" in told


def test_yolo_needs_names_and_images_that_differ(tmp_path):
    with pytest.raises(ScanweaveError, match=r"no \.txt"):
        read_yolo(tmp_path, SIZES, NAMES)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ScanweaveError, match="names"):
        read_yolo(tmp_path, SIZES)
    with pytest.raises(ScanweaveError, match=r"a\.txt belongs to"):
        read_yolo(tmp_path, {"a.png": (9, 9), "a.jpg": (9, 9)}, NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "image,label,x1,y1,x2,y2\na.png,mass,1,2,4,6\n",
        "file_name;class_name;x_min;y_min;x_max;y_max\na.png;mass;1,0;2;4;6\n",
        "Image ID\tFinding\tx\ty\tw\th\na.png\tmass\t1\t2\t3\t4\n",
        "path,label,x,y,width,height,Image Width,Image Height\na.png,mass,1,2,3,4,640,480\n",
        "image,label,Min X,Min Y,Max X,Max Y,score\na.png,mass,1,2,4,6,0.5\n",
    ],
)
def test_columns_are_found_by_name(tmp_path, text):
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    found = read_box_table(path)
    assert found.findings == ()
    assert found.boxes["a.png"].corners.tolist() == [[[1, 2], [4, 6]]]
    assert found.boxes["a.png"].labels == ("mass",)


def test_table_in_mm(tmp_path):
    images = {"s1": Boxes([[[-1, 2, 3], [4, 5, 6]]], ("a",), "mm"), "s2": Boxes(unit="mm")}
    write_box_table(tmp_path / "b.csv", images)
    same(read_box_table(tmp_path / "b.csv", unit="mm").boxes, images)


def test_row_without_corners_is_an_image_without_findings(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("patientId,x,y,width,height,Target\np1,,,,,0\np2,1,2,3,4,1\np3,1,,3,4,1\n,1,2,3,4,1\n")
    found = read_box_table(path, label="opacity")
    assert len(found.boxes["p1"]) == 0
    assert found.boxes["p2"].labels == ("opacity",)
    assert "p3" not in found.boxes
    assert [str(finding)[:10] for finding in found.findings] == ["row 4: nam", "p3: row 3:"]
    with pytest.raises(ScanweaveError, match="label"):
        read_box_table(path)


@pytest.mark.parametrize("header", ["image,label,x,y", "label,x1,y1,x2,y2", "a,b,c"])
def test_table_without_its_columns_is_one_error(tmp_path, header):
    path = tmp_path / "boxes.csv"
    path.write_text(f"{header}\n{'1,' * header.count(',')}1\n")
    with pytest.raises(ScanweaveError, match="no column names the"):
        read_box_table(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"unit": "inch", "boxes": []}, "unit 'inch'"),
        ({"unit": "pixel", "size": [1], "boxes": []}, "size is not 2"),
        ({"boxes": 3}, "not a list of boxes"),
        (3, "not a list of boxes"),
    ],
)
def test_bad_own_json_is_one_error(tmp_path, content, words):
    path = tmp_path / "s.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ScanweaveError, match=words):
        read_box_json(path)


@pytest.mark.parametrize("one", [3, {}, {"label": "a", "start": [1, 2], "stop": [3, 4]}, {"start": [1, 2, 3]}])
def test_bad_own_box_refuses_the_study(tmp_path, one):
    path = tmp_path / "s.json"
    path.write_text(json.dumps([{"label": "a", "start": [1, 2, 3], "stop": [4, 5, 6]}, one]))
    found = read_box_json(path)
    assert found.boxes == {}
    assert found.findings[0].words.startswith("box 2")


def test_writers_refuse_what_their_format_cannot_say(tmp_path):
    patient, unsized = {"a": Boxes(unit="mm")}, {"a": Boxes()}
    for images in (patient, unsized):
        for kind in ("coco", "voc", "yolo"):
            with pytest.raises(ScanweaveError):
                WRITE[kind](tmp_path, images)
    with pytest.raises(ScanweaveError, match="among"):
        write_coco(tmp_path / "x.json", IMAGES, ["mass"])
    with pytest.raises(ScanweaveError, match="Write a table for each unit"):
        write_box_table(tmp_path / "x.csv", {**IMAGES, **patient})
    for names in (["a.png", "../b.png"], ["a.png", "a.jpg"]):
        with pytest.raises(ScanweaveError, match="name of its own"):
            write_voc(tmp_path / "in", dict.fromkeys(names, IMAGES["b.png"]))
    assert list(tmp_path.iterdir()) == []


def test_unknown_format_is_told(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\0")
    for path in (tmp_path, tmp_path / "a.bin", tmp_path / "absent.json"):
        with pytest.raises(ScanweaveError):
            read_box_file(path)


@pytest.mark.real
def test_blood_cells_are_read_whole(real_data, capsys):
    folder = real_data / "cells_bccd" / "annotations"
    files = sorted(folder.glob("*.xml"))
    counted = Counter(name.text for file in files for name in ElementTree.parse(file).iter("name"))  # noqa: S314
    found = read_voc(folder)
    read = Counter(label for boxes in found.boxes.values() for label in boxes.labels)
    with capsys.disabled():
        print(f"\n{len(files)} files, in the XML {dict(counted)}, read {dict(read)}")
    assert len(files) == len(found.boxes) == 304
    assert read == counted
    assert found.findings == ()
    for boxes in found.boxes.values():
        assert boxes.faults(["RBC", "WBC", "Platelets"]) == ()
