"""Reports as text, boxes as JSON, embeddings as arrays: a file a study."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, read_json
from scanweave.studies.formats.header_limits import faults_of

BOXES_ADVICE = 'Give boxes as a JSON list of {"label": "…", "start": [x, y, z], "stop": [x, y, z]} in RAS mm'
Box = Mapping[str, Any]


def read_report(path: Path) -> str:
    """The text of a report.

    Raises:
        ScanweaveError: It cannot be read as UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScanweaveError(
            path, f"the report cannot be read ({error})", "Give reports as UTF-8 text files"
        ) from error


def write_report(path: Path, report: str) -> None:
    """Write a report as UTF-8 text."""
    with atomic_write(path) as temporary:
        temporary.write_text(report, encoding="utf-8")


def gather_report(paths: Mapping[str, Path]) -> str | None:
    """The report of a study, of the only path that there is."""
    return next((read_report(path) for path in paths.values()), None)


def report_of(sections: Mapping[str, Any]) -> str | None:
    """One text of the sections of a report, each under its heading; one section that is called `report` as it is."""
    if not sections:
        return None
    if list(sections) == ["report"]:
        return str(sections["report"])
    return "\n\n".join(f"{name.upper()}: {words}" for name, words in sections.items())


def read_boxes(path: Path) -> tuple[Box, ...]:
    """The boxes of a JSON file: a label and two corners in RAS mm each.

    Raises:
        ScanweaveError: It is no such list.
    """
    boxes = read_json(path, BOXES_ADVICE)
    if not isinstance(boxes, list):
        raise ScanweaveError(path, "not a list of boxes", BOXES_ADVICE)
    for number, box in enumerate(boxes):
        corners = [box.get("start"), box.get("stop")] if isinstance(box, dict) else []
        numbers = [n for corner in corners if isinstance(corner, list) for n in corner]
        if len(numbers) != 6 or not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
            raise ScanweaveError(path, f"box {number} is not two corners of three numbers", BOXES_ADVICE)
    return tuple(boxes)


def write_boxes(path: Path, boxes: Sequence[Box]) -> None:
    """Write boxes as JSON."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps([dict(box) for box in boxes], indent=2) + "\n", encoding="utf-8")


def read_embedding(path: Path) -> NDArray[np.floating]:
    """An embedding `(D,)`.

    Raises:
        ScanweaveError: It is no array of one axis.
    """
    with faults_of(path), path.open("rb") as stream:
        values = np.lib.format.read_array(stream, allow_pickle=False)
    if values.ndim != 1 or values.dtype.kind != "f":
        words = f"holds {values.dtype} of shape {values.shape}, not an embedding"
        raise ScanweaveError(path, words, "Give real numbers along one axis")
    return values


def write_embedding(path: Path, values: NDArray[np.floating]) -> None:
    """Write an embedding `(D,)`."""
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        np.lib.format.write_array(stream, np.asarray(values), allow_pickle=False)


def gather_boxes(paths: Mapping[str, Path]) -> tuple[Box, ...]:
    """The boxes of a study, of the only path that there is; none where there is none."""
    return next((read_boxes(path) for path in paths.values()), ())
