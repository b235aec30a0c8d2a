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
from scanweave.studies.cohort import Cohort, safe_id
from scanweave.studies.columns import KINDS, WHO, Column, cells, columns_of, parse_column
from scanweave.studies.formats.image_names import VOLUME_SUFFIXES, is_film, suffix
from scanweave.studies.formats.image_pairs import is_second_half
from scanweave.studies.layouts.names import Named, display_order
from scanweave.wording import count, studies

SHOWN = 5
"""How many file names of a kind are named when files are left out."""


@dataclass
class Listing:
    """The studies of a source, before they are a cohort.

    Attributes:
        layout: Name of the layout.
        root: Folder that the paths are relative to.
        studies: Rows by study name.
        mapping: Column → spellings that were taken for it, with how often.
        skipped: Reason → files left out for it, relative to the root.
        clashes: Study → pairs of its files that have one name.
        names: Study → its name in the source, before it was made safe.
        called: File that was left out → its name without that of its study.
        doubts: Patient → folders taken for sessions that are not named as sessions are.
        idle: Spellings of `--rename` that fit no name.
        structures: Mask → what it shows → its numbers, where the source says so.
        remarks: What else the user should know.
    """

    layout: str
    root: Path
    studies: dict[str, dict[str, Any]] = field(default_factory=dict)
    mapping: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    skipped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    clashes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    names: dict[str, str] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)
    doubts: dict[str, list[str]] = field(default_factory=dict)
    idle: list[str] = field(default_factory=list)
    structures: dict[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def study(self, name: str, patient: str | None = None, **fields: Any) -> dict[str, Any]:
        """Return the row of a study; it is made on first use."""
        study = safe_id(name)
        self.names.setdefault(study, unicodedata.normalize("NFC", name))
        row = self.studies.setdefault(study, {"study": study, "patient": safe_id(patient or name)})
        row.update(fields)
        return row

    def add(self, row: dict[str, Any], named: Named | str, path: str) -> None:
        """Enter a file under what its name means, or note why it is left out."""
        if isinstance(named, str):
            self.skipped[named].append(path)
            *folders, name = PurePosixPath(path).parts
            self.called[path] = stem(name)
            for prefix in (*folders, self.names.get(row["study"], "")):
                self.called[path] = without_prefix(self.called[path], prefix)
        elif named.column is None:
            self.skipped["left out by --rename"].append(path)
        elif named.column in row:
            words = f"{row['study']}: both '{row[named.column]}' and '{path}' are {named.column.partition(':')[2]}"
            self.clashes[row["study"]].append(words)
        else:
            row[named.column] = path
            self.mapping[named.column][named.spelling] += 1

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
            self.skipped["left out by --leave-out"].append(study)

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
            self.studies[study]["patient"] = safe_id(patient)
        self.doubts.clear()

    def rows(self) -> list[dict[str, Any]]:
        """Return rows in order of their names, columns in order of display, all columns in all rows.

        Raises:
            ScanweaveError: Two files of a study have one name, or there is no study with an image.
        """
        clashes = [words for pairs in self.clashes.values() for words in pairs]
        if clashes:
            more = f" (and {len(clashes) - 1} more such pairs)" if len(clashes) > 1 else ""
            raise ScanweaveError(
                self.root,
                f"{clashes[0]}{more}",
                "Tell them apart by --rename 'WORDS OF THE FILE NAME=name', or '…=-' to leave one out",
            )
        rows = [row for _, row in sorted(self.studies.items()) if _is_study(row)]
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
        root = str(self.root.resolve())
        return Cohort.create(
            out,
            rows,
            root=root,
            name=name or self.root.resolve().name,
            source=root,
            layout=self.layout,
            structures=self.structures,
        )

    def report(self) -> list[str]:
        """Describe the listing: counts, how names were understood, what was left out, and what is doubtful."""
        rows = self.rows()
        there = Counter(column for row in rows for column, _ in cells(row))
        scans = [(column, cell) for row in rows for column, cell in cells(row) if column.kind is KINDS["scan"]]
        films = {column for column, cell in scans if is_film(cell)}
        order = list(KINDS)
        shown = sorted(there, key=lambda c: (order.index(c.kind.name), display_order(c.heading)))
        whom = count(len({row["patient"] for row in rows}), "patient")
        parts = [f"{studies(len(rows))} of {whom} in {self.layout} layout"]
        parts += [
            f"{'film ' if column in films else ''}{column.shown} {there[column]}"
            for column in shown
            if column.kind.name != "table"
        ]
        variables = sum(column.kind.name == "table" for column in shown)
        parts += [count(variables, "variable")] if variables and self.layout == "table" else []
        lines = [" · ".join(parts)]
        for column in sorted(self.mapping, key=lambda c: (c.startswith("mask:"), display_order(c))):
            spellings = [s for s, _ in self.mapping[column].most_common(SHOWN)]
            more = ", …" if len(self.mapping[column]) > SHOWN else ""
            lines.append(f"  {column} ← {', '.join(spellings)}{more}")
        lines += [f"  left out, {reason}: {self._grouped(files)}" for reason, files in sorted(self.skipped.items())]
        bare = [name for name, row in self.studies.items() if not _is_study(row)]
        if bare:
            some = ", ".join(bare[:SHOWN])
            lines.append(f"  left out, without any image that is known by its name: {studies(len(bare))} ({some})")
        namesakes = list(self._namesakes())
        lines += [
            f"  note: is {name} of the patient {patient} too? Splits may part them; say so by --patient REGEX"
            for name, patient in namesakes[:SHOWN]
        ]
        if len(namesakes) > SHOWN:
            lines.append(f"  note: the same question for {count(len(namesakes) - SHOWN, 'more study', 'more studies')}")
        for patient, sessions in list(self.doubts.items())[:SHOWN]:
            some = ", ".join(sessions[:3]) + (" …" if len(sessions) > 3 else "")
            lines.append(
                f"  note: {some} are taken for sessions of one patient, {patient}. If they are patients, import the "
                f"folder {patient} itself, or say who is who by --patient REGEX"
            )
        lines += [f"  note: {remark}" for remark in self.remarks]
        lines += [f"  note: --rename {spelling} fits no name" for spelling in self.idle]
        if any(reason.startswith(("not a name", "could be")) for reason in self.skipped):
            lines.append("  take such files in by --rename WORD=name (or WORD=mask:name)")
        return lines

    def _grouped(self, files: Sequence[str]) -> str:
        """Group files that were left out: those with the same name in many studies are one."""
        groups: dict[str, list[str]] = defaultdict(list)
        for file in files:
            groups[self.called.get(file, file)].append(file)
        shown = [f"{name} ({len(group)} files)" if len(group) > 1 else group[0] for name, group in groups.items()]
        return ", ".join(shown[:SHOWN]) + (f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else "")

    def _namesakes(self) -> Iterator[tuple[str, str]]:
        """List studies whose name goes on from that of another patient."""
        patients = {row["patient"] for row in self.studies.values()}
        for name, row in sorted(self.studies.items()):
            ends = [match.start() for match in re.finditer(r"[_.-]", name)]
            other = next((name[:end] for end in reversed(ends) if name[:end] in patients), None)
            if other is not None and row["patient"] != other:
                yield name, other

    def _hint(self) -> str:
        files = [file for files in self.skipped.values() for file in files][:3]
        return f" (not understood: {', '.join(files)} …)" if files else ""


def images(folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield paths of the images below a folder, as their parts, sorted, without hidden ones and loops of links.

    Where there are volumes, pictures beside them are previews and no images.
    """
    found = list(_images(folder))
    volumes = [parts for parts in found if suffix(parts[-1]) in VOLUME_SUFFIXES]
    yield from volumes or found


def _images(folder: Path) -> Iterator[tuple[str, ...]]:
    return (parts for parts in files_in(folder) if suffix(parts[-1]))


def files_in(folder: Path) -> Iterator[tuple[str, ...]]:
    """Paths of the files below a folder, as their parts, sorted; hidden ones and loops of links are passed over.

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


def stem(name: str) -> str:
    """Return a file name without its image suffix."""
    return name[: len(name) - len(suffix(name) or "")]


def without_prefix(text: str, prefix: str) -> str:
    """Return `text` without `prefix` and the separator after it, unless nothing would be left."""
    if prefix and text.lower().startswith(prefix.lower()):
        rest = text[len(prefix) :]
        if rest and not rest[0].isalnum() and rest.strip("_-. "):
            return rest.lstrip("_-. ")
    return text


def joined(listings: Sequence[Listing]) -> Listing:
    """Join listings to one, relative to the folder that holds all their roots.

    Raises:
        ScanweaveError: Two of them name the same study.
    """
    root = Path(os.path.commonpath([listing.root.resolve() for listing in listings]))
    whole = Listing("+".join(dict.fromkeys(listing.layout for listing in listings)), root)
    for listing in listings:
        prefix = listing.root.resolve().relative_to(root).as_posix() + "/"
        for name, row in listing.studies.items():
            if name in whole.studies:
                raise ScanweaveError(listing.root, f"study '{name}' is in another source too", "Rename its folder")
            whole.studies[name] = {
                c: prefix + v if _is_path(parse_column(c)) and not v.startswith("/") else v for c, v in row.items()
            }
        for column, spellings in listing.mapping.items():
            whole.mapping[column].update(spellings)
        for reason, files in listing.skipped.items():
            whole.skipped[reason] += [prefix + file for file in files]
        whole.called |= {prefix + file: name for file, name in listing.called.items()}
        whole.clashes.update(listing.clashes)
        whole.names.update(listing.names)
        whole.doubts.update(listing.doubts)
        whole.structures.update(listing.structures)
        whole.remarks += listing.remarks
    return whole


def _is_study(row: Mapping[str, Any]) -> bool:
    """Tell whether a row holds anything that a study is worth having for."""
    return any(column.kind.shows for column, _ in cells(row))


def _is_path(column: Column | None) -> bool:
    return column is not None and column.kind.files


def _as_numbers(rows: list[dict[str, Any]], column: str) -> None:
    """Turn a column of text into numbers, if all of it are and would be written just so: `007` and `1.10` are names."""
    texts = [row[column] for row in rows if row[column] is not None]
    if not all(isinstance(text, str) for text in texts):
        return
    kind = next((kind for kind in (int, float) if all(_is_written(text, kind) for text in texts)), None)
    for row in rows:
        if kind is not None and row[column] is not None:
            row[column] = kind(row[column])


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
