"""Contents of a sinogram in HDF5, read by h5py; `sinogram_hdf5` has the layout.

Files are hostile until read: soft, external and virtual data are refused, and sizes are computed before a value is.
No look at a file tells all that libhdf5 trips over, so only the helper of `guarded_reading` calls this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.formats import header_limits
from scanweave.studies.formats.guarded_reading import Allow, Contents
from scanweave.studies.sinogram import KINDS

FORMAT, VERSION = "scanweave-sinogram", 1
GROUP = "ct"
"""Optional group of scanweave that installs h5py."""
GEOMETRY = "geometry/"
"""Beginning of the names of what belongs to the geometry."""
OPTIONAL = {"air": "air", "thresholds": "thresholds_kev", "energies": "spectrum/energies_kev"}
OPTIONAL |= {"photons": "spectrum/photons", "response": "spectrum/response"}
"""Fields of a sinogram that a file may lack, and where they stand."""
MAX_ENTRIES = 256
"""Entries of a geometry, at most."""
MAX_ENTRY_NUMBERS = 2**20
"""Numbers of one of them, at most: an angle a view."""
LISTED_BYTES = 40
"""Bytes of a number in a list of Python: itself, and where it stands."""
ANEW = "Write it anew with write_sinogram, or see the layout in scanweave.studies.formats.sinogram_hdf5"


def sinogram_contents(path: Path, budget: int, allow: Allow) -> Contents:
    """Return kind and geometry of a sinogram, and its arrays.

    Args:
        path: The file.
        budget: Bytes that may be held at most.
        allow: Called with the bytes of all arrays before one is read.

    Raises:
        ScanweaveError: The file is truncated, damaged, too large, or not of this layout.
    """
    h5py = require("h5py", GROUP)
    with header_limits.faults_of(path), h5py.File(path, "r") as file:
        kind = _check_root(path, file.attrs)
        found = {name: _dataset(h5py, path, file, at) for name, at in OPTIONAL.items() if _link(h5py, file, at)}
        found["values"] = _dataset(h5py, path, file, "values")
        geometry, lists = _geometry(h5py, path, file)
        found |= lists
        allow(_checked_size(path, found, budget))
        arrays = {name: np.asarray(dataset[()]) for name, dataset in found.items()}
    real = {name: array if name.startswith(GEOMETRY) else plain_floats(array) for name, array in arrays.items()}
    return Contents({"kind": kind, "geometry": geometry}, real)


def _check_root(path: Path, attributes: Mapping[str, Any]) -> Any:
    found, version, kind = (attributes.get(name) for name in ("format", "version", "kind"))
    if found != FORMAT:
        raise ScanweaveError(path, "is HDF5, but no sinogram of scanweave", ANEW)
    if version != VERSION:
        raise ScanweaveError(path, f"has layout version {version}, not {VERSION}", "Use the scanweave that wrote it")
    if kind not in KINDS:
        raise ScanweaveError(path, f"holds {kind!r}, not {' or '.join(KINDS)}", ANEW)
    return kind


def _link(h5py: Any, group: Any, name: str) -> bool | None:
    """Tell whether something lies in the file itself; None where there is nothing. No link elsewhere is followed."""
    for step in name.split("/"):
        links = group.id.links
        if not isinstance(group, h5py.Group) or not links.exists(step.encode()):
            return None
        if links.get_info(step.encode()).type != h5py.h5l.TYPE_HARD:
            return False
        group = group[step]
    return True


def _dataset(h5py: Any, path: Path, group: Any, name: str) -> Any:
    """Return a dataset of real numbers that lies in the file itself; none of its values is read."""
    if not _link(h5py, group, name):
        raise ScanweaveError(path, f"has no dataset {name!r} of its own", ANEW)
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "iuf":
        raise ScanweaveError(path, f"{name!r} is no dataset of real numbers", ANEW)
    if dataset.is_virtual or dataset.external:
        raise ScanweaveError(path, f"{name!r} lies in another file", "Write it into one file")
    return dataset


def _geometry(h5py: Any, path: Path, file: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the numbers and texts of a geometry, and the datasets of its lists."""
    name = GEOMETRY.rstrip("/")
    group = file[name] if _link(h5py, file, name) else None
    if not isinstance(group, h5py.Group):
        raise ScanweaveError(path, "holds no geometry", ANEW)
    if len(group) + len(group.attrs) > MAX_ENTRIES:
        raise ScanweaveError(path, f"its geometry has more than {MAX_ENTRIES} entries", ANEW)
    plain: dict[str, Any] = {}
    for entry, value in group.attrs.items():
        plain[entry] = value.item() if isinstance(value, np.generic) else value
        if not isinstance(plain[entry], bool | int | float | str):
            raise ScanweaveError(path, f"entry {entry!r} of its geometry is no number or text", ANEW)
    lists = {f"{GEOMETRY}{entry}": _dataset(h5py, path, group, entry) for entry in group}
    for named, dataset in lists.items():
        if dataset.size > MAX_ENTRY_NUMBERS:
            entry = named.removeprefix(GEOMETRY)
            raise ScanweaveError(path, f"{entry!r} claims {dataset.size} numbers", "Check where it came from")
    return plain, lists


def _checked_size(path: Path, datasets: Mapping[str, Any], budget: int) -> int:
    """Return the bytes that are held while datasets are read, after a look at whether the file can hold so much."""
    pieces = {name: _piece(dataset) for name, dataset in datasets.items()}
    held = {name: dataset.size * _held_bytes(name, dataset) for name, dataset in datasets.items()}
    claims = {repr(name): max(held[name], pieces[name]) for name in datasets}
    claims["all that it holds"] = total = sum(held.values()) + max(pieces.values())
    there = path.stat().st_size
    for name, size in claims.items():
        bomb = size > header_limits.BOMB_BYTES and size > there * header_limits.BOMB_RATIO
        if bomb or size > budget or size > there * header_limits.MAX_RATIO:
            raise ScanweaveError(
                path,
                f"{name} claims {size / 2**20:.0f} MiB in a file of {there / 2**10:.0f} KiB",
                "Check where it came from, or raise SCANWEAVE_MEMORY_BUDGET (bytes)",
            )
    return total


def _piece(dataset: Any) -> int:
    """Return the bytes of a chunk, of which a whole one is unpacked for a single number."""
    return int(dataset.dtype.itemsize * math.prod(dataset.chunks or (0,)))


def _held_bytes(name: str, dataset: Any) -> int:
    """Return the bytes that are held of each number: as it is stored, and as float64 or in a list."""
    stored = int(dataset.dtype.itemsize)
    if name.startswith(GEOMETRY):
        return stored + LISTED_BYTES
    return stored if dataset.dtype in (np.float32, np.float64) else stored + 8


def plain_floats(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as they are if they are float32 or float64 of this machine, else as float64."""
    return values if values.dtype in (np.float32, np.float64) else np.asarray(values, np.float64)
