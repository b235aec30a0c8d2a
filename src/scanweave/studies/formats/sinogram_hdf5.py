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

Files are hostile until read: soft, external and virtual data are refused, and sizes are computed before a value is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.files import atomic_write, plain_size
from scanweave.studies.formats import header_limits
from scanweave.studies.sinogram import KINDS, Dead, Sinogram

FORMAT, VERSION = "scanweave-sinogram", 1
GROUP = "ct"
"""Optional group of scanweave that installs h5py."""
MAX_ENTRIES = 256
"""Entries of a geometry, at most."""
MAX_ENTRY_NUMBERS = 2**20
"""Numbers of one of them, at most: an angle a view."""
COPIES = 4
"""Images of a slice that are held at once when it is reconstructed."""
_ANEW = "Write it anew with write_sinogram, or see the layout in scanweave.studies.formats.sinogram_hdf5"
_OPTIONAL = {"air": "air", "thresholds": "thresholds_kev", "energies": "spectrum/energies_kev"}
_OPTIONAL |= {"photons": "spectrum/photons", "response": "spectrum/response"}


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
        _store(file, "values", _real(sinogram.values), compression="gzip", compression_opts=1, shuffle=True)
        for name, dataset in _OPTIONAL.items():
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
    h5py = require("h5py", GROUP)
    plain_size(path)
    with header_limits.faults_of(path), h5py.File(path, "r") as file:
        kind = _check_root(path, file.attrs)
        parts = {name: _real(_load(h5py, path, file, at)) for name, at in _OPTIONAL.items() if at in file}
        values = _real(_load(h5py, path, file, "values"))
        geometry = _load_geometry(h5py, path, file)
    try:
        read = Sinogram(values, kind, geometry, dead=dead, **parts)
    except ScanweaveError as error:
        raise ScanweaveError(path, error.reason, error.next_step) from error
    _check_grid(path, read)
    return read


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


def _real(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.dtype in (np.float32, np.float64) else np.asarray(values, np.float64)


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


def _check_root(path: Path, attributes: Mapping[str, Any]) -> Any:
    found, version, kind = (attributes.get(name) for name in ("format", "version", "kind"))
    if found != FORMAT:
        raise ScanweaveError(path, "is HDF5, but no sinogram of scanweave", _ANEW)
    if version != VERSION:
        raise ScanweaveError(path, f"has layout version {version}, not {VERSION}", "Use the scanweave that wrote it")
    if kind not in KINDS:
        raise ScanweaveError(path, f"holds {kind!r}, not {' or '.join(KINDS)}", _ANEW)
    return kind


def _load(h5py: Any, path: Path, group: Any, name: str, most: float = math.inf) -> NDArray[Any]:
    """Read a dataset of `most` real numbers that lies in the file itself, after a look at its size."""
    parts = name.split("/")
    for depth in range(1, len(parts) + 1):
        if not isinstance(group.get("/".join(parts[:depth]), getlink=True), h5py.HardLink):
            raise ScanweaveError(path, f"has no dataset {name!r} of its own", _ANEW)
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "iuf":
        raise ScanweaveError(path, f"{name!r} is no dataset of real numbers", _ANEW)
    if dataset.is_virtual or dataset.external:
        raise ScanweaveError(path, f"{name!r} lies in another file", "Write it into one file")
    if dataset.size > most:
        raise ScanweaveError(path, f"{name!r} claims {dataset.size} numbers", "Check where it came from")
    stored = dataset.dtype.itemsize
    held = stored if dataset.dtype in (np.float32, np.float64) else stored + 8  # and its float64
    piece = stored * math.prod(dataset.chunks or ())  # of which a whole one is unpacked for a single number
    size, there = max(dataset.size * held, piece), path.stat().st_size
    bomb = size > header_limits.BOMB_BYTES and size > there * header_limits.BOMB_RATIO
    if bomb or size > header_limits.MEMORY_BUDGET or size > there * header_limits.MAX_RATIO:
        raise ScanweaveError(
            path,
            f"{name!r} claims {size / 2**20:.0f} MiB in a file of {there / 2**10:.0f} KiB",
            "Check where it came from, or raise SCANWEAVE_MEMORY_BUDGET (bytes)",
        )
    return np.asarray(dataset[()])


def _load_geometry(h5py: Any, path: Path, file: Any) -> dict[str, Any]:
    group = file.get("geometry") if isinstance(file.get("geometry", getlink=True), h5py.HardLink) else None
    if not isinstance(group, h5py.Group):
        raise ScanweaveError(path, "holds no geometry", _ANEW)
    if len(group) + len(group.attrs) > MAX_ENTRIES:
        raise ScanweaveError(path, f"its geometry has more than {MAX_ENTRIES} entries", _ANEW)
    geometry: dict[str, Any] = {}
    for name, value in group.attrs.items():
        geometry[name] = value.item() if isinstance(value, np.generic) else value
        if not isinstance(geometry[name], bool | int | float | str):
            raise ScanweaveError(path, f"entry {name!r} of its geometry is no number or text", _ANEW)
    return geometry | {name: _load(h5py, path, group, name, MAX_ENTRY_NUMBERS).tolist() for name in group}
