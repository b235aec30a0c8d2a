"""NRRD and MetaImage files whose voxels lie beside the header, and those that do not say where they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.formats.image_reader import read_scan

itk = pytest.importorskip("SimpleITK")

VOXELS = np.random.default_rng(0).normal(size=(80, 90, 100)).astype(np.float32)


def written(path: Path, compressed: bool = False) -> Path:
    image = itk.GetImageFromArray(VOXELS.T)
    image.SetOrigin((10.0, -20.0, 30.0))
    itk.WriteImage(image, str(path), compressed)
    return path


def without(path: Path, *fields: str) -> Path:
    """The file without these lines of its header."""
    content = path.read_bytes()
    for field in fields:
        start = content.index(field.encode())
        content = content[:start] + content[content.index(b"\n", start) + 1 :]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_voxels_beside_the_header_come_back(tmp_path, suffix, compressed):
    scan = read_scan(written(tmp_path / f"image{suffix}", compressed))
    assert len(list(tmp_path.iterdir())) == 2
    np.testing.assert_array_equal(scan.data, VOXELS)
    np.testing.assert_allclose(scan.geometry.positions([[0, 0, 0]]), [[-10, 20, 30]])


def test_voxels_in_several_files_come_back(tmp_path):
    path = written(tmp_path / "image.nhdr")
    raw = tmp_path / "image.raw"
    content, parts = raw.read_bytes(), VOXELS.shape[2]
    raw.unlink()
    step = len(content) // parts
    for part in range(parts):
        (tmp_path / f"{part:03}.raw").write_bytes(content[part * step : (part + 1) * step])
    header = path.read_text()
    lists = "LIST\n" + "".join(f"{part:03}.raw\n" for part in range(parts))
    for named in (lists, f"%03d.raw 0 {parts - 1} 1\n"):
        path.write_text(header.replace("image.raw\n", named))
        np.testing.assert_array_equal(read_scan(path).data, VOXELS)


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
@pytest.mark.parametrize("left", [None, 0, 1000])
def test_absent_or_short_voxels_beside_the_header_are_refused(tmp_path, suffix, left):
    path = written(tmp_path / f"image{suffix}")
    raw = tmp_path / "image.raw"
    raw.unlink() if left is None else raw.write_bytes(raw.read_bytes()[:left])
    with pytest.raises(ScanweaveError) as told:
        _ = read_scan(path).data
    assert left is not None or "image.raw" in str(told.value)


@pytest.mark.parametrize("where", ["../image.raw", "/etc/passwd"])
def test_voxels_outside_of_the_folder_are_refused(tmp_path, where):
    path = written(tmp_path / "image.mhd")
    path.write_text(path.read_text().replace("image.raw", where))
    with pytest.raises(ScanweaveError, match="leads out of its folder"):
        read_scan(path)


def test_a_header_that_claims_far_more_than_its_data_file_is_refused_before_it_is_read(tmp_path):
    path = written(tmp_path / "image.mhd")
    path.write_text(path.read_text().replace("DimSize = 80 90 100", "DimSize = 800 900 100"))
    (tmp_path / "image.raw").write_bytes(b"1234")
    with pytest.raises(ScanweaveError, match="bomb"):
        read_scan(path)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("image.nrrd", ["space directions", "space:"]),
        ("image.nrrd", ["space directions"]),
        ("image.nrrd", ["space:"]),
        ("image.nhdr", ["space directions", "space:"]),
        ("image.mha", ["TransformMatrix"]),
        ("image.mhd", ["TransformMatrix"]),
    ],
)
def test_a_header_without_orientation_is_refused(tmp_path, name, fields):
    path = without(written(tmp_path / name), *fields)
    with pytest.raises(ScanweaveError, match=r"nothing about orientation.*never guessed: convert it anew"):
        read_scan(path)


def test_a_space_that_is_not_that_of_a_patient_is_refused(tmp_path):
    path = written(tmp_path / "image.nhdr")
    path.write_text(path.read_text().replace("left-posterior-superior", "scanner-xyz"))
    with pytest.raises(ScanweaveError, match="nothing about orientation"):
        read_scan(path)
    path.write_text(path.read_text().replace("scanner-xyz", "RAS"))
    np.testing.assert_allclose(read_scan(path).geometry.positions([[0, 0, 0]]), [[10, -20, 30]])


KINDS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float32", "float64")


@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".mhd", ".nhdr"])
def test_every_voxel_of_every_type_lies_where_itk_puts_it(tmp_path, suffix):
    turn = np.deg2rad(17)
    direction = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, -1]])
    for kind in KINDS:
        for compressed in (False, True):
            image = itk.GetImageFromArray((VOXELS[:9, :8, :7].T * 40).astype(kind))
            image.SetOrigin((10.0, -20.0, 30.0)), image.SetSpacing((3.0, 4.0, 5.0))
            image.SetDirection(direction.ravel())
            path = tmp_path / f"{kind}{compressed}{suffix}"
            itk.WriteImage(image, str(path), compressed)
            scan = read_scan(path)
            np.testing.assert_array_equal(scan.data, itk.GetArrayFromImage(image).T.astype(np.float32))
            place = np.array(image.TransformIndexToPhysicalPoint((5, 6, 3))) * (-1, -1, 1)
            np.testing.assert_allclose(scan.geometry.positions([[5, 6, 3]])[0], place, atol=1e-6)
            assert not scan.notes


def test_a_series_of_itk_keeps_its_times(tmp_path):
    frames = [itk.GetImageFromArray(VOXELS[:9, :8, :7].T + number) for number in range(3)]
    series = itk.JoinSeries(frames, 4.0, 2.5)
    itk.WriteImage(series, str(tmp_path / "a.mha"), True)
    scan = read_scan(tmp_path / "a.mha")
    np.testing.assert_allclose(scan.times, [4.0, 6.5, 9.0])
    np.testing.assert_array_equal(scan.data, np.stack([VOXELS[:9, :8, :7] + n for n in range(3)], axis=3))
