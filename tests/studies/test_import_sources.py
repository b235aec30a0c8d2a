"""Patients, lists, folders of sequences, several sources, and what is not read."""

from __future__ import annotations

import json

import pytest

from scanweave.errors import ScanweaveError
from scanweave.files import read_json
from scanweave.studies.cohort_splits import split_cohort
from scanweave.studies.formats.image_names import unread_format
from scanweave.studies.layouts import import_cohort, list_studies
from scanweave.studies.layouts.table import names_images
from scanweave.studies.layouts.visit_names import brothers, patient_in
from scanweave.studies.tables.schema import Said


def tree(folder, *files):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def rows(src, **options):
    found = list_studies(src, **options).rows()
    return {row["study"]: {k: v for k, v in row.items() if v is not None} for row in found}


def told(src, **options):
    return "\n".join(list_studies(src, **options).report())


def dataset(folder, cases, about, labels=True):
    tree(folder, *(f"imagesTr/{case}.nii.gz" for case in cases))
    if labels:
        tree(folder, *(f"labelsTr/{case}.nii.gz" for case in cases))
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


CASES = [f"liver_{number:04d}" for number in range(5)]
TWO = {"0": "T1", "1": "FLAIR"}


def test_a_list_wins_over_the_look_of_names(tmp_path):
    entries = [{"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in CASES]
    dataset(tmp_path, CASES, {"modality": TWO, "training": entries})
    assert list_studies(tmp_path).layout == "decathlon"
    found = rows(tmp_path)
    assert sorted(found) == CASES
    for case, row in found.items():
        assert row["scan:t1"] == f"imagesTr/{case}.nii.gz#0"
        assert row["scan:flair"] == f"imagesTr/{case}.nii.gz#1"
        assert row["mask:label"] == f"labelsTr/{case}.nii.gz"


def test_nnunets_old_list_names_cases_without_channels(tmp_path):
    entries = [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}]
    dataset(tmp_path, ["a_0000", "a_0001"], {"modality": TWO, "training": entries}, labels=False)
    tree(tmp_path, "labelsTr/a.nii.gz")
    assert list_studies(tmp_path).layout == "nnunet"
    assert rows(tmp_path)["a"]["scan:flair"] == "imagesTr/a_0001.nii.gz"


def test_label_maps_with_the_same_numbers_say_that_they_are_no_channels(tmp_path):
    dataset(tmp_path, CASES, {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}})
    found = rows(tmp_path)
    assert sorted(found) == CASES
    assert all(row["mask:label"] == f"labelsTr/{case}.nii.gz" for case, row in found.items())


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("BraTS-GLI-00012-003", "BraTS-GLI-00012"),
        ("BraTS-MEN-00012-000", "BraTS-MEN-00012"),
        ("UPENN-GBM-00007_21", "UPENN-GBM-00007"),
        ("OAS30001_MR_d0129", "OAS30001"),
        ("P07_visit2", "P07"),
        ("case12-ses-03", "case12"),
        ("PatientID_0003_Timepoint_1", "PatientID_0003"),
        ("TCGA-FG-6692", None),
        ("IXI002-Guys-0828", None),
        ("visit_2", None),
        ("hospital2_study041", None),
    ],
)
def test_a_visit_at_the_end_of_a_name(name, patient):
    assert patient_in(name) == patient


@pytest.mark.parametrize("form", ["{0}/{0}-t1n.nii.gz", "{0}_t1n.nii.gz"])
def test_visits_of_a_patient_stay_together(tmp_path, form):
    names = [f"BraTS-GLI-{patient:05d}-{visit:03d}" for patient in range(8) for visit in range(2)]
    source = tree(tmp_path / "src", *(form.format(name) for name in names))
    cohort = import_cohort(source, tmp_path / "out", say=str)
    assert len(cohort) == 16
    assert len(cohort.patients) == 8
    splits = split_cohort(cohort, 4, seed=0)
    assert set(splits.assignment) == {name[:15] for name in names}
    assert "are taken for visits of one patient, BraTS-GLI-00000, and so for 7 more patients" in told(source)
    assert {row["patient"] for row in rows(source, patient="(.+)").values()} == set(names)


def test_visits_of_a_patient_keep_his_own_name(tmp_path):
    tree(tmp_path, "Müller 7_visit1/t1.nii.gz", "Müller 7_visit2/t1.nii.gz", "Ann 3/t1.nii.gz")
    listing = list_studies(tmp_path)
    found = listing.rows()
    assert sorted(row["patient_name"] for row in found) == ["Ann 3", "Müller 7", "Müller 7"]
    assert len({row["patient"] for row in found}) == 2
    assert "Müller 7_visit1 and Müller 7_visit2 are taken for visits of one patient, Müller 7" in told(tmp_path)
    listing.assign_patients("^[^ ]+")
    assert {row["patient_name"] for row in listing.rows()} == {"Ann", "Müller"}


def test_a_column_said_to_be_the_patients_holds(tmp_path):
    tree(tmp_path, "a.nii.gz", "b.nii.gz")
    (tmp_path / "s.csv").write_text("study,who,t1\nP1_visit1,A1_visit1,a.nii.gz\nP1_visit2,A1_visit2,b.nii.gz\n")
    found = rows(tmp_path / "s.csv", columns={"who": Said(role="patient")})
    assert [row["patient"] for row in found.values()] == ["A1_visit1", "A1_visit2"]


def test_brothers_are_asked_about(tmp_path):
    source = tree(tmp_path, *(f"S{patient}-{visit}/t1.nii.gz" for patient in range(3) for visit in "ab"))
    notes = [line for line in told(source).splitlines() if "note: are" in line]
    assert len(notes) == 1
    assert "are S0-a and S0-b of one patient (and so in 2 more groups)?" in notes[0]
    pattern = notes[0].partition("--patient '")[2].partition("'")[0]
    assert {row["patient"] for row in rows(source, patient=pattern).values()} == {"S0", "S1", "S2"}
    assert "note: are" not in told(source, patient=pattern)


@pytest.mark.parametrize("names", [["case-1", "case-2"], ["A1", "A2"], ["2-a", "3-a"], ["s1-x", "s1-y", "s1-z"]])
def test_what_are_no_brothers(names):
    assert brothers({name: name for name in names}) == []


def test_what_the_source_says_of_patients_holds(tmp_path):
    tree(tmp_path, "a.nii.gz", "b.nii.gz")
    (tmp_path / "s.csv").write_text("study,patient,t1\nP1_visit1,ann,a.nii.gz\nP1_visit2,bob,b.nii.gz\n")
    assert [row["patient"] for row in rows(tmp_path / "s.csv").values()] == ["ann", "bob"]
    (tmp_path / "s.csv").write_text("study,t1\nP1_visit1,a.nii.gz\nP1_visit2,b.nii.gz\n")
    assert {row["patient"] for row in rows(tmp_path / "s.csv").values()} == {"P1"}


@pytest.mark.parametrize(
    "files",
    [
        ("X-T1/S1-A-T1.nii.gz", "X-T1/S2-B-T1.nii.gz", "X-FLAIR/S1-A-FLAIR.nii.gz", "X-seg/none.txt"),
        ("T1/S1-A.nii.gz", "T1/S2-B.nii.gz", "FLAIR/S1-A.nii.gz", "masks/S1-A_seg.nii.gz"),
        ("t1/S1-A/x.nii.gz", "t1/S2-B/x.nii.gz", "flair/S1-A/y.nii.gz"),
        ("T1/T1_S1-A.nii.gz", "T1/T1_S2-B.nii.gz", "FLAIR/FLAIR_S1-A.nii.gz"),
    ],
)
def test_a_folder_a_sequence(tmp_path, files):
    tree(tmp_path, *files)
    assert list_studies(tmp_path).layout == "sequences"
    found = rows(tmp_path)
    assert sorted(found) == ["S1-A", "S2-B"]
    assert found["S1-A"]["scan:t1"].lower().startswith(("t1/", "x-t1/"))
    assert "flair" in found["S1-A"]["scan:flair"].lower()
    assert ("mask:mask" in found["S1-A"]) == any("masks" in file for file in files)
    assert "scan:flair" not in found["S2-B"]


def test_a_folder_and_a_name_that_disagree(tmp_path):
    tree(tmp_path, "T1/S1.nii.gz", "T1/S2_T2.nii.gz", "T1/S3_T1_map.nii.gz", "T2/S1.nii.gz", "MRA/S1.nii.gz")
    assert set(rows(tmp_path)) == {"S1"}
    words = told(tmp_path)
    assert "its folder says t1, its name t2: T1/S2_T2.nii.gz" in words
    assert "T1/S3_T1_map.nii.gz" in words
    assert "in no folder that is named by a sequence: MRA/S1.nii.gz" in words


@pytest.mark.parametrize("folders", [("P1_CT", "P2_T1"), ("CT_P1", "T1_P2"), ("P1_CT", "P2_CT"), ("ct", "notes")])
def test_folders_of_subjects_are_not_taken_for_sequences(tmp_path, folders):
    tree(tmp_path, *(f"{folder}/t1.nii.gz" for folder in folders))
    assert list_studies(tmp_path).layout == "folders"


def test_sources_that_share_studies(tmp_path):
    tree(tmp_path, "T1/S1_T1.nii.gz", "T1/S2_T1.nii.gz", "more/S1/flair.nii.gz", "more/S3/t1.nii.gz")
    found = rows([tmp_path / "T1", tmp_path / "more"])
    assert found["S1"]["scan:t1"] == "T1/S1_T1.nii.gz"
    assert found["S1"]["scan:flair"] == "more/S1/flair.nii.gz"
    assert set(found) == {"S1", "S2", "S3"}
    assert "1 study of several sources, such as S1, put together by name" in told([tmp_path / "T1", tmp_path / "more"])


def test_sources_that_contradict_each_other(tmp_path):
    tree(tmp_path, "one/S1/t1.nii.gz", "two/S1/t1.nii.gz")
    with pytest.raises(ScanweaveError, match=r"'S1' is in another source too, with another scan:t1.*one by one"):
        list_studies([tmp_path / "one", tmp_path / "two"])


def test_clashes_of_several_sources_keep_their_paths(tmp_path):
    tree(tmp_path, "one/S1/a_t1.nii.gz", "one/S1/b_t1.nii.gz", "two/S2/t1.nii.gz")
    listing = list_studies([tmp_path / "one", tmp_path / "two"])
    assert listing.clashes["S1"]["scan:t1"] == ["one/S1/a_t1.nii.gz", "one/S1/b_t1.nii.gz"]


def test_what_is_not_read_is_named(tmp_path):
    tree(tmp_path, "P1/t1.nii.gz", "P1/FLAIR.MNC", "P2/t1.nii.gz", "P2/flair.nii.bz2", "P2/flair.json", "P2/notes")
    words = told(tmp_path)
    assert "a format that is not read: P1/FLAIR.MNC, P2/flair.nii.bz2" in words
    assert "count as absent" in words
    assert "no images by their names: .json 1, no suffix 1" in words


def test_files_of_voxels_belong_to_their_headers(tmp_path):
    tree(
        tmp_path, "P1/t1.mhd", "P1/t1.raw", "P1/t2.img", "P1/t2.hdr", "P1/flair.nhdr", "P1/flair.raw.gz", "P1/alone.raw"
    )
    found = rows(tmp_path)
    assert {found["P1"][f"scan:{name}"] for name in ("t1", "t2", "flair")} == {
        "P1/t1.mhd",
        "P1/t2.img",
        "P1/flair.nhdr",
    }
    assert "no images by their names: .raw 1" in told(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["t1.nii.gz.bz2", "t1.mnc.xz", "t1.MNC", "t1.hdr.bz2", "t1.mif.gz", "t1.v", "t1.vol", "slide.svs", "a.png.zip"],
)
def test_every_format_that_is_not_read_is_known_by_its_name(tmp_path, name):
    tree(tmp_path, "P1/flair.nii.gz", f"P1/{name}")
    assert unread_format(name)
    assert f"a format that is not read: P1/{name}" in told(tmp_path)


@pytest.mark.parametrize(
    "name", ["t1.nii.gz", "t1.HDR.GZ", "moco.par", "t1.json", "t1.tar.gz", "notes.txt.zip", "a.raw"]
)
def test_other_files_are_no_images_that_are_not_read(name):
    assert unread_format(name) is None


def test_a_few_words_that_end_as_a_suffix_make_no_images_of_a_column(tmp_path):
    (tmp_path / "s.csv").write_text("patient,dose,age\nA,200 mg i.v,40\nB,none so far,50\nC,100 mg orally,61\n")
    cohort = import_cohort(tmp_path / "s.csv", tmp_path / "out", say=str)
    assert cohort.names("scan") == []
    assert len(cohort) == 3


def test_slides_beside_a_clinical_table_make_no_images_of_it(tmp_path):
    tree(tmp_path, "a.svs", "b.svs")
    (tmp_path / "s.csv").write_text("patient,slide,age\nA,a.svs,40\nB,b.svs,50\n")
    cohort = import_cohort(tmp_path / "s.csv", tmp_path / "out", say=str)
    assert cohort.names("scan") == []
    assert cohort["A"].table == {"age": 40}


def test_folders_of_nnunet_that_say_no_part_are_left_out_once(tmp_path):
    dataset(tmp_path, ["a_0000"], {"channel_names": {"0": "T1"}}, labels=False)
    tree(tmp_path, "imagesOld/b_0000.nii.gz")
    words = told(tmp_path)
    assert "its folder is called as no part is (Tr, Va, Ts): imagesOld/b_0000.nii.gz" in words
    assert words.count("imagesOld") == 1


@pytest.mark.parametrize("key", ["training", "train", "validation"])
def test_any_list_of_a_part_says_that_its_files_are_cases(tmp_path, key):
    entries = [{"image": f"imagesTr/{case}.nii.gz"} for case in CASES]
    dataset(tmp_path, CASES, {"modality": TWO, key: entries}, labels=False)
    assert list_studies(tmp_path).layout == "decathlon"


def test_images_where_a_layout_does_not_look_are_told(tmp_path):
    tree(tmp_path, "S1_t1.nii.gz", "S2_t1.nii.gz", "old/S1_flair.nii.gz", "old/S1.png")
    words = told(tmp_path, layout="flat")
    assert "does not read: old/ (1)" in words
    assert ".png 1" in words


def slice_of(path, modality):
    """A DICOM file without pixels."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    data, meta = Dataset(), FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta, data.Modality = meta, modality
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("name", ["{}.dcm", "IM{}", "1.2.840.{}"])
def test_a_folder_of_dicom_series_says_so(tmp_path, name):
    for number in range(3):
        slice_of(tmp_path / "P1" / name.format(number), "MR")
    with pytest.raises(ScanweaveError, match="holds DICOM series, which are imported apart"):
        list_studies(tmp_path)


def test_films_in_dicom_are_still_films(tmp_path):
    for number in range(2):
        slice_of(tmp_path / f"P{number}_image.dcm", "DX")
    assert list_studies(tmp_path, rename={"image": "film"}).layout == "flat"


def test_dicom_beside_volumes_is_told(tmp_path):
    tree(tmp_path, "P1/t1.nii.gz")
    slice_of(tmp_path / "P1" / "flair" / "IM1", "MR")
    assert "1 DICOM file not read (P1/flair/IM1" in told(tmp_path)


def test_label_maps_alone_say_so(tmp_path):
    source = tree(tmp_path / "src", "P1/seg.nii.gz")
    with pytest.raises(ScanweaveError, match="label maps alone are no study"):
        import_cohort(source, tmp_path / "out")


def test_a_byte_order_mark(tmp_path):
    dataset(tmp_path, ["a_0000"], {"channel_names": {"0": "T1"}}, labels=False)
    text = (tmp_path / "dataset.json").read_text()
    (tmp_path / "dataset.json").write_text(text, encoding="utf-8-sig")
    assert read_json(tmp_path / "dataset.json", "") == json.loads(text)
    assert set(rows(tmp_path)) == {"a"}


def test_links_whose_content_was_not_fetched_are_taken_in(tmp_path):
    source = tree(tmp_path / "src", "P1/t1.nii.gz", "imagesTr/a.nii.gz")
    (source / "P1" / "flair.nii.gz").symlink_to("../.git/annex/objects/x.nii.gz")
    (source / "imagesTr" / "b.nii.gz").symlink_to("../.git/annex/objects/y.nii.gz")
    assert rows(source, layout="folders")["P1"]["scan:flair"] == "P1/flair.nii.gz"
    (source / "s.csv").write_text("study,t1,flair\nP1,P1/t1.nii.gz,P1/flair.nii.gz\n")
    assert rows(source / "s.csv")["P1"]["scan:flair"] == "P1/flair.nii.gz"
    about = {"modality": {"0": "T1"}, "training": ["imagesTr/a.nii.gz", "imagesTr/b.nii.gz"]}
    (source / "dataset.json").write_text(json.dumps(about))
    assert set(rows(source, layout="decathlon")) == {"a", "b"}


@pytest.mark.parametrize("name", ["n" * 300, "影" * 200, "a/" * 3000])
def test_a_name_that_no_file_can_have_is_told(tmp_path, name):
    tree(tmp_path, "a.nii.gz", "imagesTr/a.nii.gz")
    (tmp_path / "s.csv").write_text(f"study,t1\nP1,a.nii.gz\nP2,{name}.nii.gz\n")
    with pytest.raises(ScanweaveError, match="line 3, column t1: no such file"):
        list_studies(tmp_path / "s.csv")
    (tmp_path / "s.csv").write_text(f"study,image\nP1,{name}\n")
    assert not names_images(tmp_path / "s.csv")
    about = {"modality": {"0": "T1"}, "training": ["imagesTr/a.nii.gz", f"{name}.nii.gz"]}
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    assert set(rows(tmp_path, layout="decathlon")) == {"a"}
