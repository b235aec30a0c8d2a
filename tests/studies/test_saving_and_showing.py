"""Scans and studies are saved by one call, and a notebook shows them with a picture."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.studies.boxes import Boxes
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.previews import SIDE_PIXELS, middle_slice
from scanweave.studies.reports import parse_report
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

AFFINE = np.array([[-2.0, 0, 0, 10], [0, 3.0, 0, -5], [0, 0, 4.0, 7], [0, 0, 0, 1]])


def ramp(**how: bool) -> Scan:
    """A scan of the shape (8, 6, 5), brighter towards the front."""
    return Scan.of(np.broadcast_to(np.arange(6.0)[None, :, None], (8, 6, 5)).astype(np.float32), AFFINE, **how)


def pictures(html: str) -> list[Image.Image]:
    """Return the pictures of a page."""
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


def test_a_scan_is_saved_as_it_is(tmp_path: Path) -> None:
    path = ramp().save(tmp_path / "t1.nii.gz")
    again = read_scan(path)
    assert np.array_equal(again.data, ramp().data)
    assert np.allclose(again.geometry.affine, AFFINE)
    with pytest.raises(ScanweaveError, match="written as NIfTI"):
        ramp().save(tmp_path / "t1.png")


def test_a_study_is_saved_whole(tmp_path: Path) -> None:
    study = Study(
        "s1",
        "p1",
        {"t1": ramp(), "flair": ramp(synthetic=True)},
        {"brain": ramp()},
        boxes=Boxes(np.array([[[1.0, 2.0], [3.0, 4.0]]]), ("mass",)),
        report=parse_report("FINDINGS: clear."),
        labels={"grade": 3},
        embeddings={"e": np.ones(4, np.float32)},
        table={"age": 50.5},
    )
    folder = study.save(tmp_path / "out")
    told = json.loads((folder / "study.json").read_text())
    assert told["labels"] == {"grade": 3}
    assert told["table"] == {"age": 50.5}
    assert told["files"]["scan:t1"] == "s1_t1.nii.gz"
    assert "synthetic" in told["files"]["scan:flair"]
    assert set(told["files"]) == {"scan:t1", "scan:flair", "mask:brain", "boxes", "report", "embedding:e"}
    names = {path.name for path in folder.iterdir()}
    assert names == {*told["files"].values(), "study.json"}
    assert np.array_equal(read_scan(folder / "s1_t1.nii.gz").data, ramp().data)
    with pytest.raises(ScanweaveError, match="cannot be written"):
        study.save(folder)
    assert {path.name for path in folder.iterdir()} == names


def test_a_scan_and_a_mask_of_one_name_stay_apart(tmp_path: Path) -> None:
    folder = Study("s", "p", {"ct": ramp()}, {"ct": ramp()}).save(tmp_path / "out")
    assert len(list(folder.glob("*.nii.gz"))) == 2


def test_the_picture_is_in_true_proportions_with_the_front_on_top() -> None:
    picture = middle_slice(ramp())
    assert max(picture.size) == SIDE_PIXELS
    assert picture.size[0] / picture.size[1] == pytest.approx(8 * 2 / (6 * 3), rel=0.02)
    values = np.asarray(picture)
    assert values[0].mean() > values[-1].mean() + 100


def test_left_and_right_are_as_in_radiology() -> None:
    data = np.zeros((8, 6, 5), np.float32)
    data[0] = 1.0  # the first axis runs to the left here, so this is the right side of the patient
    values = np.asarray(middle_slice(Scan.of(data, AFFINE)))
    assert values[:, 5].mean() > values[:, -5].mean() + 100


def test_notebooks_show_studies_and_cohorts(tmp_path: Path) -> None:
    study = Study("s1", "p<1>", {"t1": ramp(), "t2": ramp()}, {"brain": ramp()}, labels={"a": "<b>"})
    html = study._repr_html_()
    assert len(pictures(html)) == 3
    assert "<b>" not in html.replace("<b>Study s1</b>", "")
    assert len(pictures(ramp()._repr_html_())) == 1
    ramp().save(tmp_path / "t1.nii.gz")
    rows = [{"study": "s1", "patient": "p1", "scan:t1": "t1.nii.gz"}]
    cohort = Cohort.create(tmp_path / "c", rows, root=tmp_path, name="c", source="s", layout="table")
    assert len(pictures(cohort._repr_html_())) == 1
    (tmp_path / "t1.nii.gz").unlink()
    assert "no such file" in cohort._repr_html_()


def test_notebooks_show_runs(tmp_path: Path) -> None:
    with Run.start(tmp_path / "run", "any", {"preset": "small"}) as run:
        assert "no metrics yet" in run._repr_html_()
        run.log(1, "train", {"loss": 2.0})
        run.log(2, "validation", {"psnr": 20.0})
        run.log(4, "validation", {"psnr": 25.0})
    html = Run.open(tmp_path / "run")._repr_html_()
    assert "psnr, validation" in html
    points = re.search(r'points="([^"]+)"', html)
    assert points is not None
    (_, low), (_, high) = (pair.split(",") for pair in points[1].split())
    assert float(low) > float(high)  # y grows downwards
    assert "stopped" in html
