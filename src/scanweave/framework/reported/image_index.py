"""Vectors of the images of a cohort on disk, and which of them are most like another vector."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.engine.progress import counted
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, file_sha256, is_plain
from scanweave.studies.cohort import Cohort
from scanweave.studies.study import Study

Vectors = NDArray[np.float32]
Say = Callable[[str], None]
STUDIES_A_FILE = 256
"""Studies whose vectors are written together: so many are computed again after a stop, at most."""
FOLDER = "index"


class Looking(Protocol):
    """A fitted run that has a vector for each study."""

    @property
    def run(self) -> Run:
        """Its folder."""
        ...

    def image(self, study: Study) -> NDArray[np.float64]:
        """Return the vector of a study's images `(d,)`, of length 1."""
        ...


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """Vectors of studies.

    Attributes:
        studies: Their names, N.
        patients: Whose they are.
        vectors: `(N, d)`, each of length 1.
    """

    studies: list[str]
    patients: list[str]
    vectors: Vectors

    def likest(self, vector: NDArray[np.floating], most: int, without: Sequence[str] = ()) -> pd.DataFrame:
        """Return the studies that are most like a vector `(d,)`, the likest first: `rank, study, patient, likeness`.

        Args:
            vector: Of length 1.
            most: How many.
            without: Names of studies that are left out.
        """
        likeness = self.vectors @ np.asarray(vector, dtype=np.float32)
        for name in without:
            likeness[self.studies.index(name)] = -np.inf
        found = min(most, len(self.studies) - len(set(without)))
        best = np.argpartition(-likeness, found - 1)[:found] if found else np.zeros(0, int)
        order = best[np.lexsort((best, -likeness[best]))]
        columns = {"study": self.studies, "patient": self.patients}
        table = pd.DataFrame({name: [values[k] for k in order] for name, values in columns.items()})
        table.insert(0, "rank", range(1, len(order) + 1))
        return table.assign(likeness=likeness[order].astype(float))


def index_images(fitted: Looking, cohort: Cohort, say: Say = print) -> ImageIndex:
    """Return the vectors of all studies of a cohort that can be looked at, computed once and kept in the run.

    The same call goes on where one was stopped. Other weights or other studies have vectors of their own.

    Args:
        fitted: The fitted run.
        cohort: The studies.
        say: Takes a line for each study that is left out.

    Raises:
        ScanweaveError: None could be looked at.
    """
    weights = file_sha256(fitted.run.weights)
    folder = fitted.run.own_folder / FOLDER / hashlib.sha256(f"{weights} {cohort.digest}".encode()).hexdigest()[:16]
    names, patients = cohort.studies, cohort.frame["patient"].astype(str).tolist()
    found: list[tuple[list[str], Vectors]] = []
    with counted("studies looked at", shown=say is print) as progress:
        for start in range(0, len(names), STUDIES_A_FILE):
            file = folder / f"{start // STUDIES_A_FILE:06d}.npz"
            part = names[start : start + STUDIES_A_FILE]
            found.append(_kept(file) if is_plain(file) else _computed(fitted, cohort, part, file, say))
            progress(min(len(names), start + STUDIES_A_FILE), len(names))
    known = [name for part, _ in found for name in part]
    if not known:
        raise ScanweaveError(cohort.folder, "no study could be looked at", "See the lines above")
    owners = dict(zip(names, patients, strict=True))
    return ImageIndex(known, [owners[name] for name in known], np.concatenate([v for part, v in found if part]))


def _computed(fitted: Looking, cohort: Cohort, names: Sequence[str], file: Path, say: Say) -> tuple[list[str], Vectors]:
    made = dict(_vectors(fitted, cohort, names, say))
    vectors = np.stack([*made.values()]) if made else np.zeros((0, 0), np.float32)
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as temporary, temporary.open("wb") as opened:
        np.savez(opened, studies=np.array(list(made), dtype=str), vectors=vectors)
    return list(made), vectors


def _vectors(fitted: Looking, cohort: Cohort, names: Sequence[str], say: Say) -> Iterator[tuple[str, Vectors]]:
    for name in names:
        try:
            yield name, fitted.image(cohort[name]).astype(np.float32)
        except ScanweaveError as error:
            say(f"left out: {error}")


def _kept(file: Path) -> tuple[list[str], Vectors]:
    """Return what a file holds.

    Raises:
        ScanweaveError: It is damaged.
    """
    try:
        with np.load(file, allow_pickle=False) as held:
            return held["studies"].tolist(), held["vectors"]
    except (OSError, ValueError, KeyError) as error:
        raise ScanweaveError(file, f"damaged ({error})", "Remove it, and search again") from error
