"""Series come in as one scan: a 4D file, a file a frame, a BIDS run; with the times and b-values that files tell."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scanweave.cli.cohort import ImportCohort, ShowCohort
from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.file_states import file_state
from scanweave.studies.formats.image_names import frame_cell, frame_files
from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.layouts import import_cohort, list_studies, parse_series
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

AFFINE = np.diag([9.0, 9.0, 9.0, 1.0])
SHAPE = (4, 5, 6)


def empty(folder, *files):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def volume(path, value=0.0, affine=AFFINE, shape=SHAPE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.full(shape, value, dtype=np.float32), affine), path)
    return path


def series(path, frames=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(frames).uniform(0, 9, (*SHAPE, frames)).astype(np.float32)
    nib.save(nib.Nifti1Image(data, AFFINE), path)
    return path


def scans(src, **options):
    found = list_studies(src, **options).rows()
    return {row["study"]: {k: v for k, v in row.items() if k[:5] == "scan:" and v is not None} for row in found}


def told(src, **options):
    return "\n".join(list_studies(src, **options).report())


# A file a frame


def test_frames_are_joined_in_the_order_of_their_numbers(tmp_path):
    empty(tmp_path, *(f"P1/P1_dce_t{t}.nii.gz" for t in (10, 0, 2, 1)), "P1/P1_t1.nii.gz")
    listed = "P1/P1_dce_t0.nii.gz;P1_dce_t1.nii.gz;P1_dce_t2.nii.gz;P1_dce_t10.nii.gz"
    options = {"series": {"dce": "*_dce_*"}}
    assert scans(tmp_path, **options) == {"P1": {"scan:t1": "P1/P1_t1.nii.gz", "scan:dce": listed}}
    assert "scan:dce ← 4 frames in a file each" in told(tmp_path, **options)
    assert "passed over" not in told(tmp_path, **options)


@pytest.mark.parametrize(
    ("files", "pattern", "study"),
    [
        (["DUKE_001/duke_001_0000.nii.gz", "DUKE_001/duke_001_0001.nii.gz"], "*_000?", "DUKE_001"),
        (["P1/dce/t0.nii.gz", "P1/dce/t1.nii.gz"], "dce/t*", "P1"),
        (["P1/dce/ph0/x.nii.gz", "P1/dce/ph1/x.nii.gz"], "dce/ph*/x", "P1"),
        (["P1_DCE_0.nii.gz", "P1_DCE_1.nii.gz"], "*_dce_*", "P1"),
        (["P1_DCE_0.nii.gz", "P1_DCE_1.nii.gz"], "*_dce_*.nii.gz", "P1"),
        (["DCE/P1_0.nrrd", "DCE/P1_1.nrrd", "T1/P1.nrrd"], "dce/*_*", "P1"),
    ],
)
def test_a_pattern_finds_frames_wherever_they_lie(files, pattern, study, tmp_path):
    found = scans(
        empty(tmp_path, *files),
        layout=None if len(files) > 2 or "/" not in files[0] else "folders",
        series={"dce": pattern},
    )
    assert found[study]["scan:dce"] == frame_cell([file for file in files if not file.startswith("T1/")])
    assert list(found) == [study]


def test_channels_of_nnunet_can_be_frames(tmp_path):
    empty(tmp_path, *(f"imagesTr/DUKE_001_{k:04}.nii.gz" for k in range(3)), "labelsTr/DUKE_001.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "pre"}, "labels": {"tumour": 1}}))
    (found,) = scans(tmp_path, series={"dce": "*_000?"}).values()
    assert len(frame_files(found["scan:dce"])) == 3


def test_label_maps_and_what_is_named_otherwise_are_no_frames(tmp_path):
    others = ("P1_dce_mask", "P1_dce_t0_seg", "P1_dce_ktrans")
    empty(tmp_path, *(f"P1/P1_dce_t{t}.nii.gz" for t in (0, 1)), *(f"P1/{name}.nii.gz" for name in others))
    options = {"series": {"dce": "*_dce_*"}}
    assert scans(tmp_path, **options)["P1"]["scan:dce"] == "P1/P1_dce_t0.nii.gz;P1_dce_t1.nii.gz"
    assert "differs by more than one number from those of frames: P1/P1_dce_ktrans.nii.gz" in told(tmp_path, **options)


@pytest.mark.parametrize(
    "names",
    [("dce_1_a", "dce_1_b"), ("dce_1", "dce_01"), ("dce_1_1", "dce_2_2"), ("dce_a1", "dce_a2", "dce_b1", "dce_b2")],
)
def test_frames_whose_order_is_not_known_are_left_out_and_told(names, tmp_path):
    empty(tmp_path, "P1/t1.nii.gz", *(f"P1/{name}.nii.gz" for name in names))
    options = {"series": {"dce": "dce_*"}}
    assert scans(tmp_path, **options) == {"P1": {"scan:t1": "P1/t1.nii.gz"}}
    assert "differs by more than one number" in told(tmp_path, **options)


def test_one_frame_alone_is_a_volume_and_a_4d_file_beside_frames_a_doubt(tmp_path):
    empty(tmp_path, "P1/dce_1.nii.gz", "P2/dce.nii.gz", "P2/dce_1.nii.gz", "P2/dce_2.nii.gz", "P2/t1.nii.gz")
    options = {"series": {"dce": "dce_*"}}
    assert scans(tmp_path, **options) == {"P1": {"scan:dce": "P1/dce_1.nii.gz"}, "P2": {"scan:t1": "P2/t1.nii.gz"}}
    assert "several of one study are dce: P2" in told(tmp_path, **options)


def test_the_import_says_how_frames_are_joined(tmp_path):
    empty(tmp_path, "P1/P1_t1.nii.gz", *(f"P1/P1_dce_ph{t}.nii.gz" for t in (1, 2)))
    assert "join them: --series 'dce=*_dce_ph*'" in told(tmp_path)
    assert len(frame_files(scans(tmp_path, series=parse_series("dce=*_dce_ph*"))["P1"]["scan:dce"])) == 2
    runs = empty(
        tmp_path / "bids", *(f"sub-1/dwi/sub-1_run-{k}_dwi.nii.gz" for k in (1, 2)), "sub-1/anat/sub-1_T1w.nii.gz"
    )
    assert "--series" not in told(runs)
    assert "several of one study are dwi" in told(runs)


def test_a_pattern_that_fits_nothing_or_says_nothing_is_refused(tmp_path):
    empty(tmp_path, "P1/t1.nii.gz")
    with pytest.raises(ScanweaveError, match=r"--series: 'dce=\*_dyn_\*' fits no file"):
        list_studies(tmp_path, series={"dce": "*_dyn_*"})
    with pytest.raises(ScanweaveError, match="could be of dce and dyn"):
        list_studies(tmp_path, series={"dce": "t*", "dyn": "t1"})
    for text in ("dce", "dce=", "=*", "a/b=*", "dce=a*,dce=b*"):
        with pytest.raises(ScanweaveError, match="--series"):
            parse_series(text)
    assert parse_series(" dce = *_dce_* ,dwi=*_b[0-9]*") == {"dce": "*_dce_*", "dwi": "*_b[0-9]*"}


def test_the_command_joins_frames_and_shows_how_many(tmp_path, capsys):
    for number in (0, 1, 2):
        volume(tmp_path / f"src/P1/P1_dce_{number}.nii.gz", number)
    series(tmp_path / "src/P1/P1_dwi.nii.gz", 4)
    volume(tmp_path / "src/P1/P1_t1.nii.gz")
    (tmp_path / "src/P2").mkdir()
    (tmp_path / "src/P2/P2_t1.nii.gz").write_bytes(b"damaged")
    assert ImportCohort((tmp_path / "src",), tmp_path / "c", series="dce=*_dce_*").run() == 0
    assert ShowCohort(tmp_path / "c").run() == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["P1", "P1", "✓", "4", "frames", "3", "frames"] in rows
    assert ["P2", "P2", "✓", "·", "·"] in rows
    dce = Cohort.open(tmp_path / "c")["P1"]["dce"]
    assert (dce.frames, dce.what, dce.times, dce.b_values) == (3, "series", None, None)
    assert dce.data[1, 2, 3].tolist() == [0, 1, 2]
    assert dce.channel(2).data[0, 0, 0] == 2


def test_a_table_lists_the_frames_of_a_series_in_their_order(tmp_path):
    for number in (0, 1):
        volume(tmp_path / f"a/x{number}.nii.gz", number)
    volume(tmp_path / "b/y.nii.gz", 2)
    stack = nib.Nifti1Image(np.stack([np.full(SHAPE, k, np.float32) for k in (3, 4)], axis=-1), AFFINE)
    nib.save(stack, tmp_path / "b/stack.nii.gz")
    table = tmp_path / "t.csv"
    cells = ["a/x1.nii.gz; b/y.nii.gz;a/x0.nii.gz", "b/stack.nii.gz#1;b/y.nii.gz", "a/x0.nii.gz"]
    table.write_text("case,scan:dce\n" + "".join(f"k{k},{cell}\n" for k, cell in enumerate(cells)))
    cohort = import_cohort(table, tmp_path / "c", say=str)
    values = {study.id: np.atleast_1d(study["dce"].data[0, 0, 0]).tolist() for study in cohort}
    assert values == {"k0": [1, 2, 0], "k1": [4, 2], "k2": [0]}
    again = tmp_path / "again.csv"
    again.write_text(f"case,scan:dce\nk0,{cohort.frame['scan:dce'].iloc[0]}\n")
    assert scans(again)["k0"]["scan:dce"] == cohort.frame["scan:dce"].iloc[0]
    table.write_text("case,scan:dce\nk0,a/x1.nii.gz;a/x9.nii.gz\n")
    with pytest.raises(ScanweaveError, match=r"line 2, column scan:dce: no such file 'a/x9\.nii\.gz'"):
        list_studies(table)


def test_sources_in_several_folders_keep_their_frames(tmp_path):
    for name in ("one", "two"):
        for number in (0, 1):
            volume(tmp_path / name / name / f"dce_{number}.nii.gz", number)
    sources = [tmp_path / "one", tmp_path / "two"]
    cohort = import_cohort(sources, tmp_path / "c", layout="folders", series={"dce": "dce_?"}, say=str)
    assert [study["dce"].frames for study in cohort] == [2, 2]


def test_a_list_of_files_is_told_from_a_name_with_a_semicolon(tmp_path):
    assert frame_files("a;b/c.nii.gz") == ("a;b/c.nii.gz",)
    assert frame_files("x;y/c_0.nii.gz;c_1.nii.gz") == ("x;y/c_0.nii.gz", "x;y/c_1.nii.gz")
    assert frame_files("a.nii.gz;b.txt") == ("a.nii.gz;b.txt",)
    assert frame_files("d/c_0.nii.gz;../e/c_1.nii.gz#2") == ("d/c_0.nii.gz", "d/../e/c_1.nii.gz#2")
    cell = frame_cell(["d/c_0.nii.gz", "e/c_1.nii.gz"])
    assert [Path(file).resolve() for file in frame_files(tmp_path / cell)] == [
        (tmp_path / name).resolve() for name in ("d/c_0.nii.gz", "e/c_1.nii.gz")
    ]


def test_a_change_of_any_frame_is_a_change_of_the_series(tmp_path):
    cell = frame_cell([volume(tmp_path / f"c_{k}.nii.gz", k).name for k in (0, 1)])
    before = file_state(tmp_path / cell)
    volume(tmp_path / "c_1.nii.gz", 7, shape=(9, 9, 9))
    assert file_state(tmp_path / cell) != before


@pytest.mark.parametrize(
    ("affine", "shape", "words"),
    [
        (np.diag([9.0, 9.0, 8.0, 1.0]), SHAPE, "mm off"),
        (AFFINE, (4, 5, 7), "4×5×7, not 4×5×6"),
        (AFFINE, (*SHAPE, 2), "is a series, not one frame"),
    ],
)
def test_frames_that_are_not_alike_are_refused_in_one_line(affine, shape, words, tmp_path):
    volume(tmp_path / "c_0.nii.gz")
    volume(tmp_path / "c_1.nii.gz", affine=affine, shape=shape)
    with pytest.raises(ScanweaveError, match=rf"c_1\.nii\.gz: .*{words}"):
        read_scan(tmp_path / "c_0.nii.gz;c_1.nii.gz")


def test_frames_that_are_too_large_together_are_refused_unread(tmp_path, monkeypatch):
    files = [volume(tmp_path / f"c_{k}.nii.gz").name for k in range(3)]
    monkeypatch.setattr("scanweave.studies.formats.header_limits.MEMORY_BUDGET", 2 * 5 * np.prod(SHAPE))
    with pytest.raises(ScanweaveError, match="over the budget"):
        read_scan(tmp_path / frame_cell(files))


# Times and b-values


@pytest.mark.parametrize(
    ("name", "facts", "times"),
    [
        ("dce", {"VolumeTiming": [0, 5.5, 20]}, [0, 5.5, 20]),
        ("pet", {"FrameTimesStart": [0, 60, 300]}, [0, 60, 300]),
        ("sub-1_asl", {"RepetitionTimePreparation": 4.5}, [0, 4.5, 9]),
        ("sub-1_asl", {"RepetitionTimePreparation": [4, 5, 6]}, [0, 4, 9]),
        ("sub-1_task-x_bold", {"RepetitionTime": 2.5}, [0, 2.5, 5]),
        ("sub-1_task-x_bold", {"RepetitionTime": 2.5, "VolumeTiming": [1, 2, 4]}, [1, 2, 4]),
        ("dce", {"RepetitionTime": 0.004}, [0, 1, 2]),
        ("dce", {"EchoTime": 0.004}, [0, 1, 2]),
    ],
)
def test_times_are_those_of_the_file_beside_it_else_of_the_header(name, facts, times, tmp_path):
    """The repetition time of a gradient echo is that of one excitation, so it says nothing of frames."""
    path = series(tmp_path / f"{name}.nii.gz")
    (tmp_path / f"{name}.json").write_text(json.dumps(facts))
    scan = read_scan(path)
    np.testing.assert_allclose(scan.times, times)
    assert scan.notes == ()


def test_b_values_are_those_of_fsl(tmp_path):
    path = series(tmp_path / "dwi.nii.gz", 4)
    (tmp_path / "dwi.bval").write_text("0 50\t400 \n 800\n")
    assert read_scan(path).b_values.tolist() == [0, 50, 400, 800]
    assert read_scan(f"{path}#1").b_values is None
    assert read_scan(volume(tmp_path / "t1.nii.gz")).b_values is None


def test_files_of_a_bids_data_set_speak_for_all_that_have_their_entities(tmp_path):
    names = [
        "sub-1/ses-a/func/sub-1_ses-a_task-x_bold",
        "sub-1/ses-a/func/sub-1_ses-a_task-y_bold",
        "sub-1/ses-a/dwi/sub-1_ses-a_dwi",
    ]
    paths = [series(tmp_path / "ds" / f"{name}.nii.gz") for name in names]
    (tmp_path / "ds/task-x_bold.json").write_text('{"RepetitionTime": 2}')
    (tmp_path / "ds/sub-1/sub-1_task-x_bold.json").write_text('{"RepetitionTime": 3}')
    (tmp_path / "ds/dwi.bval").write_text("0 500 1000")
    (tmp_path / "bold.json").write_text('{"RepetitionTime": 9}')  # above the data set
    x, y, dwi = (read_scan(path) for path in paths)
    assert (x.times.tolist(), y.times.tolist(), dwi.b_values.tolist()) == ([0, 3, 6], [0, 1, 2], [0, 500, 1000])
    assert x.b_values is None


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("dwi.bval", "0 800", "dwi.bval: tells 2 b-values for 3 frames"),
        ("dwi.bval", "0 b50 800", "dwi.bval: holds a value that cannot be"),
        ("dwi.bval", "0 -50 800", "dwi.bval: holds a value that cannot be"),
        ("dwi.json", '{"VolumeTiming": [0, 1]}', "VolumeTiming of dwi.json: tells 2 times for 3 frames"),
        ("dwi.json", '{"VolumeTiming": 5}', "VolumeTiming of dwi.json: tells 1 time for 3 frames"),
        ("dwi.json", '{"FrameTimesStart": [0, NaN, 1]}', "dwi.json: FrameTimesStart holds a value that cannot be"),
        ("dwi.json", '{"FrameTimesStart": [0, true, 1]}', "dwi.json: FrameTimesStart holds a value that cannot be"),
        ("dwi.json", '{"FrameTimesStart": {"a": 1}}', "dwi.json: FrameTimesStart holds a value that cannot be"),
        ("dwi.json", '{"VolumeTiming": [', "dwi.json: not valid JSON"),
    ],
)
def test_what_does_not_fit_the_frames_is_told_and_not_used(file, text, words, tmp_path):
    path = series(tmp_path / "dwi.nii.gz")
    (tmp_path / file).write_text(text)
    scan = read_scan(path)
    (note,) = scan.notes
    assert note.status == "suspect"
    assert str(note).startswith(words)
    assert scan.b_values is None
    assert scan.times.tolist() == [0, 1, 2]


def test_of_a_file_a_frame_b_values_are_in_the_names_or_beside_each(tmp_path):
    named = [volume(tmp_path / f"P1_dwi_b{b}.nii.gz").name for b in (0, 50, 800)]
    assert read_scan(tmp_path / frame_cell(named)).b_values.tolist() == [0, 50, 800]
    for value, name in zip((5, 55, 805), named, strict=True):
        (tmp_path / name.replace(".nii.gz", ".bval")).write_text(f"{value}\n")
    assert read_scan(tmp_path / frame_cell(named)).b_values.tolist() == [5, 55, 805]
    alike = [volume(tmp_path / f"b1_{k}.nii.gz").name for k in (1, 2)]
    assert read_scan(tmp_path / frame_cell(alike)).b_values is None


def test_of_a_file_a_frame_times_are_those_of_each_or_listed_beside_the_first(tmp_path):
    files = [volume(tmp_path / f"dce_{k}.nii.gz") for k in range(3)]
    cell = tmp_path / frame_cell([file.name for file in files])
    clock = ("09:59:30.5", "10:00:30.5", "10:02:00.0")
    for file, time in zip(files, clock, strict=True):
        Path(str(file).replace(".nii.gz", ".json")).write_text(json.dumps({"AcquisitionTime": time}))
    np.testing.assert_allclose(read_scan(cell).times, [0, 60, 149.5])
    (tmp_path / "dce_1.json").write_text("{}")
    assert read_scan(cell).times is None
    (tmp_path / "dce_0.json").write_text(json.dumps({"VolumeTiming": [0, 70, 140]}))
    np.testing.assert_allclose(read_scan(cell).times, [0, 70, 140])
    (tmp_path / "dce_0.json").write_text(json.dumps({"VolumeTiming": [0, 70]}))
    (note,) = read_scan(cell).notes
    assert "tells 2 times for 3 frames" in str(note)


@pytest.mark.parametrize("times", [[0.0, 10.0, 20.0], [5.0, 10.0, 30.0], [3.0, 2.0, 1.0], None])
@pytest.mark.parametrize("b_values", [[0.0, 50.0, 1000.0], None])
def test_a_saved_series_keeps_times_and_b_values(times, b_values, tmp_path):
    data = np.random.default_rng(0).uniform(0, 9, (*SHAPE, 3)).astype(np.float32)
    scan = Scan.of(data, AFFINE, times=times, b_values=b_values)
    again = read_scan(scan.save(tmp_path / "a.nii.gz"))
    study = Study("s", "p", {"dce": scan}).save(tmp_path / "study")
    for found in (again, read_scan(study / "s_dce.nii.gz")):
        assert np.array_equal(found.data, data)
        if times is not None:
            np.testing.assert_allclose(found.times, times, rtol=1e-6)
        assert (None if found.b_values is None else found.b_values.tolist()) == b_values


def test_times_are_one_a_frame():
    with pytest.raises(ScanweaveError, match=r"times: has the shape \(2,\) for 3 frames"):
        Scan.of(np.zeros((*SHAPE, 3)), AFFINE, times=[0, 1])
    with pytest.raises(ScanweaveError, match=r"b_values: .* for no frames"):
        Scan.of(np.zeros(SHAPE), AFFINE, b_values=[0])
