"""Simulated subjects to disk, one by one, each whole or not at all."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, read_json, sweep, write_json
from scanweave.simulate.subject import Subject

STUDIES, HELD_OUT, TRUTH = "studies", "held_out", "truth.json"
REQUEST = "simulation.json"
AGAIN = "Choose another --out"
Done = TypeVar("Done")


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


def in_processes(work: Callable[[int], Done], indices: range, workers: int) -> Iterator[Done]:
    """Yield what `work` returns of each index, in order, from one or several processes."""
    if workers == 1:
        yield from map(work, indices)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, indices, chunksize=4)


def write_subjects(
    out: Path, indices: range, simulate: Callable[[int], Subject], keep_removed: bool, workers: int = 1
) -> Iterator[int]:
    """Write subjects into `out`, one at a time per process, and yield the index of each, in order, once it is whole.

    Args:
        out: Folder of the cohort.
        indices: Which subjects.
        simulate: Makes the subject of an index; sent to other processes where there are several workers.
        keep_removed: Also write the scans that the protocol removes.
        workers: Processes.
    """
    yield from in_processes(partial(write_subject, out, simulate, keep_removed), indices, workers)


def write_subject(out: Path, simulate: Callable[[int], Subject], keep_removed: bool, index: int) -> int:
    """Write subject `index` unless it is there, and return the index."""
    name = name_of(index)
    folder, held_out = out / STUDIES / name, out / HELD_OUT / name
    if folder.exists():
        return index
    subject = simulate(index)
    present = [scan for scan in subject["scans"] if scan not in subject["absent"]]
    if keep_removed and subject["absent"] and not held_out.exists():
        with atomic_folder(held_out) as temporary:
            _write_images(temporary, subject, subject["absent"])
    with atomic_folder(folder) as temporary:
        _write_images(temporary, subject, present)
        for mask, volume in subject["masks"].items():
            _write_nifti(temporary / f"{mask}.nii.gz", volume, subject["affine"])
        facts = {"index": index, "present": present, "absent": list(subject["absent"])}
        write_json(temporary / TRUTH, facts | subject["truth"])
    return index


def name_of(index: int) -> str:
    """Return the name of the study of subject `index`."""
    return f"sub-{index:06d}"


def _write_images(folder: Path, subject: Subject, names: Iterable[str]) -> None:
    for name in names:
        times, weights = subject["times"].get(name), subject["b_values"].get(name)
        _write_nifti(folder / f"{name}.nii.gz", subject["scans"][name], subject["affine"], _step(times))
        if times is not None and not _step(times):
            write_json(folder / f"{name}.json", {"VolumeTiming": times.tolist()})
        if weights is not None:
            _write_weights(folder / name, weights)


def _step(times: NDArray[np.floating] | None) -> float:
    """Return the interval of evenly spaced frames from time 0 [s]; 0 where a header cannot tell the times."""
    if times is None or len(times) < 2 or not np.allclose(np.diff(times, prepend=-times[1]), times[1]):
        return 0.0
    return float(times[1])


def _write_weights(stem: Path, weights: tuple[float, ...]) -> None:
    """Write b-values as FSL, dcm2niix and BIDS do, and no directions: the images are means over all."""
    columns = ["0"] * len(weights)
    stem.with_suffix(".bval").write_text(" ".join(f"{weight:g}" for weight in weights) + "\n")
    stem.with_suffix(".bvec").write_text((" ".join(columns) + "\n") * 3)


def _write_nifti(
    path: Path, volume: NDArray[np.generic], affine: NDArray[np.float64], step: float | None = None
) -> None:
    """Write NIfTI, lightly compressed and without the time of day, so that equal subjects are equal bytes."""
    image = nib.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm", "sec")
    if step is not None and volume.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], step))
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))
