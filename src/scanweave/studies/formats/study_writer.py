"""What was made of a study, to disk: each kind by its writer, as a manifest names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scanweave.files import atomic_write, write_json
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.study import Study

About = Mapping[str, Any]
FILES: dict[str, str] = {
    "scan": "{study}_{name}_synthetic.nii.gz",
    "mask": "{study}_{name}_predicted.nii.gz",
    "embedding": "{study}_{name}_embedding.npy",
    "boxes": "{study}_boxes.json",
    "report": "{study}_report.txt",
}
"""File of each kind of which there may be one in a study."""


def write_study(folder: Path, made: Study, about: Callable[[str], About]) -> dict[str, str]:
    """Write the scans, masks, embeddings, boxes and report of a study into a folder.

    Args:
        folder: Where to.
        made: What was made.
        about: Provenance of the scan or mask of a name.

    Returns:
        The name of each file by the column of a manifest that it belongs in: `scan:flair`, `mask:lesion`, `boxes`.
    """
    files: dict[str, str] = {}
    for kind, images in (("scan", made.scans), ("mask", made.masks)):
        for name, image in images.items():
            files[f"{kind}:{name}"] = _file(kind, made.id, name)
            write_scan(folder / files[f"{kind}:{name}"], image, about(name))
    for name, values in made.embeddings.items():
        files[f"embedding:{name}"] = _file("embedding", made.id, name)
        with atomic_write(folder / files[f"embedding:{name}"]) as temporary:
            np.save(temporary, values, allow_pickle=False)
    if made.boxes:
        files["boxes"] = _file("boxes", made.id)
        write_json(folder / files["boxes"], [dict(box) for box in made.boxes])
    if made.report is not None:
        files["report"] = _file("report", made.id)
        with atomic_write(folder / files["report"]) as temporary:
            temporary.write_text(made.report, encoding="utf-8")
    return files


def _file(kind: str, study: str, name: str = "") -> str:
    return FILES[kind].format(study=study, name=name)
