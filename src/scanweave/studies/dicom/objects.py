"""DICOM out: synthetic scans as derived images, masks as segmentations, maps as parametric maps, findings as a report.

Objects carry drawn names and drawn UIDs, as their cohort does; `pushing` puts the real ones back when they return to
the archive that the sources came from. Each says that it is synthetic, of which images it was made, and by what.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.files import atomic_folder
from scanweave.studies.cohort import Cohort
from scanweave.studies.columns import KINDS
from scanweave.studies.dicom.grid_objects import map_object, segmentation_object
from scanweave.studies.dicom.identities import Identities, open_identities
from scanweave.studies.dicom.image_objects import image_objects
from scanweave.studies.dicom.object_parts import GROUP
from scanweave.studies.dicom.object_sources import Origin
from scanweave.studies.dicom.report_objects import report_object
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

FOLDER = "dicom"
"""Folder of the objects in that of a study."""
FIRST_SERIES, FIRST_MAP = 9000, 9500
"""Numbers of the first series of predictions and of maps: far from those of scanners."""
NIFTI = ".nii.gz"
Objects = Iterator[tuple[str, str, Any]]
"""Kind, file name and data set of each."""
Say = Callable[[str], None]


def silent(line: str) -> None:
    """Say nothing."""


def write_objects(predictions: str | Path, identities: str | Path, say: Say = silent) -> dict[str, int]:
    """Write the predictions of studies that were imported from DICOM as DICOM objects, in a folder of each study.

    Objects of a study that are there stay as they are. A study whose objects cannot be made is said, and the rest goes
    on.

    Args:
        predictions: What `predict` wrote.
        identities: The private file of the import.
        say: Takes one line for each study that fails.

    Returns:
        How many objects of each kind were written now.

    Raises:
        ScanweaveError: highdicom is not installed, the private file is not there, or it knows none of the studies.
    """
    cohort, known = Cohort.open(predictions), open_identities(identities)
    meanings: Mapping[str, Mapping[str, Sequence[int]]] = cohort.about.get("structures", {})

    def made(name: str) -> Objects:
        return _predicted(cohort[name], Origin(name, known), meanings)

    return _write(cohort.folder, cohort.studies, known, made, say)


def write_maps(explanation: str | Path, identities: str | Path, say: Say = silent) -> dict[str, int]:
    """Write the maps of studies that were imported from DICOM as parametric maps, in a folder of each study.

    Args:
        explanation: What `explain` wrote: a folder a study, with its maps.
        identities: The private file of the import.
        say: Takes one line for each study that fails.

    Returns:
        How many objects of each kind were written now.

    Raises:
        ScanweaveError: As `write_objects`.
    """
    folder, known = Path(explanation), open_identities(identities)
    names = [path.name for path in sorted(folder.iterdir()) if path.is_dir() and any(path.glob(f"*{NIFTI}"))]
    if not names:
        return {}

    def made(name: str) -> Objects:
        number = FIRST_MAP
        for path in sorted((folder / name).glob(f"*{NIFTI}")):
            title = path.name.removesuffix(NIFTI).removeprefix(f"{name}_")
            for one, scan in _single(title, KINDS["scan"].read(path)):
                number += 1
                yield "map", f"map-{one}", map_object(one, scan, Origin(name, known), number)

    return _write(folder, names, known, made, say)


def _single(title: str, scan: Scan) -> Iterator[tuple[str, Scan]]:
    """Yield a map, or each of a series of maps by its number: an object holds one."""
    if scan.frames is None:
        yield title, scan
        return
    for number in range(scan.frames):
        yield f"{title}-{number + 1}", Scan.of(np.asarray(scan.data)[..., number], scan.geometry.affine)


def _write(
    folder: Path, names: Sequence[str], known: Identities, objects: Callable[[str], Objects], say: Say
) -> dict[str, int]:
    """Write the objects of each study, all of a study or none."""
    require("highdicom", GROUP)
    if not any(name in known.studies for name in names):
        step = "Name that of the import of its cohort, or leave out --dicom"
        raise ScanweaveError(known.path, "knows none of these studies", step)
    with known.held():
        return _write_studies(folder, names, known, objects, say)


def _write_studies(
    folder: Path, names: Sequence[str], known: Identities, objects: Callable[[str], Objects], say: Say
) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        own = folder / name / FOLDER
        if own.is_dir():
            continue
        try:
            if name not in known.studies:
                raise ScanweaveError(name, f"is no study of {known.path.name}", "Import it from DICOM")
            made = list(objects(name))
        except ScanweaveError as error:
            say(f"error: {name}: no DICOM objects: {error.reason}")
            continue
        except (ValueError, TypeError) as error:  # of highdicom, for what no object can hold
            say(f"error: {name}: no DICOM objects: {' '.join(str(error).split())[:160]}")
            continue
        known.save()  # before the objects are there: whose they are is never lost
        with atomic_folder(own) as partial:
            for kind, title, one in made:
                counts[kind] = counts.get(kind, 0) + 1
                one.save_as(partial / f"{title}.dcm", enforce_file_format=True)
    return counts


def _told_sources(path: Path | None) -> list[str] | None:
    """Return the scans that a synthetic one was made of, as its header tells; None: it does not."""
    if path is None:
        return None
    for extension in nib.load(path).header.extensions:
        with suppress(ValueError, AttributeError):
            told = json.loads(bytes(extension.get_content()).rstrip(b"\0") or b"{}")
            if isinstance(told, dict) and isinstance(told.get("sources"), list):
                return [str(one) for one in told["sources"]]
    return None


def _predicted(study: Study, origin: Origin, meanings: Mapping[str, Mapping[str, Sequence[int]]]) -> Objects:
    """Yield the objects of a study that a run made."""
    number = FIRST_SERIES
    for name, scan in study.scans.items():
        number += 1
        told = _told_sources(scan.path)
        used = None if told is None else [one for one in told if one not in study.scans]
        for place, made in enumerate(image_objects(name, scan, origin, number, used), start=1):
            yield "image", f"{name}-{place:04d}", made
    for name, mask in study.masks.items():
        number += 1
        yield "segmentation", f"mask-{name}", segmentation_object(name, mask, origin, number, meanings.get(name, {}))
    if study.labels:
        number += 1
        yield "report", "findings", report_object(study, origin, number)
