"""Cautions about what the presence of a modality tells in training, of classes and findings, as a report says it."""

import pandas as pd

from scanweave.framework.classification.answer_plan import AnswerPlan
from scanweave.framework.classification.presence import presence_cautions, telling_presence
from scanweave.framework.classification.question import Question

N = 30
FRAME = pd.DataFrame(
    {
        "patient": [f"p{n}" for n in range(N)],
        "scan:t2": ["t2.nii"] * N,
        "scan:dwi": ["dwi.nii" if n % 2 else None for n in range(N)],
        "table:age": [1.0 if n % 3 == 0 else None for n in range(N)],
        "table:psa": [1.0 if n % 3 == 1 else None for n in range(N)],
        "label:ill": [n % 2 for n in range(N)],
        "label:other": [None if n < 5 else int(n % 3 < 2) for n in range(N)],
    }
)
MODALITIES = {"t2": ["scan:t2"], "dwi": ["scan:dwi"], "table": ["table:age", "table:psa"], "age": ["table:age"]}


def test_two_classes_are_one_question():
    [line] = telling_presence(FRAME, MODALITIES, Question("classes", ("ill",), ("0", "1"), "ignore"))
    assert line.startswith("dwi: its presence alone tells ill 1 (AUROC 1.00, p ")
    assert line.endswith("there in 15 of 15 such studies and in 0 of 15 others")


def test_each_finding_is_asked_by_itself_and_a_table_is_there_with_any_of_its_variables():
    lines = telling_presence(FRAME, MODALITIES, Question("findings", ("ill", "other"), ("ill", "other"), "ignore"))
    assert {line.split(" (")[0] for line in lines} == {
        "dwi: its presence alone tells ill",
        "table: its presence alone tells other",
    }


def test_the_page_warns_and_an_earlier_run_says_nothing():
    told = {"kind": "classes", "labels": ("ill",), "outputs": ("0", "1"), "uncertain": "ignore", "shares": (0.5, 0.5)}
    plan = AnswerPlan(**told, reasons=(), cautions=("dwi: its presence alone tells ill 1 (AUROC 1.00)",))
    [caution] = presence_cautions(plan)
    assert "in the training studies, dwi: its presence alone tells ill 1 (AUROC 1.00)." in caution.text
    assert list(presence_cautions(AnswerPlan(**told, reasons=()))) == []
