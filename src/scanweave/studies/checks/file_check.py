"""Checks of one file that is no image: a sinogram, an embedding, boxes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scanweave.studies.box_images import fit_boxes
from scanweave.studies.findings import Finding
from scanweave.studies.formats.box_cells import judge_boxes
from scanweave.studies.formats.embedding_files import read_embedding
from scanweave.studies.formats.sinogram_hdf5 import read_sinogram
from scanweave.studies.scan import Scan


def check_sinogram(path: Path, scans: Mapping[str, Scan]) -> list[Finding]:
    """Return what is doubtful about a sinogram.

    Raises:
        ScanweaveError: It cannot be read.
    """
    return [Finding("counts", "suspect", words, done) for words, done in read_sinogram(path).doubts()]


def check_embedding(path: Path, scans: Mapping[str, Scan]) -> list[Finding]:
    """Return whether an embedding holds what is no number.

    Raises:
        ScanweaveError: It cannot be read.
    """
    if np.isfinite(read_embedding(path)).all():
        return []
    return [Finding("non-finite", "refused", "an embedding with NaN or infinite numbers", "Make it again")]


def check_boxes(path: Path, scans: Mapping[str, Scan]) -> list[Finding]:
    """Return what is wrong or doubtful about boxes, read alone and beside the images of their study.

    Raises:
        ScanweaveError: They cannot be read.
    """
    boxes, found = judge_boxes(path)
    fitted = () if boxes is None else fit_boxes(boxes, scans)[1]
    return [*found, *fitted]
