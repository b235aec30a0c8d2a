"""Writer of what was made of a study: each kind of column by its own writer, as a manifest names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scanweave.external import resolve
from scanweave.studies.columns import KINDS
from scanweave.studies.study import Study

About = Mapping[str, Any]


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
