"""Many studies: a checked manifest on disk, studies opened on use."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, read_json, write_json
from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.formats.sinogram_hdf5 import SinogramFiles
from scanweave.studies.splits import Part, Splits, read_splits
from scanweave.studies.study import Study
from scanweave.wording import count, studies

FORMAT = 1
MANIFEST, ABOUT = "manifest.parquet", "cohort.json"
_SAFE_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_SAFE_NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}"
_FILES = ("scan", "mask", "sinogram")
"""Kinds of columns that name files: `<kind>:<name>`."""
_TEXTS = ("study", "patient", "split", "report", "boxes")
_ADVICE = "Make the cohort again with: scanweave cohort import SRC --out COHORT"


@dataclass(frozen=True, eq=False)
class Cohort:
    """A manifest of studies.

    Attributes:
        folder: Where it lives.
        about: What `cohort.json` says: name, source, layout, root.
        frame: One row a study; columns `study`, `patient`, `split`, `scan:<name>`, `mask:<name>`, `sinogram:<name>`,
            `label:<name>`, `table:<name>`, `report`, `boxes`; paths relative to the root; null is absent. `split` is
            that of the patient, read from all of the manifest: it stays when other studies of the patient are left out.
    """

    folder: Path
    about: Mapping[str, Any]
    frame: pd.DataFrame

    @classmethod
    def open(cls, folder: str | Path) -> Cohort:
        """Open the cohort in `folder`.

        Raises:
            ScanweaveError: The folder is not a cohort, or its manifest is damaged.
        """
        folder = Path(folder)
        if not (folder / ABOUT).is_file():
            raise ScanweaveError(folder, f"not a cohort: {ABOUT} is absent", _ADVICE)
        about = read_json(folder / ABOUT, _ADVICE)
        if not isinstance(about, dict) or about.get("format") != FORMAT or not isinstance(about.get("root"), str):
            raise ScanweaveError(folder / ABOUT, f"not a cohort description of format {FORMAT}", _ADVICE)
        return cls(folder, about, _read_manifest(folder / MANIFEST))

    @classmethod
    def create(
        cls,
        folder: str | Path,
        rows: Iterable[Mapping[str, Any]],
        *,
        root: str | Path,
        name: str,
        source: str,
        layout: str,
    ) -> Cohort:
        """Write a new cohort of `rows` into `folder` and open it; `root` may lie relative to `folder`.

        Raises:
            ScanweaveError: `folder` holds a cohort already, or the rows are at fault.
        """
        folder = Path(folder)
        if (folder / ABOUT).exists():
            raise ScanweaveError(
                folder, "holds a cohort already", f"Choose another folder, or remove its {ABOUT} first"
            )
        if (folder / "run.json").exists():
            raise ScanweaveError(folder, "holds a run", "Choose another folder")
        frame = pd.DataFrame(list(rows))
        if frame.empty:
            raise ScanweaveError(
                source, "no study was found", "Check the folder and its layout, or name one by --layout"
            )
        _check_manifest(Path(MANIFEST), frame)
        with atomic_write(folder / MANIFEST) as temporary:
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), temporary, compression="zstd")
        about = {"format": FORMAT, "name": name, "source": source, "layout": layout, "root": str(root)}
        write_json(folder / ABOUT, about)
        return cls.open(folder)

    def __repr__(self) -> str:
        sizes = f"{studies(len(self))} of {count(len(self.patients), 'patient')}"
        parts = [f"sinogram {name} {number}" for name, number in self.counts("sinogram").items()]
        parts += [f"{name} {number}" for name, number in self.counts().items()]
        parts += [count(len(self.variables), "variable")] if self.variables else []
        return f"<Cohort {self.about.get('name', self.folder.name)}: {sizes}; {', '.join(parts)}>"

    def __len__(self) -> int:
        return len(self.frame)

    def __iter__(self) -> Iterator[Study]:
        return (self._study(row) for row in self.frame.to_dict("records"))

    def __getitem__(self, study: str) -> Study:
        rows = self.frame[self.frame["study"] == study]
        if rows.empty:
            raise ScanweaveError(
                self.folder, f"study '{study}' is not in this cohort", "List them with: scanweave cohort show"
            )
        return self._study(rows.iloc[0].to_dict())

    @property
    def root(self) -> Path:
        """The folder that the manifest's paths are relative to."""
        return self.folder / str(self.about["root"])

    @property
    def studies(self) -> list[str]:
        """Names of the studies, in manifest order."""
        return [str(name) for name in self.frame["study"]]

    @property
    def patients(self) -> list[str]:
        """Patients, sorted, each once."""
        return sorted(_texts(self.frame["patient"]).unique().to_pylist())

    @property
    def held_out(self) -> list[str]:
        """Patients that the source itself sets aside for testing (column `split`), sorted."""
        if "split" not in self.frame:
            return []
        return sorted(_texts(self.frame["patient"][self.frame["split"] == "test"]).unique().to_pylist())

    @property
    def sequences(self) -> list[str]:
        """Names of the scans that at least one study has, in manifest order."""
        return list(self.counts("scan"))

    @property
    def sinograms(self) -> list[str]:
        """Names of the sinograms that at least one study has, in manifest order."""
        return list(self.counts("sinogram"))

    @property
    def masks(self) -> list[str]:
        """Names of the masks that at least one study has, in manifest order."""
        return list(self.counts("mask"))

    @property
    def variables(self) -> list[str]:
        """Names of the clinical variables that at least one study has, in manifest order."""
        return list(self.counts("table"))

    @property
    def labels(self) -> list[str]:
        """Names of the labels that at least one study has, in manifest order."""
        return list(self.counts("label"))

    def counts(self, kind: str = "scan") -> dict[str, int]:
        """How many studies have each scan, or each field of another kind, such as "mask"; none that all lack."""
        columns = [column for column in self.frame.columns if column.startswith(f"{kind}:")]
        found = {column.partition(":")[2]: int(self.frame[column].notna().sum()) for column in columns}
        return {name: number for name, number in found.items() if number}

    @cached_property
    def digest(self) -> str:
        """Hash of the manifest's content: equal cohorts have equal digests wherever they lie."""
        table = pd.util.hash_pandas_object(self.frame, index=False).to_numpy()
        return hashlib.sha256(table.tobytes() + ",".join(self.frame.columns).encode()).hexdigest()

    def where(self, mask: Any) -> Cohort:
        """The studies for which the boolean column `mask` holds."""
        return replace(self, frame=self.frame[mask].reset_index(drop=True))

    def select(self, studies: Iterable[str]) -> Cohort:
        """The studies of these names."""
        return self.where(self.frame["study"].isin(list(studies)))

    def having(self, *names: str) -> Cohort:
        """The studies in which all these scans are present."""
        present = self.frame["study"].notna()
        for name in names:
            column = f"scan:{name}"
            present &= self.frame[column].notna() if column in self.frame else False
        return self.where(present)

    def splits(self) -> Splits | None:
        """The written splits of this cohort, if any."""
        return read_splits(self.folder)

    def part(self, part: Part, fold: int = 0) -> Cohort:
        """The studies of one part of a fold; without written splits, of the manifest's `split` column.

        Patients that are held out test in every fold; a patient is never in two parts.

        Raises:
            ScanweaveError: There is no such fold, a patient is assigned to none, or nothing divides the cohort.
        """
        splits = self.splits()
        if splits is not None:
            held = self.frame["patient"].isin(self.held_out).to_numpy(dtype=bool)
            parts = np.full(len(self), "test", dtype=object)
            parts[~held] = splits.parts(_texts(self.frame["patient"][~held]), fold, self.folder)
            return self.where(parts == part)
        if "split" in self.frame:
            return self.where(self.frame["split"] == part)
        raise ScanweaveError(self.folder, "has no splits", "Make them with: scanweave cohort split COHORT")

    def _study(self, row: Mapping[str, Any]) -> Study:
        named: dict[str, dict[str, Any]] = {"scan": {}, "mask": {}, "sinogram": {}, "label": {}, "table": {}}
        for column, value in row.items():
            kind, _, name = str(column).partition(":")
            if name and kind in named and not pd.isna(value):
                path = self.root / value if kind in _FILES else None
                named[kind][name] = value if path is None else path if kind == "sinogram" else read_scan(path)
        report, boxes = row.get("report"), row.get("boxes")
        return Study(
            id=str(row["study"]),
            patient=str(row["patient"]),
            scans=named["scan"],
            masks=named["mask"],
            sinograms=SinogramFiles(named["sinogram"]),
            boxes=() if pd.isna(boxes) else _read_boxes(self.root / str(boxes)),
            report=None if pd.isna(report) else _read_report(self.root / str(report)),
            labels=named["label"],
            table=named["table"],
        )


def _texts(column: pd.Series) -> pa.Array:
    array = pa.array(column, type=pa.string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def safe_id(text: str) -> str:
    """A study or patient name that can be a file name: itself, or what is safe of it and a hash of all of it.

    It depends on the name alone, so that different names stay apart and one name is the same in every cohort.
    """
    text = unicodedata.normalize("NFC", text)
    if re.fullmatch(_SAFE_ID, text):
        return text
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:100] or "unnamed"
    return f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _read_report(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScanweaveError(
            path, f"the report cannot be read ({error})", "Give reports as UTF-8 text files"
        ) from error


def _read_boxes(path: Path) -> tuple[Mapping[str, Any], ...]:
    advice = 'Give boxes as a JSON list of {"label": "…", "start": [x, y, z], "stop": [x, y, z]} in RAS mm'
    boxes = read_json(path, advice)
    if not isinstance(boxes, list):
        raise ScanweaveError(path, "not a list of boxes", advice)
    for number, box in enumerate(boxes):
        corners = [box.get("start"), box.get("stop")] if isinstance(box, dict) else []
        numbers = [n for corner in corners if isinstance(corner, list) for n in corner]
        if len(numbers) != 6 or not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
            raise ScanweaveError(path, f"box {number} is not two corners of three numbers", advice)
    return tuple(boxes)


def _read_manifest(path: Path) -> pd.DataFrame:
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ScanweaveError(path, f"not a readable Parquet file ({str(error).splitlines()[0]})", _ADVICE) from error
    _check_columns(path, table.schema)
    frame = table.to_pandas(types_mapper=pd.ArrowDtype, self_destruct=True, split_blocks=True)
    _check_manifest(path, frame)
    return frame.assign(split=_split_of_patients(frame)) if "split" in frame else frame


def _split_of_patients(frame: pd.DataFrame) -> pd.Series:
    """The `split` of each study's patient: test if any study of it tests, else validation if any validates."""
    own = pd.Series(_texts(frame["split"]), dtype=pd.ArrowDtype(pa.string()))
    whole = own
    for part in ("train", "validation", "test"):  # the last one wins
        whole = whole.mask(frame["patient"].isin(frame["patient"][own == part]), part)
    return whole


def _check_columns(path: Path, schema: pa.Schema) -> None:
    if len(set(schema.names)) != len(schema.names):
        raise ScanweaveError(path, "two columns have one name", _ADVICE)
    for field in schema:
        kind, colon, name = field.name.partition(":")
        is_path = field.name in _TEXTS or (colon and kind in _FILES)
        if is_path and not _is_text(field.type):
            raise ScanweaveError(path, f"column '{field.name}' holds {field.type}, not text", _ADVICE)
        if colon and kind in _FILES and not re.fullmatch(_SAFE_NAME, name):
            raise ScanweaveError(
                path,
                f"column {field.name!r}: {name!r} cannot be a file name",
                "Use letters, digits, '.', '_', '+' and '-' only",
            )


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind)


def _check_manifest(path: Path, frame: pd.DataFrame) -> None:
    for column in ("study", "patient"):
        if column not in frame:
            raise ScanweaveError(path, f"column '{column}' is absent", "Give every study its name and its patient")
        named = frame[column].astype("string[pyarrow]")
        bad = ~named.str.fullmatch(_SAFE_ID).fillna(False).astype(bool)
        if bool(bad.any()):
            row = int(bad.to_numpy().argmax())
            raise ScanweaveError(
                path,
                f"row {row + 1}: {column} {named.iloc[row]!r} cannot be a file name",
                "Use letters, digits, '.', '_' and '-' only",
            )
    twice = frame["study"].duplicated()
    if bool(twice.any()):
        name = frame["study"][twice].iloc[0]
        raise ScanweaveError(path, f"study '{name}' stands there more than once", "Give every study a name of its own")
