"""Limits that image files must keep before a voxel of them is decoded, and the one error for all that goes wrong."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.studies.geometry import Geometry


def _memory_budget() -> int:
    text = os.environ.get("SCANWEAVE_MEMORY_BUDGET", str(4 * 2**30))
    if not text.isdecimal():
        raise ScanweaveError(
            "SCANWEAVE_MEMORY_BUDGET", f"{text!r} is not a number of bytes", "Write 8 GiB as 8589934592"
        )
    return int(text)


MEMORY_BUDGET = _memory_budget()
"""Most that is held while one file is read [bytes]; `SCANWEAVE_MEMORY_BUDGET` sets another."""

HELD_BYTES_PER_VOXEL = 5
"""Bytes a voxel that are held while an image is read and looked at: its float32 and a mask."""

MAX_RATIO = 1100
"""Deflate shrinks no more than 1032-fold: a file that claims more than this many times its size lies."""

BOMB_RATIO, BOMB_BYTES = 500, 2**28
"""Above this size and ratio a file is taken for a decompression bomb; empty label maps are smaller."""

MAX_VOXELS_PER_AXIS = 2**15 - 1
"""Longest axis that a NIfTI-1 header can tell; a longer one comes from a damaged header."""

MOST_AXES = 7
"""Axes that a NIfTI header can have; all beyond the fourth must be of length 1."""

ADVICE = "Copy the file again from its source, or convert it anew"
ANEW = "Orientation is never guessed: convert it anew from the DICOM files, with the position kept"


@contextmanager
def faults_of(path: Path) -> Iterator[None]:
    """Translate what nibabel, numpy and zlib raise on damaged files."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ScanweaveError(path, f"truncated or damaged ({_words(error)})", ADVICE) from error
    except _image_faults() as error:
        raise ScanweaveError(path, f"not a valid image file ({_words(error)})", ADVICE) from error
    except MemoryError as error:
        raise ScanweaveError(path, "needs more memory than there is", "Use a machine with more memory") from error
    except (OSError, ValueError, ArithmeticError, TypeError, LookupError, RuntimeError) as error:
        raise ScanweaveError(path, f"cannot be read ({_words(error)})", ADVICE) from error


def check_size(path: Path, shape: tuple[int, ...], itemsize: int, there: int, held: int = HELD_BYTES_PER_VOXEL) -> None:
    """Refuse an impossible or too large array before it is decoded.

    Args:
        path: The file.
        shape: What its header claims.
        itemsize: Bytes a voxel that are stored.
        there: Size of the file, or files, that hold the voxels.
        held: Bytes a voxel that are held while it is read.

    Raises:
        ScanweaveError: Not 3D or 4D, above the memory budget, or far more than the file can hold.
    """
    if not 3 <= len(shape) <= MOST_AXES or min(shape) < 1 or any(n != 1 for n in shape[4:]):
        raise ScanweaveError(
            path, f"its header gives the shape {shape}, not a 3D volume or 4D series", "Export it as 3D or 4D"
        )
    if max(shape) > MAX_VOXELS_PER_AXIS:
        raise ScanweaveError(path, f"its header gives the impossible shape {shape}", ADVICE)
    voxels = int(np.prod([int(n) for n in shape], dtype=object))
    check_budget(path, voxels, held)
    size = voxels * itemsize
    if size > there * MAX_RATIO or (size > BOMB_BYTES and size > there * BOMB_RATIO):
        raise ScanweaveError(
            path,
            f"claims {size / 2**20:.0f} MiB from a file of {there / 2**10:.0f} KiB",
            "It looks like a decompression bomb or an empty image: check where it came from",
        )


def check_budget(path: Path | str, voxels: int, held: int = HELD_BYTES_PER_VOXEL) -> None:
    """Refuse more voxels than the memory budget holds.

    Raises:
        ScanweaveError: They are.
    """
    if voxels * held > MEMORY_BUDGET:
        raise ScanweaveError(
            path,
            f"needs {voxels * held / 2**30:.1f} GiB, over the budget of {MEMORY_BUDGET / 2**30:.1f} GiB",
            "If that is right, raise SCANWEAVE_MEMORY_BUDGET (bytes)",
        )


def check_geometry(path: Path, geometry: Geometry) -> Geometry:
    """Refuse a grid that cannot be placed in a patient.

    Raises:
        ScanweaveError: Its affine is singular or not finite.
    """
    if geometry.fault:
        raise ScanweaveError(path, geometry.fault, ANEW)
    return geometry


def _image_faults() -> tuple[type[Exception], ...]:
    """Return what nibabel raises; only a fault loads it, for it is slow."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    return ImageFileError, HeaderDataError


def _words(error: BaseException) -> str:
    """Return the first lines of a library's message, as one short line without the file name."""
    text = " ".join(str(error).split())
    return (text[:160] + "…" if len(text) > 160 else text) or type(error).__name__
