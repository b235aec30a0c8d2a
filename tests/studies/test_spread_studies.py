"""A study may be spread over several sources; what they say of one thing must agree."""

import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.layouts import list_studies


def folder(path, name, *cases):
    (path / name).mkdir()
    for case in cases:
        (path / name / f"{case}_{name}.nii.gz").write_bytes(b"")
    return path / name


def test_a_folder_a_sequence(tmp_path):
    sources = [folder(tmp_path, "t1", "a", "b"), folder(tmp_path, "flair", "b", "c")]
    rows = list_studies(sources).rows()
    there = {row["study"]: (row["scan:t1"], row["scan:flair"]) for row in rows}
    assert there == {
        "a": ("t1/a_t1.nii.gz", None),
        "b": ("t1/b_t1.nii.gz", "flair/b_flair.nii.gz"),
        "c": (None, "flair/c_flair.nii.gz"),
    }


def test_a_table_of_variables_beside_the_images(tmp_path):
    (tmp_path / "t.csv").write_text("case;dose;group\na;1,037;Test\nb;20,55;Train\n")
    rows = list_studies([folder(tmp_path, "t1", "a", "b"), tmp_path / "t.csv"]).rows()
    assert [(row["table:dose"], row["split"]) for row in rows] == [(1.037, "test"), (20.55, "train")]


def test_one_image_in_two_sources_is_a_clash(tmp_path):
    first = folder(tmp_path, "t1", "a")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a_t1.nii.gz").write_bytes(b"")
    with pytest.raises(ScanweaveError, match="both 't1/a_t1.nii.gz' and 'more/a_t1.nii.gz' are t1"):
        list_studies([first, tmp_path / "more"]).rows()


def test_two_parts_of_one_study_are_refused(tmp_path):
    for name, part in (("x", "train"), ("y", "test")):
        (tmp_path / f"{name}.nii.gz").write_bytes(b"")
        (tmp_path / f"{name}.csv").write_text(f"case,{'t1' if name == 'x' else 't2'},split\na,{name}.nii.gz,{part}\n")
    with pytest.raises(ScanweaveError, match="is of split 'test' here and of 'train' in another source"):
        list_studies([tmp_path / "x.csv", tmp_path / "y.csv"])
