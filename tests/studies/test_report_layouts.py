"""Reports alone are imported as studies, and the check tells the empty and the copied ones."""

from __future__ import annotations

import tarfile

import pytest

from scanweave.cli.cohort import CheckCohort
from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.report_cells import report_columns, study_report
from scanweave.studies.layouts import import_cohort, list_studies
from scanweave.studies.reports import Report, parse_report

TEXT = "FINDINGS: Lungs are clear. IMPRESSION: No acute disease."


def open_i(number, findings="Lungs are clear.", impression="Normal."):
    words = f'<AbstractText Label="FINDINGS">{findings}</AbstractText>'
    words += f'<AbstractText Label="IMPRESSION">{impression}</AbstractText>'
    terms = "<MeSH><major>Opacity/lung/base</major><major>Cardiomegaly</major></MeSH>"
    image = f'<parentImage id="CXR{number}_IM-1"/>'
    return f'<eCitation><uId id="CXR{number}"/>{words}{terms}{image}</eCitation>'


def source(folder, kind):
    folder.mkdir()
    for number in (1, 2):
        (folder / f"{number}.xml").write_text(open_i(number))
    (folder / "3.xml").write_text(open_i(3, "None.", "XXXX"))
    if kind == "folder":
        return folder
    with tarfile.open(folder.parent / "reports.tgz", "w:gz") as archive:
        archive.add(folder, "ecgen")
    return folder.parent / "reports.tgz"


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_open_i_gives_columns_of_sections_and_terms(tmp_path, kind):
    made = import_cohort(source(tmp_path / "xml", kind), tmp_path / "out", say=lambda line: None)
    assert made.counts("text") == {"findings": 3, "images": 3, "impression": 3, "mesh": 3}
    assert made.patients == ["CXR1", "CXR2", "CXR3"]
    report = made["CXR1"].report
    assert report.sections == {"findings": "Lungs are clear.", "impression": "Normal."}
    assert report.sentences("impression") == ("Normal.",)
    assert (report.terms, report.images) == (("Opacity/lung/base", "Cardiomegaly"), ("CXR1_IM-1",))


def test_check_tells_empty_and_copied_reports_with_their_rate(tmp_path, capsys):
    made = import_cohort(source(tmp_path / "xml", "folder"), tmp_path / "out", say=lambda line: None)
    assert CheckCohort(made.folder).run() == 0
    said = capsys.readouterr().out
    assert "CXR3   suspect" in said
    assert "the same words as that of CXR1" in said
    assert "1 report of 2 repeat another (50.0%)" in said
    assert CheckCohort(made.folder).run() == 0
    again = capsys.readouterr().out
    assert "nothing changed" in again
    assert "(50.0%)" in again


def test_a_changed_word_in_the_manifest_is_checked_again(tmp_path, capsys):
    about = {"root": ".", "name": "c", "source": "x", "layout": "table"}
    rows = [{"study": name, "patient": name, "text:findings": "Clear lungs."} for name in "ab"]
    Cohort.create(tmp_path, rows, **about)
    CheckCohort(tmp_path).run()
    assert "repeat another" in capsys.readouterr().out
    (tmp_path / "cohort.json").unlink()
    rows[1]["text:findings"] = "Large heart."
    Cohort.create(tmp_path, rows, **about)
    CheckCohort(tmp_path).run()
    assert "repeat" not in capsys.readouterr().out


def test_a_folder_of_text_files(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/p1.txt").write_text(TEXT)
    (tmp_path / "in/p2.txt").write_text("Heart is large.")
    made = import_cohort(tmp_path / "in", tmp_path / "out", say=lambda line: None)
    assert made.counts("report") == {"report": 2}
    assert made["p1"].report.sections["impression"] == "No acute disease."
    assert made["p2"].report.sentences() == ("Heart is large.",)


def test_a_note_alone_is_no_report(tmp_path):
    (tmp_path / "readme.txt").write_text("Where the images went.")
    with pytest.raises(ScanweaveError, match="no images were found"):
        list_studies(tmp_path)
    assert len(list_studies(tmp_path, layout="reports").rows()) == 1


def test_a_table_of_reports_keeps_sections_and_whole_ones(tmp_path):
    rows = "study,findings,impression,history\na,Lungs are well clear.,All is well here.,Cough for three days\n"
    (tmp_path / "sections.csv").write_text(rows)
    report = import_cohort(tmp_path / "sections.csv", tmp_path / "a", say=lambda line: None)["a"].report
    assert set(report.sections) == {"findings", "impression", "indication"}
    (tmp_path / "whole.csv").write_text(f'study,report_text\na,"{TEXT}"\n')
    report = import_cohort(tmp_path / "whole.csv", tmp_path / "b", say=lambda line: None)["a"].report
    assert report.sections == {"findings": "Lungs are clear.", "impression": "No acute disease."}


def test_columns_bring_a_report_back():
    for report in (parse_report(TEXT), Report("No heading here."), Report("", terms=("normal",))):
        columns = {heading.removeprefix("text:"): words for heading, words in report_columns(report).items()}
        back = study_report(None, columns)
        assert (dict(back.sections), back.terms) == (dict(report.sections), report.terms)
    assert study_report(None, {}) is None


@pytest.mark.real
def test_all_of_open_i_by_one_command(real_data, tmp_path, capsys):
    made = import_cohort(real_data / "cxr/labels/NLMCXR_reports.tgz", tmp_path / "reports", say=lambda line: None)
    assert len(made) == len(made.patients) == 3955
    assert made.counts("text")["mesh"] == 3955
    assert CheckCohort(made.folder).run() == 0
    said = capsys.readouterr().out
    assert "28 reports of 3,955 say nothing" in said
    assert "807 reports of 3,927 repeat another (20.6%)" in said
