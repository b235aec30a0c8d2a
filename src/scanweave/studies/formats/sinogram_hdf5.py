"""Sinograms in HDF5.

Layout, version 1 (every dataset carries a Fletcher-32 checksum):

| name | what |
|---|---|
| attributes of `/` | `format` = "scanweave-sinogram", `version` = 1, `kind` = "counts" or "line_integrals" |
| `/values` | `(S, V, D)` float32 or float64: bins, views, detector elements |
| `/air` | `(S,)` or `(S, D)`: readings without an object; needed with counts |
| `/thresholds_kev` | `(S,)`: lower threshold of each bin, ascending; needed with more than one bin |
| `/spectrum/energies_kev`, `/spectrum/photons` | `(E,)`, optional |
| `/spectrum/response` | `(S, E)`: what a photon of each energy adds to a reading of each bin; optional |
| `/geometry` | numbers and texts as attributes, lists of numbers as datasets of one axis |

Files are read by a process of its own (`guarded_reading`, which calls `hdf5_contents`): libhdf5 loops for ever on some
damaged files, and breaks down on others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.files import atomic_write
from scanweave.studies.formats import header_limits
from scanweave.studies.formats.guarded_reading import GuardedReader
from scanweave.studies.formats.hdf5_contents import FORMAT, GEOMETRY, GROUP, OPTIONAL, VERSION, plain_floats
from scanweave.studies.sinogram import Dead, Sinogram

COPIES = 4
"""Images of a slice that are held at once when it is reconstructed."""


class SinogramFiles(Mapping[str, Sinogram]):
    """Sinograms by name, each read from its file whenever it is asked for and held by nobody.

    Args:
        paths: The files.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.paths = dict(paths)

    def __getitem__(self, name: str) -> Sinogram:
        return read_sinogram(self.paths[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __contains__(self, name: object) -> bool:
        return name in self.paths


def write_sinogram(path: str | Path, sinogram: Sinogram) -> None:
    """Write a sinogram to HDF5, whole or not at all.

    Raises:
        ScanweaveError: The sinogram contradicts itself, its geometry is no plain dict, or h5py is not installed.
    """
    h5py = require("h5py", GROUP)
    sinogram.check(path)
    geometry = {name: _plain(path, name, value) for name, value in sinogram.geometry.items()}
    with atomic_write(path) as temporary, h5py.File(temporary, "w", locking=False) as file:
        file.attrs.update({"format": FORMAT, "version": VERSION, "kind": sinogram.kind})
        _store(file, "values", plain_floats(sinogram.values), compression="gzip", compression_opts=1, shuffle=True)
        for name, dataset in OPTIONAL.items():
            values = getattr(sinogram, name)
            if values is not None:
                _store(file, dataset, np.asarray(values, np.float64))
        group = file.create_group("geometry")
        for name, value in geometry.items():
            if isinstance(value, np.ndarray):
                _store(group, name, value)
            else:
                group.attrs[name] = value


def read_sinogram(path: str | Path, *, dead: Dead = "refuse") -> Sinogram:
    """Read a sinogram from HDF5.

    Args:
        path: The file.
        dead: Whether NaN among counts is kept, as a dead detector element, or refused.

    Raises:
        ScanweaveError: The file is absent, truncated, damaged, too large, not of this layout, contradicts itself, or
            asks for images that are too large.
    """
    path = Path(path)
    about, arrays = _reader(os.getpid()).read(path)
    lists = {name: values.tolist() for name, values in arrays.items() if name.startswith(GEOMETRY)}
    geometry = about["geometry"] | {name.removeprefix(GEOMETRY): values for name, values in lists.items()}
    parts = {name: values for name, values in arrays.items() if name not in lists}
    try:
        read = Sinogram(kind=about["kind"], geometry=geometry, dead=dead, **parts)
    except ScanweaveError as error:
        raise ScanweaveError(path, error.reason, error.next_step) from error
    _check_grid(path, read)
    return read


@cache
def _reader(process: int) -> GuardedReader:
    """Return what reads for one process: a forked one must not take the answers that its parent waits for."""
    return GuardedReader("scanweave.studies.formats.hdf5_contents:sinogram_contents")


def _check_grid(path: Path, sinogram: Sinogram) -> None:
    """Refuse a geometry whose images would not fit into memory."""
    shape = np.asarray(sinogram.geometry.get("shape", ()))
    size = 4.0 * sinogram.bins * float(np.prod(shape, dtype=np.float64)) if shape.dtype.kind in "iuf" else 0.0
    if COPIES * size > header_limits.MEMORY_BUDGET:
        grid = " × ".join(f"{count:g}" for count in shape.ravel())
        raise ScanweaveError(
            path,
            f"its geometry asks for images of {grid} pixels, {size / 2**30:.1f} GiB for all bins",
            "Give a coarser grid, or raise SCANWEAVE_MEMORY_BUDGET (bytes)",
        )


def _store(group: Any, name: str, values: NDArray[Any], **options: Any) -> None:
    group.create_dataset(name, data=values, chunks=True if values.size else None, fletcher32=True, **options)


def _plain(path: str | Path, name: str, value: Any) -> bool | int | float | str | NDArray[Any]:
    """Return one entry of a geometry as HDF5 stores it."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple | np.ndarray):
        array = np.asarray(value)
        if array.ndim == 1 and array.size and array.dtype.kind in "iuf" and np.isfinite(array).all():
            return array
    raise ScanweaveError(
        path,
        f"entry {name!r} of the geometry is no number, text or list of finite numbers",
        "Pass the plain dict of a geometry",
    )
