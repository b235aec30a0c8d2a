"""Reports alone: a folder of text files, or Open-I's XML in a folder or its archive."""

from __future__ import annotations

from pathlib import Path

from scanweave.studies.formats.report_cells import report_columns
from scanweave.studies.formats.report_files import ARCHIVES, read_open_i
from scanweave.studies.layouts.listing import Listing, is_text
from scanweave.studies.layouts.names import Names

TEXT, XML = ".txt", ".xml"
LEAST_REPORTS = 2
"""Text files of a folder below which they are taken for a note, not for reports, unless `--layout` says so."""


def holds_reports(src: Path) -> bool:
    """Return whether `src` is an archive or XML file of reports, or a folder of such or of texts, by their names."""
    if src.is_file():
        return src.name.lower().endswith((*ARCHIVES, XML))
    return sum(path.suffix.lower() in (TEXT, XML) for path in src.iterdir() if path.is_file()) >= LEAST_REPORTS


def list_reports(src: Path, names: Names) -> Listing:
    """Return a study a report: `report` names a text file; of XML the sections are columns, such as `text:findings`.

    Open-I does not name patients: the number of a report stands for its patient.

    Raises:
        ScanweaveError: An archive is damaged or over its budget, or a file is no report.
    """
    listing = Listing("reports", src if src.is_dir() else src.parent)
    texts = sorted(path for path in src.iterdir() if path.suffix.lower() == TEXT) if src.is_dir() else []
    for path in texts:
        if is_text(path.name):
            listing.study(path.stem, report=path.name)
        else:
            listing.skipped["its name is not valid UTF-8"].append(ascii(path.name))
    if texts and not any(src.glob(f"*{XML}")):
        return listing
    found = read_open_i(src)
    for name, report in found.reports.items():
        listing.study(name, **report_columns(report))
    for finding in found.findings:
        if finding.status == "refused":
            listing.skipped[f"its report cannot be used: {finding.words}"].append(finding.scan or src.name)
    return listing
