"""Films and photographs: one voxel deep, upright, every bit kept, the same budgets and verdicts as volumes."""

from __future__ import annotations

import struct
import zlib

import nibabel as nib
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image, ImageOps
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from scanweave.errors import ScanweaveError
from scanweave.studies.checks.cohort_check import check_study
from scanweave.studies.formats import header_limits
from scanweave.studies.formats.image_reader import read_mask, read_scan
from scanweave.studies.geometry import Geometry
from scanweave.studies.preparing.plan import IntensityRule, Plan
from scanweave.studies.preparing.preparation import prepare
from scanweave.studies.preparing.settings import PreparationSettings
from scanweave.studies.scan import COLOURS, Scan
from scanweave.studies.study import Study

RULE = IntensityRule(kind="magnitude", low=0, high=1)
RANDOM = np.random.default_rng(3)
GREY8 = RANDOM.integers(0, 256, (6, 4), dtype=np.uint8)
GREY16 = RANDOM.integers(0, 2**16, (6, 4), dtype=np.uint16)
RGB8 = RANDOM.integers(0, 256, (6, 4, 3), dtype=np.uint8)
RGB16 = RANDOM.integers(0, 2**16, (6, 4, 3), dtype=np.uint16)


def deep_png(path, pixels):
    """A PNG of 16-bit colours, which Pillow cannot write."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows))]
    text = b"\x89PNG\r\n\x1a\n"
    for name, body in (*chunks, (b"IEND", b"")):
        text += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    path.write_bytes(text)


WRITERS = {
    "grey.png": (GREY8, lambda p, a: Image.fromarray(a).save(p)),
    "deep.png": (GREY16, lambda p, a: Image.fromarray(a).save(p)),
    "colour.png": (RGB8, lambda p, a: Image.fromarray(a).save(p)),
    "deep-colour.png": (RGB16, deep_png),
    "grey.tif": (GREY8, lambda p, a: tifffile.imwrite(p, a)),
    "deep.tif": (GREY16, lambda p, a: tifffile.imwrite(p, a)),
    "big-endian.tif": (GREY16, lambda p, a: tifffile.imwrite(p, a, byteorder=">")),
    "packed.tiff": (GREY16, lambda p, a: tifffile.imwrite(p, a, compression="zlib")),
    "colour.tif": (RGB8, lambda p, a: tifffile.imwrite(p, a, photometric="rgb")),
    "deep-colour.tif": (RGB16, lambda p, a: tifffile.imwrite(p, a, photometric="rgb")),
    "planes.tif": (
        RGB16,
        lambda p, a: tifffile.imwrite(p, np.moveaxis(a, -1, 0), photometric="rgb", planarconfig="separate"),
    ),
    "real.tif": (GREY16.astype(np.float32), lambda p, a: tifffile.imwrite(p, a)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_bit_of_a_picture_is_kept(tmp_path, name):
    pixels, write = WRITERS[name]
    write(tmp_path / name, pixels)
    scan = read_scan(tmp_path / name)
    colour = pixels.ndim == 3
    assert scan.geometry.shape == (4, 6, 1)
    assert (scan.frames, scan.channels) == (None, COLOURS if colour else None)
    assert scan.what == ("photograph" if colour else "film")
    assert not scan.geometry.spacing_known
    assert "unknown spacing" in repr(scan)
    np.testing.assert_array_equal(scan.data[:, :, 0], np.swapaxes(pixels, 0, 1))
    assert scan.data.dtype == pixels.dtype


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_whose_zero_is_white_is_turned_over(tmp_path, bits):
    pixels = {8: GREY8, 16: GREY16}[bits]
    tifffile.imwrite(tmp_path / "white.tif", pixels, photometric="miniswhite")
    scan = read_scan(tmp_path / "white.tif")
    np.testing.assert_array_equal(scan.data[:, :, 0], (2**bits - 1 - pixels).T)
    assert [note.kind for note in scan.notes] == ["inverted"]


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["grey.jpg", "deep.png", "grey.tif", "deep-colour.tif"])
def test_exif_orientation_is_applied(tmp_path, turn, kind):
    path = tmp_path / kind
    exif = Image.Exif()
    exif[0x0112] = turn
    if kind == "deep-colour.tif":
        tifffile.imwrite(path, RGB16, photometric="rgb", extratags=[(0x0112, "H", 1, turn, True)])
        shallow = Image.fromarray((RGB16 >> 8).astype(np.uint8))
        shallow.getexif()[0x0112] = turn
        wanted = np.asarray(ImageOps.exif_transpose(shallow))
    elif kind == "grey.tif":
        tifffile.imwrite(path, GREY8, photometric="minisblack", extratags=[(0x0112, "H", 1, turn, True)])
        turned = Image.fromarray(GREY8)
        turned.getexif()[0x0112] = turn
        wanted = np.asarray(ImageOps.exif_transpose(turned))
    else:
        picture = Image.fromarray(GREY8 if kind == "grey.jpg" else GREY16)
        picture.save(path, exif=exif)
        wanted = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    scan = read_scan(path)
    found = np.swapaxes(scan.data[:, :, 0], 0, 1)
    np.testing.assert_array_equal((found >> 8).astype(np.uint8) if kind == "deep-colour.tif" else found, wanted)
    assert scan.geometry.shape[:2] == wanted.shape[1::-1]
    assert [note.kind for note in scan.notes] == (["turned"] if turn > 1 else [])


def test_a_palette_is_colour_in_a_photograph_and_numbers_in_a_mask(tmp_path):
    picture = Image.fromarray(GREY8 % 3).convert("P")
    picture.putpalette([0, 0, 0, 200, 10, 10, 10, 200, 10])
    picture.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "p.png").data[:, :, 0], (GREY8 % 3).T)
    assert read_scan(tmp_path / "p.png").channels == COLOURS
    Image.fromarray(RGB8).save(tmp_path / "c.png")
    with pytest.raises(ScanweaveError, match="a label map in colour"):
        read_mask(tmp_path / "c.png")


def test_grey_of_a_photograph_and_channels_of_it(tmp_path):
    Image.fromarray(RGB8).save(tmp_path / "c.png")
    scan = read_scan(tmp_path / "c.png")
    assert scan.grey().channels is None
    wanted = np.asarray(Image.fromarray(RGB8).convert("L")).astype(float).T
    np.testing.assert_allclose(scan.grey().data[:, :, 0], wanted, atol=1)
    np.testing.assert_array_equal(read_scan(f"{tmp_path / 'c.png'}#1").data[:, :, 0], RGB8[..., 1].T)
    with pytest.raises(ScanweaveError, match="no channel 3"):
        read_scan(f"{tmp_path / 'c.png'}#3")


def test_a_colour_axis_is_no_time_axis():
    scan = Scan.of(np.zeros((4, 5, 1, 3)), np.eye(4), channels=COLOURS)
    assert scan.frames is None
    assert Scan.of(np.zeros((4, 5, 1, 3)), np.eye(4)).frames == 3
    with pytest.raises(ScanweaveError, match="for 3 channels"):
        Scan.of(np.zeros((4, 5, 1, 2)), np.eye(4), channels=COLOURS)
    study = Study("s", "p", {"photo": scan})
    plan = Plan(settings=PreparationSettings(), spacing=None, rules={"photo": RULE}, reasons=[])
    with pytest.raises(ScanweaveError, match="red, green, blue where one number a voxel is needed"):
        prepare(study, plan)


BAD = {
    "cut short": (lambda p: p.write_bytes(p.read_bytes()[:400]), "jpg", "truncated|cannot be read"),
    "text": (lambda p: p.write_text("no picture"), "png", "cannot be read"),
    "bad checksum": (lambda p: p.write_bytes(p.read_bytes().replace(b"IDAT", b"IDAX")), "png", "not a valid|cannot be"),
    "pages": (lambda p: tifffile.imwrite(p, np.zeros((3, 9, 9), np.uint8), photometric="minisblack"), "tif", "3 pages"),
}


@pytest.mark.parametrize("case", BAD)
def test_check_finds_pictures_that_cannot_be_read(tmp_path, case):
    spoil, ending, words = BAD[case]
    path = tmp_path / f"a.{ending}"
    Image.fromarray(RANDOM.integers(0, 256, (40, 40), dtype=np.uint8)).save(path)
    spoil(path)
    verdict = check_study({"study": "s", "patient": "p", "scan:image": path.name}, tmp_path)
    assert verdict.status == "refused"
    with pytest.raises(ScanweaveError, match=words):
        _ = read_scan(path).data


def test_a_picture_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    Image.new("L", (3000, 3000)).save(tmp_path / "black.png")
    read_scan(tmp_path / "black.png")
    monkeypatch.setattr(header_limits, "MEMORY_BUDGET", 10**6)
    with pytest.raises(ScanweaveError, match="over the budget"):
        read_scan(tmp_path / "black.png")
    head = struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    bomb += struct.pack(">I", 10) + b"IDAT" + b"\0" * 14
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(ScanweaveError):
        read_scan(tmp_path / "bomb.png")


def dicom(path, pixels, **fields):
    """A digital radiograph of these stored pixels `(rows, columns)`."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        DigitalXRayImageStorageForPresentation,
        generate_uid(),
    )
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality, data.PhotometricInterpretation, data.SamplesPerPixel = "DX", "MONOCHROME2", 1
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    for name, value in fields.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


STORED = (GREY16 % 4000).astype(np.uint16)


def test_a_dicom_film_has_rescaled_values_and_its_spacing(tmp_path):
    path = dicom(
        tmp_path / "f.dcm",
        STORED,
        RescaleSlope=2,
        RescaleIntercept=-100,
        PixelSpacing=[0.2, 0.1],
        WindowCenter=50,
        WindowWidth=20,
    )
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.data[:, :, 0], 2.0 * STORED.T - 100)
    assert scan.geometry.spacing[:2] == (0.1, 0.2)  # columns, rows
    assert (scan.geometry.space, scan.what) == ("film", "film")
    assert [note.words for note in scan.notes] == ["is to be shown with the window 50 ± 20/2"]


def test_monochrome1_is_turned_over_after_the_rescale(tmp_path):
    for name, photometric in (("a", "MONOCHROME2"), ("b", "MONOCHROME1")):
        stored = STORED if name == "a" else 4095 - STORED
        dicom(
            tmp_path / f"{name}.dcm", stored, PhotometricInterpretation=photometric, RescaleSlope=3, RescaleIntercept=7
        )
    bright, dark = (read_scan(tmp_path / f"{name}.dcm") for name in "ab")
    np.testing.assert_array_equal(bright.data, dark.data)
    assert [note.kind for note in dark.notes] == ["inverted"]


def test_padding_becomes_the_lowest_value_and_overlay_bits_are_dropped(tmp_path):
    stored = STORED.copy()
    stored[0] = 4095
    path = dicom(tmp_path / "p.dcm", stored | 0x8000, PixelPaddingValue=4095, PhotometricInterpretation="MONOCHROME1")
    data = read_scan(path).data[:, :, 0].T
    np.testing.assert_array_equal(data[1:], 4095.0 - stored[1:])
    assert (data[0] == data[1:].min()).all()


def test_spacing_at_the_detector_is_told_and_slices_are_no_films(tmp_path):
    scan = read_scan(dicom(tmp_path / "i.dcm", STORED, ImagerPixelSpacing=[0.3, 0.3]))
    assert scan.geometry.spacing[:2] == (0.3, 0.3)
    assert "ImagerPixelSpacing" in str(scan.notes[0])
    assert not read_scan(dicom(tmp_path / "n.dcm", STORED, PixelSpacing=[0.0, 0.1])).geometry.spacing_known
    with pytest.raises(ScanweaveError, match="of a CT series"):
        read_scan(dicom(tmp_path / "ct.dcm", STORED, Modality="CT"))
    with pytest.raises(ScanweaveError, match="holds 2 frames"):
        read_scan(dicom(tmp_path / "m.dcm", STORED, NumberOfFrames=2))
    whole = dicom(tmp_path / "t.dcm", STORED).read_bytes()
    (tmp_path / "t.dcm").write_bytes(whole[:-20])
    with pytest.raises(ScanweaveError, match=r"truncated|cannot be read"):
        _ = read_scan(tmp_path / "t.dcm").data
    (tmp_path / "x.dcm").write_bytes(b"no")
    with pytest.raises(ScanweaveError, match=r"x\.dcm: not a DICOM file"):
        read_scan(tmp_path / "x.dcm")


def test_damaged_dicom_is_one_line(tmp_path):
    whole = dicom(tmp_path / "f.dcm", STORED, PixelSpacing=[0.1, 0.1], PixelPaddingValue=3, WindowCenter=4).read_bytes()
    generator = np.random.default_rng(5)
    refused = 0
    for _ in range(300):
        spoilt = bytearray(whole)
        for place in generator.integers(132, len(spoilt), 3):
            spoilt[place] = generator.integers(0, 256)
        (tmp_path / "z.dcm").write_bytes(spoilt[: int(generator.integers(140, len(spoilt) + 1))])
        try:
            _ = read_scan(tmp_path / "z.dcm").data
        except ScanweaveError as error:
            refused += error.where == str(tmp_path / "z.dcm")
    assert refused > 200


def test_a_mask_must_lie_on_its_film(tmp_path):
    Image.fromarray(RANDOM.integers(0, 256, (30, 40), dtype=np.uint8)).save(tmp_path / "f.png")
    Image.fromarray(np.eye(30, 40, dtype=np.uint8)).save(tmp_path / "m.png")
    Image.fromarray(np.eye(15, 20, dtype=np.uint8)).save(tmp_path / "half.png")
    itk = np.diag([-1.0, -1.0, 1.0, 1.0])
    nib.save(nib.Nifti1Image(np.eye(40, 30, dtype=np.uint8)[:, :, None], itk), tmp_path / "m.nii.gz")
    nib.save(nib.Nifti1Image(np.eye(40, 30, dtype=np.uint8)[:, :, None], np.eye(4)), tmp_path / "ras.nii.gz")

    def verdict(mask):
        return check_study({"study": "s", "patient": "p", "scan:image": "f.png", "mask:m": mask}, tmp_path)

    assert verdict("m.png").status == "ok"
    assert verdict("m.nii.gz").status == "ok"
    assert "20×15×1 is not that of its film, 40×30×1" in str(verdict("half.png").findings[0])
    assert "its axes run RAS, those of the film LPS" in str(verdict("ras.nii.gz").findings[0])


def test_films_of_two_views_and_a_volume_are_judged_each_alone(tmp_path):
    Image.fromarray(RANDOM.integers(0, 256, (30, 40), dtype=np.uint8)).save(tmp_path / "pa.png")
    Image.fromarray(RANDOM.integers(0, 256, (50, 20), dtype=np.uint8)).save(tmp_path / "lateral.png")
    nib.save(nib.Nifti1Image(RANDOM.normal(size=(12, 12, 12)), np.diag([9, 9, 9, 1])), tmp_path / "t1.nii.gz")
    row = {"study": "s", "patient": "p", "scan:pa": "pa.png", "scan:lateral": "lateral.png", "scan:t1": "t1.nii.gz"}
    assert check_study(row, tmp_path).status == "ok"


def test_one_slice_is_sound_alone_and_refused_among_volumes(tmp_path):
    for name, shape in {"slice": (30, 30, 1), "volume": (30, 30, 30), "two": (30, 30, 2)}.items():
        nib.save(nib.Nifti1Image(RANDOM.normal(size=shape), np.diag([5, 5, 5, 1])), tmp_path / f"{name}.nii.gz")

    def verdict(**scans):
        return check_study(
            {"study": "s", "patient": "p", **{f"scan:{n}": f"{f}.nii.gz" for n, f in scans.items()}}, tmp_path
        )

    assert verdict(a="slice").status == "ok"
    assert verdict(a="two").status == "refused"
    assert {f.kind for f in verdict(a="slice", b="volume").findings if f.status == "refused"} >= {"slices"}


def test_grids_of_films_are_compared_by_shape():
    film, other = Geometry.of_film(40, 30), Geometry.of_film(40, 30, (0.1, 0.1))
    assert film.matches(other)
    assert not film.matches(Geometry.of_film(30, 40))
    assert film.oriented("RAS").space == "pixels"
    assert film.crop((1, 1, 0), (9, 9, 1)).space == "pixels"
    assert not film.is_placed


@pytest.mark.real
def test_a_real_chest_film_is_read(real_data):
    scan = read_scan(real_data / "dicom" / "Fake_MONOHR1.dcm")
    stored = pydicom.dcmread(real_data / "dicom" / "Fake_MONOHR1.dcm").pixel_array
    np.testing.assert_array_equal(scan.data[:, :, 0], 255.0 - stored.T)
    assert scan.geometry.shape == (1024, 1024, 1)
