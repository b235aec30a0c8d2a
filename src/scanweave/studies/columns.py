"""The kinds of columns of a manifest, in one table: names, files, and what reads, checks and writes a cell.

Cohort, check, import, show and predict loop over it; a new kind of column is one more row. What reads or writes is
named by its import path, since some of it is slow to load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scanweave.external import resolve


@dataclass(frozen=True)
class ColumnKind:
    """One kind of column.

    Attributes:
        name: Its columns are headed `<name>:<what>`, such as `scan:t1`.
        field: Field of a `Study` that holds what its cells mean.
        one: What one of them is called, and
        many: several of them.
        files: Whether its cells are paths of files; else they hold values.
        plain: Whether one column is headed `<name>` alone: a file a study.
        image: Whether its reader returns a `Scan`.
        shows: Whether a study that has nothing else is worth having.
        gather: Makes the study's field of all its cells, `{name: value}`.
        reader: Reads a cell's file.
        check: Returns the findings on one file beside the study's scans by name, where it is no image or report: those
            are judged together.
        writer: Writes one of a study's into a path; an image with its provenance.
        file: How a file that it writes is called.
    """

    name: str
    field: str
    one: str
    many: str
    files: bool = False
    plain: bool = False
    image: bool = False
    shows: bool = False
    gather: str | None = None
    reader: str | None = None
    check: str | None = None
    writer: str | None = None
    file: str | None = None

    def column(self, name: str = "") -> str:
        """Return the heading of its column of that name."""
        return f"{self.name}:{name}" if name else self.name

    def read(self, path: Any) -> Any:
        """Read the file of a cell.

        Raises:
            ScanweaveError: The file is at fault.
        """
        return resolve(self.reader)(path) if self.reader else path

    def gathered(self, cells: Mapping[str, Any]) -> Any:
        """Gather the cells of this kind of a study: paths of files, or values."""
        if self.gather:
            return resolve(self.gather)(cells)
        return {name: self.read(value) for name, value in cells.items()} if self.files else dict(cells)


KINDS: dict[str, ColumnKind] = {
    kind.name: kind
    for kind in (
        ColumnKind(
            name="sinogram",
            field="sinograms",
            one="sinogram",
            many="sinograms",
            files=True,
            shows=True,
            gather="scanweave.studies.formats.sinogram_hdf5:SinogramFiles",
            reader="scanweave.studies.formats.sinogram_hdf5:read_sinogram",
            check="scanweave.studies.checks.file_check:check_sinogram",
        ),
        ColumnKind(
            name="scan",
            field="scans",
            one="scan",
            many="scans",
            files=True,
            image=True,
            shows=True,
            reader="scanweave.studies.formats.image_reader:read_scan",
            writer="scanweave.studies.formats.image_writer:write_scan",
            file="{study}_{name}_synthetic.nii.gz",
        ),
        ColumnKind(
            name="mask",
            field="masks",
            one="mask",
            many="masks",
            files=True,
            image=True,
            reader="scanweave.studies.formats.image_reader:read_mask",
            writer="scanweave.studies.formats.image_writer:write_scan",
            file="{study}_{name}_predicted.nii.gz",
        ),
        ColumnKind(
            name="boxes",
            field="boxes",
            one="file of boxes",
            many="files of boxes",
            files=True,
            plain=True,
            gather="scanweave.studies.formats.box_cells:gather_boxes",
            reader="scanweave.studies.formats.box_cells:read_boxes",
            check="scanweave.studies.checks.file_check:check_boxes",
            writer="scanweave.studies.formats.json_boxes:write_box_json",
            file="{study}_boxes.json",
        ),
        ColumnKind(
            name="report",
            field="report",
            one="report",
            many="reports",
            files=True,
            plain=True,
            shows=True,
            gather="scanweave.studies.formats.report_cells:gather_report",
            reader="scanweave.studies.formats.report_cells:read_report_cell",
            writer="scanweave.studies.formats.report_cells:write_report",
            file="{study}_report.txt",
        ),
        ColumnKind(
            name="text",
            field="report",
            one="section of reports",
            many="sections of reports",
            shows=True,
        ),
        ColumnKind(
            name="embedding",
            field="embeddings",
            one="embedding",
            many="embeddings",
            files=True,
            shows=True,
            reader="scanweave.studies.formats.embedding_files:read_embedding",
            check="scanweave.studies.checks.file_check:check_embedding",
            writer="scanweave.studies.formats.embedding_files:write_embedding",
            file="{study}_{name}_embedding.npy",
        ),
        ColumnKind(name="label", field="labels", one="label", many="labels", shows=True),
        ColumnKind(name="table", field="table", one="variable", many="variables"),
    )
}
"""Every kind by its name, in the order in which columns are shown."""
OWN_NAMES = ("study_name", "patient_name")
"""Columns of the names that the source has for a study and its patient, where those cannot be names of files."""
WHO = ("study", "patient", "split", *OWN_NAMES)
"""Columns that say whose a study is and what it is for."""


@dataclass(frozen=True)
class Column:
    """A column of a manifest: its kind, and its name where a kind has several."""

    kind: ColumnKind
    name: str

    @property
    def heading(self) -> str:
        """Name of the column in the manifest."""
        return self.kind.column(self.name)

    @property
    def shown(self) -> str:
        """Name of the column in verdicts and tables: that of a scan stands by itself."""
        return self.name if self.kind is KINDS["scan"] else self.heading


def parse_column(heading: object) -> Column | None:
    """Return the column of that heading; None where it is of no kind, as `study` and `patient` are."""
    kind, colon, name = str(heading).partition(":")
    known = KINDS.get(kind)
    if known is None or known.plain == bool(colon) or (colon and not name):
        return None
    return Column(known, name)


def columns_of(headings: Iterable[object], *kinds: str) -> list[Column]:
    """Return the columns among `headings` of these kinds, of any kind if none is named, in the order given."""
    found = (parse_column(heading) for heading in headings)
    return [column for column in found if column is not None and (not kinds or column.kind.name in kinds)]


def cells(row: Mapping[Any, Any]) -> Iterator[tuple[Column, Any]]:
    """Return the columns of a manifest row that are not empty, each with its cell."""
    for heading, value in row.items():
        column = parse_column(heading)
        if column is not None and not _is_void(value):
            yield column, value


def file_cells(row: Mapping[Any, Any]) -> dict[str, str]:
    """Return paths of the files of a manifest row by the heading of their column."""
    return {column.heading: str(value) for column, value in cells(row) if column.kind.files}


def _is_void(value: object) -> bool:
    """Tell whether a cell of a manifest says nothing: None, NaN, NaT or NA."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )
