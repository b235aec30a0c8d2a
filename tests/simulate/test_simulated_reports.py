"""Simulated reports: they say what is there, differ by wording and institution, and look like real ones."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from scanweave.cli.main import USAGE, main
from scanweave.errors import ScanweaveError
from scanweave.simulate.bodies import BodiesSettings, simulate_bodies, simulate_body
from scanweave.simulate.films import simulate_film, simulate_films
from scanweave.simulate.reports import ReportSettings, simulate_reports, write_report
from scanweave.simulate.reports.composition import HEADS, INSTITUTIONS
from scanweave.simulate.reports.phrases import SEEN, UNSEEN
from scanweave.simulate.reports.statements import Statement, statements_of
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.report_files import read_open_i
from scanweave.studies.reports import find_duplicates, parse_report, report_of_sections

FILM = ("nodule", "effusion", "pneumothorax", "fracture", "cardiomegaly")
DETAILS = {
    "nodule": {"side": "left", "where": "on the left", "place": "upper lung zone", "size": "1.2 cm"},
    "effusion": {"side": "right", "where": "on the right", "degree": "small"},
    "pneumothorax": {"side": "left", "where": "on the left", "degree": "large"},
    "fracture": {"side": "left", "where": "on the left", "place": "5th rib"},
    "cardiomegaly": {"degree": "mild"},
}
SHARE = 0.12
"""Of each finding: then about half of the studies have none, as of Open-I's."""


def written(index, share=SHARE, seed=1, **settings):
    rng = np.random.default_rng((seed, index))
    there = rng.random(len(FILM)) < share
    statements = [
        Statement(name, bool(yes), DETAILS[name] if yes else {}) for name, yes in zip(FILM, there, strict=True)
    ]
    return {one.finding: one.there for one in statements}, write_report(
        rng, statements, "films", ReportSettings(**settings)
    )


@pytest.mark.parametrize("institution", INSTITUTIONS)
@pytest.mark.parametrize("wording", ["seen", "unseen"])
def test_what_a_report_says_is_true_and_what_is_left_out_is_a_known_share(institution, wording):
    left = {True: [], False: []}
    for index in range(600):
        truth, report = written(index, 0.4, institutions=institution, wording=wording, omitted=0.3, missed=0.1)
        assert all(truth[name] == there for name, there in report.said.items())
        if any(truth.values()) and "impression" in report.sections:
            assert not re.search(r"normal|no acute|no active|unremarkable", report.sections["impression"].lower())
        assert report.sections["findings"] == " ".join(one.text for one in report.sentences)
        standard = not any(truth.values()) and INSTITUTIONS[institution].standard
        for name, there in truth.items() if not standard else ():
            left[there].append(name not in report.said)
    assert np.mean(left[True]) == pytest.approx(0.1, abs=0.03)
    assert np.mean(left[False]) == pytest.approx(0.3, abs=0.03)


def test_lungs_are_not_called_clear_where_something_is_in_them_or_is_left_out():
    clear = re.compile(r"lungs are clear|lung fields are transparent|lungs are free\.")
    words = {"side": "left", "where": "on the left", "place": "upper lobe", "size": "2.0 cm"}
    called = 0
    for index in range(400):
        rng = np.random.default_rng((9, index))
        there = rng.random(2) < 0.4
        pairs = zip(("consolidation", "nodule"), there, strict=True)
        statements = [Statement(name, bool(yes), words) for name, yes in pairs]
        report = write_report(rng, statements, "bodies", ReportSettings(asides=0, missed=0.5))
        if clear.search(report.sections["findings"].lower()):
            called += 1
            assert not there.any()
            assert report.said == {"consolidation": False, "nodule": False}
    assert called


def test_every_slot_is_filled_and_every_choice_drawn():
    for index in range(300):
        for institution in INSTITUTIONS:
            for wording in ("seen", "unseen"):
                _, report = written(index, 0.5, institutions=institution, wording=wording)
                text = " ".join(report.sections.values())
                assert not re.search(r"[\[\]{}|]|  |\.\.", text), text
                assert not any(re.search(r"\bno\b.*\bno\b", one) for one in text.lower().split(". "))


def test_wordings_share_no_sentence_and_name_all_findings():
    assert SEEN.keys() == UNSEEN.keys() == HEADS.keys()
    for name, own in SEEN.items():
        other = UNSEEN[name]
        assert not {*own.there, *own.absent, *own.short} & {*other.there, *other.absent, *other.short}
        assert min(map(len, (own.there, own.absent))) >= 4
        assert min(map(len, (other.there, other.absent))) >= 3
        assert not {*own.there} & {*own.absent}


def test_missing_details_leave_out_the_sentences_that_need_them():
    statements = [Statement("nodule", True, {"side": "left", "place": "upper lobe"})]
    for seed in range(50):
        report = write_report(np.random.default_rng(seed), statements, "bodies", ReportSettings(missed=0))
        assert "left upper lobe" in report.sections["findings"].lower()


def _measures(reports):
    findings = [one.sections.get("findings", "") for one in reports.values()]
    sentences = [one.sentences("findings") for one in reports.values() if one.sections.get("findings")]
    impressions = [one.sections.get("impression", "") for one in reports.values()]
    denied = [
        bool(re.search(r"\b(no|not|without|negative|free of|clear of)\b", s.lower())) for x in sentences for s in x
    ]
    return {
        "words": np.median([len(re.findall(r"\w+", text)) for text in findings if text]),
        "sentences": np.median(list(map(len, sentences))),
        "words of the impression": np.median([len(re.findall(r"\w+", text)) for text in impressions if text]),
        "sentences that deny": np.mean(denied),
        "copies": find_duplicates(reports).rate,
    }


def test_institution_a_reports_as_long_as_denying_and_as_alike_as_open_i():
    """Against the 3,955 real ones; what they are about differs: only five findings are planted here."""
    data = Path(os.environ.get("SCANWEAVE_DATA", Path(__file__).parents[3] / "shared" / "data"))
    real = _measures(read_open_i(data / "cxr" / "labels" / "NLMCXR_reports.tgz").reports)
    made = _measures({str(index): report_of_sections(written(index)[1].sections) for index in range(1500)})
    assert made["words"] == pytest.approx(real["words"], rel=0.25)
    assert made["sentences"] == pytest.approx(real["sentences"], abs=1)
    assert made["words of the impression"] == pytest.approx(real["words of the impression"], abs=2)
    assert made["sentences that deny"] == pytest.approx(real["sentences that deny"], abs=0.12)
    assert made["copies"] == pytest.approx(real["copies"], abs=0.1)


def test_reports_are_read_again_by_section_and_sentence():
    for index in range(200):
        _, report = written(index, 0.4)
        whole = "\n".join(f"{name.upper()}: {text}" for name, text in report.sections.items())
        read = parse_report(whole)
        assert dict(read.sections) == report.sections
        assert list(read.sentences("findings")) == [one.text for one in report.sentences]


def test_details_are_those_of_the_film():
    found = set()
    for index in range(60):
        film = simulate_film(3, index)
        truth = film.truth | {"labels": film.labels}
        for one in statements_of("films", truth):
            assert one.there == bool(film.labels[one.finding])
            drawn = film.truth["findings"].get(one.finding)
            if one.there and "side" in one.details:
                right = drawn["x"] < 0 if one.finding == "nodule" else drawn["side"] < 0
                assert one.details["side"] == ("right" if right else "left")
            if one.there:
                found.add(one.finding)
    assert found == set(FILM)


def test_details_are_those_of_the_body():
    for index in range(12):
        truth = simulate_body(4, index, BodiesSettings(spacing=8.0, prevalence=0.7))["truth"]
        for one in statements_of("bodies", truth):
            own = [finding for finding in truth["findings"] if finding["name"] == one.finding]
            assert one.there == bool(own)
            if one.there and "lobe" in own[0]:
                assert one.details["place"] in {f"{finding['lobe']} lobe" for finding in own}
            if one.there and "size" in one.details:
                largest = max(finding["size"] for finding in own)
                number, unit = one.details["size"].split()
                assert float(number) * (10 if unit == "cm" else 1) == pytest.approx(largest, abs=0.51)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports") / "films"
    simulate_films(folder, subjects=6, seed=1, size=128)
    return folder


def test_the_cohort_has_the_same_studies_and_texts(films, tmp_path, capsys):
    words = ["--institutions", "A=0.5", "B=0.5", "--missed", "0"]
    assert main(["simulate", "reports", "--of", str(films), "--out", str(tmp_path / "c"), *words]) == 0
    assert "film 6" in capsys.readouterr().out
    cohort, source = Cohort.open(tmp_path / "c"), Cohort.open(films)
    assert cohort.studies == source.studies
    truth = json.loads((tmp_path / "c" / "truth.json").read_text())["subjects"]
    for study in cohort:
        assert study.report.sections["findings"] == " ".join(one["text"] for one in truth[study.id]["sentences"])
        assert study.labels == source[study.id].labels
        assert np.asarray(study.scans["film"].data).shape == (128, 128, 1)
        for name, there in truth[study.id]["said"].items():
            assert bool(study.labels[name]) == there
    again = simulate_reports(films, tmp_path / "d", seed=0, institutions=("A=0.5", "B=0.5"), missed=0.0)
    assert again.frame.equals(cohort.frame)


def test_only_simulated_films_and_bodies_are_reported(films, tmp_path, capsys):
    other = Cohort.create(
        tmp_path / "own", [{"study": "a", "patient": "a", "label:x": 1}], root=".", name="own", source="x", layout="x"
    )
    with pytest.raises(ScanweaveError, match="not simulated"):
        simulate_reports(other, tmp_path / "c", seed=0)
    bodies = simulate_bodies(tmp_path / "bodies", subjects=1, seed=0, spacing=8.0)
    assert len(simulate_reports(bodies, tmp_path / "e", seed=0)) == 1
    assert main(["simulate", "reports", "--of", str(films), "--out", str(tmp_path / "f"), "--omitted", "2"]) == USAGE
    assert "omitted" in capsys.readouterr().err
    assert not (tmp_path / "f").exists()
