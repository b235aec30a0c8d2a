"""Archives of arrays (`.npz`), in which one array holds many images, as MedMNIST's: an image is `FILE.npz#ARRAY/k`."""

from __future__ import annotations

import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.formats.header_limits import ADVICE, check_size, faults_of
from scanweave.studies.geometry import Geometry
from scanweave.studies.scan import COLOURS, Scan

Array = NDArray[np.generic]


def array_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array of an archive; only headers are read.

    Raises:
        ScanweaveError: Not such an archive.
    """
    return {name: shape for name, (shape, _) in _headers(path, path.stat().st_mtime_ns).items()}


def read_array(path: Path, name: str) -> Array:
    """Read one array of an archive, and hold it until another one is read.

    Raises:
        ScanweaveError: There is none of this name, or it is damaged, too large, or holds Python objects.
    """
    return _array(path, path.stat().st_mtime_ns, name)


def read_item(path: Path, part: str | None) -> Scan:
    """Read image k of an array `(N, H, W)`, `(N, H, W, 3)` or `(N, D, H, W)`, by `part` = `"ARRAY/k"`.

    Raises:
        ScanweaveError: The archive has no such image, or the array does not hold images.
    """
    name, _, number = (part or "").partition("/")
    shapes = array_shapes(path)
    if name not in shapes or not 0 <= int(number) < shapes[name][0]:
        raise ScanweaveError(path, f"has no image '{part}'", "Import the cohort again")
    own, item = shapes[name][1:], int(number)
    colour = len(own) == 3 and own[-1] == len(COLOURS)
    if not (len(own) == 2 or len(own) == 3):
        raise ScanweaveError(path, f"'{name}' has the shape {shapes[name]}", "Give (N, H, W), (N, H, W, 3) or volumes")
    if len(own) == 3 and not colour:
        depth, height, width = own
        affine = np.diag([-1.0, -1.0, 1.0, 1.0])
        geometry = Geometry((width, height, depth), affine, "pixels")
        return Scan(geometry, lambda: np.array(read_array(path, name)[item].T), path=path)
    height, width = own[:2]

    def load() -> Array:
        pixels = np.array(np.swapaxes(read_array(path, name)[item], 0, 1))
        return pixels.reshape((width, height, 1, *own[2:]))

    return Scan(Geometry.of_film(width, height), load, path=path, channels=COLOURS if colour else None)


@lru_cache(maxsize=4)
def _headers(path: Path, changed: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Return shape and type of every array, by its name; `changed` tells one state of the file from another."""
    found: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
    try:
        with faults_of(path), zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(".npy"):
                    with archive.open(member) as stream:
                        shape, kind = found[member[:-4]] = _header(stream)
                    needed = int(np.prod(shape, dtype=object)) * kind.itemsize
                    if min(shape, default=1) < 1 or needed > archive.getinfo(member).file_size:
                        words = f"'{member}' does not hold the {shape} that it claims"
                        raise ScanweaveError(path, words, ADVICE)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ScanweaveError(path, f"not an archive of arrays ({error})", ADVICE) from error
    return found


def _header(stream: object) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(stream)  # type: ignore[arg-type]
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(stream)  # type: ignore[arg-type]
    return tuple(shape), kind


@lru_cache(maxsize=1)
def _array(path: Path, changed: int, name: str) -> Array:
    headers = _headers(path, changed)
    if name not in headers:
        raise ScanweaveError(path, f"has no array '{name}'", f"It has {', '.join(headers) or 'none'}")
    shape, kind = headers[name]
    if kind.hasobject:
        raise ScanweaveError(path, f"'{name}' holds Python objects", "Save numbers only")
    with faults_of(path), zipfile.ZipFile(path) as archive:
        packed = archive.getinfo(f"{name}.npy").compress_size
        flat = (int(np.prod(shape[:1], dtype=object)), max(1, int(np.prod(shape[1:], dtype=object))))
        _check(path, flat, kind.itemsize, packed)
        with archive.open(f"{name}.npy") as stream:
            return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def _check(path: Path, flat: tuple[int, int], itemsize: int, packed: int) -> None:
    """Refuse an array above the budgets; its longest axes may be longer than those of one image."""
    values = flat[0] * flat[1]
    side = int(np.ceil(np.sqrt(values)))
    if side:
        check_size(path, (side, -(-values // side), 1), itemsize, packed, itemsize + 1)
