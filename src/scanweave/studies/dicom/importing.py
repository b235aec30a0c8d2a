"""DICOM files as a cohort: grouped by patient and study, placed, named, and written as NIfTI without identity."""

from __future__ import annotations

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, is_plain, read_json, write_json
from scanweave.studies.cohort import ABOUT, Cohort
from scanweave.studies.dicom.headers import FILMS, Frame, Run, Series, read_series
from scanweave.studies.dicom.identities import Identities, OriginalScan
from scanweave.studies.dicom.masks import masks_of
from scanweave.studies.dicom.naming import film_name, name_of
from scanweave.studies.dicom.object_parts import MAKER
from scanweave.studies.dicom.sources import dicom_files
from scanweave.studies.dicom.stacks import Stack, stacks_of
from scanweave.studies.dicom.voxels import stack_voxels
from scanweave.studies.dicom.web import Access, forget
from scanweave.studies.formats.film_dicom import read_dicom_film
from scanweave.studies.formats.image_writer import add_facts, write_scan
from scanweave.studies.formats.pet_units import suv_factor_of
from scanweave.studies.layouts.names import Names
from scanweave.studies.scan import Scan
from scanweave.wording import count, studies

STUDIES, ABOUT_STUDY, LAYOUT = "studies", "import.json", "dicom"
"""Folder of the images in the cohort; what is known of a study in its folder; name of the layout."""
BURNED_IN = "its pixels show who the patient is (BurnedInAnnotation): --keep-identity takes it all the same"
RETRIEVED = ".retrieved"
"""Ending of the private folder beside the private file, in which what servers have lies until the import has ended."""
MANY_FILES = 600
"""Below, processes of their own take longer to start than they save."""
SHOWN = 12
"""Lines of one kind that are said."""
SUV = "g/mL"
"""Unit of standardised uptake values."""
Say = Callable[[str], None]


@dataclass
class Taken:
    """An image of a study that is taken in.

    Attributes:
        name: Such as t1c.
        because: Why it is called so.
        series: That it comes from.
        source: The volume, or the film.
        notes: What was peculiar.
        agreed: Whether its description says the same.
    """

    name: str
    because: str
    series: Series
    source: Stack | Frame
    notes: tuple[str, ...] = ()
    agreed: bool = False

    @property
    def rank(self) -> tuple[bool, bool, int, str]:
        """Order among images of one name: acquired ones, those whose description agrees, the one with most voxels."""
        if isinstance(self.source, Frame):
            return True, self.agreed, self.source.rows * self.source.columns, self.series.number
        return not self.source.is_derived, self.agreed, int(np.prod(self.source.shape)), self.series.number

    @property
    def frames(self) -> list[Frame]:
        """The planes that it is made of."""
        return [self.source] if isinstance(self.source, Frame) else [one for own in self.source.frames for one in own]


@dataclass
class Found:
    """Hold what a source holds.

    Attributes:
        studies: Series by StudyInstanceUID and patient: two patients are two studies, whatever their UIDs say.
        left_out: Files that are left out, by reason.
    """

    studies: dict[tuple[str, ...], list[Series]] = field(default_factory=lambda: defaultdict(list))
    left_out: dict[str, list[str]] = field(default_factory=dict)


def import_dicom(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    names: Names | None = None,
    leave_out: Sequence[str] = (),
    name: str | None = None,
    keep_identity: bool = False,
    identities: str | Path | None = None,
    access: Access | None = None,
    workers: int = 1,
    say: Say = print,
) -> Cohort:
    """Make a cohort of DICOM files; the same call goes on where one was stopped.

    Args:
        sources: Folders, zips, or servers (`dicomweb://HOST/PATH?PatientID=7`).
        out: Folder of the cohort.
        names: What words of descriptions mean.
        leave_out: Studies to drop, by the names that they get.
        name: Of the cohort; None: that of its folder.
        keep_identity: Whether studies have the patient's number, and pixels and structures that name him are kept.
        identities: The private file; None: beside the cohort, `OUT.identities.json`.
        access: How a server is reached.
        workers: Processes, where there is enough to do for several. A script that asks for more than one has to begin
            by `if __name__ == "__main__":`.
        say: Takes lines: what was found, how it is called and why, what is left out.

    Raises:
        ScanweaveError: There is no image, `out` holds a cohort, or a file of identities is damaged.
    """
    out, names = Path(out).absolute(), names or Names()
    if (out / ABOUT).exists():
        raise ScanweaveError(out, "holds a cohort already", "Choose another folder")
    known = Identities(_private(Path(identities) if identities else None, out))
    rows: list[dict[str, Any]] = []
    structures: dict[str, Any] = {}
    retrieved = known.path.with_name(f"{known.path.name}{RETRIEVED}")
    with ExitStack() as stack:
        stack.enter_context(known.held())
        files = [stack.enter_context(dicom_files(Path(source), retrieved, access, say)) for source in sources]
        run = stack.enter_context(_processes(workers, sum(map(len, files))))
        found = _found(files, run)
        if not found.studies:
            raise _nothing(sources[0], found.left_out)
        _say_found(found, say)
        planned = list(_planned(found, out, names, known, leave_out, keep_identity))
        known.save()  # a call that is stopped goes on under the same names
        for one, (left, about) in zip(planned, run(_written, planned), strict=True):
            row = _row(one, about, [*one.left, *left], known, say)
            if len(row) > 2:
                rows.append(row)
                structures |= about["structures"]
        known.save()
        for source in sources if rows else ():
            forget(Path(source), retrieved)
    if not rows:
        raise ScanweaveError(sources[0], "no image of it is taken in, see above", "Say names by --rename WORD=NAME")
    say(f"who is who stands in {known.path}, which is for you alone")
    told: dict[str, Any] = {"name": name or out.name, "source": "DICOM", "layout": LAYOUT}
    return Cohort.create(out, rows, root=".", structures=structures, **told)


def _nothing(source: str | Path, left_out: Mapping[str, Sequence[str]]) -> ScanweaveError:
    """Return the error of a source without an image, with the first reasons."""
    why = "; ".join(f"{count(len(files), 'file')}: {reason}" for reason, files in list(left_out.items())[:2])
    reason = f"holds no DICOM image that can be read{f' ({why})' * bool(why)}"
    return ScanweaveError(source, reason, "Name the folder that holds them")


def _private(path: Path | None, out: Path) -> Path:
    """Return the private file, which must not lie in the cohort.

    Raises:
        ScanweaveError: It does.
    """
    chosen = out.with_name(f"{out.name}.identities.json") if path is None else path.absolute()
    if chosen.resolve().is_relative_to(out.resolve()):
        raise ScanweaveError("--identities", "lies in the cohort, which is given to others", "Name a file elsewhere")
    return chosen


@contextmanager
def _processes(workers: int, files: int) -> Iterator[Run]:
    """Give what does a function with each of several arguments: here, or in processes where that pays."""
    if workers < 2 or files < MANY_FILES:
        yield map
        return
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield pool.map
    except BrokenProcessPool as error:
        reason = "a process of its own was ended, perhaps for want of memory"
        raise ScanweaveError("workers", reason, "Call it again, with fewer workers: it goes on") from error


def _found(sources: Iterable[Iterable[Path]], run: Run) -> Found:
    found = Found()
    for series in read_series([path for files in sources for path in files], found.left_out, run):
        who = tuple(series.identity.get(name, "") for name in ("StudyInstanceUID", "PatientID", "PatientBirthDate"))
        found.studies[who if who[0] else (series.uid,)].append(series)
    return found


def _order(own: Sequence[Series]) -> tuple[str, ...]:
    first = own[0].identity
    return tuple(first.get(name, "") for name in ("PatientID", "StudyDate", "StudyTime", "StudyInstanceUID"))


def _say_found(found: Found, say: Say) -> None:
    several = [one for own in found.studies.values() for one in own]
    frames = sum(len(one.frames) for one in several)
    say(f"{studies(len(found.studies))}, {count(len(several), 'series', 'series')}, {count(frames, 'image')}")
    for reason, files in found.left_out.items():
        say(f"  left out: {count(len(files), 'file')}: {reason}")


@dataclass(frozen=True)
class Planned:
    """A study that is to be written.

    Attributes:
        study: Its name.
        own: Its series.
        taken: The images that are taken in.
        left: Why others are not.
        folder: Where it will lie.
        keep_identity: As in `import_dicom`.
    """

    study: str
    own: list[Series]
    taken: list[Taken]
    left: list[str]
    folder: Path
    keep_identity: bool


def _planned(
    found: Found, out: Path, names: Names, known: Identities, leave_out: Sequence[str], keep_identity: bool
) -> Iterator[Planned]:
    """Yield the studies that are taken in, under the names that they get."""
    for own in sorted(found.studies.values(), key=_order):
        identity = own[0].identity
        study = known.study(known.patient(identity), identity, keep_identity=keep_identity)
        if any(Path(study).match(pattern) for pattern in leave_out):
            continue
        ours = [one for one in own if one.facts.get("Manufacturer") == MAKER]
        own = [one for one in own if one not in ours]
        taken, left = chosen_images(own, names, keep_identity)
        left += [f"series {one.number}: made by {MAKER}, and not acquired" for one in ours]
        yield Planned(study, own, taken, left, out / STUDIES / study, keep_identity)


def _written(one: Planned) -> tuple[list[str], dict[str, Any]]:
    """Write a study unless it is there; return why some of its images could not be, and what is known of it."""
    if not one.taken:
        return [], {"files": {}, "structures": {}}
    digest, left = _digest(one.taken, one.own), list[str]()
    if not _is_written(one.folder, digest):
        if one.folder.exists():
            shutil.rmtree(one.folder)
        left = _write(one.folder, one.study, one.taken, one.own, digest, one.keep_identity)
    return left, read_json(one.folder / ABOUT_STUDY, "Remove the folder, and import again")


def _row(one: Planned, about: Mapping[str, Any], left: Sequence[str], known: Identities, say: Say) -> dict[str, Any]:
    """Return the row of a study in the manifest, and say what it is made of."""
    row: dict[str, Any] = {"study": one.study, "patient": known.studies[one.study].patient}
    row |= {column: f"{STUDIES}/{one.study}/{file}" for column, file in about["files"].items()}
    for image in one.taken:
        if f"scan:{image.name}" in row:
            known.note_scan(one.study, image.name, _origin(image))
            say(f"  {one.study} {image.name} ← series {image.series.number}: {image.because}{_after(image.notes)}")
    for line in left[:SHOWN]:
        say(f"  {one.study} left out: {line}")
    return row


def _origin(one: Taken) -> OriginalScan:
    """Return what a derived object has to know of a scan's sources."""
    planes = [one.source] if isinstance(one.source, Frame) else one.source.frames[0]
    of_many = any(frame.number for frame in planes) and len({frame.file for frame in planes}) == 1
    return OriginalScan(
        series=one.series.uid,
        sop_class=one.series.sop_class,
        frame_of_reference=str(one.series.facts.get("FrameOfReferenceUID", "")),
        instances=tuple(dict.fromkeys(frame.uid for frame in planes)),
        frames=tuple(frame.number + 1 for frame in planes) if of_many else (),
        affine=tuple(map(tuple, one.source.affine.tolist())) if isinstance(one.source, Stack) else (),
        shape=one.source.shape if isinstance(one.source, Stack) else (),
        unit=pet_unit(one.series.pet, planes[0].file)[1] if one.series.pet else "",
    )


def _after(notes: Sequence[str]) -> str:
    return "".join(f"; {note}" for note in notes)


def chosen_images(own: Sequence[Series], names: Names, keep_identity: bool) -> tuple[list[Taken], list[str]]:
    """Return the images of a study that are taken in, one a name, and why others are not.

    Args:
        own: Its series.
        names: What words of descriptions mean.
        keep_identity: Whether pixels that show who the patient is are taken in.
    """
    offered: list[Taken] = []
    left: list[str] = []
    for series in own:
        if any(frame.burned for frame in series.frames) and not keep_identity:
            left.append(f"series {series.number}: {BURNED_IN}")
            continue
        images, reasons = _offered(series, names)
        offered += images
        left += [f"series {series.number}: {reason}" for reason in reasons]
    best: dict[str, Taken] = {}
    for one in sorted(offered, key=lambda image: image.rank, reverse=True):
        if one.name in best:
            taken = best[one.name].series.number
            left.append(f"series {one.series.number}: another {one.name}; that of series {taken} is taken")
        else:
            best[one.name] = one
    return list(best.values()), left


def _offered(series: Series, names: Names) -> tuple[list[Taken], list[str]]:
    if series.modality in ("SEG", "RTSTRUCT", "SR", "PR", "KO", "RTPLAN", "RTDOSE", "REG"):
        return [], [] if series.modality in ("SEG", "RTSTRUCT") else [f"is no image ({series.modality})"]
    if series.modality in FILMS:
        named = [
            (film_name(series, frame, names), frame) for frame in sorted(series.frames, key=lambda one: one.instance)
        ]
        return [Taken(shown.name or "film", shown.because, series, frame) for shown, frame in named], []
    stacks, reasons = stacks_of(series)
    made: list[Taken] = []
    for stack in stacks:
        shown = name_of(stack, names)
        if shown.name is None or shown.name == "-":
            reasons.append(f"no name for it: {shown.because}; say one by --rename")
        else:
            made.append(Taken(shown.name, shown.because, series, stack, stack.notes, shown.agreed))
    return made, reasons


def _digest(taken: Sequence[Taken], own: Sequence[Series]) -> str:
    """Return a hash of what a study is made of, so that a call that goes on sees whether it is still the same."""
    told = sorted(f"{one.name} {frame.uid} {frame.number}" for one in taken for frame in one.frames)
    told += sorted(frame.uid for one in own if one.modality in ("SEG", "RTSTRUCT") for frame in one.frames)
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _is_written(folder: Path, digest: str) -> bool:
    path = folder / ABOUT_STUDY
    return is_plain(path) and read_json(path, "Remove it").get("digest") == digest


def _write(
    folder: Path, study: str, taken: Sequence[Taken], own: Sequence[Series], digest: str, keep_identity: bool
) -> list[str]:
    """Write a study whole or not at all; return why some of its images could not be written."""
    files: dict[str, str] = {}
    left: list[str] = []
    structures: dict[str, dict[str, list[int]]] = {}
    with atomic_folder(folder) as partial:
        grids: dict[str, Any] = {}
        for one in taken:
            file = f"{study}_{one.name}.nii.gz"
            try:
                scan, facts = scan_of(one)
                write_scan(partial / file, scan)
            except ScanweaveError as error:
                left.append(f"series {one.series.number}: {error.reason}")
                continue
            if facts:
                add_facts(partial / file, facts)
            files[f"scan:{one.name}"] = file
            grids[one.series.uid] = scan.geometry
        for mask in masks_of(own, grids, left, keep_words=keep_identity):
            file = f"{study}_mask-{mask.name}.nii.gz"
            write_scan(partial / file, Scan.of(mask.labels, mask.geometry.affine))
            files[f"mask:{mask.name}"], structures[mask.name] = file, mask.structures
        told = {one.name: {"because": one.because, "notes": list(one.notes)} for one in taken}
        about: Mapping[str, Any] = {"digest": digest, "files": files, "structures": structures, "scans": told}
        write_json(partial / ABOUT_STUDY, dict(about))
    return left


def scan_of(one: Taken) -> tuple[Scan, dict[str, Any]]:
    """Return an image that is taken in, with its voxels, and what the file beside it says: the unit of a PET.

    PET becomes SUV here, so that neither weight nor dose of a patient have to be kept.

    Raises:
        ScanweaveError: A file is damaged, or nothing here decodes it.
    """
    if isinstance(one.source, Frame):
        return read_dicom_film(one.source.file), {}
    several = len(one.source.frames) > 1
    voxels, facts = stack_voxels(one.source), dict[str, Any]()
    if one.series.pet:
        factor, unit = pet_unit(one.series.pet, one.source.first.file)
        voxels, facts = voxels * np.float32(factor) if factor != 1 else voxels, {"Units": unit}
    made = Scan.of(
        voxels,
        one.source.affine,
        times=one.source.times if several else None,
        b_values=one.source.b_values if several else None,
    )
    return made, facts


def pet_unit(facts: Mapping[str, Any], file: Path) -> tuple[float, str]:
    """Return what makes a PET SUV, and its unit then; 1 and its own unit where what is needed for that is not told.

    Args:
        facts: Of the PET, by the names of PET-BIDS.
        file: That they come from.
    """
    kind = str(facts.get("SUVType", "BW"))
    try:
        return suv_factor_of(dict(facts), file), SUV if kind == "BW" else f"{SUV} {kind}"
    except ScanweaveError:
        return 1.0, str(facts.get("Units", ""))  # who wants SUV is told what is absent
