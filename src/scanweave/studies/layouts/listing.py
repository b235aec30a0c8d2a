"""Listing of what a layout found: rows of a manifest, how names were understood, and what was left out."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.files import is_plain, real_path
from scanweave.studies.cohort import Cohort, safe_id
from scanweave.studies.columns import KINDS, WHO, Column, cells, columns_of
from scanweave.studies.formats.image_names import (
    VOLUME_SUFFIXES,
    frame_cell,
    frame_files,
    is_film,
    split_part,
    stem,
    suffix,
)
from scanweave.studies.formats.image_pairs import is_second_half
from scanweave.studies.layouts.frame_series import SeriesPatterns, in_order
from scanweave.studies.layouts.import_report import (
    SHOWN,
    clash_lines,
    column_lines,
    left_out_lines,
    mapping_lines,
    may_be_renamed,
    patient_lines,
    split_lines,
)
from scanweave.studies.layouts.names import Named, display_order
from scanweave.studies.layouts.visit_names import patient_in
from scanweave.studies.tables.missing_words import is_absent
from scanweave.wording import count, listed, studies

WRITTEN_AGAIN = "taken from another file that dcm2niix wrote of the same slices (Eq, Tilt, or not cropped)"
NO_FRAME = "fits --series, and its name differs by more than one number from those of frames"


@dataclass
class Listing:
    """The studies of a source, before they are a cohort.

    Attributes:
        layout: Name of the layout.
        root: Folder that the paths are relative to.
        studies: Rows by study name.
        mapping: Column → spellings that were taken for it, with how often.
        skipped: Reason → files left out for it, relative to the root.
        clashes: Study → column → its files that have that one name, all of which are left out.
        names: Study → its name in the source, before it was made safe, and
        owners: patient → his.
        called: File that was left out → its name without that of its study.
        doubts: Patient → folders taken for sessions that are not named as sessions are.
        idle: Spellings of `--rename` that fit no name.
        structures: Mask → what it shows → its numbers, where the source says so.
        remarks: What else the user should know.
        ranks: Study and column → rank of the name that was taken for it.
        patients_told: Whether the source says whose each study is, so that no name is searched for it.
        table: The table that the studies are listed in, and
        columns: its headings → what became of each.
        series: Which files are frames of a series, as the user says.
        frames: Study and column → the files that are its frames, until `join_frames` makes one series of them.
    """

    layout: str
    root: Path
    studies: dict[str, dict[str, Any]] = field(default_factory=dict)
    mapping: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    skipped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    clashes: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)
    doubts: dict[str, list[str]] = field(default_factory=dict)
    idle: list[str] = field(default_factory=list)
    structures: dict[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    ranks: dict[tuple[str, str], int] = field(default_factory=dict)
    patients_told: bool = False
    table: Path | None = None
    columns: dict[str, str] = field(default_factory=dict)
    series: SeriesPatterns = field(default_factory=SeriesPatterns)
    frames: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def study(self, name: str, patient: str | None = None, **fields: Any) -> dict[str, Any]:
        """Return the row of a study; it is made on first use."""
        study = safe_id(name)
        self.names.setdefault(study, unicodedata.normalize("NFC", name))
        row = self.studies.setdefault(study, {"study": study, "patient": self.owner(patient or name)})
        row.update(fields)
        return row

    def owner(self, name: str) -> str:
        """Return a name of a patient that can be a file name; what it was is kept."""
        self.owners.setdefault(safe_id(name), unicodedata.normalize("NFC", name))
        return safe_id(name)

    def add(self, row: dict[str, Any], named: Named | str, path: str) -> None:
        """Enter a file under what its name means, or note why it is left out; keep frames of a series until the end."""
        shown = not isinstance(named, Named) or str(named.column).startswith("scan:")
        if shown and (series := self.series.of(path)) is not None:
            self.frames[row["study"], f"scan:{series}"].append(path)
        elif isinstance(named, str):
            self.skip(named, path, row["study"])
        elif named.column is None:
            self.skipped["as --rename says"].append(path)
        else:
            self._enter(row, named, named.column, path)

    def skip(self, reason: str, path: str, study: str = "") -> None:
        """Note that a file is left out, and what it is called but for the name of its study."""
        self.skipped[reason].append(path)
        *folders, name = PurePosixPath(path).parts
        self.called[path] = stem(name)
        for prefix in (*folders, self.names.get(study, "")):
            self.called[path] = without_prefix(self.called[path], prefix)

    def join_frames(self) -> None:
        """Enter the frames of each series as one scan, in the order of their numbers; tell what does not belong."""
        for (study, column), paths in self.frames.items():
            frames, others = in_order(paths)
            for path in others:
                self.skip(NO_FRAME, path, study)
            if frames:
                named = Named(column, f"{count(len(frames), 'frame')} in a file each")
                self._enter(self.studies[study], named, column, frame_cell(frames))
        self.frames.clear()

    def _enter(self, row: dict[str, Any], named: Named, column: str, path: str) -> None:
        """Enter a file, or leave it and all others out that have its name in the study: which is meant is not known."""
        study, place = row["study"], (row["study"], column)
        files = self.clashes.get(study, {}).get(column)
        before = self.ranks.get(place, named.rank)
        if (files or column in row) and named.rank < before:
            self.skip(WRITTEN_AGAIN, path, study)
            return
        if named.rank > before:
            for lower in files or [row.pop(column)]:
                self.skip(WRITTEN_AGAIN, lower, study)
            self.clashes.get(study, {}).pop(column, None)
            files = None
        if files:
            files.append(path)
        elif column in row:
            self.clashes.setdefault(study, {})[column] = [row.pop(column), path]
        else:
            row[column] = path
        self.ranks[place] = named.rank
        self.mapping[column][named.spelling] += 1

    def files(self) -> set[str]:
        """Return all files that the listing holds or says that it left out, relative to the root."""
        held = {
            str(split_part(file)[0])
            for row in self.studies.values()
            for column, cell in cells(row)
            if column.kind.files
            for file in frame_files(cell)
        }
        clashed = {file for columns in self.clashes.values() for files in columns.values() for file in files}
        return held | clashed | {file for files in self.skipped.values() for file in files}

    def leave_out(self, patterns: Sequence[str]) -> None:
        """Drop the studies whose name fits one of the patterns of a shell (`*_native`).

        Raises:
            ScanweaveError: A pattern fits no study.
        """
        dropped: set[str] = set()
        for pattern in patterns:
            fits = [s for s in self.studies if fnmatchcase(s, pattern) or fnmatchcase(self.names[s], pattern)]
            if not fits:
                raise ScanweaveError("--leave-out", f"'{pattern}' fits no study", "Name studies as the import does")
            dropped.update(fits)
        for study in sorted(dropped):
            del self.studies[study]
            self.clashes.pop(study, None)
            self.skipped["as --leave-out says"].append(study)

    def assign_patients(self, pattern: str) -> None:
        """Take as patient what the regular expression, or its first group, finds in the name of a study.

        Raises:
            ScanweaveError: It is no regular expression, or finds nothing in a name.
        """
        try:
            found = {study: re.search(pattern, self.names[study]) for study in self.studies}
        except re.error as error:
            raise ScanweaveError("--patient", f"not a regular expression ({error})", "Such as: ^[^_]+") from error
        for study, match in found.items():
            patient = match and match[1 if match.re.groups else 0]
            if not patient:
                reason = f"finds no patient in {self.names[study]!r}"
                raise ScanweaveError("--patient", reason, "Give one that fits every study")
            self.studies[study]["patient"] = self.owner(patient)
        self.doubts.clear()

    def rows(self) -> list[dict[str, Any]]:
        """Return rows in order of their names, columns in order of display, all columns in all rows."""
        rows = [dict(row) for _, row in sorted(self.studies.items()) if _is_study(row)]
        for own, known in (("study", self.names), ("patient", self.owners)):
            if any(known.get(row[own], row[own]) != row[own] for row in rows):
                for row in rows:
                    row.setdefault(f"{own}_name", known.get(row[own], row[own]))
        order = list(KINDS)
        columns = sorted(
            {column for row in rows for column in columns_of(row)},
            key=lambda column: (order.index(column.kind.name), display_order(column.heading)),
        )
        split = [c for c in WHO if c not in ("study", "patient") and any(c in row for row in rows)]
        headings = ["study", "patient", *split, *(column.heading for column in columns)]
        whole = [{heading: row.get(heading) for heading in headings} for row in rows]
        for column in columns:
            if not column.kind.files and column.kind.name != "text":
                _as_numbers(whole, column.heading)
        return whole

    def write(self, out: str | Path, name: str | None = None) -> Cohort:
        """Make a cohort of the listing in the folder `out`.

        Raises:
            ScanweaveError: Nothing was found, a name is taken twice, or `out` holds a cohort.
        """
        rows = self.rows()
        if not rows:
            raise ScanweaveError(
                self.root,
                f"no study with an image that is known by its name was found in the {self.layout} layout{self._hint()}",
                "Map your names by --rename WORD=name, or name the layout by --layout",
            )
        root = str(real_path(self.root))
        return Cohort.create(
            out,
            rows,
            root=root,
            name=name or real_path(out).name,
            source=root if self.table is None else str(real_path(self.table)),
            layout=self.layout,
            structures=self.structures,
        )

    def report(self) -> list[str]:
        """Describe the listing: counts, how names were understood, what was left out, and what is doubtful."""
        rows = self.rows()
        there = Counter(column for row in rows for column, _ in cells(row))
        lines = [_counted(rows, there, self.layout)]
        lines += mapping_lines(self.mapping, {column.heading for column in there})
        lines += column_lines(self.columns)
        lines += split_lines(row.get("split") for row in rows)
        lines += [*left_out_lines(self.skipped, self.called), *clash_lines(self.clashes)]
        bare = [name for name, row in self.studies.items() if not _is_study(row)]
        if bare:
            some = listed(bare, SHOWN)
            lines.append(f"  left out, without any image that is known by its name: {studies(len(bare))} ({some})")
        lines += patient_lines({name: row["patient"] for name, row in self.studies.items()}, self.doubts)
        lines += [f"  note: {remark}" for remark in self.remarks]
        lines += [f"  note: --rename {spelling} fits no name" for spelling in self.idle]
        if may_be_renamed(list(self.skipped)):
            lines.append("  take such files in by --rename WORD=name (or WORD=mask:name)")
        return lines

    def find_visits(self) -> None:
        """Put studies of one patient together whose names end with the visit, unless the source says whose they are."""
        patients = [] if self.patients_told else dict.fromkeys(row["patient"] for row in self.studies.values())
        names = {patient: self.owners.get(patient, patient) for patient in patients}
        found = {visit: patient for visit, name in names.items() if (patient := patient_in(name))}
        together: dict[str, list[str]] = defaultdict(list)
        for visit, patient in found.items():
            together[patient].append(names[visit])
        for row in self.studies.values():
            if row["patient"] in found:
                row["patient"] = self.owner(found[row["patient"]])
        several = {patient: visits for patient, visits in together.items() if len(visits) > 1}
        if several:
            patient, visits = next(iter(several.items()))
            also = f", and so for {count(len(several) - 1, 'more patient')}" if len(several) > 1 else ""
            words = f"{' and '.join(visits[:2])} are taken for visits of one patient, {patient}{also}"
            self.remarks.append(f"{words}: say --patient if they are not")

    def _hint(self) -> str:
        files = [file for files in self.skipped.values() for file in files][:3]
        several = [
            f"; {study}: both '{pair[0]}' and '{pair[1]}' are {column.partition(':')[2]}"
            for study, columns in self.clashes.items()
            for column, pair in columns.items()
        ]
        words = [f" (not understood: {', '.join(files)} …)"] if files else []
        words += ["; label maps alone are no study"] if any(map(columns_of, self.studies.values())) else []
        return "".join([*words, *several[:1], *(f"; {remark}" for remark in self.remarks[:1])])


def _counted(rows: Sequence[Mapping[str, Any]], there: Mapping[Column, int], layout: str) -> str:
    """Return how many studies of how many patients hold what."""
    scans = [(column, cell) for row in rows for column, cell in cells(row) if column.kind is KINDS["scan"]]
    films = {column for column, cell in scans if is_film(cell)}
    order = list(KINDS)
    shown = sorted(there, key=lambda c: (order.index(c.kind.name), display_order(c.heading)))
    whom = count(len({row["patient"] for row in rows}), "patient")
    parts = [f"{studies(len(rows))} of {whom} in {layout} layout"]
    parts += [
        f"{'film ' if column in films else ''}{column.shown} {there[column]}"
        for column in shown
        if column.kind.name != "table"
    ]
    variables = sum(column.kind.name == "table" for column in shown)
    parts += [count(variables, "variable")] if variables and layout == "table" else []
    return " · ".join(parts)


def images(folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield paths of the images below a folder, as their parts, sorted, without hidden ones and loops of links.

    Where there are volumes, pictures beside them are previews and no images.
    """
    found = [parts for parts in files_in(folder) if suffix(parts[-1])]
    volumes = [parts for parts in found if suffix(parts[-1]) in VOLUME_SUFFIXES]
    yield from volumes or found


def files_in(folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield paths of the files below a folder, as their parts, sorted, without hidden ones and loops of links.

    Of an image in two files that of its voxels stands for both.
    """
    seen: set[tuple[int, int]] = set()

    def walk(path: str, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        try:
            about = os.stat(path)  # noqa: PTH116 - 10^5 folders
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError as error:
            raise ScanweaveError(path, f"cannot be read ({error.strerror})", "Check its permissions") from error
        if (about.st_dev, about.st_ino) in seen:
            return
        seen.add((about.st_dev, about.st_ino))
        names = frozenset(entry.name for entry in entries)
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from walk(entry.path, (*parts, entry.name))
            elif not is_second_half(entry.name, names):
                yield (*parts, entry.name)

    yield from walk(str(folder), ())


def is_there(path: Path) -> bool:
    """Tell whether a file is there, or a link that stands for one whose content may not have been fetched."""
    return is_plain(path) or os.path.islink(path)  # noqa: PTH114 - pathlib raises on odd names


def without_prefix(text: str, prefix: str) -> str:
    """Return `text` without `prefix` and the separator after it, unless nothing would be left."""
    if prefix and text.lower().startswith(prefix.lower()):
        rest = text[len(prefix) :]
        if rest and not rest[0].isalnum() and rest.strip("_-. "):
            return rest.lstrip("_-. ")
    return text


def _is_study(row: Mapping[str, Any]) -> bool:
    """Tell whether a row holds anything that a study is worth having for."""
    return any(column.kind.shows for column, _ in cells(row))


def _as_numbers(rows: list[dict[str, Any]], column: str) -> None:
    """Turn a column of text into numbers, if all of it are and would be written just so: `007` and `1.10` are names."""
    texts = [row[column] for row in rows if row[column] is not None]
    if not all(isinstance(text, str) for text in texts):
        return
    numbers = [text for text in texts if not is_absent(text)]
    kind = next((kind for kind in (int, float) if all(_is_written(text, kind) for text in numbers)), None)
    for row in rows:
        if kind is not None and numbers and row[column] is not None:
            row[column] = None if is_absent(row[column]) else kind(row[column])


def _is_written(text: str, kind: type[int] | type[float]) -> bool:
    try:
        number = kind(text)
    except ValueError:
        return False
    if isinstance(number, int):
        return text == str(number) and abs(number) < 2**63
    return text in (str(number), f"{number:.0f}") and abs(number) < 2**53


def is_text(path: str) -> bool:
    """Tell whether a path can be written as UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
