"""Reports from text files, tables and Open-I's XML; what cannot be read is told, and harms nothing."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.formats import report_files
from scanweave.studies.formats.report_files import read_open_i, read_report, read_report_folder, read_report_table
from scanweave.studies.report_languages import GERMAN
from scanweave.studies.reports import flatten, parse_report

OPEN_I = """<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="{key}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="FINDINGS">{findings}</AbstractText><AbstractText Label="IMPRESSION">Normal.</AbstractText>
</Abstract></Article></MedlineCitation><MeSH><major>Opacity/lung</major><automatic>opacity</automatic></MeSH>
<parentImage id="{key}_1"/></eCitation>"""
BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><eCitation>&b;</eCitation>'


def open_i(key="CXR1", findings="Lungs &lt; clear."):
    return OPEN_I.format(key=key, findings=findings).encode()


def archive(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as made:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return path


def test_text_file_a_study(tmp_path):
    (tmp_path / "p1.txt").write_text("FINDINGS: Lungs clear.\nIMPRESSION: Normal.")
    (tmp_path / "p2.txt").write_text("")
    (tmp_path / "p3.txt").write_bytes("Erguss rechts, größer".encode("cp1252"))
    (tmp_path / "p4.txt").write_bytes("FINDINGS: Größe 3 cm.".encode("utf-16"))
    (tmp_path / "p5.txt").write_bytes(b"\x00\x01")
    found = read_report_folder(tmp_path)
    assert set(found.reports) == {"p1", "p2", "p4"}
    assert found.reports["p1"].sections["impression"] == "Normal."
    assert found.reports["p4"].sections["findings"] == "Größe 3 cm."
    told = {finding.scan: str(finding) for finding in found.findings}
    assert "byte 17 is not utf-8" in told["p3"]
    assert "cp1252" in told["p3"]
    assert "zero bytes" in told["p5"]
    assert "nothing" in told["p2"]
    assert read_report(tmp_path / "p3.txt", GERMAN, "cp1252").sentences() == ("Erguss rechts, größer",)


def test_bad_text_files_are_one_error(tmp_path):
    with pytest.raises(ScanweaveError, match=r"no \.txt"):
        read_report_folder(tmp_path)
    with pytest.raises(ScanweaveError, match="no such file"):
        read_report(tmp_path / "absent.txt")
    (tmp_path / "a.txt").write_text("word " * 10_000)
    assert len(read_report(tmp_path / "a.txt").sentences()) == 1
    with pytest.raises(ScanweaveError, match="encoding 'klingon'"):
        read_report(tmp_path / "a.txt", encoding="klingon")
    (tmp_path / "b.txt").write_text("word " * 2**18)
    with pytest.raises(ScanweaveError, match="over the budget"):
        read_report(tmp_path / "b.txt")


@pytest.mark.parametrize(
    "text",
    [
        "study,findings,impression\np1,Lungs clear.,Normal.\n",
        "Study ID;Impression;Findings\np1;Normal.;Lungs clear.\n",
        "uid,text\np1,FINDINGS: Lungs clear. IMPRESSION: Normal.\n",
        'id,report\np1,"Findings: Lungs clear.\nImpression: Normal."\n',
        "report_id,Findings,Conclusion,image\np1,Lungs clear.,Normal.,a.png\n",
    ],
)
def test_columns_are_found_by_name(tmp_path, text):
    path = tmp_path / "reports.csv"
    path.write_text(text)
    found = read_report_table(path)
    assert found.findings == ()
    assert dict(found.reports["p1"].sections) == {"findings": "Lungs clear.", "impression": "Normal."}


def test_several_films_of_one_report_and_contradictions(tmp_path):
    path = tmp_path / "reports.csv"
    path.write_text(
        "study,image,findings\np1,a.png,Clear.\np1,b.png,Clear.\np2,c.png,Clear lungs.\np2,d.png,Mass.\n"
        "p2,e.png,Clear lungs.\n,f.png,Mass.\np3,g.png,\n"
    )
    found = read_report_table(path)
    assert found.reports["p1"].images == ("a.png", "b.png")
    assert set(found.reports) == {"p1", "p3"}
    told = [(finding.kind, finding.status, finding.scan) for finding in found.findings]
    assert ("report-unread", "refused", "p2") in told
    assert ("report-unread", "refused", None) in told
    assert ("report-empty", "suspect", "p3") in told


def test_image_names_the_report_where_no_study_does(tmp_path):
    path = tmp_path / "reports.csv"
    path.write_text("filename,impression\na.png,Normal.\n")
    assert read_report_table(path).reports["a.png"].images == ("a.png",)


@pytest.mark.parametrize("text", ["findings\nClear.\n", "study,age\np1,3\n", "a,b\n1,2\n"])
def test_table_without_its_columns_is_one_error(tmp_path, text):
    path = tmp_path / "reports.csv"
    path.write_text(text)
    with pytest.raises(ScanweaveError, match="no column"):
        read_report_table(path)


def test_wrong_encoding_of_a_table_is_told(tmp_path):
    path = tmp_path / "reports.csv"
    path.write_bytes("study;befund\np1;Größe normal.\n".encode("cp1252"))
    found = read_report_table(path, GERMAN)
    assert found.reports["p1"].sections["findings"] == "Größe normal."
    assert "not UTF-8" in found.findings[0].words


def test_open_i_alone_in_a_folder_and_archived(tmp_path):
    (tmp_path / "1.xml").write_bytes(open_i())
    (tmp_path / "2.xml").write_bytes(open_i("CXR2", "Mass."))
    packed = archive(
        tmp_path / "r.tgz", [("x/1.xml", open_i()), ("x/2.xml", open_i("CXR2", "Mass.")), ("x/a.txt", b"")]
    )
    plain = archive(tmp_path / "r.tar", [("1.xml", open_i())], "w")
    report = read_open_i(tmp_path / "1.xml").reports["CXR1"]
    assert dict(report.sections) == {"findings": "Lungs < clear.", "impression": "Normal."}
    assert report.terms == ("Opacity/lung", "opacity")
    assert report.images == ("CXR1_1",)
    for path, number in ((tmp_path, 2), (packed, 2), (plain, 1)):
        found = read_open_i(path)
        assert len(found.reports) == number
        assert found.reports["CXR1"] == report
        assert found.findings == ()


def test_hostile_members_are_left_alone(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    path = folder / "r.tgz"
    with tarfile.open(path, "w:gz") as made:
        for kind, name in ((tarfile.SYMTYPE, "s.xml"), (tarfile.LNKTYPE, "l.xml"), (tarfile.CHRTYPE, "c.xml")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            made.addfile(info)
        for name, content in (
            ("../../escaped.xml", open_i()),
            ("/absolute.xml", open_i("CXR2", "Mass.")),
            ("bomb.xml", BOMB.encode()),
            ("kml.xml", b"<kml/>"),
            ("large.xml", b" " * (2**20 + 1)),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    found = read_open_i(path)
    assert set(found.reports) == {"CXR1", "CXR2"}
    assert [finding.scan for finding in found.findings] == ["bomb", "kml", "large"]
    assert "document type" in found.findings[0].words
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["r.tgz"]


def test_archive_over_its_budget_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(report_files, "MAX_ARCHIVE_BYTES", 2**20)
    packed = archive(tmp_path / "r.tgz", [("1.xml", open_i()), ("zeros.bin", bytes(2**23))])
    assert packed.stat().st_size < 2**16
    with pytest.raises(ScanweaveError, match="unpacks to more than 1 MiB"):
        read_open_i(packed)


def test_damaged_archives_are_one_error(tmp_path):
    whole = archive(tmp_path / "r.tgz", [(f"{i}.xml", open_i(f"CXR{i}", f"Mass {i}.")) for i in range(50)]).read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no archive" * 99, gzip.compress(b"no archive" * 99)):
        (tmp_path / "bad.tgz").write_bytes(content)
        with pytest.raises(ScanweaveError, match=r"archive|no \.xml"):
            read_open_i(tmp_path / "bad.tgz")
    with pytest.raises(ScanweaveError, match=r"no \.xml"):
        read_open_i(archive(tmp_path / "none.tgz", [("a.txt", b"")]))
    (tmp_path / "a.xml").write_text("<eCitation>")
    with pytest.raises(ScanweaveError, match="not well-formed"):
        read_open_i(tmp_path / "a.xml")


@pytest.mark.real
def test_open_i_is_read_whole_and_its_sections_are_found_in_plain_paragraphs(real_data, capsys):
    found = read_open_i(real_data / "cxr" / "labels" / "NLMCXR_reports.tgz")
    assert len(found.reports) == 3955
    assert not [finding for finding in found.findings if finding.status == "refused"]
    again = {name: parse_report(flatten(report)) for name, report in found.reports.items()}
    right = [
        {key: " ".join(part.split()) for key, part in again[name].sections.items()}
        == {key: " ".join(part.split()) for key, part in report.sections.items()}
        for name, report in found.reports.items()
    ]
    share = sum(right) / len(right)
    sentences = sum(len(report.sentences()) for report in again.values())
    with capsys.disabled():
        print(f"\n3955 reports, sections found again word for word in {share:.2%}, {sentences} sentences")
        print(found.findings[-1])
    assert share >= 0.98
    assert sum(bool(report.images) for report in found.reports.values()) == 3851
    assert all(report.terms for report in found.reports.values() if report.images)
