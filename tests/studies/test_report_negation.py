"""Denials in sentences: of 200 real ones read by a person, of simulated reports, in pieces."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from scanweave.simulate.reports import ReportSettings, write_report
from scanweave.simulate.reports.statements import Statement
from scanweave.studies.formats.report_files import read_open_i
from scanweave.studies.report_languages import ENGLISH, GERMAN
from scanweave.studies.report_negation import denied_parts, is_denied

DATA = Path(os.environ.get("SCANWEAVE_DATA", Path(__file__).parents[3] / "shared" / "data"))
READ = Path(__file__).parent / "data" / "open_i_denials.csv"
"""Report, number of the sentence in findings and impression, and whether it says that something is absent; drawn by
seed 0 from all sentences of Open-I. The texts stay where they are."""


def test_at_least_95_percent_of_200_real_sentences_are_told_right():
    reports = read_open_i(DATA / "cxr" / "labels" / "NLMCXR_reports.tgz").reports
    wrong = []
    rows = list(csv.DictReader(READ.open(encoding="utf-8")))
    assert len(rows) == 200
    for row in rows:
        sentence = reports[row["report"]].sentences("findings", "impression")[int(row["sentence"])]
        if bool(denied_parts(sentence)) != (row["denies"] == "1"):
            wrong.append((row["report"], row["sentence"]))
    assert len(wrong) <= 10, wrong


TERMS = {
    "nodule": ("nodule", "nodular"),
    "effusion": ("effusion", "pleural fluid"),
    "pneumothorax": ("pneumothorax",),
    "fracture": ("fracture",),
}


def test_simulated_reports_deny_what_they_say_is_absent():
    told = 0
    for index in range(300):
        rng = np.random.default_rng((3, index))
        details = {"side": "left", "where": "on the left", "place": "5th rib", "size": "9 mm", "degree": "small"}
        statements = [Statement(name, bool(rng.random() < 0.4), details) for name in TERMS]
        report = write_report(rng, statements, "films", ReportSettings(institutions="B", asides=0))
        for sentence in report.sentences:
            for name, there in sentence.says.items():
                denied = is_denied(sentence.text, TERMS[name])
                if denied is not None:
                    told += 1
                    assert denied is not there, sentence
    assert told > 500


@pytest.mark.parametrize(
    ("sentence", "term", "denied"),
    [
        ("No pleural effusion.", "effusion", True),
        ("Small left effusion, no pneumothorax.", "effusion", False),
        ("Small left effusion, no pneumothorax.", "pneumothorax", True),
        ("No pneumothorax, but a small effusion is seen.", "effusion", False),
        ("There is no effusion or pneumothorax.", "pneumothorax", True),
        ("A nodule is not seen.", "nodule", True),
        ("An effusion is present, a nodule is not identified.", "effusion", False),
        ("Lungs are free of consolidation.", "consolidation", True),
        ("No change in the left effusion.", "effusion", False),
        ("Pneumonia cannot be excluded, effusion is not excluded.", "effusion", False),
        ("Pneumonia cannot be excluded.", "pneumonia", False),
        ("Atelectasis without significant interval change.", "atelectasis", False),
        ("No significant change in the small effusion.", "effusion", False),
        ("Further CT if the nodule does not resolve.", "nodule", False),
        ("Pneumonia is excluded.", "pneumonia", True),
        ("Effusion, pneumothorax: none", "pneumothorax", True),
        ("Opacity without pneumothorax; effusion on the left.", "effusion", False),
        ("Neither effusion nor pneumothorax.", "pneumothorax", True),
        ("Nodular opacity.", "effusion", None),
        ("Notable effusion.", "effusion", False),
        ("NO EFFUSION", "effusion", True),
    ],
)
def test_a_finding_is_denied_within_reach_alone(sentence, term, denied):
    assert is_denied(sentence, (term,)) is denied


def test_other_languages_have_words_of_their_own():
    assert is_denied("Kein Pleuraerguss, aber ein Rundherd links.", ("Pleuraerguss",), GERMAN)
    assert not is_denied("Kein Pleuraerguss, aber ein Rundherd links.", ("Rundherd",), GERMAN)
    assert is_denied("Ein Pneumothorax ist nicht abgrenzbar.", ("Pneumothorax",), GERMAN)
    assert denied_parts("Kein Erguss.", ENGLISH) == []


def test_parts_are_where_they_are_said_to_be():
    sentence = "No effusion, but no clear nodule"
    assert [sentence[start:stop].strip(" ,") for start, stop in denied_parts(sentence)] == ["effusion", "clear nodule"]
    assert denied_parts("") == []
