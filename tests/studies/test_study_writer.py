"""Results of a study are written by kind, and a cohort of them opens."""

from __future__ import annotations

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.boxes import Boxes
from scanweave.studies.checks.cohort_check import check_study
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.embedding_files import read_embedding
from scanweave.studies.formats.study_writer import write_study
from scanweave.studies.reports import Report
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

GRID = np.diag([9.0, 9.0, 9.0, 1.0])


def test_every_kind_comes_back_as_it_was_made(tmp_path):
    image = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    boxes = Boxes(np.array([[[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]]), ("x",), "mm", scores=np.array([0.5]))
    made = Study(
        "s",
        "p",
        scans={"t1": Scan.of(image, GRID, synthetic=True)},
        masks={"lesion": Scan.of((image > 0).astype(np.uint8), GRID)},
        boxes=boxes,
        report=Report("Clear."),
        embeddings={"view": np.arange(4.0)},
    )
    files = write_study(tmp_path, made, lambda name: {"target": name})
    assert set(files) == {"scan:t1", "mask:lesion", "boxes", "report", "embedding:view"}
    row = {"study": "s", "patient": "p", **files}
    back = Cohort.create(tmp_path, [row], root=".", name="c", source="x", layout="predictions")["s"]
    np.testing.assert_array_equal(back["t1"].data, image)
    assert back["t1"].synthetic
    np.testing.assert_array_equal(back.masks["lesion"].data, image > 0)
    np.testing.assert_array_equal(back.embeddings["view"], np.arange(4.0))
    assert back.report.text == "Clear."
    assert (back.boxes.unit, back.boxes.labels, back.boxes.scores.tolist()) == ("mm", ("x",), [0.5])
    np.testing.assert_array_equal(back.boxes.corners, boxes.corners)
    assert check_study(row, tmp_path).status == "ok"


def test_no_box_is_an_answer_and_not_annotated_is_none(tmp_path):
    files = write_study(tmp_path, Study("s", "p", boxes=Boxes(size=(4, 3))), lambda name: {})
    rows = [{"study": "s", "patient": "p", **files}, {"study": "t", "patient": "p", "boxes": None}]
    back = Cohort.create(tmp_path, rows, root=".", name="c", source="x", layout="predictions")
    assert (len(back["s"].boxes), back["s"].boxes.size) == (0, (4, 3))
    assert back["t"].boxes is None
    assert not back["s"].is_empty
    assert back["t"].is_empty


def test_what_was_not_made_is_not_written(tmp_path):
    assert write_study(tmp_path, Study("s", "p", labels={"x": 1}), lambda name: {}) == {}
    assert not list(tmp_path.iterdir())


def test_bad_embeddings_are_found(tmp_path):
    np.save(tmp_path / "nan.npy", np.array([1.0, np.nan]))
    np.save(tmp_path / "two.npy", np.zeros((2, 2)))
    for name in ("nan.npy", "two.npy"):
        assert check_study({"study": "s", "patient": "p", "embedding:e": name}, tmp_path).status == "refused"
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(ScanweaveError, match=r"text\.npy"):
        read_embedding(tmp_path / "text.npy")
