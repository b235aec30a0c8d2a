"""Layouts of films, labels and reports: each source by one command, nothing lost, nothing good refused."""

from __future__ import annotations

import shlex
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from scanweave.cli.cohort import CheckCohort, ImportCohort
from scanweave.cli.main import main
from scanweave.errors import ScanweaveError
from scanweave.studies.checks.cohort_check import check_cohort
from scanweave.studies.cohort import Cohort
from scanweave.studies.label_import import how_to_label
from scanweave.studies.layouts import import_cohort, list_studies
from scanweave.studies.tables.schema import parse_columns


def film(path, seed=0, size=(30, 40), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if mode == "L" else (*size, 3)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(path)


def rows(src, **options):
    found = list_studies(src, **options).rows()
    return {row["study"]: {k: v for k, v in row.items() if v is not None} for row in found}


def test_a_table_of_jpeg_films_is_imported_and_ok(tmp_path, capsys):
    lines = ["image_id,patient_id,label,report,view,split"]
    for n in range(12):
        film(tmp_path / "src" / f"f{n}.jpg", n)
        lines.append(f'f{n},p{n // 2},{n % 2},"No effusion, film {n}.",pa,{"test" if n > 9 else "train"}')
    (tmp_path / "src" / "list.csv").write_text("\n".join(lines))
    for number, src in enumerate((tmp_path / "src", tmp_path / "src" / "list.csv")):
        out = tmp_path / f"out{number}"
        assert ImportCohort((src,), out).run() == 0
        said = capsys.readouterr().out
        assert said.startswith(
            "12 studies of 6 patients in table layout · film image 12 · text:report 12 · label:label 12"
        )
        assert CheckCohort(out).run() == 0
        assert "12 ok" in capsys.readouterr().out
        made = Cohort.open(out)
        assert made["f3"].labels == {"label": 1}
        assert made["f3"].report.text == "No effusion, film 3."
        assert made["f3"].table == {"view": "pa"}
        assert made.held_out == ["p5"]
        assert made["f3"]["image"].what == "film"


def test_a_table_of_reports_and_labels_without_images_loses_neither(tmp_path):
    text = "study,findings,impression,label:effusion,age\na,The heart is large.,Large heart now.,1,60\n"
    (tmp_path / "r.csv").write_text(text + 'b,"No focal, no effusion.",Normal chest film.,-1,\nc,,,,50\n')
    said = []
    made = import_cohort(tmp_path / "r.csv", tmp_path / "out", say=said.append)
    assert made.about["layout"] == "table"
    assert made["a"].report.text == "FINDINGS: The heart is large.\nIMPRESSION: Large heart now."
    assert made["b"].labels == {"effusion": -1}
    assert made["a"].table == {"age": 60}
    assert made.studies == ["a", "b"]
    assert "1 study (c)" in said[-1]
    assert [verdict.status for verdict in check_cohort(made)] == ["ok", "ok"]


def test_a_clinical_table_stays_one(tmp_path):
    (tmp_path / "t.csv").write_text("id,label,history,age\n1,0,none,30\n2,1,ill,40\n")
    assert import_cohort(tmp_path / "t.csv", tmp_path / "out", say=lambda line: None).about["layout"] == "records"


def test_columns_of_a_table_of_images_are_what_the_user_says(tmp_path):
    film(tmp_path / "a.png")
    film(tmp_path / "b.png", 1)
    (tmp_path / "t.csv").write_text("Path,who,Effusion,junk\na.png,x,1,7\nb.png,x,-1,8\n")
    columns = parse_columns("Effusion=label,who=patient,junk=-")
    found = rows(tmp_path / "t.csv", columns=columns)
    assert found["a"] == {"study": "a", "patient": "x", "scan:image": "a.png", "label:effusion": 1}
    with pytest.raises(ScanweaveError, match="no table here has a column 'wo'"):
        list_studies(tmp_path / "t.csv", columns=parse_columns("wo=patient"))


def test_an_import_says_what_became_of_each_column_and_how_to_name_a_label(tmp_path):
    film(tmp_path / "a.png")
    film(tmp_path / "b.png", 1)
    (tmp_path / "t.csv").write_text("Path,who,Sex,age,junk,fold\na.png,x,F,40,7,0\nb.png,y,M,50,8,1\n")
    said = []
    columns = parse_columns("who=patient,junk=-")
    made = import_cohort(tmp_path / "t.csv", tmp_path / "films", columns=columns, say=said.append)
    became = "Path → scan:image and study, who → patient, Sex → variable, age → variable"
    assert f"  columns: {became}, junk → left out, fold → left out" in said
    assert "  no label: to learn to tell one, such as Sex, say --columns 'Sex=label'" in said
    step = how_to_label(made)
    assert step.startswith("Its variables are age, sex. Import it again, with")
    arguments = shlex.split(step.partition(": scanweave ")[2])
    assert main(arguments) == 0
    labelled = Cohort.open(f"{made.folder}-labelled")
    assert [study.labels for study in labelled] == [{"sex": "F"}, {"sex": "M"}]


@pytest.mark.parametrize("said", ["age=number", "age=category", "age=feature missing:-9"])
def test_of_a_table_of_images_only_roles_can_be_said(tmp_path, said):
    film(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("Path,age\na.png,40\n")
    with pytest.raises(ScanweaveError, match=r"only its role can be said in a table of images\. Say one of label"):
        list_studies(tmp_path / "t.csv", columns=parse_columns(said))


@pytest.mark.parametrize(("heading", "layout"), [("age", "records"), ("image", "table"), ("image_id", "table")])
def test_numbers_that_images_happen_to_be_called_by_are_files_where_the_heading_says_so(tmp_path, heading, layout):
    for number in (30, 40, 50):
        film(tmp_path / "images" / f"{number}.png", number)
    (tmp_path / "t.csv").write_text(f"case,{heading},label\na,30,0\nb,40,1\nc,50,1\n")
    made = import_cohort(tmp_path / "t.csv", tmp_path / "out", say=lambda line: None)
    assert made.about["layout"] == layout
    if layout == "records":
        assert [study.table["age"] for study in made] == [30, 40, 50]
    else:
        assert made["b"]["image"].path.name == "40.png"


def test_several_findings_as_public_collections_write_them(tmp_path):
    for name in "abc":
        film(tmp_path / f"{name}.png", ord(name))
    (tmp_path / "chexpert.csv").write_text("Path,Sex,Edema,Fracture\na.png,F,1.0,\nb.png,M,-1.0,0.0\nc.png,M,0.0,1.0\n")
    made = import_cohort(tmp_path / "chexpert.csv", tmp_path / "out", say=lambda line: None)
    assert (made["a"].labels, made["b"].labels) == ({"edema": 1}, {"edema": -1, "fracture": 0})
    text = "Image Index,Finding Labels,Patient ID\na.png,Mass|Edema,7\nb.png,No Finding,7\nc.png,,8\n"
    (tmp_path / "nih.csv").write_text(text)
    found = rows(tmp_path / "nih.csv")
    labels = {name: {k: v for k, v in row.items() if k.startswith("label:")} for name, row in found.items()}
    assert labels["a"] == {"label:edema": 1, "label:mass": 1, "label:no_finding": 0}
    assert labels["b"] == {"label:edema": 0, "label:mass": 0, "label:no_finding": 1}
    assert labels["c"] == {}
    assert [row["patient"] for row in found.values()] == ["7", "7", "8"]


def test_columns_named_as_in_a_manifest(tmp_path):
    film(tmp_path / "f/a.png")
    film(tmp_path / "f/m.png")
    (tmp_path / "f/b.json").write_text("[]")
    (tmp_path / "f/r.txt").write_text("Clear.")
    text = "study,scan:pa,mask:lung,label:x,label:y,boxes,report\na,f/a.png,f/m.png,1,b,f/b.json,f/r.txt\n"
    (tmp_path / "t.csv").write_text(text)
    made = import_cohort(tmp_path / "t.csv", tmp_path / "out", say=lambda line: None)
    study = made["a"]
    assert (study.report.text, len(study.boxes), study.labels) == ("Clear.", 0, {"x": 1, "y": "b"})
    assert (list(study.scans), list(study.masks)) == (["pa"], ["lung"])


def test_paths_that_differ_by_their_folder_only_are_different_studies(tmp_path):
    for name in ("p1/s1/view1.jpg", "p2/s1/view1.jpg"):
        film(tmp_path / name)
    (tmp_path / "t.csv").write_text("Path,Sex\np1/s1/view1.jpg,F\np2/s1/view1.jpg,M\n")
    found = rows(tmp_path / "t.csv", patient="^p[0-9]+")
    assert sorted(row["patient"] for row in found.values()) == ["p1", "p2"]


def test_images_beside_label_maps(tmp_path):
    for name, seed in (("a", 0), ("b", 1), ("c", 2)):
        film(tmp_path / f"images/{name}.jpg", seed)
    film(tmp_path / "masks/a.png")
    film(tmp_path / "masks/b_mask.png")
    film(tmp_path / "masks/x.png")
    listing = list_studies(tmp_path)
    found = {row["study"]: row for row in listing.rows()}
    assert found["a"]["scan:image"] == "images/a.jpg"
    assert (found["b"]["mask:label"], found["c"]["mask:label"]) == ("masks/b_mask.png", None)
    assert listing.skipped["a label map without image"] == ["masks/x.png"]
    assert rows(tmp_path, rename={"image": "xray"})["a"]["scan:xray"] == "images/a.jpg"


def test_parts_of_pairs_and_of_classes_are_kept(tmp_path):
    for part in ("train", "val", "test"):
        film(tmp_path / f"pairs/{part}/images/{part}1.png")
        film(tmp_path / f"pairs/{part}/labels/{part}1.png")
        film(tmp_path / f"classes/{part}/normal/{part}1.png")
        film(tmp_path / f"classes/{part}/ill/{part}2.png")
    assert {name: row["split"] for name, row in rows(tmp_path / "pairs").items()} == {
        "train1": "train",
        "val1": "validation",
        "test1": "test",
    }
    found = rows(tmp_path / "classes")
    assert (found["val2"]["split"], found["val2"]["label:class"]) == ("validation", "ill")


def test_nnunet_folders_without_a_dataset_json(tmp_path):
    film(tmp_path / "imagesTr/a_0000.png")
    film(tmp_path / "labelsTr/a.png")
    film(tmp_path / "imagesTs/b_0000.png")
    found = rows(tmp_path)
    assert found["a"]["mask:label"] == "labelsTr/a.png"
    assert (found["a"]["split"], found["b"]["split"]) == ("train", "test")


def test_a_folder_a_class_with_two_eyes_of_a_patient(tmp_path, capsys):
    for grade, names in {"0": ("P1_L", "P2_R"), "1": ("P1_R",)}.items():
        for name in names:
            film(tmp_path / "src" / grade / f"{name}.jpg", hash(name) % 99, mode="RGB")
    assert ImportCohort((tmp_path / "src",), tmp_path / "out").run() == 0
    said = capsys.readouterr().out
    assert said.startswith("3 studies of 2 patients in classes layout")
    assert "P1_L is of the patient P1: say --patient if not" in said
    made = Cohort.open(tmp_path / "out")
    assert made["P1_R"].labels == {"class": 1}
    assert made["P1_R"]["image"].what == "photograph"


def test_pictures_beside_volumes_are_previews(tmp_path):
    import nibabel as nib

    for subject in ("A", "B"):
        (tmp_path / subject).mkdir()
        nib.save(nib.Nifti1Image(np.ones((3, 3, 3)), np.eye(4)), tmp_path / subject / "t1.nii.gz")
        film(tmp_path / subject / "t1.png")
    assert {row["scan:t1"] for row in rows(tmp_path).values()} == {"A/t1.nii.gz", "B/t1.nii.gz"}


def archive(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def test_an_archive_of_arrays_keeps_its_splits_and_labels(tmp_path):
    generator = np.random.default_rng(0)
    pixels = {part: generator.integers(0, 256, (n, 8, 9), dtype=np.uint8) for part, n in (("train", 12), ("test", 3))}
    arrays = {f"{part}_images": value for part, value in pixels.items()}
    arrays |= {f"{part}_labels": np.arange(len(value))[:, None] % 2 for part, value in pixels.items()}
    made = import_cohort(archive(tmp_path / "a.npz", **arrays), tmp_path / "out", say=lambda line: None)
    assert Counter(made.frame["split"]) == {"train": 12, "test": 3}
    np.testing.assert_array_equal(made["train-07"]["image"].data[:, :, 0], pixels["train"][7].T)
    assert made["train-07"].labels == {"class": 1}
    assert {verdict.status for verdict in check_cohort(made)} == {"ok"}


def test_archives_of_findings_colours_and_volumes(tmp_path):
    generator = np.random.default_rng(0)
    colour = generator.integers(0, 256, (4, 8, 9, 3), dtype=np.uint8)
    findings = np.array([[0, 1], [1, 1], [0, 0], [1, 0]])
    archive(tmp_path / "c.npz", train_images=colour, train_labels=findings)
    made = import_cohort(tmp_path / "c.npz", tmp_path / "c", say=lambda line: None)
    assert made["train-0"].labels == {"finding_00": 0, "finding_01": 1}
    np.testing.assert_array_equal(made["train-2"]["image"].data[:, :, 0], colour[2].swapaxes(0, 1))
    volumes = generator.integers(0, 256, (2, 5, 8, 9), dtype=np.uint8)
    archive(tmp_path / "v.npz", images=volumes)
    made = import_cohort(tmp_path / "v.npz", tmp_path / "v", say=lambda line: None)
    np.testing.assert_array_equal(made["image-1"]["image"].data, volumes[1].T)
    assert {verdict.status for verdict in check_cohort(made)} == {"ok"}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"train_images": np.zeros((3, 4, 4)), "train_labels": np.zeros((2, 1), int)}, r"shape \(2, 1\) for 3 images"),
        ({"train_images": np.zeros((3, 4, 4)), "train_labels": np.zeros((3, 1))}, "Give one whole number"),
        ({"other": np.zeros(3)}, "no study"),
        ({"train_images": np.zeros((9, 0, 4))}, "does not hold"),
    ],
)
def test_bad_archives_are_one_line(tmp_path, arrays, words):
    with pytest.raises(ScanweaveError, match=words):
        import_cohort(archive(tmp_path / "a.npz", **arrays), tmp_path / "out", say=lambda line: None)


def test_an_archive_that_is_damaged_later_is_found_by_the_check(tmp_path):
    archive(tmp_path / "a.npz", train_images=np.zeros((3, 4, 4)), train_labels=np.arange(3)[:, None])
    made = import_cohort(tmp_path / "a.npz", tmp_path / "out", say=lambda line: None)
    (tmp_path / "a.npz").write_bytes(b"PK no more")
    assert {verdict.status for verdict in check_cohort(made)} == {"refused"}


REAL = {
    "mr_hippocampus": ("208 studies of 208 patients in pairs layout · image 208 · mask:label 208", set()),
    "cxr/hannover": ("151 studies of 48 patients in table layout · film image 151 · 23 variables", set()),
    "retina_dr": ("480 studies of 240 patients in classes layout · film image 480 · label:class 480", {"copy"}),
    "medmnist": ("5855 studies of 5855 patients in arrays layout · film image 5855 · label:class 5855", {"copy"}),
}
"""First line of the import, and kinds of what the check suspects: some sets hold an image twice."""


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_real_sets_are_imported_by_one_command_and_not_refused(tmp_path, capsys, real_data, name):
    assert ImportCohort((real_data / name,), tmp_path / "out").run() == 0
    words, suspected = REAL[name]
    assert capsys.readouterr().out.splitlines()[0] == words
    verdicts = check_cohort(Cohort.open(tmp_path / "out"), workers=1)
    assert {f.kind for verdict in verdicts for f in verdict.findings} == suspected
    assert not any(verdict.status == "refused" for verdict in verdicts)


def test_pictures_whose_names_say_nothing_are_a_study_each(tmp_path):
    for number in range(3):
        path = tmp_path / "new" / f"IMG_000{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((6, 4), 40 * number, np.uint8)).save(path)
    made = import_cohort(tmp_path / "new", tmp_path / "c", say=str)
    assert made.studies == ["IMG_0000", "IMG_0001", "IMG_0002"]
    assert made.names("scan") == ["image"]
    renamed = import_cohort(tmp_path / "new", tmp_path / "d", rename={"image": "film"}, say=str)
    assert renamed.names("scan") == ["film"]
