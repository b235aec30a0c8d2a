"""Every layout is recognised, names are understood, and what is left out is said."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import safe_id
from scanweave.studies.cohort_splits import split_cohort
from scanweave.studies.layouts import import_cohort, list_studies, parse_rename
from scanweave.studies.layouts.names import Named, Names
from scanweave.studies.splits import write_splits


def tree(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def rows(src, **options) -> dict[str, dict]:
    return {
        row["study"]: {k: v for k, v in row.items() if v is not None} for row in list_studies(src, **options).rows()
    }


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("t1n", "scan:t1"),
        ("T1w", "scan:t1"),
        ("t1_native", "scan:t1"),
        ("T1POST", "scan:t1c"),
        ("t1+c", "scan:t1c"),
        ("t1ce", "scan:t1c"),
        ("T1-Gd", "scan:t1c"),
        ("t2f", "scan:flair"),
        ("T2_FLAIR", "scan:flair"),
        ("fla", "scan:flair"),
        ("t2w", "scan:t2"),
        ("MR_T1_image", "scan:t1"),
        ("ADC", "scan:adc"),
        ("dwi_adc", "scan:adc"),
        ("CT_image", "scan:ct"),
        ("PET", "scan:pet"),
        ("lesion_mask", "mask:lesion"),
        ("brain_mask", "mask:brain"),
        ("seg", "mask:seg"),
        ("CT_mask", "mask:ct"),
        ("ct_seg117", "mask:ct_seg117"),
        ("T1_label2", "mask:t1_label2"),
        ("Segmentation", "mask:seg"),
        ("labels", "mask:label"),
        ("tumor_segmentation", "mask:tumor"),
        ("brain", "mask:brain"),
        ("brainmask", "mask:brain"),
        ("Tissue", "mask:tissue"),
        ("T1_brain", "scan:t1"),
    ],
)
def test_names_as_people_write_them(name, column):
    found = Names().of(name)
    assert isinstance(found, Named)
    assert found.column == column


@pytest.mark.parametrize("name", ["scout", "", "t1_to_flair", "pet_ct", "t12", "wt1x"])
def test_what_cannot_be_told_is_not_guessed(name):
    assert isinstance(Names().of(name), str)


def test_own_names_come_first():
    names = Names(parse_rename("T1POST=late, scan x=t2,fla=-,FLAIR_bias=corrected"))
    assert names.of("t1post").column == "scan:late"
    assert names.of("a_scan_x_b").column == "scan:t2"
    assert names.of("fla").column is None
    assert names.of("FLAIR_bias").column == "scan:corrected"
    assert names.of("FLAIR").column == "scan:flair"


def test_one_folder_per_subject(tmp_path):
    tree(tmp_path, "A/A_t1.nii.gz", "A/A_FLAIR.nrrd", "A/scout.nii.gz", "B b/t1c.mha", "B b/seg.nii", "B b/.hidden.nii")
    listing = list_studies(tmp_path)
    found = {row["study"]: row for row in listing.rows()}
    assert found["A"]["scan:flair"] == "A/A_FLAIR.nrrd"
    assert found[safe_id("B b")]["scan:t1c"] == "B b/t1c.mha"
    assert found[safe_id("B b")]["mask:seg"] == "B b/seg.nii"
    assert found[safe_id("B b")]["scan:t1"] is None
    words = "\n".join(listing.report())
    assert "2 studies of 2 patients in folders layout · t1 1 · t1c 1 · flair 1" in words
    assert "A/scout.nii.gz" in words
    assert "--rename" in words


def test_a_sequence_in_a_folder_of_its_own_and_sessions(tmp_path):
    tree(
        tmp_path,
        "P1/T1/IM0001.nii.gz",
        "P1/FLAIR/IM0001.nii.gz",
        "P2/2019/t1.nii.gz",
        "P2/2020/t1.nii.gz",
        "P3/anat/t1.nii.gz",
        "P4/study1_T1W.nii.gz",
        "P4/study2_T1W.nii.gz",
    )
    found = rows(tmp_path)
    assert set(found) == {"P1", "P2_2019", "P2_2020", "P3", "P4_study1", "P4_study2"}
    assert found["P1"]["scan:flair"] == "P1/FLAIR/IM0001.nii.gz"
    assert found["P2_2019"]["patient"] == found["P2_2020"]["patient"] == "P2"


def test_all_in_one_folder(tmp_path):
    tree(
        tmp_path,
        "sub_01_t1.nii.gz",
        "sub_01_t2_flair.nii.gz",
        "sub_01_lesion_mask.nii.gz",
        "sub_02_T1-ce.nii.gz",
        "x.nii",
    )
    found = rows(tmp_path)
    assert found["sub_01"]["scan:flair"] == "sub_01_t2_flair.nii.gz"
    assert found["sub_01"]["mask:lesion"] == "sub_01_lesion_mask.nii.gz"
    assert found["sub_02"] == {"study": "sub_02", "patient": "sub_02", "scan:t1c": "sub_02_T1-ce.nii.gz"}


def test_nnunet_with_a_missing_channel(tmp_path):
    tree(
        tmp_path,
        "imagesTr/a_0000.nii.gz",
        "imagesTr/a_0001.nii.gz",
        "imagesTr/b_1_0001.nii.gz",
        "imagesTs/c_0000.nii.gz",
        "labelsTr/a.nii.gz",
        "labelsTr/z.nii.gz",
        "imagesTr/a_0007.nii.gz",
    )
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1", "1": "noNorm"}}))
    listing = list_studies(tmp_path)
    assert listing.layout == "nnunet"
    found = rows(tmp_path)
    assert found["a"] == {
        "study": "a",
        "patient": "a",
        "split": "train",
        "scan:t1": "imagesTr/a_0000.nii.gz",
        "scan:nonorm": "imagesTr/a_0001.nii.gz",
        "mask:label": "labelsTr/a.nii.gz",
    }
    assert "scan:t1" not in found["b_1"]
    assert found["c"]["split"] == "test"
    assert any("labelsTr/z.nii.gz" in line for line in listing.report())


def test_nnunet_finds_the_label_of_a_case_with_any_name(tmp_path):
    tree(tmp_path, "imagesTr/pat 1_0000.nii.gz", "labelsTr/pat 1.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1"}}))
    assert rows(tmp_path)[safe_id("pat 1")]["mask:label"] == "labelsTr/pat 1.nii.gz"


def test_decathlon_names_channels_of_a_file(tmp_path):
    tree(tmp_path, "imagesTr/B_1.nii.gz", "labelsTr/B_1.nii.gz", "imagesTs/B_2.nii.gz")
    about = {
        "modality": {"0": "FLAIR", "1": "t1gd"},
        "test": ["./imagesTs/B_2.nii.gz"],
        "training": [{"image": "./imagesTr/B_1.nii.gz", "label": "./labelsTr/B_1.nii.gz"}],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    found = rows(tmp_path)
    assert found["B_1"]["scan:t1c"] == "imagesTr/B_1.nii.gz#1"
    assert found["B_1"]["mask:label"] == "labelsTr/B_1.nii.gz"
    assert found["B_2"]["split"] == "test"


def test_bids(tmp_path):
    tree(
        tmp_path,
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_ce-gadolinium_T1w.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_FLAIR.nii.gz",
        "sub-02/anat/sub-02_T2w.nii.gz",
        "sub-02/anat/sub-02_UNIT1.nii.gz",
        "sub-02/anat/sub-02_label-lesion_mask.nii.gz",
        "derivatives/x/sub-02/anat/sub-02_T1w.nii.gz",
    )
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tsex\nsub-01\t34\tF\nsub-02\tn/a\tM\n")
    found = rows(tmp_path)
    assert set(found) == {"sub-01_ses-1", "sub-01_ses-2", "sub-02"}
    assert found["sub-01_ses-1"]["scan:t1c"].endswith("ce-gadolinium_T1w.nii.gz")
    assert found["sub-01_ses-2"]["table:age"] == 34
    assert found["sub-02"]["mask:lesion"].endswith("lesion_mask.nii.gz")
    assert "scan:t1" not in found["sub-02"]
    assert "table:age" not in found["sub-02"]


def test_two_files_of_one_name_are_left_out_and_told_apart_by_rename(tmp_path):
    tree(tmp_path, "P1/a_T1w.nii.gz", "P1/b_T1w.nii.gz", "P1/d_T1w.nii.gz", "P1/t2.nii.gz", "P2/a_T1w.nii.gz")
    found = rows(tmp_path)
    assert "scan:t1" not in found["P1"]
    assert found["P1"]["scan:t2"] == "P1/t2.nii.gz"
    assert found["P2"]["scan:t1"] == "P2/a_T1w.nii.gz"
    told = "\n".join(list_studies(tmp_path).report())
    assert "several of one study are t1: P1 has a_T1w.nii.gz, b_T1w.nii.gz and 1 more" in told
    found = rows(tmp_path, rename={"a_T1w": "t1", "T1w": "-"})
    assert found["P1"]["scan:t1"] == "P1/a_T1w.nii.gz"


def test_where_nothing_else_is_there_the_pair_is_named(tmp_path):
    tree(tmp_path / "src", "P1/a_T1w.nii.gz", "P1/b_T1w.nii.gz")
    with pytest.raises(ScanweaveError, match=r"P1: both 'P1/a_T1w\.nii\.gz' and 'P1/b_T1w\.nii\.gz' are t1"):
        import_cohort(tmp_path / "src", tmp_path / "out")


def test_a_table(tmp_path):
    tree(tmp_path, "x/a.nii.gz", "x/b.nii.gz", "x/m.nii.gz")
    (tmp_path / "s.csv").write_text(
        "case,patient_id,T1,scan:odd,mask:lesion,age,label:grade\nk1,p,x/a.nii.gz,,x/m.nii.gz,30,2\nk2,p,,x/b.nii.gz#1,,,3\n"
    )
    found = rows(tmp_path / "s.csv")
    assert found["k1"] == {
        "study": "k1",
        "patient": "p",
        "scan:t1": "x/a.nii.gz",
        "mask:lesion": "x/m.nii.gz",
        "label:grade": 2,
        "table:age": 30,
    }
    assert found["k2"]["scan:odd"] == "x/b.nii.gz#1"


def test_a_table_of_sinograms(tmp_path):
    tree(tmp_path, "x/a.nii.gz", "x/a.h5", "x/b.h5")
    (tmp_path / "s.csv").write_text("study,sinogram:ct,scan:bin1\na,x/a.h5,x/a.nii.gz\nb,x/b.h5,\n")
    found = rows(tmp_path / "s.csv")
    assert found["a"]["sinogram:ct"] == "x/a.h5"
    assert found["b"] == {"study": "b", "patient": "b", "sinogram:ct": "x/b.h5"}
    (tmp_path / "s.csv").write_text("study,sinogram:ct\na,x/gone.h5\n")
    with pytest.raises(ScanweaveError, match=r"no such file 'x/gone\.h5'"):
        rows(tmp_path / "s.csv")


def test_ambiguous_layout_is_asked_about(tmp_path):
    tree(tmp_path, "p/t1.nii.gz", "q_t1.nii.gz")
    with pytest.raises(ScanweaveError, match=r"flat or folders.*--layout"):
        list_studies(tmp_path)
    assert set(rows(tmp_path, layout="flat")) == {"q"}


def test_several_sources_make_one_cohort(tmp_path):
    tree(tmp_path, "one/A/t1.nii.gz", "two/B/t1.nii.gz")
    cohort = import_cohort([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    assert cohort.studies == ["A", "B"]
    assert (cohort.root / cohort.frame["scan:t1"][1]).is_file()


def test_the_users_files_stay_as_they_are(tmp_path):
    source = tree(tmp_path / "src", "A/t1.nii.gz")
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    import_cohort(source, tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before


def test_what_a_second_import_into_a_folder_says_to_do_works(tmp_path):
    source = tree(tmp_path / "src", "A_1/t1.nii.gz", "A_2/t1.nii.gz", "B_1/t1.nii.gz")
    out = tmp_path / "out"
    write_splits(out, split_cohort(import_cohort(source, out, say=str), 3))
    with pytest.raises(ScanweaveError) as caught:
        import_cohort(source, out, patient="^[^_]+", say=str)
    assert str(caught.value) == (
        f"{out}: holds a cohort already. Choose another --out; or, to make it anew, remove {out / 'cohort.json'} and "
        f"{out / 'splits.json'} and give the same command."
    )
    for name in ("cohort.json", "splits.json"):
        (out / name).unlink()
    assert import_cohort(source, out, patient="^[^_]+", say=str).patients == ["A", "B"]


def test_what_an_option_leaves_out_is_told_once(tmp_path):
    source, lines = tree(tmp_path / "src", "A/t1.nii.gz", "A/t2.nii.gz", "B/t1.nii.gz", "C/t1.nii.gz"), []
    import_cohort(source, tmp_path / "out", rename={"t2": "-"}, leave_out=["C"], say=lines.append)
    assert [line for line in lines if "left out" in line] == [
        "  left out, as --leave-out says: C",
        "  left out, as --rename says: A/t2.nii.gz",
    ]


def test_a_loop_of_links_ends(tmp_path):
    tree(tmp_path, "A/t1.nii.gz")
    (tmp_path / "A" / "again").symlink_to(tmp_path / "A")
    assert rows(tmp_path)["A"]["scan:t1"] == "A/t1.nii.gz"


def test_studies_of_one_patient_are_put_together_or_left_out(tmp_path):
    source = tree(tmp_path / "src", "P1/t1.nii.gz", "P1_again/t1.nii.gz", "P2/t1.nii.gz")

    def patients(**options):
        return {name: row["patient"] for name, row in rows(source, **options).items()}

    assert patients() == {"P1": "P1", "P1_again": "P1_again", "P2": "P2"}
    notes = [line for line in list_studies(source).report() if "note:" in line]
    assert len(notes) == 1
    assert "is P1_again of the patient P1 too" in notes[0]
    assert notes[0].endswith("say --patient '(.+?)(_again)?$'")
    assert patients(patient="(.+?)(_again)?$") == {"P1": "P1", "P1_again": "P1", "P2": "P2"}
    assert patients(patient="^P[0-9]") == {"P1": "P1", "P1_again": "P1", "P2": "P2"}
    assert patients(patient="^P([0-9])") == {"P1": "1", "P1_again": "1", "P2": "2"}
    assert "note:" not in "".join(list_studies(source, patient="^P[0-9]").report())
    assert patients(leave_out=["*_again"]) == {"P1": "P1", "P2": "P2"}


def test_a_patient_is_found_in_the_name_as_it_is_in_the_source(tmp_path):
    source = tree(tmp_path / "src", *(f"{name}/t1.nii.gz" for name in ("Müller_1", "Müller_2", "Möller_1", "a b_1")))
    tree(tmp_path / "other", "Mo\u0308ller_9/t1.nii.gz")
    found = {row["study"]: row["patient"] for row in rows([source, tmp_path / "other"], patient="^[^_]+").values()}
    assert found == {
        safe_id(f"{name}_{number}"): safe_id(name)
        for name, number in (("Müller", 1), ("Müller", 2), ("Möller", 1), ("Möller", 9), ("a b", 1))
    }
    assert safe_id("a b_1") not in rows(source, leave_out=["a b*"])
    assert safe_id("a b_1") not in rows(source, leave_out=[safe_id("a b_1")])


def test_a_study_that_is_left_out_blocks_nothing(tmp_path):
    tree(tmp_path / "one", "P1/t1.nii.gz", "P1/t1w.nii.gz", "P2/t1.nii.gz", "P22/t1.nii.gz")
    tree(tmp_path / "two", "P3/t1.nii.gz")
    assert set(rows(tmp_path / "one", leave_out=["P1", "P2", "P*2"])) == set()
    assert set(rows([tmp_path / "one", tmp_path / "two"], leave_out=["P1"])) == {"P2", "P22", "P3"}
    told = "\n".join(list_studies(tmp_path / "one", leave_out=["P2"]).report())
    assert "left out, several of one study are t1: P1 has" in told


def test_many_namesakes_are_a_few_lines(tmp_path):
    source = tree(tmp_path / "src", "P/t1.nii.gz", *(f"P_{i}/t1.nii.gz" for i in range(20)))
    notes = [line for line in list_studies(source).report() if "note:" in line]
    assert len(notes) == 6
    assert notes[-1].endswith("15 more studies")


def bad(folder: Path, name: bytes) -> None:
    """A file whose name is not UTF-8."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / os.fsdecode(name)).write_bytes(b"")


@pytest.mark.parametrize("folder", ["imagesTr", "labelsTr", ""])
def test_a_name_that_is_not_text_is_said_and_left_out(tmp_path, folder):
    tree(tmp_path, "imagesTr/a_0000.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1"}}))
    bad(tmp_path / folder, b"\xff_0000.nii.gz")
    listing = list_studies(tmp_path, layout="nnunet" if folder else "folders", rename={"a": "t1"})
    said = "\n".join(listing.report())
    assert said.encode()
    assert "udcff" in said
    assert len(listing.rows()) == 1


def test_a_decathlon_path_that_is_not_text_is_told(tmp_path):
    bad(tmp_path / "imagesTr", b"\xff.nii.gz")
    about = {"modality": {"0": "T1"}, "training": [{"image": os.fsdecode(b"imagesTr/\xff.nii.gz")}]}
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    with pytest.raises(ScanweaveError, match=r"training\[0\]: 'image' is not a path"):
        list_studies(tmp_path, layout="decathlon")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"patient": "("}, "--patient: not a regular expression"),
        ({"patient": "^P1"}, "--patient: finds no patient in 'P2'"),
        ({"leave_out": ["x*"]}, "--leave-out: 'x\\*' fits no study"),
    ],
)
def test_a_pattern_that_fits_nothing_is_refused(tmp_path, options, words):
    source = tree(tmp_path / "src", "P1/t1.nii.gz", "P2/t1.nii.gz")
    with pytest.raises(ScanweaveError, match=words):
        list_studies(source, **options)


NAMES = ["Müller", "Möller", "张三", "李四", "a b", "a-b", "a_b", "José", "Josí", "x" * 140 + "1", "x" * 140 + "2"]


@pytest.mark.parametrize("form", ["{}/t1.nii.gz", "{}_t1.nii.gz"])
def test_names_that_cannot_be_file_names_stay_apart(tmp_path, form):
    cohort = import_cohort(tree(tmp_path / "src", *(form.format(name) for name in NAMES)), tmp_path / "out")
    assert len(cohort.studies) == len(cohort.patients) == len(NAMES)
    assert cohort.frame.set_index("study")["scan:t1"].to_dict() == {safe_id(n): form.format(n) for n in NAMES}


def test_a_safe_name_depends_on_the_name_alone():
    assert safe_id("sub-01_ses.2") == "sub-01_ses.2"
    assert safe_id("Müller") == "M-ller-a78429899bb8"
    assert safe_id("Mu\u0308ller") == safe_id("M\u00fcller")  # as macOS and others write it
    assert len({safe_id(text) for text in ("", ".", "..", "-", "unnamed", *NAMES)}) == 5 + len(NAMES)


def test_patients_of_a_table_and_of_a_pattern_stay_apart(tmp_path):
    source = tree(tmp_path / "src", "a.nii.gz", "b.nii.gz")
    (source / "s.csv").write_text("case,patient,t1\nk1 ,张三,a.nii.gz\nk2,李四,b.nii.gz\n")
    assert {name: row["patient"] for name, row in rows(source / "s.csv").items()} == {
        "k1": safe_id("张三"),
        "k2": safe_id("李四"),
    }


def test_only_numbers_that_are_written_back_as_they_stand_become_numbers(tmp_path):
    tree(tmp_path, "a.nii.gz", "b.nii.gz")
    columns = {
        "age": ("30", "41", [30, 41]),
        "weight": ("70.5", "80", [70.5, 80.0]),
        "padded": ("00123", "00124", ["00123", "00124"]),
        "long": ("12345678901234567", "12345678901234568", [12345678901234567, 12345678901234568]),
        "longer": ("123456789012345678901", "1", ["123456789012345678901", "1"]),
        "mixed": ("12345678901234567", "0.5", ["12345678901234567", "0.5"]),
        "huge": ("1e400", "1", ["1e400", "1"]),
        "version": ("3.1", "3.10", ["3.1", "3.10"]),
        "underscored": ("1_0", "2", ["1_0", "2"]),
        "infinite": ("inf", "1", ["inf", "1"]),
    }
    lines = [",".join(["case", "t1", *columns])]
    lines += [",".join([f"k{i}", f"{'ab'[i]}.nii.gz", *(c[i] for c in columns.values())]) for i in range(2)]
    (tmp_path / "s.csv").write_text("\n".join(lines) + "\n")
    cohort = import_cohort(tmp_path / "s.csv", tmp_path / "out")
    for name, (_, _, expected) in columns.items():
        found = cohort.frame[f"table:{name}"].tolist()
        assert found == expected, name
        assert [type(value) for value in found] == [type(value) for value in expected], name


def test_a_subject_written_in_two_cases_is_one_study_and_no_phantom(tmp_path):
    tree(tmp_path, "P1_t1.nii.gz", "p1_flair.nii.gz")
    listing = list_studies(tmp_path)
    assert set(listing.studies) == {"P1"}
    assert not any("without any known sequence" in line for line in listing.report())


def test_what_a_simulation_writes_is_understood_and_the_rest_is_named_once(tmp_path):
    names = ("t1", "t2r", "mix", "brain", "tissue", "lesion")
    tree(tmp_path, *(f"s{i}/{name}.nii.gz" for i in range(6) for name in names), "s0/s0_scout.nii.gz")
    told: list[str] = []
    cohort = import_cohort(tmp_path, tmp_path / "out", say=told.append)
    assert cohort.names("mask") == ["brain", "lesion", "tissue"]
    assert told[0].startswith("6 studies of 6 patients in folders layout · t1 6")
    assert any(line.endswith("known: mix (6 files), s0/s0_scout.nii.gz, t2r (6 files)") for line in told)


def test_a_folder_of_a_body_part_is_a_session_and_no_mask(tmp_path):
    tree(tmp_path, "P1/brain/t1.nii.gz", "P1/spine/t1.nii.gz")
    assert set(rows(tmp_path)) == {"P1_brain", "P1_spine"}


def test_people_in_a_folder_of_folders_are_asked_about(tmp_path):
    source = tree(tmp_path / "src", "clinic/P01/t1.nii.gz", "clinic/P02/t1.nii.gz", "clinic/P03/t1.nii.gz")
    told = list_studies(source).report()
    assert told[0].startswith("3 studies of 1 patient in")
    (note,) = [line for line in told if "note:" in line]
    assert "P01, P02, P03 are taken for sessions of one patient, clinic. If they are patients, import the f" in note
    assert "note:" not in "".join(list_studies(source, patient="P[0-9]+").report())
    assert "note:" not in "".join(list_studies(source / "clinic").report())


@pytest.mark.parametrize(
    "names",
    [
        ("1", "2"),
        ("2019", "2020-03"),
        ("20190102", "20200102"),
        ("pre", "post_op"),
        ("ses-a1", "ses-b1"),
        ("visit1", "visit2"),
        ("week 4", "week 8"),
    ],
)
def test_sessions_that_are_named_so_are_not_asked_about(tmp_path, names):
    tree(tmp_path, *(f"P1/{name}/t1.nii.gz" for name in names))
    listing = list_studies(tmp_path)
    assert len(listing.studies) == 2
    assert "note:" not in "".join(listing.report())


def test_a_spelling_that_fits_nothing_is_said(tmp_path):
    tree(tmp_path / "one", "P1/t1.nii.gz", "P1/fla.nii.gz")
    tree(tmp_path / "two", "P2_T1POST.nii.gz")
    rename = {"bogus": "t1", "fla": "flair", "T1POST": "late"}
    told = list_studies([tmp_path / "one", tmp_path / "two"], rename=rename).report()
    assert [line for line in told if "note:" in line] == ["  note: --rename bogus=t1 fits no name"]


def test_no_source_is_one_line(tmp_path):
    with pytest.raises(ScanweaveError, match="no folder or table is named"):
        import_cohort([], tmp_path / "out")
