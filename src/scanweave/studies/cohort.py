"""Many studies: a checked manifest on disk, studies opened on use."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scanweave.errors import ScanweaveError, reason_of
from scanweave.files import atomic_write, is_plain, plain_size, read_json, refuse_absent, write_json
from scanweave.studies.box_images import fit_boxes
from scanweave.studies.columns import KINDS, OWN_NAMES, WHO, Column, cells, columns_of, parse_column
from scanweave.studies.formats.image_names import is_film
from scanweave.studies.formats.parquet_files import read_arrow
from scanweave.studies.formats.report_cells import study_report
from scanweave.studies.splits import FILE as SPLITS
from scanweave.studies.splits import PARTS, Part, Splits, check_part, read_splits
from scanweave.studies.study import Study
from scanweave.wording import count, studies

FORMAT = 1
MANIFEST, ABOUT = "manifest.parquet", "cohort.json"
_SAFE_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_SAFE_NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}"
_ADVICE = "Make the cohort again with: scanweave cohort import SRC --out COHORT"


@dataclass(frozen=True, eq=False)
class Cohort:
    """A manifest of studies.

    Attributes:
        folder: Where it lives.
        about: What `cohort.json` says: name, source, layout, root.
        frame: One row a study; columns `study`, `patient`, `split` and those of the kinds in `studies.columns`, such
            as `scan:<name>`, `mask:<name>`, `label:<name>`, `report`; paths relative to the root; null is absent.
            `split` is that of the patient, read from all of the manifest: it stays when other studies of the patient
            are left out.
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
        refuse_absent(folder, ABOUT)
        if not is_plain(folder / ABOUT):
            raise ScanweaveError(folder, f"not a cohort: {ABOUT} is absent", _import_of(folder))
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
        structures: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
    ) -> Cohort:
        """Write a new cohort of `rows` into `folder` and open it; `root` may lie relative to `folder`.

        `structures` says what the numbers of each mask are, where that is known: `{"organ": {"liver": [1]}}`.

        Raises:
            ScanweaveError: `folder` holds a cohort already, or the rows are at fault.
        """
        folder = Path(folder)
        if (folder / ABOUT).exists():
            raise ScanweaveError(folder, "holds a cohort already", _way_on(folder))
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
        write_json(folder / ABOUT, about | ({"structures": structures} if structures else {}))
        return cls.open(folder)

    def __repr__(self) -> str:
        sizes = f"{studies(len(self))} of {count(len(self.patients), 'patient')}"
        parts = [f"{column.shown} {number}" for column, number in self.present().items() if column.kind.name != "table"]
        variables = len(self.names("table"))
        parts += [count(variables, "variable")] if variables else []
        return f"<Cohort {self.about.get('name', self.folder.name)}: {sizes}; {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """Show the first study in a notebook, and how many there are of what."""
        from scanweave.studies.previews import titled

        facts = {column.shown: number for column, number in self.present().items() if column.kind.name != "table"}
        try:
            first = next(iter(self))._repr_html_() if len(self) else ""
        except ScanweaveError as error:
            first = escape(str(error))
        return titled(repr(self)[1:-1], facts) + first

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
    def own_names(self) -> dict[str, dict[str, str]]:
        """The names that the source has for each study and its patient, by column, where they are no file names.

        Empty where all are: then `study` and `patient` are the names of the source.
        """
        named = [column for column in OWN_NAMES if column in self.frame]
        rows = self.frame[["study", *named]].astype(object).to_dict("records") if named else []
        return {str(row["study"]): {c: str(row[c]) for c in named if isinstance(row[c], str)} for row in rows}

    def part_names(self, fold: int = 0) -> dict[Part, list[str]]:
        """Return the patients of each part of a fold, sorted; empty where nothing divides the cohort.

        Raises:
            ScanweaveError: There is no such fold, or a patient is assigned to none.
        """
        if self.splits() is None and "split" not in self.frame:
            return {}
        return {part: self.part(part, fold).patients for part in PARTS}

    def names(self, kind: str = "scan") -> list[str]:
        """Return names of the scans, or of the columns of another kind such as "mask", that at least one study has.

        Args:
            kind: One of `studies.columns.KINDS`; "report" and "boxes" have one column, named as they are.
        """
        return list(self.counts(kind))

    def counts(self, kind: str = "scan") -> dict[str, int]:
        """Count the studies that have each scan, or each field of another kind, such as "mask"; none that all lack."""
        return {column.name or kind: number for column, number in self.present(kind).items()}

    def present(self, *kinds: str) -> dict[Column, int]:
        """Count the studies that have a value in each column of these kinds, of all kinds if none is named.

        Kinds in the order of `studies.columns.KINDS`, columns in that of the manifest; none that all studies lack.
        """
        order = list(KINDS)
        columns = sorted(columns_of(self.frame.columns, *kinds), key=lambda column: order.index(column.kind.name))
        found = {column: int(self.frame[column.heading].notna().sum()) for column in columns}
        return {column: number for column, number in found.items() if number}

    @cached_property
    def digest(self) -> str:
        """Hash of the manifest's content: equal cohorts have equal digests wherever they lie."""
        table = pd.util.hash_pandas_object(self.frame, index=False).to_numpy()
        return hashlib.sha256(table.tobytes() + ",".join(self.frame.columns).encode()).hexdigest()

    def where(self, mask: Any) -> Cohort:
        """Return the studies for which the boolean column `mask` holds."""
        return replace(self, frame=self.frame[mask].reset_index(drop=True))

    def select(self, studies: Iterable[str]) -> Cohort:
        """Return the studies of these names."""
        return self.where(self.frame["study"].isin(list(studies)))

    def having(self, *names: str) -> Cohort:
        """Return the studies in which all these scans are present."""
        present = self.frame["study"].notna()
        for name in names:
            column = f"scan:{name}"
            present &= self.frame[column].notna() if column in self.frame else False
        return self.where(present)

    def labelled(self, k: int, seed: int = 0, by: str | None = None) -> Cohort:
        """Draw `k` labelled studies in proportion to the values of the label, as a cohort: for learning from few.

        The draw of fewer is part of the draw of more; a mask counts as a label.

        Args:
            k: How many studies.
            seed: What they are drawn from.
            by: The column, such as `label:grade` or `grade`; the only label, or else the only mask, if not given.

        Raises:
            ScanweaveError: Fewer studies are labelled, or it is not clear by what.
        """
        from scanweave.studies.patient_strata import draw_labelled, find_heading

        masks = [f"mask:{name}" for name in self.names("mask")]
        only = masks[0] if by is None and not self.names("label") and len(masks) == 1 else by or "label"
        return self.select(draw_labelled(self.frame, find_heading(self.frame, only), k, seed))

    @property
    def films(self) -> set[str]:
        """Headings of the scans whose files are films or photographs, by the name of the first one."""
        first = {c.heading: self.frame[c.heading].dropna().iloc[0] for c in self.present("scan")}
        return {heading for heading, path in first.items() if is_film(str(path))}

    def splits(self) -> Splits | None:
        """Return the written splits of this cohort, if any."""
        return read_splits(self.folder)

    def part(self, part: Part, fold: int = 0) -> Cohort:
        """Return the studies of one part of a fold; without written splits, of the manifest's `split` column.

        Patients that are held out test in every fold; a patient is never in two parts.

        Raises:
            ScanweaveError: There is no such part or fold, a patient is assigned to none, or nothing divides the cohort.
        """
        check_part(part)
        splits = self.splits()
        if splits is not None:
            held = self.frame["patient"].isin([*self.held_out, *splits.test]).to_numpy(dtype=bool)
            parts = np.full(len(self), "test", dtype=object)
            parts[~held] = splits.parts(_texts(self.frame["patient"][~held]), fold, self.folder)
            return self.where(parts == part)
        if "split" in self.frame:
            return self.where(self.frame["split"] == part)
        raise ScanweaveError(self.folder, "has no splits", "Make them with: scanweave cohort split COHORT")

    def _study(self, row: Mapping[str, Any]) -> Study:
        named: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        for column, value in cells(row):
            named[column.kind.name][column.name] = self.root / str(value) if column.kind.files else value
        fields = {kind.field: kind.gathered(named[kind.name]) for kind in KINDS.values() if kind.name != "text"}
        fields["report"] = study_report(fields["report"], named["text"])
        if fields["boxes"] is not None:
            fields["boxes"], found = fit_boxes(fields["boxes"], fields["scans"])
            fault = next((one for one in found if one.status == "refused"), None)
            if fault is not None:
                raise ScanweaveError(str(row["study"]), f"boxes: {fault.words}", fault.step)
        return Study(id=str(row["study"]), patient=str(row["patient"]), **fields)


def _texts(column: pd.Series) -> pa.Array:
    array = pa.array(column, type=pa.string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def safe_id(text: str) -> str:
    """Return a study or patient name that can be a file name: itself, or its safe part and a hash of all of it.

    It depends on the name alone, so that different names stay apart and one name is the same in every cohort.
    """
    text = unicodedata.normalize("NFC", text)
    if re.fullmatch(_SAFE_ID, text):
        return text
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:100] or "unnamed"
    return f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _import_of(folder: Path) -> str:
    """Say how a folder that is no cohort, such as one of scans, becomes one."""
    return f"If it holds studies, make a cohort of them: scanweave cohort import {folder} --out COHORT"


def _way_on(folder: Path) -> str:
    """Return how to make a cohort in a folder that holds one; its splits are of patients who may be others then."""
    there = [str(folder / name) for name in (ABOUT, SPLITS) if is_plain(folder / name)]
    return f"Choose another --out; or, to make it anew, remove {' and '.join(there)} and give the same command"


def _read_manifest(path: Path) -> pd.DataFrame:
    plain_size(path, _ADVICE)
    try:
        _check_columns(path, pq.read_schema(path))
        table = read_arrow(path)
    except (OSError, pa.ArrowException, ValueError, OverflowError) as error:
        raise ScanweaveError(path, f"not a readable Parquet file ({reason_of(error)})", _ADVICE) from error
    _check_dates(path, table)
    frame = table.to_pandas(types_mapper=pd.ArrowDtype, self_destruct=True, split_blocks=True)
    if "split" in frame and frame["split"].isna().all():  # it says nothing of anybody: the cohort is not split
        frame = frame.drop(columns="split")
    _check_manifest(path, frame)
    return frame.assign(split=_split_of_patients(frame)) if "split" in frame else frame


def _split_of_patients(frame: pd.DataFrame) -> pd.Series:
    """Return the `split` of each study's patient: test if any study of it tests, else validation if any validates."""
    own = pd.Series(_texts(frame["split"]), dtype=pd.ArrowDtype(pa.string()))
    whole = own
    for part in ("train", "validation", "test"):  # the last one wins
        whole = whole.mask(frame["patient"].isin(frame["patient"][own == part]), part)
    return whole


def _check_parts(path: Path, frame: pd.DataFrame) -> None:
    known = ["train", "validation", "test"]
    strange = frame["split"][frame["split"].notna() & ~frame["split"].isin(known)] if "split" in frame else frame[:0]
    if len(strange):
        raise ScanweaveError(path, f"column 'split' says {strange.iloc[0]!r}", "Say train, validation or test")


def _check_columns(path: Path, schema: pa.Schema) -> None:
    if len(set(schema.names)) != len(schema.names):
        raise ScanweaveError(path, "two columns have one name", _ADVICE)
    for field in schema:
        column = parse_column(field.name)
        files = column is not None and column.kind.files
        if (files or field.name in WHO) and not _is_text(field.type):
            raise ScanweaveError(path, f"column '{field.name}' holds {field.type}, not text", _ADVICE)
        if pa.types.is_nested(field.type) or _is_binary(field.type):
            raise ScanweaveError(path, f"column '{field.name}' holds {field.type}, not a value a study", _ADVICE)
        if column is not None and files and column.name and not re.fullmatch(_SAFE_NAME, column.name):
            raise ScanweaveError(
                path,
                f"column {field.name!r}: {column.name!r} cannot be a file name",
                "Use letters, digits, '.', '_', '+' and '-' only",
            )


def _check_dates(path: Path, table: pa.Table) -> None:
    """Refuse dates and times that Python cannot hold, such as of the year 12000, and intervals of months."""
    for field in table.schema:
        if not pa.types.is_temporal(field.type):
            continue
        try:
            pc.min_max(table[field.name]).as_py()
        except (pa.ArrowException, OverflowError, ValueError) as error:
            reason = f"column '{field.name}' holds no dates or times that can be used ({error})"
            raise ScanweaveError(path, reason, _ADVICE) from error


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind)


def _is_binary(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        return types.is_nested(kind.value_type) or _is_binary(kind.value_type)
    plain = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
    return any(holds(kind) for holds in plain)


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
    _check_parts(path, frame)
    twice = frame["study"].duplicated()
    if bool(twice.any()):
        name = frame["study"][twice].iloc[0]
        raise ScanweaveError(path, f"study '{name}' stands there more than once", "Give every study a name of its own")
