from __future__ import annotations

import html
import json
import re
import shutil
from dataclasses import replace

import pytest
from changed_results import faults_at_report

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import describe_cohort
from scanweave.framework.run_page import RunPage
from scanweave.systems.seq2seq.report import write
from scanweave.systems.seq2seq.system import Seq2Seq


@pytest.fixture
def run(fitted, tmp_path):
    """A copy of the run, without results."""
    folder = tmp_path / "myrun"
    keep = shutil.ignore_patterns("evaluation", "ranking", "explanation", "outputs.json", "report.html", "checkpoints")
    shutil.copytree(fitted.system.run.folder, folder, ignore=keep)
    return Run.open(folder)


def page(path):
    return html.unescape(re.sub(r"<[^>]+>", " ", path.read_text(encoding="utf-8")))


@pytest.fixture
def results(results_folder, tmp_path):
    """A copy of the run with evaluation, ranking and explanation."""
    return Run.open(shutil.copytree(results_folder, tmp_path / "with results"))


def change(path, edit):
    """Rewrite a JSON file after `edit` has changed its content."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def set_mean(psnr, ssim):
    """An edit of a summary that sets what the mean of the others reaches, and that no study is below it."""

    def edit(summary):
        summary["about"]["below"] = {name: [0, 3] for name in summary["about"]["below"]}
        for row in summary["rows"]:
            if row["kind"] == "mean" and row["measure"] in ("psnr", "ssim"):
                row["mean"] = psnr if row["measure"] == "psnr" else ssim

    return edit


def test_what_was_not_made_is_named_with_a_command_that_works_here(fitted, run, monkeypatch):
    monkeypatch.chdir(run.folder.parent)
    run.record["cohort"] = {**run.record["cohort"], "path": "/nowhere"}
    text = page(write(RunPage(run), fitted.system.plan))
    for verb in ("evaluate", "rank", "explain"):
        assert f"scanweave {verb} myrun --cohort COHORT" in text
    for never in ("x" * 3000, "a\0b"):
        run.record["cohort"]["path"] = never
        assert "scanweave explain myrun --cohort COHORT" in page(write(RunPage(run), fitted.system.plan))
    (run.folder.parent / "mine").mkdir()
    run.record["cohort"]["path"] = "mine"
    assert "scanweave explain myrun --cohort mine" in page(write(RunPage(run), fitted.system.plan))
    assert "9 studies of 9 patients" in text
    assert "2302.00517" in text


def test_all_results_are_on_one_page_that_asks_for_nothing(fitted, results, tmp_path):
    change(results.folder / "evaluation" / "summary.json", set_mean(0.0, -1.0))
    path = write(RunPage(results), fitted.system.plan, tmp_path / "page.html")
    text, source = page(path), path.read_text(encoding="utf-8")
    assert "This makes it" not in text
    for words in ("PSNR [dB]", "rank by C_d", "AUROC lesion", "the test part of fold 0", "magnitude"):
        assert words in text, words
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", source)
    assert str(tmp_path) not in text
    assert source.count("<img") >= 6
    assert "Caution" not in text
    ranking = json.loads((results.folder / "ranking" / "ranking.json").read_text())
    best = min(zip(ranking["C_d"], ranking["sequences"], strict=True), key=lambda pair: pair[0]["rank"])[1]
    assert re.search(rf"Hardest to replace\s+{best}\b", text)


@pytest.mark.parametrize(("psnr", "ssim"), [(99.0, -1.0), (0.0, 0.99)])
def test_a_network_that_does_not_beat_the_mean_is_not_concluded_from(fitted, results, psnr, ssim):
    summary = results.folder / "evaluation" / "summary.json"
    change(summary, set_mean(psnr, ssim))
    text = page(write(RunPage(results), fitted.system.plan))
    assert text.count("has not learnt enough") == 3  # on top, by the ranking and by the maps
    assert f"mean of the others, no network {psnr:.1f}" in " ".join(text.split())
    assert "Hardest to replace" not in text
    change(summary, lambda known: known.update(rows=[row for row in known["rows"] if row["kind"] != "mean"]))
    assert "has not learnt" not in page(write(RunPage(results), fitted.system.plan))


def test_the_summary_says_how_good_it_is_and_what_that_is_worth(fitted, results):
    def set_psnr(known):
        for row in known["rows"]:
            if row["measure"] == "psnr" and row["region"] == "brain" and row["target"] == "any":
                row["mean"] = {"all": 20.0, "mean": 14.0}.get(row["kind"], row["mean"])

    change(results.folder / "evaluation" / "summary.json", set_psnr)
    text = " ".join(page(write(RunPage(results), fitted.system.plan)).split())
    assert "off, in shares of its range, by about 10 % (PSNR 20.0 dB) in the brain" in text
    assert "without a network, by about 20 % (PSNR 14.0 dB)" in text
    assert "too few to say how it does on others" in text
    steps = results.record["step"]
    assert f"The fit made {steps:,} of the 2,500 steps of the preset small" in text
    results.record["step"] = 2500
    assert "first look" not in page(write(RunPage(results), fitted.system.plan))


def test_few_patients_have_no_intervals(fitted, results):
    text = page(write(RunPage(results), fitted.system.plan))
    assert "No intervals: fewer than 5 patients" in text
    assert not re.search(r"95\s%|\[\d+–\d+\]", text)


def test_a_foreground_is_not_called_a_brain(fitted, results):
    for record in ("evaluation/summary.json", "explanation/explanation.json"):
        change(results.folder / record, lambda known: known["about"].update(brain="foreground"))
    text = page(write(RunPage(results), fitted.system.plan))
    assert "PSNR in the foreground" in text
    assert "in the brain" not in text.split("PSNR in the foreground", 1)[1]


def test_what_no_study_shows_is_named(fitted, results):
    def without_flair(known):
        known["rows"] = [row for row in known["rows"] if "flair" not in (row["source"], row["target"])]

    assert "in no study here" not in page(write(RunPage(results), fitted.system.plan))
    change(results.folder / "evaluation" / "summary.json", without_flair)
    assert "flair: in no study here, so not measured" in page(write(RunPage(results), fitted.system.plan))


def test_a_single_label_is_shown_once(fitted, results):
    def with_label(known):
        kept = [row for row in known["summary"] if row["measure"] in ("mean", "auroc_any")]
        twins = [{**row, "measure": "auroc_1"} for row in kept if row["measure"] == "auroc_any"]
        known["summary"] = kept + twins

    change(results.folder / "explanation" / "explanation.json", with_label)
    text = page(write(RunPage(results), fitted.system.plan))
    assert "AUROC lesion" in text
    assert "AUROC label" not in text


def test_the_summary_in_the_run_stands_in_for_a_cohort_that_is_gone(fitted, run):
    run.record["cohort"] = {**run.record["cohort"], "path": "/nowhere"}
    (run.folder / "cohort.json").unlink(missing_ok=True)
    assert "no longer lies where it was" in page(write(RunPage(run), fitted.system.plan))
    about = describe_cohort(fitted.cohort, fitted.system.sequences, 0)
    (run.folder / "cohort.json").write_text(json.dumps(about))
    assert "9 studies of 9 patients" in page(write(RunPage(run), fitted.system.plan))


def test_a_number_that_cannot_be_is_not_waited_for(fitted, run):
    change(run.folder / "cohort.json", lambda about: about["combinations"][0].update(studies=10**12))
    write(RunPage(run), fitted.system.plan)
    change(run.folder / "config.json", lambda config: config["network"].update(blocks=10**9))
    with pytest.raises(ScanweaveError, match=r"config\.json: network\.blocks: Input should be less than"):
        Seq2Seq.open(run.folder, "cpu")


def test_combinations_add_up(fitted):
    about = describe_cohort(fitted.cohort, fitted.system.sequences, 0)
    counts = fitted.cohort.counts()
    for name in fitted.system.sequences:
        assert sum(row["studies"] for row in about["combinations"] if name in row["sequences"]) == counts[name]
    assert sum(part["studies"] for part in about["parts"].values()) == about["studies"] == 9
    alone = replace(fitted.cohort, frame=fitted.cohort.frame.drop(columns=["scan:t1"]))
    assert describe_cohort(alone, fitted.system.sequences, 0)["studies"] == 9


def test_a_page_of_a_run_that_chance_changed_is_written_or_refused(results_folder, tmp_path):
    tried, faults = faults_at_report(results_folder, tmp_path, seeds=3)
    assert tried >= 30
    assert not faults, "\n".join(faults)
