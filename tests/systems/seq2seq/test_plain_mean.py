"""Targets for which the network is below the plain mean of the others are told, wherever the images go."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from scanweave.framework.run_page import RunPage
from scanweave.systems.seq2seq.plain_mean import Below, below_in_words, count_below, known_below, noted_below
from scanweave.systems.seq2seq.report import write

FIGURES = {  # target, study: PSNR and SSIM of the network, and of the plain mean
    ("flair", "A"): ((20.0, 0.80), (21.0, 0.70)),
    ("flair", "B"): ((22.0, 0.80), (21.0, 0.79)),
    ("flair", "C"): ((22.0, 0.70), (21.0, 0.71)),
    ("t1", "A"): ((30.0, 0.90), (25.0, 0.80)),
    ("t1", "B"): ((30.0, 0.90), (30.0, 0.90)),
}


def pairs():
    rows = []
    for (target, study), figures in FIGURES.items():
        for kind, (psnr, ssim) in zip(("all", "mean"), figures, strict=True):
            told = {"study": study, "patient": study, "kind": kind, "target": target, "psnr": psnr, "ssim": ssim}
            rows += [{**told, "region": "brain"}, {**told, "region": "volume", "psnr": 50.0 - psnr}]
        rows.append({**told, "kind": "pair", "region": "brain", "psnr": 1.0})
    return pd.DataFrame(rows)


def test_cells_are_counted_by_target():
    found = count_below(pairs())
    assert {name: one[:2] for name, one in found.items()} == {"flair": (2, 3), "t1": (0, 2)}  # as good is not below
    assert below_in_words(found) == "below that mean, in PSNR or SSIM, in 2 of 5 predictions: flair 2 of 3"
    assert below_in_words({"t1": Below(0, 2)}) == "below that mean, in PSNR or SSIM, in 0 of 2 predictions"


def test_words_name_each_measure_with_its_figures():
    assert count_below(pairs())["flair"].words == (
        "in 2 of 3 evaluated studies it was less like the real scan than the plain mean of the other sequences, in "
        "PSNR or SSIM (PSNR in 1, on average 21.3 dB, that mean 21.0 dB; SSIM in 1, on average 0.77, that mean 0.73)"
    )


def test_what_an_evaluation_noted_comes_back():
    found = count_below(pairs())
    noted = json.loads(json.dumps({"below": noted_below(found)}))
    assert known_below(noted) == {"flair": found["flair"]}


def test_what_an_earlier_version_noted_is_told_without_figures():
    known = known_below({"below": {"flair": [2, 3], "t1": [0, 2]}})
    assert known == {"flair": Below(2, 3)}
    assert known["flair"].words.endswith("the other sequences, in PSNR or SSIM")


@pytest.mark.parametrize(
    "about", [None, {}, {"below": 3}, {"below": {"flair": 2, "t1": [1], "t2": ["a", "b"], "pd": [1, 2, {"psnr": [1]}]}}]
)
def test_notes_of_others_say_nothing(about):
    assert known_below(about) == {}


def test_summary_line_report_and_run_tell_it(fitted, tmp_path):
    """The network of this run was trained for four steps, so the plain mean is better."""
    lines = []
    found = fitted.system.evaluate(fitted.cohort, say=lines.append)
    below = count_below(found)
    assert any(one.studies for one in below.values())
    assert any(line.endswith(f"; {below_in_words(below)}") and line.startswith("from all others") for line in lines)
    worst = max(below, key=lambda name: below[name].studies)
    assert fitted.system.cautions()[worst] == below[worst].words
    page = write(RunPage(fitted.system.run), fitted.system.plan, tmp_path / "page.html").read_text()
    assert f"{worst}: {below[worst].words}" in page
    assert f"{worst} (below the plain mean in {below[worst].studies} of {below[worst].of} studies)" in page
