"""FreeSurfer's images (`.mgh`, `.mgz`), their header through nibabel."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader, data_type_codes

from scanweave.errors import ScanweaveError
from scanweave.studies.formats.header_limits import ADVICE, ANEW, check_size, faults_of
from scanweave.studies.formats.placed_volume import Volume, open_volume
from scanweave.studies.formats.voxel_streams import Voxels, opened
from scanweave.studies.scan import Scan

VOXELS_AT, RAS_FLAG_AT = 284, 28
"""Bytes at which the voxels begin, and the flag that the header holds a position."""


def read_mgh(path: Path) -> Scan:
    """Open an MGH file; the voxels are read on first use.

    Raises:
        ScanweaveError: The file is damaged, too large, or does not say where it lies.
    """
    with faults_of(path), np.errstate(all="ignore"):
        with opened(path) as stream:
            block = stream.read(VOXELS_AT)
        if len(block) < VOXELS_AT:
            raise ScanweaveError(path, f"truncated: has {len(block)} bytes, fewer than a header", ADVICE)
        header = MGHHeader(block, check=False)
        if int(header["version"]) != 1:
            raise ScanweaveError(path, f"not an MGH file (it starts with {block[:4]!r})", ADVICE)
        shape = tuple(int(n) for n in header["dims"])
        shape = shape if shape[3] != 1 else shape[:3]
        if block[RAS_FLAG_AT : RAS_FLAG_AT + 2] == bytes(2):  # nibabel fills in a position of its own
            raise ScanweaveError(path, "its header says nothing about orientation (goodRASFlag is 0)", ANEW)
        affine = np.array(header.get_affine(), dtype=np.float64)
        if int(header["type"]) not in data_type_codes.value_set("code"):
            raise ScanweaveError(path, f"holds voxels of the unknown type {int(header['type'])}", ADVICE)
        dtype = np.dtype(header.get_data_dtype()).newbyteorder(">")
        check_size(path, shape, dtype.itemsize, path.stat().st_size)
        count = int(np.prod([*shape], dtype=object))
        voxels = Voxels.binary(path, path, dtype, count, VOXELS_AT, footer=True)
        step = _repetition(path, VOXELS_AT + count * dtype.itemsize) if len(shape) > 3 else 0.0
    return open_volume(Volume(voxels, shape, affine, times=(0.0, step)))


def _repetition(path: Path, end: int) -> float:
    """Return TR [s], which stands behind the voxels; 0 where the file ends with them."""
    with opened(path) as stream:
        stream.seek(end)
        content = stream.read(4)
    return float(struct.unpack(">f", content)[0]) / 1000 if len(content) == 4 else 0.0
