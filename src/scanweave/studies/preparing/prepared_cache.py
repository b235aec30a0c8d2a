"""Prepared studies on disk, compressed in slabs of slices or cubes of one frame each, so that a crop reads little."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, json_text, make_folder, read_json, sweep
from scanweave.locks import hold
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.file_states import file_state
from scanweave.studies.formats.frame_facts import frame_sidecars
from scanweave.studies.formats.pet_units import find_sidecar
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import Frame, PreparedStudy, background, prepare, shared_frame
from scanweave.studies.preparing.series_frames import SeriesFrames

ABOUT = "study.json"
MASK = "mask-"
"""Beginning of the names of files of label maps."""
CUBE = 32
"""Edge of a compressed cube [voxels]: a crop of 96³ reads at most (128 / 96)³ = 2.4 times its own voxels."""
SLAB = 4
"""Slices in one compressed chunk: a stack of 3 touches at most two."""
_COMPRESSION = {"codec": blosc2.Codec.LZ4, "clevel": 5, "filters": [blosc2.Filter.BITSHUFFLE]}
FORMAT = 1
"""Part of every name: raise it when preparation gives other voxels, or they are written in another way."""
_ADVICE = "Remove the folder 'prepared' of the cohort; it is made again"


@dataclass(frozen=True, eq=False)
class CachedStudy:
    """A prepared study whose voxels stay on disk until they are asked for.

    Attributes:
        id: The case.
        folder: Its files.
        frames: Where each scan lies; one and the same for scans that share a grid.
        names: Scans that are present.
        masks: Label maps that are present.
        backgrounds: What surrounds each of them, in [-1, 1].
        series: Frames of each scan that is a series.
    """

    id: str
    folder: Path
    frames: Mapping[str, Frame]
    names: tuple[str, ...]
    backgrounds: Mapping[str, float]
    masks: tuple[str, ...] = ()
    series: Mapping[str, SeriesFrames] = field(default_factory=dict)

    @property
    def frame(self) -> Frame:
        """Return the frame in which all scans lie.

        Raises:
            ScanweaveError: They lie on grids of their own.
        """
        return shared_frame(self.id, self.frames)

    @property
    def grids(self) -> list[Frame]:
        """The different frames of its scans: a single one where all share a grid."""
        return list({id(frame): frame for frame in self.frames.values()}.values())

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis of the grid that all scans share; of one scan alone: `frames[name].shape`."""
        return self.frame.shape

    def volume(self, name: str) -> blosc2.NDArray:
        """Return a scan on disk, `(X, Y, Z)` or `(X, Y, Z, T)` float32: slices of it are read as they are asked for."""
        return _opened(self.folder / f"{name}.b2nd")

    def mask(self, name: str) -> blosc2.NDArray:
        """Return a label map on disk, `(X, Y, Z)` int16: slices of it are read as they are asked for."""
        return _opened(self.folder / f"{MASK}{name}.b2nd")

    def slices(self, name: str, start: int, stop: int, frames: Sequence[int] | None = None) -> NDArray[np.float32]:
        """Return slices `start` to `stop` (exclusive) of one scan, `(X, Y, stop - start)`, in [-1, 1].

        Of a series `(X, Y, stop - start, T)`; of its frames those that are asked for, in that order: no other is read.
        """
        whole = self.volume(name)
        if frames is None:
            return np.asarray(whole[:, :, start:stop])
        return np.stack([whole[:, :, start:stop, frame] for frame in frames], axis=-1)


class PreparedCohort:
    """The prepared studies of a cohort, in `<cohort>/prepared/<plan>/<study>/<sources>/`.

    The name of a folder says what it was made from: what is there already is used again, by all who fit at once.

    Args:
        cohort: The studies.
        plan: How they are made ready.
        folder: Where the cache lies; None: in the cohort.
        cubes: Whether it is cut in cubes, of which a crop in 3D reads few, rather than in slabs of slices. Frames of a
            series are cut apart in both.
    """

    def __init__(self, cohort: Cohort, plan: Plan, folder: Path | None = None, *, cubes: bool = False) -> None:
        self.cohort, self.plan, self.cubes = cohort, plan, cubes
        self.folder = (folder or cohort.folder / "prepared") / plan.digest

    def prepare(
        self, workers: int = 1, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> list[CachedStudy]:
        """Prepare what is not there yet, on `workers` processes, and return all studies in cohort order."""
        columns = {"study", *self._columns}.intersection(self.cohort.frame)
        rows = self.cohort.frame[sorted(columns)].to_dict("records")
        folders = {str(row["study"]): self._folder(row) for row in rows}
        jobs = [
            (replace(self.cohort, frame=self.cohort.frame.iloc[[row]]), folder, self.plan, self.cubes)
            for row, folder in enumerate(folders.values())
            if not (folder / ABOUT).is_file()
        ]
        if workers > 1 and len(jobs) > 1:
            with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
                for done, _ in enumerate(pool.map(_prepare_one, jobs), 1):
                    progress(done, len(jobs))
        else:
            for done, job in enumerate(jobs, 1):
                _prepare_one(job)
                progress(done, len(jobs))
        backgrounds = {name: background(self.plan, name) for name in self.plan.scans}
        return [_read(name, folder, backgrounds) for name, folder in folders.items()]

    @property
    def _columns(self) -> list[str]:
        return [*(f"scan:{name}" for name in self.plan.scans), *(f"mask:{name}" for name in self.plan.masks)]

    def _folder(self, row: Mapping[Hashable, Any]) -> Path:
        """Return where a study lies: under a hash of the format and of its images' paths, sizes and change times."""
        paths = {column.removeprefix("scan:"): row.get(column) for column in self._columns}
        root = self.cohort.root
        files = [(name, path, *file_state(root / path)) for name, path in paths.items() if isinstance(path, str)]
        for name, path in paths.items():  # the JSON beside a PET scan says its unit
            if name in self.plan.rules and self.plan.rule(name).kind == "suv" and isinstance(path, str):
                sidecar = find_sidecar(root / path)
                files += [] if sidecar is None else [(f"{name}.json", "", *file_state(sidecar))]
            if name in self.plan.series and isinstance(path, str):  # files beside a series say times and b-values
                files += [(name, beside.name, *file_state(beside)) for beside in frame_sidecars(root / path)]
        state = repr((FORMAT, files, *(["cubes"] if self.cubes else []))).encode()
        return self.folder / str(row["study"]) / hashlib.sha256(state).hexdigest()[:16]


def _read(name: str, folder: Path, backgrounds: Mapping[str, float]) -> CachedStudy:
    about = read_json(folder / ABOUT, _ADVICE)
    try:
        names, masks = tuple(about["names"]), tuple(about.get("masks", ()))
        groups = about.get("grids") or [{"frame": about["frame"], "names": names}]
        frames = {own: frame for g in groups for frame in (Frame.from_json(g["frame"]),) for own in g["names"]}
        frames = {own: frames[own] for own in names}
        series = {own: SeriesFrames.model_validate(told) for own, told in about.get("series", {}).items()}
        return CachedStudy(name, folder, frames, names, {own: backgrounds[own] for own in names}, masks, series)
    except (KeyError, TypeError, ValueError) as error:
        raise ScanweaveError(folder / ABOUT, f"damaged ({error!r})", _ADVICE) from error


def _write(folder: Path, prepared: PreparedStudy, cubes: bool) -> None:
    """Write one prepared study, whole or not at all, unless another fit has just done so."""
    try:
        with atomic_folder(folder, lasting=False) as temporary:
            masks = {f"{MASK}{name}": labels for name, labels in prepared.masks.items()}
            arrays: dict[str, NDArray[Any]] = {**prepared.volumes, **masks}
            for name, volume in arrays.items():
                x, y, z, *frames = volume.shape
                piece = (min(CUBE, x), min(CUBE, y), min(CUBE, z)) if cubes else (x, y, min(SLAB, z))
                piece = (*piece, *(1 for _ in frames))
                volume, file = np.ascontiguousarray(volume), str(temporary / f"{name}.b2nd")
                try:
                    blosc2.asarray(volume, urlpath=file, mode="w", chunks=piece, blocks=piece, cparams=_COMPRESSION)
                except RuntimeError as error:  # how blosc2 says that the disk is full
                    raise OSError(errno.EIO, str(error), file) from error
            about = {**_where(prepared), "names": sorted(prepared.volumes)}
            about |= {"masks": sorted(prepared.masks)} if masks else {}
            told = {name: one.model_dump(mode="json", exclude_none=True) for name, one in prepared.series.items()}
            text = json_text(about | ({"series": told} if told else {}))
            (temporary / ABOUT).write_text(text, encoding="utf-8")  # as whole as the folder
    except ScanweaveError:
        if not (folder / ABOUT).is_file():
            raise


def _where(prepared: PreparedStudy) -> dict[str, Any]:
    """The one frame of a study, or each with the scans that lie in it."""
    groups: dict[int, list[str]] = {}
    for name, frame in prepared.frames.items():
        groups.setdefault(id(frame), []).append(name)
    told = [{"frame": prepared.frames[names[0]].to_json(), "names": names} for names in groups.values()]
    return {"frame": told[0]["frame"]} if len(told) == 1 else {"grids": told}


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Make a folder and wait until no other fit writes in it; False where there are no locks."""
    make_folder(folder)
    descriptor = hold(folder, wait=True)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _prepare_one(job: tuple[Cohort, Path, Plan, bool]) -> None:
    """Prepare the one study of a cohort; a study itself, with its way to read voxels, goes to no other process."""
    (study,), folder, plan, cubes = job
    prepared = prepare(study, plan)
    with _alone(folder.parent) as alone:
        if alone:
            sweep(folder.parent)  # what a killed fit left
        _write(folder, prepared, cubes)


def _opened(path: Path) -> blosc2.NDArray:
    try:
        return blosc2.open(str(path), mode="r")
    except (OSError, RuntimeError, ValueError) as error:
        raise ScanweaveError(path, f"cannot be read ({error})", _ADVICE) from error
