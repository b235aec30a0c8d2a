"""Simulated subjects to disk, one by one, each whole or not at all."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, read_json, sweep, write_json
from scanweave.simulate.brain import Subject, simulate_subject
from scanweave.simulate.settings import BrainSettings

STUDIES, HELD_OUT, TRUTH = "studies", "held_out", "truth.json"
REQUEST = "simulation.json"
AGAIN = "Choose another --out"


def claim(out: Path, request: dict[str, Any]) -> None:
    """Make sure that `out` is ours to write: new, empty, or begun by the same request; clear what was half-written."""
    known = out / REQUEST
    if known.exists():
        if read_json(known, AGAIN) != request:
            raise ScanweaveError(out, "holds a cohort simulated with another seed or other settings", AGAIN)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ScanweaveError(out, "is not empty and not a simulated cohort", AGAIN)
    else:
        write_json(known, request)
    for room in (STUDIES, HELD_OUT):
        sweep(out / room)


def write_subjects(
    out: Path, indices: range, seed: int, settings: BrainSettings, keep_removed: bool, workers: int = 1
) -> Iterator[int]:
    """Write subjects into `out`, one at a time per process, and yield the index of each, in order, once it is whole."""
    write = partial(write_subject, out, seed, settings, keep_removed)
    if workers == 1:
        yield from map(write, indices)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(write, indices, chunksize=4)


def write_subject(out: Path, seed: int, settings: BrainSettings, keep_removed: bool, index: int) -> int:
    """Write subject `index` unless it is there, and return the index."""
    name = name_of(index)
    folder, held_out = out / STUDIES / name, out / HELD_OUT / name
    if folder.exists():
        return index
    subject = simulate_subject(seed, index, settings)
    present = [scan for scan in subject["scans"] if scan not in subject["absent"]]
    if keep_removed and subject["absent"] and not held_out.exists():
        with atomic_folder(held_out) as temporary:
            _write_images(temporary, subject, subject["absent"], settings)
    with atomic_folder(folder) as temporary:
        _write_images(temporary, subject, present, settings)
        for mask, volume in subject["masks"].items():
            _write_nifti(temporary / f"{mask}.nii.gz", volume, subject["affine"])
        facts = {"index": index, "present": present, "absent": list(subject["absent"])}
        write_json(temporary / TRUTH, facts | subject["truth"])
    return index


def name_of(index: int) -> str:
    """Return the name of the study of subject `index`."""
    return f"sub-{index:06d}"


def _write_images(folder: Path, subject: Subject, names: Iterable[str], settings: BrainSettings) -> None:
    for name in names:
        step = settings.dce_interval if name == "dce" else None
        _write_nifti(folder / f"{name}.nii.gz", subject["scans"][name], subject["affine"], step)


def _write_nifti(path: Path, volume: NDArray[Any], affine: NDArray[np.float64], step: float | None = None) -> None:
    """Write NIfTI, lightly compressed and without the time of day, so that equal subjects are equal bytes."""
    image = nib.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm", "sec")
    if step is not None:
        image.header.set_zooms((*image.header.get_zooms()[:3], step))
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))
