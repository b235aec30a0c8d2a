"""DICOM files opened, with what pydicom raises on damaged ones told in one line."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.formats.header_limits import ADVICE, faults_of

GROUP = "films"
"""Optional group of scanweave that installs pydicom and its decoders."""
MAX_HEADER_BYTES = 2**28
"""Largest file without its pixels that is read: an enhanced one of 100,000 frames is smaller."""


@contextmanager
def dicom_faults(path: Path) -> Iterator[Any]:
    """Give pydicom, and translate what it raises on damaged files, now or when an element is looked at."""
    pydicom = require("pydicom", GROUP)
    require("pydicom.pixels", GROUP)
    try:
        with faults_of(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong with a file is told in one line, by an error or a note
            yield pydicom
    except pydicom.errors.InvalidDicomError as error:
        raise ScanweaveError(path, "not a DICOM file", ADVICE) from error
    except (AttributeError, struct.error, pydicom.errors.BytesLengthException, RecursionError) as error:
        raise ScanweaveError(path, f"truncated or damaged ({' '.join(str(error).split())[:160]})", ADVICE) from error


def number_of(data: Any, name: str) -> float | None:
    """Return an element that is one number, or the first of several; None where it is absent or no number."""
    values = numbers_of(data, name)
    return values[0] if values else None


def numbers_of(data: Any, name: str) -> tuple[float, ...]:
    """Return the numbers of an element; none where it is absent or one of them is no finite number."""
    found = data.get(name)
    several: Sequence[Any] = () if found is None or found == "" else found if _is_several(found) else (found,)
    try:
        made = tuple(float(one) for one in several)
    except (TypeError, ValueError):
        return ()
    return made if all(abs(one) < float("inf") for one in made) else ()


def words_of(data: Any, name: str) -> tuple[str, ...]:
    """Return the words of an element, such as those of ImageType; none where it is absent."""
    found = data.get(name)
    if found is None or found == "":
        return ()
    return tuple(str(one).strip() for one in (found if _is_several(found) else (found,)))


def text_of(data: Any, name: str) -> str:
    """Return an element as text; empty where it is absent."""
    return " ".join(words_of(data, name))


def first_item(data: Any, name: str) -> Any:
    """Return the first item of a sequence; an empty mapping where there is none."""
    found = data.get(name)
    return found[0] if found is not None and _is_several(found) and len(found) else {}


def _is_several(found: Any) -> bool:
    return not isinstance(found, str | bytes) and hasattr(found, "__len__") and hasattr(found, "__getitem__")
