"""What is peculiar about one file that is no image: a sinogram, a report, boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scanweave.studies.findings import Finding
from scanweave.studies.formats.cell_files import read_boxes, read_embedding, read_report
from scanweave.studies.formats.sinogram_hdf5 import read_sinogram


def check_sinogram(path: Path) -> list[Finding]:
    """Return what is doubtful about a sinogram.

    Raises:
        ScanweaveError: It cannot be read.
    """
    return [Finding("counts", "suspect", words, done) for words, done in read_sinogram(path).doubts()]


def check_report(path: Path) -> list[Finding]:
    """Return whether a report says nothing.

    Raises:
        ScanweaveError: It cannot be read.
    """
    if read_report(path).strip():
        return []
    return [Finding("empty report", "suspect", "holds no word", "Leave the cell empty where there is no report")]


def check_embedding(path: Path) -> list[Finding]:
    """Return whether an embedding holds what is no number.

    Raises:
        ScanweaveError: It cannot be read.
    """
    if np.isfinite(read_embedding(path)).all():
        return []
    return [Finding("non-finite", "refused", "an embedding with NaN or infinite numbers", "Make it again")]


def check_boxes(path: Path) -> list[Finding]:
    """Return what is doubtful about boxes.

    Raises:
        ScanweaveError: They cannot be read.
    """
    findings = []
    for number, box in enumerate(read_boxes(path)):
        if any(not start < stop for start, stop in zip(box["start"], box["stop"], strict=True)):
            words = f"box {number} does not stop behind its start on every axis"
            findings.append(Finding("boxes", "refused", words, "Correct its corners, or remove it"))
    return findings
