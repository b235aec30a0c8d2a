"""Read reports: a text file a study, a table, or Open-I's XML (alone, in a folder, or in its archive)."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from xml.etree.ElementTree import Element

from scanweave.errors import ScanweaveError
from scanweave.studies.findings import Finding
from scanweave.studies.formats.text_files import (
    MAX_TABLE_BYTES,
    MAX_TEXT_BYTES,
    UTF_8,
    check_bytes,
    parse_xml,
    read_bytes,
    read_text,
)
from scanweave.studies.report_languages import ENGLISH, Language
from scanweave.studies.reports import Report, judge_reports, parse_report, report_of_sections
from scanweave.studies.tables.missing_words import is_void

MAX_ARCHIVE_BYTES = 2**29
"""Most that an archive of reports may unpack to [bytes]; Open-I's unpacks to 27 million."""

KEY = ("study", "studyid", "report", "reportid", "uid", "accession", "id", "patient", "patientid", "subjectid")
IMAGE = ("image", "filename", "file", "imagepath", "imagefile", "imageid", "path", "dicomid")
TEXT = ("text", "reporttext", "fulltext", "fullreport", "report")
ARCHIVES = (".tgz", ".tar.gz", ".tar")


@dataclass(frozen=True)
class ReportRecords:
    """Reports that were read, and the faults found.

    Attributes:
        reports: By study; a study that could not be read is not among them.
        findings: Every fault, with the study as its `scan`; empty reports, and the rate of copies.
    """

    reports: Mapping[str, Report]
    findings: tuple[Finding, ...] = ()


def read_report(path: str | Path, language: Language = ENGLISH, encoding: str = UTF_8) -> Report:
    """Read the report of one study from a text file.

    Raises:
        ScanweaveError: It is absent, larger than `MAX_TEXT_BYTES`, no text, or in another encoding.
    """
    return parse_report(read_text(Path(path), encoding), language)


def read_report_folder(folder: str | Path, language: Language = ENGLISH, encoding: str = UTF_8) -> ReportRecords:
    """Read all `.txt` of a folder; the stem of a file names its study.

    Raises:
        ScanweaveError: There is none. A single file that cannot be read is a finding.
    """
    files = sorted(Path(folder).glob("*.txt"))
    if not files:
        raise ScanweaveError(folder, "holds no .txt file", "Give the folder of the reports")
    reports, findings = dict[str, Report](), list[Finding]()
    for file in files:
        try:
            reports[file.stem] = read_report(file, language, encoding)
        except ScanweaveError as error:
            findings.append(_refusal(f"{file.name}: {error.reason}", error.next_step, file.stem))
    return _judged(reports, findings)


def read_report_table(path: str | Path, language: Language = ENGLISH) -> ReportRecords:
    """Read a CSV, TSV, Parquet or Excel table: one row a study or image, columns found by their names.

    A column for the study (or else the image), and columns of sections (findings, impression …) or one of text. Rows of
    one study with equal words are its images; with other words the study is refused.

    Raises:
        ScanweaveError: It is no table, or lacks a column that names studies or holds reports.
    """
    from scanweave.studies.tables.reading import read_frame

    path = Path(path)
    check_bytes(path, MAX_TABLE_BYTES)
    frame, notes = read_frame(path)
    names = {"".join(filter(str.isalnum, str(column).casefold())): str(column) for column in frame.columns}
    sections = {
        key: names[word] for key, words in language.headings.items() for word in reversed(words) if word in names
    }
    sections.pop("examination", None)  # "study" names the study in a table
    sections = {key: column for key, column in sections.items() if column != names.get("report")}
    text = next((names[word] for word in TEXT if word in names), None)
    image = next((names[word] for word in IMAGE if word in names), None)
    key = next((names[word] for word in KEY if word in names and names[word] != text), image)
    if key is None or not (sections or text):
        lacking = "names the study" if key is None else "holds a report"
        step = "Give columns study and findings, impression, or text"
        raise ScanweaveError(path, f"no column {lacking} (columns: {', '.join(map(str, frame.columns))})", step)
    rows = _Rows({}, [Finding("table", "suspect", note, "see that it is meant") for note in notes])
    for number, cells in enumerate(frame.to_dict("records"), 1):
        parts = {name: _cell(cells[column]) for name, column in sections.items()}
        made = report_of_sections(parts, language)
        if text is not None and not made.sections:
            made = parse_report(_cell(cells[text]), language)
        images = () if image is None or not _cell(cells[image]) else (_cell(cells[image]),)
        rows.add(_cell(cells[key]), replace(made, images=images), f"row {number}")
    return _judged(rows.reports, rows.findings)


def read_open_i(path: str | Path) -> ReportRecords:
    """Read Open-I's XML: a file, a folder, or a tar archive (gzip or plain), named by the `uId` of each.

    Of an archive only regular `.xml` members are read, within budgets and never to disk: their paths are not used.

    Raises:
        ScanweaveError: There is no report, or the archive is damaged or over its budget.
    """
    path = Path(path)
    rows = _Rows({}, [])
    for name, raw in _documents(path):
        try:
            if isinstance(raw, ScanweaveError):
                raise raw
            key, report = _open_i(name, raw)
        except ScanweaveError as error:
            if path.suffix == ".xml":
                raise
            rows.findings.append(_refusal(f"{name}: {error.reason}", error.next_step, PurePosixPath(name).stem))
        else:
            rows.add(key, report, name)
    if not rows.reports and not rows.findings:
        raise ScanweaveError(path, "holds no .xml report", "Give Open-I's reports or their archive")
    return _judged(rows.reports, rows.findings)


@dataclass
class _Rows:
    """Reports gathered row by row; `refused` are studies whose rows contradict each other."""

    reports: dict[str, Report]
    findings: list[Finding]

    def add(self, key: str, report: Report, place: str) -> None:
        """Add a report, or the images of one that is there already."""
        if not key:
            self.findings.append(_refusal(f"{place}: names no study", "Name it, or leave it out", None))
            return
        known = self.reports.get(key)
        if known is not None and (known.text, dict(known.sections)) != (report.text, dict(report.sections)):
            words = f"{place}: the same study stands there with other words"
            self.findings.append(_refusal(words, "Keep one report a study", key))
            return
        images = tuple(dict.fromkeys([*(known.images if known else ()), *report.images]))
        self.reports[key] = replace(report, images=images)


def _judged(reports: Mapping[str, Report], findings: list[Finding]) -> ReportRecords:
    refused = {finding.scan for finding in findings if finding.status == "refused"}
    kept = {key: report for key, report in reports.items() if key not in refused}
    return ReportRecords(kept, (*findings, *judge_reports(kept)))


def _refusal(words: str, step: str, study: str | None) -> Finding:
    return Finding("report-unread", "refused", words, step, study)


def _cell(value: object) -> str:
    text = "" if value is None else str(value).strip()
    return "" if is_void(text) else text


def _open_i(name: str, raw: bytes) -> tuple[str, Report]:
    root = parse_xml(name, raw)
    if root.tag != "eCitation":
        raise ScanweaveError(name, f"the root is <{root.tag}>, not <eCitation>", "Give Open-I's XML")
    sections = dict[str, str]()
    for part in root.iter("AbstractText"):
        label = (part.get("Label") or "text").strip().lower()
        sections[label] = "\n".join(filter(None, (sections.get(label, ""), "".join(part.itertext()).strip())))
    terms = [_words(term) for term in root.iterfind("MeSH/major")] + [
        _words(t) for t in root.iterfind("MeSH/automatic")
    ]
    images = [image.get("id", "") for image in root.iterfind("parentImage")]
    report = report_of_sections(sections, terms=list(filter(None, terms)), images=list(filter(None, images)))
    identity = root.find("uId")
    return ("" if identity is None else identity.get("id", "")) or PurePosixPath(name).stem, report


def _words(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _documents(path: Path) -> Iterator[tuple[str, bytes | ScanweaveError]]:
    """Yield the name and bytes of every XML document, or the error that stands in its place."""
    if path.name.lower().endswith(ARCHIVES):
        yield from _archived(path)
        return
    for file in sorted(path.glob("*.xml")) if path.is_dir() else [path]:
        try:
            yield file.name, read_bytes(file)
        except ScanweaveError as error:
            yield file.name, error


class _Bounded:
    """Read from a stream no more than `MAX_ARCHIVE_BYTES` in all: a small gzip file can hold more than a disk."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path, self.stream, self.left = path, stream, MAX_ARCHIVE_BYTES

    def read(self, size: int) -> bytes:
        piece = self.stream.read(size)
        self.left -= len(piece)
        if self.left < 0:
            reason = f"unpacks to more than {MAX_ARCHIVE_BYTES / 2**20:.0f} MiB"
            raise ScanweaveError(self.path, reason, "Unpack it and give the folder, if that is right")
        return piece


def _archived(path: Path) -> Iterator[tuple[str, bytes | ScanweaveError]]:
    check_bytes(path, MAX_ARCHIVE_BYTES)
    try:
        with path.open("rb") as file, _unzipped(file) as stream:
            bounded = _Bounded(path, stream)
            with tarfile.open(fileobj=bounded, mode="r|") as archive:  # type: ignore[call-overload]
                for member in archive:
                    name = str(member.name)
                    if not member.isreg() or PurePosixPath(name).suffix.lower() != ".xml":
                        continue
                    yield PurePosixPath(name).name, _member(archive, member)
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError) as error:
        raise ScanweaveError(path, f"not a readable archive ({error})", "Copy it again from its source") from error


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | ScanweaveError:
    if member.size > MAX_TEXT_BYTES:
        return ScanweaveError(member.name, "larger than a report", "Check what it is")
    content = archive.extractfile(member)
    return b"" if content is None else content.read()


def _unzipped(file: BinaryIO) -> BinaryIO:
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return gzip.open(file) if packed else file  # type: ignore[return-value]
