"""Test patients that a source names are heeded: in tables of images and clinical ones, lists, folders, manifests."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.cohort_splits import split_cohort
from scanweave.studies.layouts import import_cohort, list_studies
from scanweave.studies.split_words import part_of_word, says_split
from scanweave.studies.tables.schema import parse_columns, read_schema

PATIENTS = [f"p{i:02d}" for i in range(12)]


def images(folder, heading, words):
    """A table of images with a column of words, two for those who train, and test for every fourth."""
    folder.mkdir(exist_ok=True)
    for patient in PATIENTS:
        (folder / f"{patient}_t1.nii.gz").write_bytes(b"")
    rows = [f"{p},{p}_t1.nii.gz,{words[i % len(words)]}" for i, p in enumerate(PATIENTS)]
    (folder / "list.csv").write_text("\n".join([f"case,t1,{heading}", *rows]) + "\n")
    return folder / "list.csv"


def clinical(folder, heading, words):
    folder.mkdir(exist_ok=True)
    rows = [f"{p},{30 + 7 * i % 40},{i % 2},{words[i % len(words)]}" for i, p in enumerate(PATIENTS)]
    (folder / "labs.csv").write_text("\n".join([f"id,age,dead,{heading}", *rows]) + "\n")
    return folder / "labs.csv"


def brought(src, out, said=None):
    lines: list[str] = []
    cohort = import_cohort(src, out, columns=parse_columns(said), say=lines.append)
    return cohort, "\n".join(lines)


WRITTEN = {
    "plain": ("split", ("train", "train", "val", "test")),
    "capitals": ("Split", ("Train", "TRAIN", "Val", "Test")),
    "sets": ("data_split", ("training set", "Training-Set", "validation", "test set")),
    "short": ("partition", ("tr", "tr", "va", "ts")),
    "under another heading": ("group", ("training", "train", "valid", "testing")),
    "held out": ("subset", ("derivation", "train", "dev", "hold-out")),
    "yes and no": ("is_test", ("no", "no", "0", "TRUE")),
    "train as a flag": ("train", ("T", "T", "T", "F")),
}


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("make", [images, clinical])
def test_those_who_test_are_held_out_and_the_column_is_no_variable(tmp_path, make, name):
    heading, words = WRITTEN[name]
    cohort, told = brought(make(tmp_path / "src", heading, words), tmp_path / "cohort")
    assert cohort.held_out == PATIENTS[3::4]
    assert not set(PATIENTS[3::4]) & set(split_cohort(cohort, 4).assignment)
    assert set(cohort.names("table")) <= {"age", "dead"}
    assert "split" in told


@pytest.mark.parametrize("make", [images, clinical])
def test_a_strange_word_or_a_gap_is_refused_and_nothing_is_written(tmp_path, make):
    for number, (words, said) in enumerate([(("train", "tset"), "says tset in row 3"), (("", "test"), "says nothing")]):
        with pytest.raises(ScanweaveError, match=said):
            brought(make(tmp_path / "src", "split", words), tmp_path / f"cohort{number}")
        assert not (tmp_path / f"cohort{number}").exists()


@pytest.mark.parametrize("make", [images, clinical])
def test_two_such_columns_are_asked_about(tmp_path, make):
    src = make(tmp_path / "src", "split,usage", ("train,test", "test,train"))
    with pytest.raises(ScanweaveError, match="split"):
        brought(src, tmp_path / "cohort")
    cohort, _ = brought(src, tmp_path / "cohort", "usage=-")
    assert cohort.held_out == PATIENTS[1::2]


@pytest.mark.parametrize("make", [images, clinical])
def test_the_user_has_the_last_word(tmp_path, make):
    cohort, _ = brought(make(tmp_path / "src", "split", ("train", "test")), tmp_path / "cohort", "split=feature")
    assert "split" not in cohort.frame
    assert "split" in cohort.names("table")


@pytest.mark.parametrize("make", [images, clinical])
def test_numbers_of_folds_are_no_variable(tmp_path, make):
    cohort, told = brought(make(tmp_path / "src", "Fold", ("0", "1", "2")), tmp_path / "cohort")
    assert "fold" not in cohort.names("table")
    assert "numbers folds" in told


def test_a_category_beside_a_word_of_a_part_stays_a_variable():
    assert not says_split("result", ["test", "control"])
    assert not says_split("series", ["train", "train"])
    assert not says_split("te", ["TE", "TR"])
    assert says_split("cohort", ["Train", "Validation"])


@pytest.mark.parametrize(
    ("word", "part"),
    [("Training cohort", "train"), ("VAL", "validation"), ("held-out", "test"), ("control", None), ("", None)],
)
def test_words(word, part):
    assert part_of_word(word) == part


def test_a_manifest_with_another_word_is_refused(tmp_path):
    table = {"study": ["a", "b"], "patient": ["a", "b"], "table:age": [1, 2], "split": ["train", "Test"]}
    pq.write_table(pa.table(table), tmp_path / "manifest.parquet")
    about = {"format": 1, "name": "x", "source": "x", "layout": "table", "root": "."}
    (tmp_path / "cohort.json").write_text(json.dumps(about))
    with pytest.raises(ScanweaveError, match="column 'split' says 'Test'"):
        Cohort.open(tmp_path)


def test_a_clinical_table_in_excel_is_heeded_too(tmp_path):
    frame = pd.read_csv(clinical(tmp_path / "src", "Set", ("Train", "Test")))
    frame.to_excel(tmp_path / "labs.xlsx", index=False)
    cohort, _ = brought(tmp_path / "labs.xlsx", tmp_path / "cohort")
    assert cohort.held_out == PATIENTS[1::2]
    assert [c.source for c in read_schema(cohort.folder).of_role("split")] == ["Set"]


def dataset(folder, lists, *more):
    """A dataset as the Decathlon's, with the files of its lists and more."""
    for entries in lists.values():
        for entry in entries:
            path = folder / (entry["image"] if isinstance(entry, dict) else entry)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    for name in more:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    (folder / "dataset.json").write_text(json.dumps({"modality": {"0": "CT"}, **lists}))
    return folder


def test_lists_for_validation_are_taken_in(tmp_path):
    lists = {
        "training": [{"image": "imagesTr/a.nii.gz"}],
        "val": [{"image": "imagesVa/b.nii.gz"}],
        "validation": ["imagesVa/c.nii.gz"],
        "testing": ["imagesTs/d.nii.gz"],
    }
    listing = list_studies(dataset(tmp_path, lists))
    found = {name: row["split"] for name, row in listing.studies.items()}
    assert found == {"a": "train", "b": "validation", "c": "validation", "d": "test"}


def test_lists_and_files_that_are_not_taken_in_are_told(tmp_path):
    lists = {
        "training": [{"image": "imagesTr/a.nii.gz", "fold": 0}],
        "unlabelled": [{"image": "imagesUn/b.nii.gz"}],
    }
    told = "\n".join(list_studies(dataset(tmp_path, lists, "imagesVa/z.nii.gz")).report())
    assert "the list 'unlabelled'" in told
    assert "in no list of dataset.json: imagesUn/b.nii.gz, imagesVa/z.nii.gz" in told
    assert "folds in dataset.json are not used" in told


def test_folders_for_validation_are_taken_in(tmp_path):
    for name in ("imagesTr/a_0000", "imagesVa/b_0000", "imagesTs/c_0000", "labelsVa/b", "imagesXx/d_0000"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.nii.gz").write_bytes(b"")
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1"}}))
    listing = list_studies(tmp_path)
    found = {name: row["split"] for name, row in listing.studies.items()}
    assert found == {"a": "train", "b": "validation", "c": "test"}
    assert listing.studies["b"]["mask:label"] == "labelsVa/b.nii.gz"
    assert any("imagesXx" in line for line in listing.report())


def test_pairs_of_folders_for_validation_are_taken_in(tmp_path):
    for part in ("Tr", "Va", "Ts"):
        for kind in ("images", "labels"):
            (tmp_path / f"{kind}{part}").mkdir()
            (tmp_path / f"{kind}{part}" / f"{part.lower()}1.png").write_bytes(b"")
    listing = list_studies(tmp_path, layout="pairs")
    assert {name: row["split"] for name, row in listing.studies.items()} == {
        "tr1": "train",
        "va1": "validation",
        "ts1": "test",
    }
    assert all(row["mask:label"] for row in listing.studies.values())
