"""Sections and sentences of reports as radiologists write them, copies and empty ones."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanweave.studies.report_languages import ENGLISH, GERMAN, Language
from scanweave.studies.report_sentences import split_sentences
from scanweave.studies.reports import (
    find_duplicates,
    flatten,
    is_empty,
    judge_reports,
    parse_report,
    report_of_sections,
)

EXPECTED = {"indication": "Cough.", "findings": "Lungs clear. No effusion.", "impression": "Normal chest."}


@pytest.mark.parametrize(
    "text",
    [
        "INDICATION: Cough.\n\nFINDINGS: Lungs clear. No effusion.\n\nIMPRESSION: Normal chest.",
        "Indication: Cough.\nFindings:\nLungs clear. No effusion.\nImpression:\nNormal chest.",
        "indication: Cough. findings: Lungs clear. No effusion. impression: Normal chest.",
        "INDICATION: Cough. FINDINGS: Lungs clear. No effusion. IMPRESSION: Normal chest.",
        "INDICATION:Cough.FINDINGS:Lungs clear. No effusion.IMPRESSION:Normal chest.",
        "Clinical History : Cough.\nFinding : Lungs clear. No effusion.\nConclusion : Normal chest.",
        "INDICATION\nCough.\nFINDINGS\nLungs clear. No effusion.\nIMPRESSION\nNormal chest.",
        "Indication\nCough.\nFindings\nLungs clear. No effusion.\nImpression\nNormal chest.",
        "INDICATION Cough. FINDINGS Lungs clear. No effusion. IMPRESSION Normal chest.",
        "REASON FOR EXAMINATION: Cough.\r\nFINDINGS: Lungs clear. No effusion.\r\nIMPRESSION: Normal chest.\r\n",
    ],
)
def test_headings_in_every_dress(text):
    assert dict(parse_report(text).sections) == EXPECTED


def test_headings_without_a_stop_before_them():
    report = parse_report("Indication: chest pain Findings: lungs clearIMPRESSION: normal")
    assert dict(report.sections) == {"indication": "chest pain", "findings": "lungs clear", "impression": "normal"}


def test_all_capitals_need_the_colon():
    text = "FINDINGS: THE FINDINGS ARE STABLE. COMPARISON MADE TO PRIOR STUDY. IMPRESSION: STABLE."
    report = parse_report(text)
    assert report.sections["findings"] == "THE FINDINGS ARE STABLE. COMPARISON MADE TO PRIOR STUDY."
    assert report.sections["impression"] == "STABLE."


@pytest.mark.parametrize(
    "text",
    [
        "Film with the following findings: nodule.",
        "No acute findings. The impression is of a normal chest in comparison with the prior study.",
        "History of cough; findings as before.",
        "Prior-study: none. X-findings: none.",
    ],
)
def test_words_in_running_text_head_nothing(text):
    report = parse_report(text)
    assert dict(report.sections) == {}
    assert report.sentences()


def test_text_before_the_first_heading_and_joined_sections():
    report = parse_report("CHEST TWO VIEWS\nFINDINGS: One.\nIMPRESSION: Two.\nFINDINGS: Three.")
    assert dict(report.sections) == {"preamble": "CHEST TWO VIEWS", "findings": "One.\nThree.", "impression": "Two."}


def test_combined_heading_gives_its_text_to_both():
    report = parse_report("FINDINGS AND IMPRESSION: Lungs clear.")
    assert dict(report.sections) == {"findings": "Lungs clear.", "impression": "Lungs clear."}
    assert report.sentences() == ("Lungs clear.",)
    assert dict(parse_report("Findings/Impression: Clear.").sections).keys() == {"findings", "impression"}


def test_empty_sections_are_there():
    assert dict(parse_report("FINDINGS: IMPRESSION: Normal.").sections) == {"findings": "", "impression": "Normal."}


def test_german():
    text = (
        "Klinische Angaben: Husten, Z.n. Pneumonie. Befund: Kein Erguss. Fraktur der 5. Rippe li. "
        "Beurteilung: Altersgem."
    )
    report = parse_report(text, GERMAN)
    assert report.sections["indication"] == "Husten, Z.n. Pneumonie."
    assert report.sections["impression"] == "Altersgem."
    assert report.sentences("findings") == ("Kein Erguss.", "Fraktur der 5. Rippe li.")
    assert "BEFUND: Kein Erguss." in flatten(report)


def test_own_language():
    french = Language({"findings": ("résultat", "résultats"), "impression": ("conclusion",)}, frozenset({"env"}))
    report = parse_report("Résultats : Nodule d'env. 3 mm. Conclusion : Stable.", french)
    assert dict(report.sections) == {"findings": "Nodule d'env. 3 mm.", "impression": "Stable."}
    assert report.sentences() == ("Nodule d'env. 3 mm.", "Stable.")


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Seen by Dr. Smith. Nodule of approx. 2.5 cm.", ("Seen by Dr. Smith.", "Nodule of approx. 2.5 cm.")),
        ("Opacities, e.g. nodules, i.e. masses. Stable.", ("Opacities, e.g. nodules, i.e. masses.", "Stable.")),
        ("Read at 5 p.m. The heart is normal.", ("Read at 5 p.m.", "The heart is normal.")),
        ("Signed J. Smith. Done.", ("Signed J. Smith.", "Done.")),
        ("See image No. 3 of Fig. 2. Clear.", ("See image No. 3 of Fig. 2.", "Clear.")),
        ("Is there a mass? No. Clear.", ("Is there a mass?", "No.", "Clear.")),
        ("The heart is normal. lungs are clear.", ("The heart is normal.", "lungs are clear.")),
        ("Lungs are clear.The heart is normal.", ("Lungs are clear.", "The heart is normal.")),
        (
            "1. No acute disease. 2. Old fracture of rib 5. 3. Stable.",
            ("No acute disease.", "Old fracture of rib 5.", "Stable."),
        ),
        ("1. Cardiomegaly. 2. Effusion. 10. Clear.", ("Cardiomegaly.", "Effusion.", "Clear.")),
        ("1. Nodule in segment 2. 2. Heart normal.", ("Nodule in segment 2.", "Heart normal.")),
        ("1) Normal heart 2) Clear lungs", ("Normal heart", "Clear lungs")),
        ("1. Cardiomegaly\n2. Effusion\n- Stable nodule", ("Cardiomegaly", "Effusion", "Stable nodule")),
        ("Heart: normal\nLungs: clear\nBones: intact", ("Heart: normal", "Lungs: clear", "Bones: intact")),
        ("The right\nlung is clear.\n\nNormal heart", ("The right lung is clear.", "Normal heart")),
        ("Nodule of 7 mm in segment 2. Heart normal.", ("Nodule of 7 mm in segment 2.", "Heart normal.")),
        ("Film of 12.03.2021. Clear.", ("Film of 12.03.2021.", "Clear.")),
        ("No change... Stable!", ("No change...", "Stable!")),
        ("XXXX. The chest is normal", ("XXXX.", "The chest is normal")),
        ("", ()),
        (" . - ", ()),
    ],
)
def test_sentences(text, sentences):
    assert split_sentences(text) == sentences


def test_sentences_of_chosen_sections_in_order():
    report = parse_report("FINDINGS: One. Two.\nIMPRESSION: 1. Three. 2. Four.")
    assert report.sentences("impression", "findings") == ("Three.", "Four.", "One.", "Two.")
    assert report.sentences("technique") == ()


VOCABULARY = ("lungs", "clear", "no", "effusion", "heart", "nodule", "3", "mm", "stable")
WORDS = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=9)
PROSE = st.lists(WORDS.map(lambda words: " ".join(words).capitalize() + "."), min_size=1, max_size=5).map(" ".join)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["comparison", "findings", "impression", "indication", "technique"]), PROSE))
def test_flattened_report_is_found_again(sections):
    report = report_of_sections(sections)
    again = parse_report(flatten(report))
    assert dict(again.sections) == dict(report.sections)
    assert again.sentences() == report.sentences()
    assert dict(parse_report(report.text).sections) == dict(report.sections)


@settings(deadline=None)
@given(st.text(alphabet="aA1. :\n-)FINDGSIMPRE", max_size=200))
def test_no_letter_is_lost_or_made(text):
    words = "".join(sentence for sentence in split_sentences(text))
    assert all(sentence.strip() == sentence and "\n" not in sentence for sentence in split_sentences(text))
    assert [c for c in text if c.isalpha()] == [c for c in words if c.isalpha()]
    sections = "".join(parse_report(text).sections.values())
    assert len(sections) <= len(text) + 4


@pytest.mark.parametrize(
    "unit", ["findings ", "FINDINGS: ", "1) ", "a. ", "\n", ". ", "e.g", "clinical history of ", " "]
)
def test_long_texts_take_no_more_than_linear_time(unit):
    text = unit * (200_000 // len(unit))
    start = time.process_time()
    parse_report(text).sentences()
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    "text",
    ["", " \n", "FINDINGS: \nIMPRESSION:", "None.", "FINDINGS: XXXX. IMPRESSION: ___", "INDICATION: Cough.", "N/A"],
)
def test_empty(text):
    assert is_empty(parse_report(text))


@pytest.mark.parametrize("text", ["Normal.", "IMPRESSION: Normal.", "Keine Auffälligkeit", "No effusion."])
def test_not_empty(text):
    assert not is_empty(parse_report(text))


def test_copies_and_empty_reports_are_told():
    texts = {
        "a": "INDICATION: Cough. FINDINGS: Lungs clear. IMPRESSION: Normal.",
        "b": "INDICATION: Fever. FINDINGS:  lungs  CLEAR\nIMPRESSION: Normal",
        "c": "FINDINGS: Lungs not clear. IMPRESSION: Normal.",
        "d": "",
        "e": "IMPRESSION:",
        "f": "FINDINGS: Lungs clear. IMPRESSION: Normal!",
    }
    reports = {name: parse_report(text) for name, text in texts.items()}
    copies = find_duplicates(reports)
    assert copies.groups == (("a", "b", "f"),)
    assert copies.rate == pytest.approx(2 / 4)
    assert find_duplicates(reports, ()).groups == ()
    told = judge_reports(reports)
    assert [(finding.kind, finding.scan) for finding in told] == [
        ("report-empty", "d"),
        ("report-empty", "e"),
        ("report-copy", None),
    ]
    assert "2 reports of 4 repeat another (50.0%)" in told[-1].words
    assert find_duplicates({}).rate == 0


def test_plain_texts_are_compared_as_a_whole():
    reports = {
        name: parse_report(text) for name, text in {"a": "Clear lungs.", "b": "clear LUNGS", "c": "Mass."}.items()
    }
    assert find_duplicates(reports).groups == (("a", "b"),)


def test_language_is_kept():
    assert parse_report("Befund: Klar.", GERMAN).language is GERMAN
    assert parse_report("Findings: Clear.").language is ENGLISH
