"""Mosaics of Siemens: the planes of a volume side by side in one stored plane, and where each of them lies."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from scanweave.external import require
from scanweave.studies.dicom.reading import number_of, numbers_of

CSA_TAGS = (0x00290010, 0x00290011, 0x00290012, 0x00291010, 0x00291110, 0x00291210)
"""Private blocks of Siemens, and the header of the image in each: it tells how many planes there are, and which way."""
MOST_PLANES = 1_000


class Tiles(NamedTuple):
    """Hold the planes of a mosaic.

    Attributes:
        rows: Of a plane.
        columns: Of a plane.
        firsts: First row and column of each in the stored plane.
        positions: Of the centre of the first pixel of each [mm, LPS].
    """

    rows: int
    columns: int
    firsts: tuple[tuple[int, int], ...]
    positions: tuple[tuple[float, ...], ...]


def tiles_of(data: Any) -> Tiles | None:
    """Return the planes of a mosaic; None where its header does not tell them all.

    The position in the header is that of a single plane as large as the mosaic, with the same centre: that of the
    first plane lies half the difference further in (as in dcm2niix and in nibabel's `MosaicWrapper`).

    Args:
        data: The header of the file, with `CSA_TAGS`.
    """
    number, normal = _told(data)
    across_down, spacing = numbers_of(data, "ImageOrientationPatient"), numbers_of(data, "PixelSpacing")
    position, step = numbers_of(data, "ImagePositionPatient"), number_of(data, "SpacingBetweenSlices")
    rows, columns = (int(number_of(data, name) or 0) for name in ("Rows", "Columns"))
    if not 1 < number <= MOST_PLANES or (len(across_down), len(spacing), len(position)) != (6, 2, 3) or not step:
        return None
    side = math.ceil(math.sqrt(number))
    across, down = np.array(across_down[:3]), np.array(across_down[3:])
    aligned = abs(float(np.cross(across, down) @ normal))
    if rows % side or columns % side or abs(aligned - 1) > 1e-2:
        return None
    own = rows // side, columns // side
    inwards = across * spacing[1] * (columns - own[1]) / 2 + down * spacing[0] * (rows - own[0]) / 2
    firsts = tuple((own[0] * (k // side), own[1] * (k % side)) for k in range(number))
    places = tuple(tuple((np.array(position) + inwards + k * step * normal).tolist()) for k in range(number))
    return Tiles(*own, firsts, places)


def _told(data: Any) -> tuple[int, np.ndarray[Any, np.dtype[np.float64]]]:
    """Return how many planes there are, and the direction from one to the next; 0 where it is not told."""
    reader = require("nibabel.nicom.csareader", "")
    try:
        header = reader.get_csa_header(data)
        number = None if header is None else reader.get_n_mosaic(header)
        normal = None if header is None else reader.get_slice_normal(header)
    except (reader.CSAReadError, ValueError, AssertionError, TypeError):  # damaged
        number = normal = None
    if number is None or normal is None:
        return 0, np.zeros(3)
    return int(number), np.asarray(normal, np.float64)
