"""Vectors of the images of a cohort, kept in the run, and which of them are most like another vector."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.engine.progress import counted
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, file_sha256
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.file_states import file_state
from scanweave.studies.study import Study

Vectors = NDArray[np.float32]
Say = Callable[[str], None]
STUDIES_A_FILE = 256
"""Studies whose vectors are written together: so many are computed again after a stop, at most."""
FOLDER = "index"
_ADVICE = "Remove it, and search again"


class Looking(Protocol):
    """A fitted run that has a vector for each study."""

    @property
    def run(self) -> Run:
        """Its folder."""
        ...

    @property
    def plan(self) -> Any:
        """Knowledge of its data: `sources`, the columns of the manifest that it reads."""
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
    """Return the vectors of all studies of a cohort that can be looked at; each is computed once and kept in the run.

    It is kept by the weights and by path, size and time of the study's images: where one of them changes it is
    computed again. A study that cannot be looked at is told, and tried again by the next call.

    Args:
        fitted: The fitted run.
        cohort: The studies.
        say: Takes a line for each study that is left out.

    Raises:
        ScanweaveError: None could be looked at, or a file of vectors is damaged.
    """
    folder = fitted.run.own_folder / FOLDER / file_sha256(fitted.run.weights)[:16]
    known = {key: vector for file in sorted(folder.glob("*.npz")) for key, vector in _kept(file).items()}
    states = _states(cohort, fitted.plan.sources)
    wanted = [name for name in cohort.studies if states[name] not in known]
    with counted("studies looked at", shown=say is print and bool(wanted)) as progress:
        for start in range(0, len(wanted), STUDIES_A_FILE):
            made = _computed(fitted, cohort, wanted[start : start + STUDIES_A_FILE], states, say)
            if made:
                _keep(folder, made)
                known |= made
            progress(min(len(wanted), start + STUDIES_A_FILE), len(wanted))
    there = [name for name in cohort.studies if states[name] in known]
    if not there:
        raise ScanweaveError(cohort.folder, "no study could be looked at", "See the lines above")
    owners = dict(zip(cohort.studies, cohort.frame["patient"].astype(str), strict=True))
    return ImageIndex(there, [owners[name] for name in there], np.stack([known[states[name]] for name in there]))


def _states(cohort: Cohort, sources: Sequence[str]) -> dict[str, str]:
    """Return of each study a hash of path, size and change time of the images that are read."""
    columns = [column for column in sources if column in cohort.frame]
    found = {}
    for row in cohort.frame[["study", *columns]].to_dict("records"):
        files = [cohort.root / str(row[column]) for column in columns if not pd.isna(row[column])]
        told = [(str(file), file_state(file)) for file in files]
        found[str(row["study"])] = hashlib.sha256(repr(told).encode()).hexdigest()
    return found


def _computed(
    fitted: Looking, cohort: Cohort, names: Sequence[str], states: Mapping[str, str], say: Say
) -> dict[str, Vectors]:
    made = {}
    for name in names:
        try:
            made[states[name]] = fitted.image(cohort[name]).astype(np.float32)
        except ScanweaveError as error:
            say(f"left out: {error}")
    return made


def _keep(folder: Path, made: Mapping[str, Vectors]) -> None:
    keys = list(made)
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256("".join(keys).encode()).hexdigest()[:16]
    with atomic_write(folder / f"{name}.npz") as temporary, temporary.open("wb") as opened:
        np.savez(opened, keys=np.array(keys, dtype=str), vectors=np.stack([*made.values()]))


def _kept(file: Path) -> dict[str, Vectors]:
    """Return what a file holds.

    Raises:
        ScanweaveError: It is damaged.
    """
    try:
        with np.load(file, allow_pickle=False) as held:
            keys, vectors = held["keys"].tolist(), np.asarray(held["vectors"], dtype=np.float32)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ScanweaveError(file, f"damaged ({error})", _ADVICE) from error
    if vectors.ndim != 2 or len(keys) != len(vectors) or not np.isfinite(vectors).all():
        raise ScanweaveError(file, "damaged (no vector for each study)", _ADVICE)
    return dict(zip(keys, vectors, strict=True))
