"""Cohorts are prepared a study at a time into new files, and what was made of them comes back."""

import hashlib

import numpy as np
import pytest

import scanweave as sw
from scanweave.cli.main import main
from scanweave.errors import ScanweaveError
from scanweave.studies.boxes import Boxes
from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.formats.json_boxes import write_box_json
from scanweave.studies.preparing.transforms import RigidTransform, displacement_mm
from scanweave.studies.scan import Scan

pytest.importorskip("SimpleITK")
pytest.importorskip("nilearn")
FAST = {"spacing_mm": 4.0}
SHIFT = np.array([5.0, -7.0, 6.0])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two studies; the header of the second's t2 and of its lesion mask is wrong by `SHIFT`; a third is empty."""
    folder = tmp_path_factory.mktemp("source")
    sw.simulate_brain(folder / "sim", subjects=2, seed=5, spacing=4.0, sequences=("t1", "t2"), lesion_share=1.0)
    rows = []
    for number, name in enumerate(("sub-000000", "sub-000001")):
        row = {"study": name, "patient": f"p{number}", "label:grade": number, "report": f"{name}.txt", "split": "train"}
        (folder / f"{name}.txt").write_text("a report")
        for kind, image in (("scan", "t1"), ("scan", "t2"), ("mask", "t2")):
            file = "lesion" if kind == "mask" else image
            scan = read_scan(folder / "sim" / "studies" / name / f"{file}.nii.gz")
            affine = scan.geometry.affine.copy()
            affine[:3, 3] += SHIFT * (number == 1 and image == "t2")
            path = f"{name}_{kind}_{image}.nii.gz"
            write_scan(folder / path, Scan.of(scan.data, affine))
            row[f"{kind}:{image}"] = path
        rows.append(row)
    write_scan(folder / "empty.nii.gz", Scan.of(np.zeros((20, 20, 20), np.int16), np.eye(4)))
    rows.append(
        {"study": "void", "patient": "p2", "scan:t1": "empty.nii.gz", "scan:t2": "empty.nii.gz", "split": "test"}
    )
    return sw.Cohort.create(folder / "cohort", rows, root="..", name="two", source="here", layout="table")


@pytest.fixture(scope="module")
def prepared(source, tmp_path_factory):
    files = sorted(source.root.glob("*.nii.gz"))
    before = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    lines = []
    out = tmp_path_factory.mktemp("prepared") / "new"
    done = sw.prepare_cohort(source, out, register_scans=True, registration=FAST, say=lines.append)
    assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in files] == before
    return done, lines


def test_a_wrong_header_is_mended_and_a_failure_is_told(source, prepared):
    done, lines = prepared
    assert done.made == ["sub-000000", "sub-000001"]
    assert list(done.failed) == ["void"]
    assert any(line.startswith("error: void") for line in lines)
    assert any("sub-000001 · t1: reference: finest T1" in line for line in lines)
    place = RigidTransform.load(done.folder / "transforms" / "sub-000001" / "t2.json")
    points = np.array(np.meshgrid([-40, 40], [-60, 40], [-20, 50])).reshape(3, -1).T
    wrong = np.eye(4)
    wrong[:3, 3] = -SHIFT
    assert displacement_mm(place.matrix, wrong, points).mean() < 0.5
    new, old = sw.Cohort.open(done.folder), source
    assert new["sub-000001"].labels == {"grade": 1}
    assert new["sub-000001"].report.text == "a report"
    assert list(new.frame["split"]) == ["train", "train"]
    assert {column for column in new.frame if ":" in column} == {column for column in old.frame if ":" in column}
    row = done.table.query("study == 'sub-000001' and scan == 't2'").iloc[0]
    assert row["metric_after"] > row["metric_before"]
    assert row["moved_mm"] == pytest.approx(np.linalg.norm(SHIFT), abs=0.5)
    assert (done.folder / "pictures" / "sub-000001.png").stat().st_size > 10_000


def test_a_mask_follows_its_scan_and_keeps_its_values(source, prepared):
    new, old = sw.Cohort.open(prepared[0].folder)["sub-000001"], source["sub-000001"]
    mask, before = new.masks["t2"], old.masks["t2"]
    assert mask.geometry.matches(new["t1"].geometry)
    assert set(np.unique(mask.data)) <= set(np.unique(before.data))
    # on the grid of t1 the voxels are those that the simulator drew, to within the registration
    apart = (np.asarray(mask.data) > 0) != (np.asarray(before.data) > 0)
    assert apart.sum() < 0.15 * (np.asarray(before.data) > 0).sum()


def test_the_same_call_goes_on_and_another_is_refused(source, prepared):
    folder = prepared[0].folder
    file = folder / "studies" / "sub-000000" / "t2.nii.gz"
    before = file.stat().st_mtime_ns
    again = sw.prepare_cohort(source, folder, register_scans=True, registration=FAST, say=lambda line: None)
    assert file.stat().st_mtime_ns == before
    assert again.made == prepared[0].made
    with pytest.raises(ScanweaveError, match="prepared in another way"):
        sw.prepare_cohort(source, folder, register_scans=True, bias=True, registration=FAST)


def test_processes_change_nothing(source, prepared, tmp_path):
    names = ["sub-000000", "sub-000001"]
    sw.prepare_cohort(
        source, tmp_path / "new", studies=names, workers=2, register_scans=True, registration=FAST, say=str
    )
    for name in names:
        for file in ("studies/{}/t2.nii.gz", "transforms/{}/t2.json"):
            one, other = (folder / file.format(name) for folder in (prepared[0].folder, tmp_path / "new"))
            assert one.read_bytes() == other.read_bytes()


def test_what_was_made_comes_back_to_the_native_grid(source, prepared, tmp_path):
    done = prepared[0]
    back = sw.restore_cohort(done.folder, done.folder, tmp_path / "back")
    native, made = source["sub-000001"], back["sub-000001"]
    assert made["t2"].geometry.matches(native["t2"].geometry)
    assert made.masks["t2"].geometry.matches(native["t2"].geometry)
    one, other = np.asarray(native["t2"].data, float), np.asarray(made["t2"].data, float)
    brain = one > 0
    assert np.corrcoef(one[brain], other[brain])[0, 1] > 0.9
    with pytest.raises(ScanweaveError, match="not made by cohort prepare"):
        sw.restore_cohort(done.folder, tmp_path, tmp_path / "other")


def test_own_grids_are_moved_by_their_header_alone(source, tmp_path):
    done = sw.prepare_cohort(
        source, tmp_path / "new", studies=["sub-000001"], register_scans=True, grid="own", registration=FAST, say=str
    )
    made, native = sw.Cohort.open(done.folder)["sub-000001"]["t2"], source["sub-000001"]["t2"]
    np.testing.assert_array_equal(made.data, native.data)
    assert np.abs(made.geometry.affine[:3, 3] + SHIFT - native.geometry.affine[:3, 3]).max() < 1.0


def test_visits_are_brought_to_the_first(source, tmp_path):
    frame = source.frame.iloc[[1]].to_dict("records")
    later = {**frame[0], "study": "later", "scan:t1": frame[0]["scan:t2"], "scan:t2": None, "mask:t2": None}
    box = Boxes([[[-10.0, -20.0, 0.0], [15.0, 5.0, 12.0]]], ("lesion",), "mm")
    write_box_json(source.root / "later_boxes.json", box)
    later["boxes"] = "later_boxes.json"
    rows = [{**frame[0], "scan:t2": None, "mask:t2": None}, later]
    cohort = sw.Cohort.create(
        tmp_path / "c", rows, root=str(source.root.resolve()), name="v", source="v", layout="table"
    )
    lines = []
    done = sw.prepare_cohort(cohort, tmp_path / "new", across_visits=True, registration=FAST, say=lines.append)
    place = RigidTransform.load(done.folder / "transforms" / "later" / "t1.json")
    assert place.fixed == "sub-000001/t1"
    assert place.matrix[:3, 3] == pytest.approx(-SHIFT, abs=1.0)
    made = sw.Cohort.open(done.folder)["later"].boxes
    np.testing.assert_allclose(made.corners, box.moved(place.matrix).corners, atol=1e-6)
    assert any(line.startswith("later · boxes: 1 box moved with t1, turned by") for line in lines)
    back = sw.restore_cohort(done.folder, done.folder, tmp_path / "back")["later"].boxes.corners[0]
    assert (back[0] <= box.corners[0, 0] + 1e-6).all()  # what was drawn lies in what comes back
    assert (back[1] >= box.corners[0, 1] - 1e-6).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "nothing is asked for"),
        ({"strip": True, "bias": True}, "needs the brain mask"),
        ({"bias": True, "registration": {"spacing_mm": 3.0}}, "--spacing: has no effect: nothing is registered"),
        ({"bias": True, "registration": {"seed": 3}}, "--seed: has no effect: nothing is drawn"),
        ({"bias": True, "grid": "own", "reference": "t1"}, "--reference: has no effect: each scan keeps"),
        ({"bias": True, "reference": "t9"}, "no study has"),
        ({"bias": True, "grid": "x"}, "grid"),
        ({"bias": True, "studies": ["nobody"]}, "no study or patient"),
    ],
)
def test_mistakes_are_told(source, tmp_path, settings, words):
    with pytest.raises(ScanweaveError, match=words):
        sw.prepare_cohort(source, tmp_path / "new", **settings)
    assert not (tmp_path / "new").exists()


def test_the_command_says_what_failed(source, tmp_path, capsys):
    words = ["cohort", "prepare", str(source.folder), "--out", str(tmp_path / "new"), "--register", "--spacing", "4"]
    assert main(words) == 1
    assert "1 failed" in capsys.readouterr().out
    assert (
        main(
            [
                "cohort",
                "restore",
                str(tmp_path / "new"),
                "--prepared",
                str(tmp_path / "new"),
                "--out",
                str(tmp_path / "b"),
            ]
        )
        == 0
    )
