"""Malformed images: headers, lengths, bombs, positions, voxels."""

from __future__ import annotations

import gzip
import struct
import warnings
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
from fault import Fault, affine, texture

from scanweave.errors import ScanweaveError
from scanweave.studies.checks.cohort_check import check_study
from scanweave.studies.findings import ORDER

NAN, INF = float("nan"), float("inf")
MHA = (
    b"ObjectType = Image\nNDims = 3\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 5 5 5\n"
    b"DimSize = 9 9 9\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
)
NRRD = (
    b"NRRD0004\ntype: uint8\ndimension: 3\nspace: RAS\nspace directions: (5,0,0) (0,5,0) (0,0,5)\n"
    b"space origin: (0,0,0)\nsizes: 9 9 9\nencoding: raw\n\n"
)
# field: offset, struct code, {value: expected}
HEADER: dict[str, tuple[int, str, dict[float, str]]] = {
    "sizeof_hdr": (0, "i", {0: "repair", -1: "repair", 2**31 - 1: "repair", 540: "error"}),
    "dim[0]": (40, "h", {0: "error", -1: "error", 1: "error", 2: "error", 7: "repair", 8: "error", 32767: "error"}),
    "dim[1]": (42, "h", {0: "error", -4: "error", 32767: "error", -32768: "error"}),
    "dim[3]": (46, "h", {0: "error", -1: "error", 32767: "error", 2000: "error", 2: "error"}),
    "datatype": (
        70,
        "h",
        {
            0: "error",
            1: "error",
            3: "error",
            32: "error",
            64: "error",
            128: "error",
            -1: "error",
            1792: "error",
            32767: "error",
        },
    ),
    "pixdim[1]": (80, "f", {0: "repair", -1: "repair", NAN: "repair", INF: "repair", 1e30: "error"}),
    "vox_offset": (
        108,
        "f",
        {0: "repair", -1: "error", 16: "error", NAN: "error", INF: "error", 1e30: "error", 1e6: "error", 1024: "error"},
    ),
    "scl_slope": (112, "f", {0: "ok", NAN: "ok", INF: "error", -INF: "error", 3e38: "error"}),
    "scl_inter": (116, "f", {NAN: "error", INF: "error", -INF: "error", 3e38: "error"}),
    "sform_code": (254, "h", {0: "ok", -1: "repair", 32767: "repair"}),
    "qform_code": (252, "h", {-1: "repair", 32767: "repair"}),
    "srow_x": (280, "f", {0: "repair", NAN: "repair", INF: "repair", 1e30: "repair", 1e-30: "repair", 0.01: "error"}),
    "qoffset_x": (268, "f", {NAN: "repair", INF: "repair", 1e30: "error", 5000.0: "error", -78.0: "repair"}),
    "quatern_b": (256, "f", {NAN: "repair", 5.0: "repair", INF: "repair", 0.9: "error"}),
    "magic": (344, "4s", {b"\0\0\0\0": "error", b"abcd": "error", b"ni1\0": "error", b"n+2\0": "error"}),
}


def exercise(folder: Path) -> str:
    """Check the one image of the folder as `cohort check` does."""
    file = next(path.name for path in sorted(folder.iterdir()) if path.name.startswith("image"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = check_study({"study": "s", "patient": "p", "scan:t1": file}, folder)
    worst = max(verdict.findings, key=lambda finding: ORDER.index(finding.status), default=None)
    if worst is not None and worst.status == "refused":
        raise ScanweaveError(f"{file}: {worst.scan}", worst.words, worst.step)
    return {"ok": "ok", "repaired": "repair", "suspect": "repair"}[verdict.status]


def template(folder: Path) -> bytes:
    """A valid .nii file as bytes."""
    path = folder / "template.nii"
    image = nib.Nifti1Image(texture(), affine())
    image.set_qform(affine(), 1)
    image.set_sform(affine(), 1)
    nib.save(image, path)
    content = path.read_bytes()
    path.unlink()
    return content


def patched(folder: Path, offset: int, code: str, value: object, suffix: str = ".nii") -> None:
    """The valid file with one field overwritten."""
    content = bytearray(template(folder))
    struct.pack_into("<" + code, content, offset, value)
    data = bytes(content) if suffix == ".nii" else gzip.compress(bytes(content))
    (folder / f"image{suffix}").write_bytes(data)


def cut(folder: Path, share: float, suffix: str) -> None:
    """The valid file, truncated."""
    content = template(folder)
    data = content if suffix == ".nii" else gzip.compress(content)
    (folder / f"image{suffix}").write_bytes(data[: int(len(data) * share)])


def saved(folder: Path, data: np.ndarray, matrix: np.ndarray, suffix: str = ".nii.gz") -> None:
    """An image with these voxels at this place, written as it stands."""
    nib.save(nib.Nifti1Image(data, matrix), folder / f"image{suffix}")


def with_voxels(folder: Path, value: float, share: float) -> None:
    """A real image some of whose voxels are not numbers."""
    data = texture().astype(np.float32)
    data.ravel()[: max(1, int(share * data.size))] = value
    saved(folder, data, affine())


def bomb(folder: Path, shape: tuple[int, int, int], mebibytes: int) -> None:
    """A gzip file of `mebibytes` zeros (in members of 1 MiB) under a header that claims `shape`."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(shape)
    header.set_sform(affine(1.0), 1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    member = gzip.compress(bytes(2**20), 9)
    (folder / "image.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(4)) + member * mebibytes)


def near_budget(folder: Path, name: str, side: int) -> None:
    """A sparse file of side³ float64 voxels whose array is just within the budget, if nothing else is held."""
    shape, content = (side, side, side), np.random.default_rng(0).normal(size=side**3 // 100).tobytes()
    if name.endswith(".nii"):
        header = nib.Nifti1Header()
        header.set_data_dtype(np.float64)
        header.set_data_shape(shape)
        header.set_sform(affine(1.0), 1)
        header["magic"], header["vox_offset"] = b"n+1", 352
        start = header.binaryblock + bytes(4)
    else:
        start = MHA.replace(b"9 9 9", b"%d %d %d" % shape).replace(b"UCHAR", b"DOUBLE")
    with (folder / name).open("wb") as file:
        file.write(start + content)
        file.truncate(len(start) + side**3 * 8)


def detached(folder: Path, name: str, length: int | None) -> None:
    """A header whose voxels lie in a file beside it, of which `length` bytes are left (None: no file)."""
    mhd = MHA.replace(b"LOCAL", b"voxels.raw")
    nhdr = NRRD.rstrip(b"\n") + b"\ndata file: voxels.raw\n"
    (folder / name).write_bytes(mhd if name.endswith(".mhd") else nhdr)
    if length is not None:
        (folder / "voxels.raw").write_bytes(np.random.default_rng(0).bytes(9**3)[:length])


def extension(folder: Path, size: int) -> None:
    """A header extension that lies about its length."""
    content = bytearray(template(folder))
    content[348:352] = b"\1\0\0\0"
    struct.pack_into("<f", content, 108, 368.0)
    content[352:352] = struct.pack("<ii", size, 6) + b"12345678"
    (folder / "image.nii").write_bytes(bytes(content))


def written(folder: Path, name: str, content: bytes) -> None:
    """Any bytes under the name of an image."""
    (folder / name).write_bytes(content)


def damaged_gzip(folder: Path, where: float) -> None:
    """One byte of the compressed stream is wrong (0: the checksum at its end)."""
    data = bytearray(gzip.compress(template(folder)))
    data[int(len(data) * where) or len(data) - 8] ^= 0xFF
    (folder / "image.nii.gz").write_bytes(bytes(data))


def places() -> dict[str, tuple[np.ndarray, str]]:
    """Affines and what must come of them."""
    shear, flat, twin = affine(), affine(), affine()
    shear[0, 1] = 3.0
    flat[:3, 2] = 0
    twin[:3, 1] = twin[:3, 0]
    holes = {f"{v} at {i},{j}": affine() for v in (NAN, INF) for i, j in ((0, 0), (1, 3))}
    for name, matrix in holes.items():
        value, at = name.split(" at ")
        row, column = at.split(",")
        matrix[int(row), int(column)] = float(value)
    return {
        **{name: (matrix, "error") for name, matrix in holes.items()},
        "no length": (flat, "error"),
        "two axes coincide": (twin, "error"),
        "sheared": (shear, "repair"),
        "metres": (affine() * [[1e-3], [1e-3], [1e-3], [1]], "error"),
        "micrometres": (affine() * [[1e3], [1e3], [1e3], [1]], "error"),
    }


def with_sform(folder: Path, matrix: np.ndarray) -> None:
    """Write a matrix into the sform as it is (nibabel would refuse some), with no qform."""
    content = bytearray(template(folder))
    struct.pack_into("<h", content, 252, 0)
    struct.pack_into("<12f", content, 280, *matrix[:3].ravel())
    (folder / "image.nii").write_bytes(bytes(content))


def no_orientation(folder: Path) -> None:
    """Both codes are 0."""
    content = bytearray(template(folder))
    struct.pack_into("<hh", content, 252, 0, 0)
    (folder / "image.nii").write_bytes(bytes(content))


def without_sform(folder: Path, step: float) -> None:
    """Only the qform is set, and a voxel size is impossible."""
    content = bytearray(template(folder))
    struct.pack_into("<h", content, 254, 0)
    struct.pack_into("<f", content, 80, step)
    (folder / "image.nii").write_bytes(bytes(content))


def conflict(folder: Path, shift: float, codes: tuple[int, int]) -> None:
    """sform and qform lie `shift` mm apart."""
    moved = affine()
    moved[0, 3] += shift
    image = nib.Nifti1Image(texture(), affine())
    image.set_qform(moved, codes[0])
    image.set_sform(affine(), codes[1])
    nib.save(image, folder / "image.nii")


def kept_type(folder: Path, dtype: str) -> None:
    """Voxels that are not one real number."""
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8), dtype=dtype), affine()), folder / "image.nii")


def faults() -> Iterator[Fault]:
    """All malformed images."""
    for field, (offset, code, values) in HEADER.items():
        for value, expected in values.items():
            make = partial(patched, offset=offset, code=code, value=value)
            yield Fault(f"header {field}", f"{value!r}", make, exercise, expected)
    for suffix in (".nii", ".nii.gz"):
        for step in range(20):
            make = partial(cut, share=step / 20, suffix=suffix)
            yield Fault(f"truncated {suffix}", f"{5 * step} %", make, exercise)
    for where in (0.0, 0.05, 0.3, 0.6, 0.9):
        yield Fault("damaged gzip", f"at {where}", partial(damaged_gzip, where=where), exercise)
    for name, (matrix, expected) in places().items():
        yield Fault("affine", name, partial(with_sform, matrix=matrix), exercise, expected)
    yield from _bombs()
    yield from _positions()
    yield from _contents()


def _bombs() -> Iterator[Fault]:
    bombs = {
        "1 GiB of zeros": ((1024, 1024, 1024), 1024),
        "far above the content": ((2000, 1000, 400), 1),
        "300 MiB from 300 KiB": ((600, 800, 655), 300),
        "impossible shape": ((32767, 32767, 32767), 0),
    }
    for name, (shape, size) in bombs.items():
        yield Fault("bomb", name, partial(bomb, shape=shape, mebibytes=size), exercise)
    yield Fault("bomb", "1 GiB after a constant image", partial(bomb, shape=(40, 40, 40), mebibytes=1024), exercise)
    for name, side in (("image.nii", 368), ("image.mha", 368)):
        yield Fault("near the budget", f"{name} of float64", partial(near_budget, name=name, side=side), exercise, "ok")
    for name in ("image.mhd", "image.nhdr"):
        for length, expected in ((None, "error"), (0, "error"), (700, "error"), (9**3, "ok")):
            make = partial(detached, name=name, length=length)
            yield Fault("detached", f"{name}, {length}", make, exercise, expected)
    for size in (2**31 - 16, 0, -16, 7):  # extensions are not read: their lies do no harm
        yield Fault("extension", f"length {size}", partial(extension, size=size), exercise, "ok")


def _positions() -> Iterator[Fault]:
    yield Fault("no orientation", "codes 0", no_orientation, exercise)
    for step in (0.0, -10.0, NAN, INF):
        yield Fault("qform only", f"pixdim {step}", partial(without_sform, step=step), exercise)
    for shift, codes, expected in ((30.0, (1, 1), "error"), (2.0, (1, 1), "repair"), (30.0, (1, 4), "repair")):
        make = partial(conflict, shift=shift, codes=codes)
        yield Fault("sform and qform", f"{shift} mm apart, codes {codes}", make, exercise, expected)


def _contents() -> Iterator[Fault]:
    for value in (NAN, INF, -INF):
        yield Fault("voxels", f"a few {value}", partial(with_voxels, value=value, share=0.001), exercise, "repair")
        yield Fault("voxels", f"5 % {value}", partial(with_voxels, value=value, share=0.05), exercise)
        yield Fault("voxels", f"all {value}", partial(with_voxels, value=value, share=1), exercise)
    for value in (0, 7):
        constant = np.full((16, 18, 20), value, np.int16)
        yield Fault("constant", f"{value}", partial(saved, data=constant, matrix=affine()), exercise)
    shapes = {
        "one frame": ((16, 18, 20, 1), "repair"),
        "series": ((16, 18, 20, 5), "error"),
        "5D": ((8, 8, 8, 1, 3), "error"),
        "two slices": ((16, 18, 2), "error"),
        "2D": ((16, 18), "error"),
        "1D": ((50,), "error"),
    }
    for name, (shape, expected) in shapes.items():
        yield Fault("shape", name, partial(saved, data=texture(shape), matrix=affine()), exercise, expected)
    for dtype in ("complex64", "complex128", [("R", "u1"), ("G", "u1"), ("B", "u1")]):
        yield Fault("voxel type", f"{dtype}", partial(kept_type, dtype=dtype), exercise)
    for name, content in _foreign().items():
        yield Fault("not an image", name, partial(written, name=name.split(" ")[0], content=content), exercise)


def _foreign() -> dict[str, bytes]:
    voxels = np.random.default_rng(0).bytes(9**3)
    return {
        "image.nii empty": b"",
        "image.nii.gz empty": b"",
        "image.nii text": b"hello " * 200,
        "image.nii.gz not gzip": b"\x5c\x01\0\0" + bytes(600),
        "image.nii.gz zlib": zlib.compress(bytes(4000)),
        "image.nii.gz gzip of nothing": gzip.compress(b""),
        "image.nrrd text": b"hello " * 200,
        "image.nrrd short": NRRD + bytes(10),
        "image.nrrd huge": NRRD.replace(b"9 9 9", b"90000 90000 90000"),
        "image.mha short": MHA + bytes(10),
        "image.mha huge": MHA.replace(b"9 9 9", b"90000 90000 90000"),
        "image.mhd elsewhere": MHA.replace(b"LOCAL", b"../../../etc/passwd"),
        "image.mha empty": b"",
        "image.mha no orientation": MHA.replace(b"TransformMatrix = 1 0 0 0 1 0 0 0 1\n", b"") + voxels,
        "image.nrrd no space": NRRD.replace(b"space: RAS\n", b"space dimension: 3\n") + voxels,
        "image.nrrd no directions": NRRD.replace(b"space directions: (5,0,0) (0,5,0) (0,0,5)\n", b"") + voxels,
    }
