from __future__ import annotations

import html
import json
import re
import shutil
from dataclasses import replace

import pytest

from scanweave.engine.run import Run
from scanweave.engine.selection import describe_cohort
from scanweave.systems.seq2seq.report import write


@pytest.fixture
def run(fitted, tmp_path):
    """A copy of the run, without results."""
    folder = tmp_path / "myrun"
    keep = shutil.ignore_patterns("evaluation", "ranking", "explanation", "outputs.json", "report.html", "checkpoints")
    shutil.copytree(fitted.system.run.folder, folder, ignore=keep)
    return Run.open(folder)


def page(path):
    return html.unescape(re.sub(r"<[^>]+>", " ", path.read_text(encoding="utf-8")))


def test_what_was_not_made_is_named_with_its_command(fitted, run):
    text = page(write(run, fitted.system.plan))
    for verb in ("evaluate", "rank", "explain"):
        assert f"scanweave {verb} myrun --cohort COHORT" in text
    assert "9 studies of 9 patients" in text
    assert "2302.00517" in text


def test_all_results_are_on_one_page_that_asks_for_nothing(fitted, run, tmp_path):
    system = fitted.system
    own, system.run = system.run, run
    try:
        for verb in (system.evaluate, system.rank, system.explain):
            verb(fitted.cohort, say=lambda _: None)
        path = system.report(tmp_path / "page.html")
    finally:
        system.run = own
    text, source = page(path), path.read_text(encoding="utf-8")
    assert "--cohort COHORT" not in text
    for words in ("PSNR [dB]", "rank by C_d", "AUROC lesion", "the test part of fold 0", "magnitude"):
        assert words in text, words
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", source)
    assert str(tmp_path) not in text
    assert source.count("<img") >= 6
    ranking = json.loads((run.folder / "ranking" / "ranking.json").read_text())
    best = min(zip(ranking["C_d"], ranking["sequences"], strict=True), key=lambda pair: pair[0]["rank"])[1]
    assert re.search(rf"Hardest to replace\s+{best}\b", text)


def test_the_summary_in_the_run_stands_in_for_a_cohort_that_is_gone(fitted, run):
    run.record["cohort"] = {**run.record["cohort"], "path": "/nowhere"}
    (run.folder / "cohort.json").unlink(missing_ok=True)
    assert "no longer lies where it was" in page(write(run, fitted.system.plan))
    about = describe_cohort(fitted.cohort, fitted.system.sequences, 0)
    (run.folder / "cohort.json").write_text(json.dumps(about))
    assert "9 studies of 9 patients" in page(write(run, fitted.system.plan))


def test_combinations_add_up(fitted):
    about = describe_cohort(fitted.cohort, fitted.system.sequences, 0)
    counts = fitted.cohort.counts()
    for name in fitted.system.sequences:
        assert sum(row["studies"] for row in about["combinations"] if name in row["sequences"]) == counts[name]
    assert sum(part["studies"] for part in about["parts"].values()) == about["studies"] == 9
    alone = replace(fitted.cohort, frame=fitted.cohort.frame.drop(columns=["scan:t1"]))
    assert describe_cohort(alone, fitted.system.sequences, 0)["studies"] == 9
