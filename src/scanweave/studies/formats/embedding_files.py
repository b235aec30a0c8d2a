"""Embeddings as arrays: a file a study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, plain_size
from scanweave.studies.formats.header_limits import faults_of


def read_embedding(path: Path) -> NDArray[np.floating]:
    """Read an embedding `(D,)`.

    Raises:
        ScanweaveError: It is no array of one axis.
    """
    plain_size(path)
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
