"""NIfTI, its pairs, and FreeSurfer's MGH: headers that others read are read, and what was mended is told."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.formats.file_states import file_state
from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.scan import Scan

SHAPE = (9, 10, 11)
VOXELS = np.random.default_rng([13, 3]).integers(-900, 900, SHAPE).astype(np.int16)
AFFINE = np.array([[-2.9, 0.5, 0, 40.0], [0.5, 2.9, 0, -30.0], [0, 0, 4, -20.0], [0, 0, 0, 1]])
AFFINE[:3, :2] *= 3 / np.linalg.norm(AFFINE[:3, 0])


def saved(path: Path, sform: int = 1, qform: int = 1, data: np.ndarray = VOXELS, form=nib.Nifti1Image) -> bytearray:
    """A file with these codes, and its bytes, to be changed."""
    image = form(data, AFFINE)
    image.set_sform(AFFINE, sform)
    image.set_qform(AFFINE, qform)
    nib.save(image, path)
    return bytearray(path.read_bytes())


def notes(scan: Scan) -> str:
    return " | ".join(f"{note.status}: {note}" for note in scan.notes)


def test_qfac_of_zero_counts_as_one(tmp_path):
    path = tmp_path / "a.nii"
    content = saved(path, sform=0)
    assert struct.unpack_from("<f", content, 76)[0] == -1  # the axes are left-handed: 1 mirrors the third
    struct.pack_into("<f", content, 76, 0.0)
    path.write_bytes(bytes(content))
    scan = read_scan(path)
    assert "pixdim[0] is 0" in notes(scan)
    np.testing.assert_allclose(scan.geometry.affine[:, 2], -AFFINE[:, 2], atol=1e-5)
    np.testing.assert_allclose(scan.geometry.affine[:, [0, 1, 3]], AFFINE[:, [0, 1, 3]], atol=1e-5)


@pytest.mark.parametrize("broken", [0.0, float("nan")])
def test_a_good_qform_stands_in_for_a_broken_sform_and_the_reverse(tmp_path, broken):
    path = tmp_path / "a.nii"
    content = saved(path)
    whole = bytes(content)
    struct.pack_into("<12f", content, 280, *[broken] * 12)
    path.write_bytes(bytes(content))
    scan = read_scan(path)
    assert "repaired: the sform is no position" in notes(scan)
    np.testing.assert_allclose(scan.geometry.affine, AFFINE, atol=1e-4)
    content = bytearray(whole)
    struct.pack_into("<3f", content, 80, broken, broken, broken)
    path.write_bytes(bytes(content))
    scan = read_scan(path)
    assert "repaired: the qform is not a valid position" in notes(scan)
    np.testing.assert_allclose(scan.geometry.affine, AFFINE, atol=1e-6)


def test_two_broken_positions_are_refused(tmp_path):
    path = tmp_path / "a.nii"
    content = saved(path)
    struct.pack_into("<12f", content, 280, *bytes(12))
    struct.pack_into("<3f", content, 80, 0, 0, 0)
    path.write_bytes(bytes(content))
    with pytest.raises(ScanweaveError, match="singular"):
        read_scan(path)


@pytest.mark.parametrize("axes", [4, 5, 6, 7])
def test_trailing_axes_of_length_one_are_dropped(tmp_path, axes):
    path = tmp_path / "a.nii"
    content = saved(path)
    struct.pack_into("<8h", content, 40, axes, *SHAPE, 1, 1, 1, 1)
    path.write_bytes(bytes(content))
    scan = read_scan(path)
    assert scan.frames is None
    assert "4D with a single frame" in notes(scan)
    np.testing.assert_array_equal(scan.data, VOXELS)
    struct.pack_into("<8h", content, 40, 7, *SHAPE[:2], 1, 1, 1, 1, SHAPE[2])
    path.write_bytes(bytes(content))
    with pytest.raises(ScanweaveError, match="not a 3D volume"):
        read_scan(path)


@pytest.mark.parametrize("form", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize(("unit", "factor"), [("micron", 1e-3), ("meter", 1e3), ("mm", 1.0), ("unknown", 1.0)])
def test_declared_units_become_millimetres(tmp_path, form, unit, factor):
    image = form(VOXELS, np.diag([1 / factor, 1 / factor, 1 / factor, 1]) @ AFFINE)
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii.gz")
    scan = read_scan(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(scan.geometry.affine, AFFINE, rtol=1e-6)
    assert ("units" in {note.kind for note in scan.notes}) == (factor != 1)
    written = read_scan(write_scan(tmp_path / "b.nii.gz", scan))
    np.testing.assert_allclose(written.geometry.affine, AFFINE, rtol=1e-6)


def test_a_file_in_metres_whose_numbers_are_millimetres_is_refused(tmp_path):
    image = nib.Nifti1Image(VOXELS, AFFINE)
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(ScanweaveError, match="declares its unit as metre, which makes voxels of 4000 mm"):
        read_scan(tmp_path / "a.nii")


@pytest.mark.parametrize(("unit", "times"), [("sec", [4, 6.5, 9]), ("msec", [0.004, 0.0065, 0.009]), ("hz", None)])
def test_frames_start_at_toffset_and_keep_it_when_written(tmp_path, unit, times):
    image = nib.Nifti1Image(np.stack([VOXELS] * 3, axis=3), AFFINE)
    image.header.set_xyzt_units("mm", unit)
    image.header.set_zooms((*image.header.get_zooms()[:3], 2.5))
    image.header["toffset"] = 4
    nib.save(image, tmp_path / "a.nii.gz")
    scan = read_scan(tmp_path / "a.nii.gz")
    again = read_scan(write_scan(tmp_path / "b.nii.gz", scan))
    if times is None:
        assert scan.times is None
    else:
        np.testing.assert_allclose(scan.times, times, rtol=1e-6)
        np.testing.assert_allclose(again.times, times, rtol=1e-5)


def test_a_file_is_unpacked_by_what_it_holds_and_not_by_its_name(tmp_path):
    content = bytes(saved(tmp_path / "a.nii"))
    (tmp_path / "plain.nii.gz").write_bytes(content)
    (tmp_path / "packed.nii").write_bytes(gzip.compress(content))
    for name, words in (
        ("plain.nii.gz", "not packed, although"),
        ("packed.nii", "packed by gzip, and not named .nii.gz"),
    ):
        scan = read_scan(tmp_path / name)
        np.testing.assert_array_equal(scan.data, VOXELS)
        assert words in notes(scan)
    damaged = bytearray(gzip.compress(content))
    damaged[-6] ^= 4
    (tmp_path / "packed.nii").write_bytes(bytes(damaged))
    with pytest.raises(ScanweaveError, match="CRC"):
        _ = read_scan(tmp_path / "packed.nii").data


@pytest.mark.parametrize("form", [nib.Nifti1Pair, nib.Nifti2Pair])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_pair_of_header_and_voxels_is_read_by_either_name(tmp_path, form, suffix):
    nib.save(form(VOXELS, AFFINE), tmp_path / f"a.img{suffix}")
    for name in (f"a.img{suffix}", f"a.hdr{suffix}"):
        scan = read_scan(tmp_path / name)
        np.testing.assert_array_equal(scan.data, VOXELS)
        np.testing.assert_allclose(scan.geometry.affine, AFFINE, rtol=1e-6)
        assert not scan.notes


def test_half_a_pair_and_analyze_are_refused(tmp_path):
    nib.save(nib.Nifti1Pair(VOXELS, AFFINE), tmp_path / "a.img")
    before = file_state(tmp_path / "a.img")
    header = (tmp_path / "a.hdr").read_bytes()
    (tmp_path / "a.hdr").write_bytes(header + bytes(8))
    assert file_state(tmp_path / "a.img") != before
    (tmp_path / "a.hdr").unlink()
    with pytest.raises(ScanweaveError, match=r"header, a.hdr, is not beside it"):
        read_scan(tmp_path / "a.img")
    (tmp_path / "a.hdr").write_bytes(header)
    (tmp_path / "a.img").unlink()
    with pytest.raises(ScanweaveError, match=r"voxels, a.img, is not beside it"):
        read_scan(tmp_path / "a.hdr")
    nib.save(nib.AnalyzeImage(VOXELS, np.diag([3.0, 3, 3, 1])), tmp_path / "b.img")
    with pytest.raises(ScanweaveError, match=r"Analyze.*nothing about orientation"):
        read_scan(tmp_path / "b.img")


@pytest.mark.parametrize("name", ["a.mgh", "a.mgz", "A.MGZ"])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32])
def test_images_of_freesurfer_lie_where_nibabel_puts_them(tmp_path, name, kind):
    data = (VOXELS % 200).astype(kind)
    nib.save(nib.MGHImage(data, AFFINE), tmp_path / name.lower())
    (tmp_path / name.lower()).rename(tmp_path / name)
    scan = read_scan(tmp_path / name)
    np.testing.assert_array_equal(scan.data, data)
    np.testing.assert_allclose(scan.geometry.affine, AFFINE, atol=1e-4)
    assert not scan.notes


@pytest.mark.parametrize("name", ["a.mgh", "a.mgz"])
def test_frames_of_freesurfer_have_times(tmp_path, name):
    image = nib.MGHImage(np.stack([VOXELS, VOXELS + 1], axis=3), AFFINE)
    image.header["tr"] = 2500
    nib.save(image, tmp_path / name)
    scan = read_scan(tmp_path / name)
    assert scan.frames == 2
    np.testing.assert_allclose(scan.times, [0, 2.5])


def test_a_bad_file_of_freesurfer_is_refused(tmp_path):
    path = tmp_path / "a.mgz"
    nib.save(nib.MGHImage(VOXELS, AFFINE), path)
    content = gzip.decompress(path.read_bytes())
    edits = {
        "goodRASFlag": content[:28] + bytes(2) + content[30:],
        "not an MGH file": bytes(4) + content[4:],
        "truncated": content[: len(content) // 2],
        "shape": content[:4] + struct.pack(">i", -5) + content[8:],
        "budget": content[:4] + struct.pack(">3i", 30000, 30000, 30000) + content[16:],
        "fewer than a header": content[:100],
        "unknown type 128": content[:20] + struct.pack(">i", 128) + content[24:],
    }
    for words, edited in edits.items():
        path.write_bytes(gzip.compress(edited))
        with pytest.raises(ScanweaveError, match=words):
            _ = read_scan(path).data
    damaged = bytearray(gzip.compress(content))
    damaged[len(damaged) // 2] ^= 16
    path.write_bytes(bytes(damaged))
    with pytest.raises(ScanweaveError, match="damaged"):
        _ = read_scan(path).data


def test_more_voxels_than_the_header_claims_are_told(tmp_path):
    path = tmp_path / "a.nii"
    content = saved(path)
    struct.pack_into("<h", content, 46, SHAPE[2] - 1)
    path.write_bytes(bytes(content))
    assert "holds 180 bytes more than its header claims" in notes(read_scan(path))
