import os
from pathlib import Path

import pytest

from scanweave.engine.image_states import image_states
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort


def make_cohort(folder: Path) -> Cohort:
    folder.mkdir()
    rows = []
    for study in ("P01", "P02"):
        for name in ("t1", "t2", "seg"):
            (folder / f"{study}_{name}.nii").write_bytes(b"image")
        rows.append({"study": study, "patient": study, "scan:t1": f"{study}_t1.nii", "scan:t2": f"{study}_t2.nii#0"})
    rows[0]["scan:t2"] = None
    rows[1]["mask:seg"] = "P02_seg.nii"
    return Cohort.create(folder, rows, root=".", name="c", source="test", layout="table")


def start(cohort: Cohort, folder: Path) -> None:
    Run.start(folder, "tiny", {}, inputs=image_states(cohort, ["scan:t1", "scan:t2"])).close()


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"other"), os.utime, os.unlink])
def test_an_image_that_changes_between_two_starts_is_named(tmp_path: Path, change: object) -> None:
    cohort = make_cohort(tmp_path / "cohort")
    start(cohort, tmp_path / "run")
    start(cohort, tmp_path / "run")
    known = Run.open(tmp_path / "run").inputs or {}
    assert {
        patient: {study: set(images) for study, images in studies.items()} for patient, studies in known.items()
    } == {
        "P01": {"P01": {"t1"}},
        "P02": {"P02": {"t1", "t2"}},
    }
    change(tmp_path / "cohort" / "P02_t2.nii")  # type: ignore[operator]
    with pytest.raises(ScanweaveError, match=r"P02: t2 changed since this run began"):
        start(cohort, tmp_path / "run")


def test_what_is_not_learnt_from_and_where_the_cohort_lies_may_change(tmp_path: Path) -> None:
    start(make_cohort(tmp_path / "cohort"), tmp_path / "run")
    (tmp_path / "cohort" / "P02_seg.nii").write_bytes(b"another mask")
    (tmp_path / "cohort").rename(tmp_path / "moved")
    start(Cohort.open(tmp_path / "moved"), tmp_path / "run")


@pytest.mark.parametrize("content", ["[]", '{"P01": 5}', '{"P01": {"P01": {"t1": "x"}}}', "{"])
def test_a_damaged_list_of_images_is_one_line(tmp_path: Path, content: str) -> None:
    cohort = make_cohort(tmp_path / "cohort")
    start(cohort, tmp_path / "run")
    (tmp_path / "run" / "inputs.json").write_text(content)
    with pytest.raises(ScanweaveError, match=r"inputs\.json: "):
        start(cohort, tmp_path / "run")
