"""Prepared studies on disk, compressed in slabs of slices so that a crop reads little."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, read_json, write_json
from scanweave.studies.cohort import Cohort
from scanweave.studies.plan import Plan
from scanweave.studies.preparation import Frame, PreparedStudy, prepare
from scanweave.studies.study import Study

SLAB = 4
"""Slices in one compressed chunk: a stack of 3 touches at most two."""
_COMPRESSION = {"codec": blosc2.Codec.LZ4, "clevel": 5, "filters": [blosc2.Filter.BITSHUFFLE]}
_ADVICE = "Remove the folder 'prepared' of the cohort; it is made again"


@dataclass(frozen=True, eq=False)
class CachedStudy:
    """A prepared study whose voxels stay on disk until they are asked for.

    Attributes:
        id: The case.
        folder: Its files.
        frame: Where it lies.
        names: Scans that are present.
    """

    id: str
    folder: Path
    frame: Frame
    names: tuple[str, ...]

    def slices(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Slices `start` to `stop` (exclusive) of one scan, `(X, Y, stop - start)`, in [-1, 1]."""
        return np.asarray(_opened(self.folder / f"{name}.b2nd")[:, :, start:stop])


class PreparedCohort:
    """The prepared studies of a cohort, in `<cohort>/prepared/<plan>/`; what is there already is used again."""

    def __init__(self, cohort: Cohort, plan: Plan, folder: Path | None = None) -> None:
        self.cohort, self.plan = cohort, plan
        self.folder = (folder or cohort.folder / "prepared") / plan.digest

    def prepare(
        self, workers: int = 1, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> list[CachedStudy]:
        """Prepare what is not there yet, on `workers` processes, and return all studies in cohort order."""
        studies = [study.only(self.plan.sequences) for study in self.cohort]
        todo = [study for study in studies if not self._is_current(study)]
        jobs = [(study.id, self.cohort.folder, self.folder / study.id, self.plan) for study in todo]
        if workers > 1 and len(jobs) > 1:
            with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
                for done, _ in enumerate(pool.map(_prepare_one, jobs), 1):
                    progress(done, len(jobs))
        else:
            for done, job in enumerate(jobs, 1):
                _prepare_one(job)
                progress(done, len(jobs))
        return [open_cached(self.folder / study.id) for study in studies]

    def _is_current(self, study: Study) -> bool:
        about = self.folder / study.id / "study.json"
        return about.is_file() and read_json(about, _ADVICE).get("sources") == _sources(study)


def open_cached(folder: Path) -> CachedStudy:
    """Open one prepared study."""
    about = read_json(folder / "study.json", _ADVICE)
    try:
        return CachedStudy(folder.name, folder, Frame.from_json(about["frame"]), tuple(about["names"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ScanweaveError(folder / "study.json", f"damaged ({error!r})", _ADVICE) from error


def write_cached(folder: Path, prepared: PreparedStudy, sources: Mapping[str, Any]) -> None:
    """Write one prepared study, whole or not at all."""
    if folder.exists():
        _remove(folder)
    with atomic_folder(folder) as temporary:
        for name, volume in prepared.volumes.items():
            x, y, z = volume.shape
            slab = (x, y, min(SLAB, z))
            volume, file = np.ascontiguousarray(volume), str(temporary / f"{name}.b2nd")
            blosc2.asarray(volume, urlpath=file, mode="w", chunks=slab, blocks=slab, cparams=_COMPRESSION)
        about = {"frame": prepared.frame.to_json(), "names": sorted(prepared.volumes), "sources": sources}
        write_json(temporary / "study.json", about)


def _prepare_one(job: tuple[str, Path, Path, Plan]) -> None:
    name, cohort, folder, plan = job
    study = _cohort(cohort)[name].only(plan.sequences)
    write_cached(folder, prepare(study, plan), _sources(study))


@lru_cache(maxsize=1)
def _cohort(folder: Path) -> Cohort:
    """Read the manifest once a process, not once a study."""
    return Cohort.open(folder)


def _sources(study: Study) -> dict[str, list[int]]:
    """Size and change time of the files a study was prepared from."""
    files: dict[str, os.stat_result] = {
        name: scan.path.stat() for name, scan in sorted(study.scans.items()) if scan.path
    }
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in files.items()}


def _opened(path: Path) -> blosc2.NDArray:
    try:
        return blosc2.open(str(path), mode="r")
    except (OSError, RuntimeError, ValueError) as error:
        raise ScanweaveError(path, f"cannot be read ({error})", _ADVICE) from error


def _remove(folder: Path) -> None:
    """Move an outdated study out of the way before deleting it, so that no half of it is ever seen."""
    doomed = folder.with_name(f".outdated-{folder.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    shutil.rmtree(doomed)
