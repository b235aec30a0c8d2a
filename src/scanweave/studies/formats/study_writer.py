"""Writer of what was made of a study: each kind of column by its own writer, as a manifest names it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.external import resolve
from scanweave.files import atomic_folder
from scanweave.studies.columns import KINDS
from scanweave.studies.formats.frame_facts import B_VALUES, FACTS
from scanweave.studies.formats.sidecar_files import sidecar_path
from scanweave.studies.study import Study

About = Mapping[str, Any]


STUDY = "study.json"
MADE = ("_synthetic", "_predicted")
"""Endings of names of files that a model made."""


def save_study(folder: Path, study: Study) -> Path:
    """Write a study into a new folder, whole or not at all; see `Study.save`.

    Raises:
        ScanweaveError: The folder is there and not empty, or the disk refuses.
    """
    from scanweave.studies.formats.sinogram_hdf5 import write_sinogram

    images = {**study.scans, **study.masks}
    with atomic_folder(folder) as partial:
        files = write_study(partial, study, lambda name: {})
        for column, file in files.items():
            name = column.partition(":")[2]
            if name in images and not images[name].synthetic:
                plain = file
                for mark in MADE:
                    plain = plain.replace(f"{mark}.", ".")
                if column.startswith("mask:"):
                    plain = plain.replace(f"{study.id}_", f"{study.id}_mask-", 1)
                files[column] = _rename(partial, file, plain)
        for name in study.sinograms:
            files[f"sinogram:{name}"] = f"{study.id}_{name}_sinogram.h5"
            write_sinogram(partial / files[f"sinogram:{name}"], study.sinogram(name))
        told = {"study": study.id, "patient": study.patient, "files": files}
        told |= {"labels": dict(study.labels), "table": dict(study.table)}
        (partial / STUDY).write_text(
            json.dumps(told, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8"
        )
    return folder


def _rename(folder: Path, file: str, plain: str) -> str:
    """Give an image another name, and the files beside it; return the name."""
    pairs = [(folder / file, folder / plain)]
    for ending in (B_VALUES, FACTS):
        old, new = (sidecar_path(folder / name, ending) for name in (file, plain))
        pairs += [(old, new)] if old is not None and new is not None and old.is_file() else []
    for old, new in pairs:
        if new.exists():
            raise ScanweaveError(new.name, "two parts of the study would be this file", "Give the scan another name")
        old.rename(new)
    return plain


def write_study(folder: Path, made: Study, about: Callable[[str], About]) -> dict[str, str]:
    """Write all of a study that files hold into a folder: scans, masks, boxes, report, embeddings.

    Args:
        folder: Where to.
        made: What was made.
        about: Provenance of the scan or mask of a name.

    Returns:
        The name of each file by the column of a manifest that it belongs in: `scan:flair`, `mask:lesion`, `boxes`.
    """
    files: dict[str, str] = {}
    for kind in KINDS.values():
        if kind.writer is None or kind.file is None:
            continue
        held = getattr(made, kind.field)
        values = dict(held) if not kind.plain else {"": held} if held is not None else {}
        for name, value in values.items():
            file = kind.file.format(study=made.id, name=name)
            told = (about(name),) if kind.image else ()
            resolve(kind.writer)(folder / file, value, *told)
            files[kind.column(name)] = file
    return files
