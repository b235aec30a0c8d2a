"""NRRD and MetaImage: place, units, times and voxels are as the header says, and what it does not say is told."""

from __future__ import annotations

import bz2
import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.checks.cohort_check import check_study
from scanweave.studies.formats.image_reader import read_scan

SHAPE = (5, 6, 7)
FRAMES = 3
VOXELS = np.random.default_rng([13, 1]).integers(-900, 900, SHAPE).astype(np.int16)
SERIES = np.random.default_rng([13, 2]).integers(-900, 900, (*SHAPE, FRAMES)).astype(np.int16)
SLOPED = np.array([[3.0, 0.4, 0.0], [-0.4, 3.0, 0.0], [0.0, 0.0, 6.0]])
"""Directions of the three axes, by rows, in the space of a file."""


def packed(values: np.ndarray) -> bytes:
    return values.tobytes(order="F")


def nrrd(path: Path, data: bytes = packed(VOXELS), **fields: str) -> Path:
    """An NRRD file; underscores in names of fields stand for spaces, and an empty value leaves one out."""
    vectors = " ".join("({},{},{})".format(*row) for row in SLOPED)
    told = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "5 6 7",
        "space directions": vectors,
        "endian": "little",
        "encoding": "raw",
        "space origin": "(10,-20,30)",
    }
    told |= {name.replace("_", " "): value for name, value in fields.items()}
    lines = [f"{name}: {value}" for name, value in told.items() if value]
    path.write_bytes("\n".join(["NRRD0005", "# a comment", *lines, "key:=a: value", "", ""]).encode() + data)
    return path


def meta(path: Path, data: bytes = packed(VOXELS), **fields: str) -> Path:
    """A MetaImage file; an empty value leaves a field out."""
    told = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "10 -20 30",
        "ElementSpacing": "3 3 6",
        "DimSize": "5 6 7",
        "ElementType": "MET_SHORT",
    }
    told |= fields
    told["ElementDataFile"] = told.pop("ElementDataFile", "LOCAL")
    path.write_bytes("".join(f"{name} = {value}\n" for name, value in told.items() if value).encode() + data)
    return path


def vectors(rows: np.ndarray) -> str:
    return " ".join("(" + ",".join(map(str, row)) + ")" for row in rows)


def kinds(scan) -> set[str]:
    return {note.kind for note in scan.notes}


SIGNS = {"right-anterior-superior": (1, 1, 1), "left-anterior-superior": (-1, 1, 1), "LPS": (-1, -1, 1)}


@pytest.mark.parametrize("space", SIGNS)
@pytest.mark.parametrize("time_first", [False, True])
def test_a_series_in_the_time_of_a_space_lies_where_the_volume_does(tmp_path, space, time_first):
    still = read_scan(nrrd(tmp_path / "still.nrrd", space=space))
    steps = np.zeros((4, 4))
    steps[:3, :3], steps[3, 3] = SLOPED, 2.5
    data, sizes, timed = packed(SERIES), "5 6 7 3", space + ("T" if space.isupper() else "-time")
    if time_first:
        steps, sizes, data = np.roll(steps, 1, axis=0), "3 5 6 7", packed(np.moveaxis(SERIES, 3, 0))
    path = nrrd(
        tmp_path / "moving.nrrd",
        data,
        dimension="4",
        sizes=sizes,
        space=timed,
        space_directions=vectors(steps),
        space_origin="(10,-20,30,4)",
    )
    moving = read_scan(path)
    np.testing.assert_allclose(moving.geometry.affine, still.geometry.affine, atol=1e-12)
    wanted = np.diag(SIGNS[space]) @ np.column_stack([SLOPED.T, (10, -20, 30)])
    np.testing.assert_allclose(moving.geometry.affine[:3], wanted, atol=1e-12)
    np.testing.assert_array_equal(moving.data, SERIES)
    np.testing.assert_allclose(moving.times, [4, 6.5, 9])


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1.0), ("micron", 1e-3), ("µm", 1e-3), ("cm", 10.0)])
def test_declared_units_of_a_space_become_millimetres(tmp_path, unit, factor):
    rows, origin = SLOPED / factor, np.array([10.0, -20, 30]) / factor
    path = nrrd(
        tmp_path / "a.nrrd",
        space_directions=vectors(rows),
        space_origin="(" + ",".join(map(str, origin)) + ")",
        space_units=" ".join([f'"{unit}"'] * 3),
    )
    scan = read_scan(path)
    np.testing.assert_allclose(
        scan.geometry.affine, read_scan(nrrd(tmp_path / "b.nrrd")).geometry.affine, rtol=1e-12, atol=1e-9
    )
    assert ("units" in kinds(scan)) == (factor != 1)


def test_units_of_time_become_seconds_and_unknown_units_are_refused(tmp_path):
    steps = np.zeros((4, 4))
    steps[:3, :3], steps[3, 3] = SLOPED, 2500
    series = {
        "dimension": "4",
        "sizes": "5 6 7 3",
        "space": "left-posterior-superior-time",
        "space_directions": vectors(steps),
        "space_origin": "(10,-20,30,500)",
    }
    path = nrrd(tmp_path / "a.nrrd", packed(SERIES), **series, space_units='"mm" "mm" "mm" "ms"')
    np.testing.assert_allclose(read_scan(path).times, [0.5, 3.0, 5.5])
    for units in ('"mm" "mm" "mm" "furlong"', '"inch" "mm" "mm" "s"', '"mm" "mm"'):
        with pytest.raises(ScanweaveError, match="unit"):
            read_scan(nrrd(tmp_path / "b.nrrd", packed(SERIES), **series, space_units=units))


def test_a_unit_that_makes_absurd_voxels_is_refused(tmp_path):
    with pytest.raises(ScanweaveError, match=r"declares its unit as m, .*Correct the unit"):
        read_scan(nrrd(tmp_path / "a.nrrd", space_units='"m" "m" "m"'))
    with pytest.raises(ScanweaveError, match="voxels of 10000 mm"):
        read_scan(meta(tmp_path / "a.mha", DistanceUnits="cm", ElementSpacing="1000 3 6"))


@pytest.mark.parametrize("kind", ["list", "time"])
@pytest.mark.parametrize("axis", [0, 3])
def test_a_list_of_volumes_is_a_series(tmp_path, kind, axis):
    words, steps, sizes = ["domain"] * 3, [vectors([row]) for row in SLOPED], [5, 6, 7]
    for values, one in ((words, kind), (steps, "none"), (sizes, 3)):
        values.insert(axis, one)
    spacings, units = ["nan"] * 4, ['""'] * 4
    spacings[axis], units[axis] = "800", '"ms"'
    path = nrrd(
        tmp_path / "a.nrrd",
        packed(np.moveaxis(SERIES, 3, axis)),
        dimension="4",
        kinds=" ".join(words),
        sizes=" ".join(map(str, sizes)),
        space_directions=" ".join(steps),
        spacings=" ".join(spacings),
        units=" ".join(units),
    )
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.data, SERIES)
    np.testing.assert_array_equal(read_scan(f"{path}#2").data, SERIES[..., 2])
    np.testing.assert_allclose(scan.times, [0, 0.8, 1.6])
    np.testing.assert_allclose(scan.geometry.affine, read_scan(nrrd(tmp_path / "b.nrrd")).geometry.affine)


@pytest.mark.parametrize("kind", ["vector", "RGB-color", "3-vector", "???", ""])
def test_several_numbers_a_voxel_are_refused(tmp_path, kind):
    path = nrrd(
        tmp_path / "a.nrrd",
        packed(np.moveaxis(SERIES, 3, 0)),
        dimension="4",
        kinds=f"{kind} domain domain domain" if kind else "",
        sizes="3 5 6 7",
        space_directions="none " + vectors(SLOPED),
    )
    with pytest.raises(ScanweaveError, match="3 numbers a voxel"):
        read_scan(path)
    with pytest.raises(ScanweaveError, match="3 numbers a voxel"):
        read_scan(meta(tmp_path / "a.mha", packed(SERIES), ElementNumberOfChannels="3"))


def test_frames_of_a_metaimage_have_times(tmp_path):
    path = meta(
        tmp_path / "a.mha",
        packed(SERIES),
        NDims="4",
        DimSize="5 6 7 3",
        TransformMatrix=" ".join(map(str, np.eye(4).ravel())),
        Offset="10 -20 30 1.5",
        ElementSpacing="3 3 6 0.5",
    )
    scan = read_scan(path)
    np.testing.assert_allclose(scan.times, [1.5, 2.0, 2.5])
    np.testing.assert_array_equal(scan.data, SERIES)
    np.testing.assert_allclose(scan.geometry.positions([[0, 0, 0]]), [[-10, 20, 30]])
    crossed = np.eye(4)
    crossed[3, 0] = 0.5
    path.write_bytes(path.read_bytes().replace(b"1.0 0.0 0.0 0.0", b"1.0 0.0 0.0 0.5", 1))
    with pytest.raises(ScanweaveError, match="space and time at once"):
        read_scan(path)


def test_units_and_scale_of_a_metaimage_are_applied_and_told(tmp_path):
    scan = read_scan(
        meta(
            tmp_path / "a.mha",
            DistanceUnits="um",
            ElementSpacing="3000 3000 6000",
            Offset="10000 -20000 30000",
            ElementToIntensityFunctionSlope="2",
            ElementToIntensityFunctionOffset="-1024",
        )
    )
    np.testing.assert_allclose(scan.geometry.affine, read_scan(meta(tmp_path / "b.mha")).geometry.affine)
    np.testing.assert_array_equal(scan.data, 2.0 * VOXELS - 1024)
    assert {"units", "scale"} <= kinds(scan)


CODINGS = {
    "raw": packed,
    "gzip": lambda values: gzip.compress(packed(values)),
    "bzip2": lambda values: bz2.compress(packed(values)),
    "ascii": lambda values: " ".join(map(str, values.ravel(order="F"))).encode(),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_every_coding_and_byte_order_comes_back(tmp_path, coding):
    for order in ("little", "big"):
        for kind in ("int8", "unsigned short", "int", "int64", "float", "double"):
            name = {"unsigned short": "u2", "int": "i4", "int8": "i1", "int64": "i8", "float": "f4", "double": "f8"}
            values = VOXELS % 100
            stored = values.astype(np.dtype(name[kind]).newbyteorder("<" if order == "little" else ">"))
            path = nrrd(tmp_path / "a.nrrd", CODINGS[coding](stored), type=kind, endian=order, encoding=coding)
            np.testing.assert_array_equal(read_scan(path).data, values)
    path = meta(tmp_path / "a.mha", packed(VOXELS.astype(">i2")), BinaryDataByteOrderMSB="True")
    np.testing.assert_array_equal(read_scan(path).data, VOXELS)
    path = meta(tmp_path / "b.mha", CODINGS["ascii"](VOXELS), BinaryData="False")
    np.testing.assert_array_equal(read_scan(path).data, VOXELS)


@pytest.mark.parametrize("skip", ["12", "-1"])
def test_what_stands_before_the_voxels_is_passed_over(tmp_path, skip):
    lines = b"two lines\nof words\n" if skip == "12" else b""
    path = nrrd(tmp_path / "a.nhdr", b"", data_file="a.bin", byte_skip=skip, line_skip="2" if lines else "")
    (tmp_path / "a.bin").write_bytes(lines + bytes(12) + packed(VOXELS))
    np.testing.assert_array_equal(read_scan(path).data, VOXELS)
    path = meta(tmp_path / "a.mhd", b"", ElementDataFile="a.bin", HeaderSize=skip)
    (tmp_path / "a.bin").write_bytes(bytes(12) + packed(VOXELS))
    np.testing.assert_array_equal(read_scan(path).data, VOXELS)


@pytest.mark.parametrize("named", ["part%d.raw", "part%d.raw 1 7 1", "LIST"])
def test_slices_of_a_metaimage_in_files_of_their_own(tmp_path, named):
    names = [f"part{number}.raw" for number in range(1, 8)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(packed(VOXELS[..., number]))
    rest = "\n".join(names).encode() if named == "LIST" else b""
    np.testing.assert_array_equal(read_scan(meta(tmp_path / "a.mhd", rest, ElementDataFile=named)).data, VOXELS)
    (tmp_path / "part4.raw").unlink()
    with pytest.raises(ScanweaveError, match=r"part4.raw.*not there"):
        read_scan(tmp_path / "a.mhd")


@pytest.mark.parametrize("form", ["mha", "mha of gzip", "nrrd", "nrrd of bzip2"])
def test_no_flipped_byte_of_a_packed_image_goes_unseen(tmp_path, form):
    zipped = gzip.compress if "gzip" in form else zlib.compress
    for number in range(24):
        if form.startswith("mha"):
            data = bytearray(zipped(packed(VOXELS)))
        else:
            data = bytearray((bz2.compress if "bzip2" in form else gzip.compress)(packed(VOXELS)))
        head = 10 if form in ("mha of gzip", "nrrd") else 0  # a time, a name: nothing of the voxels
        flipped = head + (len(data) - 1 - head) * number // 23
        data[flipped] ^= 1 << (number % 8)
        if form.startswith("mha"):
            path = meta(tmp_path / "t1.mha", bytes(data), CompressedData="True", CompressedDataSize=str(len(data)))
        else:
            path = nrrd(tmp_path / "t1.nrrd", bytes(data), encoding="bzip2" if "bzip2" in form else "gzip")
        verdict = check_study({"study": "s", "patient": "p", "scan:t1": path.name}, tmp_path)
        assert verdict.status == "refused", flipped
    cut = zipped(packed(VOXELS))[:-5]
    path = meta(tmp_path / "t1.mha", cut, CompressedData="True")
    with pytest.raises(ScanweaveError, match="truncated"):
        _ = read_scan(path).data


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_a_position_that_is_not_told_is_said_to_be_unknown(tmp_path, suffix):
    if suffix == ".mha":
        meta(tmp_path / "t1.mha"), meta(tmp_path / "t2.mha", Offset=""), meta(tmp_path / "flair.mha", Offset="")
    else:
        for name, origin in (("t1", "(10,-20,30)"), ("t2", ""), ("flair", "")):
            nrrd(tmp_path / f"{name}.nrrd", space_origin=origin)
    names = ("t1", "t2", "flair")
    row = {"study": "s", "patient": "p", **{f"scan:{name}": name + suffix for name in names}}
    both = check_study(row, tmp_path)
    assert {f.scan for f in both.findings if (f.kind, f.status) == ("position", "refused")} == {"t2", "flair"}
    del row["scan:t1"]
    alone = check_study(row, tmp_path)
    assert {(f.scan, f.status) for f in alone.findings if f.kind == "unplaced"} == {
        ("t2", "suspect"),
        ("flair", "suspect"),
    }
    assert not [f for f in alone.findings if f.kind == "position"]


@pytest.mark.parametrize("text", ["nan nan nan", "0 inf 0"])
def test_a_position_that_is_no_number_is_refused(tmp_path, text):
    with pytest.raises(ScanweaveError, match="not finite"):
        read_scan(meta(tmp_path / "a.mha", Offset=text))
    with pytest.raises(ScanweaveError, match="not finite"):
        read_scan(nrrd(tmp_path / "a.nrrd", space_origin="(" + text.replace(" ", ",") + ")"))


@pytest.mark.parametrize("name", ["T1.MHA", "T1.NRRD"])
def test_capitals_in_a_suffix_change_nothing(tmp_path, name):
    path = meta(tmp_path / name) if name.endswith("MHA") else nrrd(tmp_path / name)
    np.testing.assert_array_equal(read_scan(path).data, VOXELS)


def test_more_voxels_than_the_header_claims_are_told(tmp_path):
    for path in (meta(tmp_path / "a.mha", DimSize="5 6 6"), nrrd(tmp_path / "a.nrrd", sizes="5 6 6")):
        assert [note.words for note in read_scan(path).notes] == ["holds 60 bytes more than its header claims"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dimension": "16"}, "16 sizes"),
        ({"sizes": "5 6"}, "3 sizes"),
        ({"sizes": "5 6 -7"}, "'sizes' is"),
        ({"sizes": "5 6 7e3"}, "'sizes' is"),
        ({"type": "block"}, "'block' voxels"),
        ({"encoding": "hex"}, "encoding 'hex'"),
        ({"endian": ""}, "byte order"),
        ({"space_directions": "(1,0,0) (0,1,0)"}, "3 vectors"),
        ({"space_directions": "(1,0) (0,1) (1,1)"}, "3 numbers"),
        ({"space_directions": "none (0,1,0) (1,1,1)"}, "axes lie in space"),
        ({"data_file": "../a.raw"}, "leads out"),
        ({"data_file": "a%03d.raw"}, "no range"),
        ({"data_file": "a%03d.raw 1 99999999999 1"}, "no files of voxels"),
        ({"byte_skip": "-7"}, "byte skip"),
    ],
)
def test_an_impossible_nrrd_header_is_refused_by_its_field(tmp_path, fields, words):
    with pytest.raises(ScanweaveError, match=words):
        read_scan(nrrd(tmp_path / "a.nrrd", **fields))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"NDims": "99"}, "16 axes"),
        ({"NDims": "2", "DimSize": "5 6"}, "shape"),
        ({"DimSize": "5 6 x"}, "DimSize"),
        ({"DimSize": "5 6 0"}, "DimSize"),
        ({"ElementType": "MET_SHORT_ARRAY"}, "MET_SHORT_ARRAY"),
        ({"ElementSpacing": ""}, "voxel sizes are unknown"),
        ({"ElementSpacing": "3 nan 6"}, "voxel sizes"),
        ({"ElementSpacing": "3 -3 6"}, "voxel sizes"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 0"}, "9 numbers"),
        ({"CompressedData": "perhaps"}, "True or False"),
        ({"HeaderSize": "-3"}, "HeaderSize"),
        ({"Position": "1 2"}, ""),
        ({"ElementToIntensityFunctionSlope": "0"}, "intensity scale"),
    ],
)
def test_an_impossible_metaimage_header_is_refused_by_its_field(tmp_path, fields, words):
    if fields == {"Position": "1 2"}:
        fields = {"Offset": "", "Position": "1 2"}
        words = "Offset"
    with pytest.raises(ScanweaveError, match=words):
        read_scan(meta(tmp_path / "a.mha", **fields))


def test_a_field_that_is_there_twice_is_refused_unless_both_agree(tmp_path):
    path = meta(tmp_path / "a.mha")
    path.write_bytes(path.read_bytes().replace(b"NDims = 3\n", b"NDims = 3\nOffset = 10 -20 30\n"))
    assert read_scan(path).geometry.shape == SHAPE
    path.write_bytes(path.read_bytes().replace(b"Offset = 10", b"Offset = 11", 1))
    with pytest.raises(ScanweaveError, match="offset twice"):
        read_scan(path)
