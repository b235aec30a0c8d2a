"""The shortcut audit on runs whose answers are known, on a fitted classifier, and on what it refuses."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from marked_cohort import Toy, looks_at_lesion, looks_at_marker, make_marked, sees_nothing

import scanweave as sw
from scanweave import api
from scanweave.audit.settings import ShortcutSettings
from scanweave.audit.shortcut_tables import main_rows
from scanweave.audit.shortcut_words import verdict, verdicts
from scanweave.audit.shortcuts import audit_shortcuts, write_shortcuts
from scanweave.cli.main import USAGE, main

ABOUT = {"part": "all", "fold": None, "name": "marked", "seen": 0, "left_out": [], "studies": 40}


def quiet(line):
    """Say nothing."""


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    return make_marked(tmp_path_factory.mktemp("marked") / "c")


@pytest.fixture(scope="module")
def found(marked):
    toys = {rule.__name__: Toy(rule) for rule in (looks_at_marker, looks_at_lesion, sees_nothing)}
    settings = ShortcutSettings(films=12, maps=6, marks=("marker",), doses=(0.9, 0.5, 0.1))
    return audit_shortcuts(toys, marked, settings, quiet)


def row(table, run, **others):
    """Return the only row of a run."""
    keys = {"run": run, **others}
    (one,) = table[(table[list(keys)] == pd.Series(keys)).all(axis=1)].to_dict("records")
    return one


@pytest.mark.parametrize("direction", ["insertion", "removal"])
@pytest.mark.parametrize(("run", "rate"), [("looks_at_marker", 1.0), ("looks_at_lesion", 0.0), ("sees_nothing", 0.0)])
def test_flip_rate_is_that_of_the_rule(found, run, rate, direction):
    one = row(found.flips, run, direction=direction)
    assert one["films"] == 12
    assert one["flips"].value == rate
    assert one["control"].value == 0
    assert one["excess"].value == rate
    assert one["shift"].value == (rate if direction == "insertion" else -rate)
    assert one["found"] == (rate == 1)
    assert one["excess"].low > 0.5 if rate else one["excess"].low < 0 < one["excess"].high


def test_flips_go_to_the_side_of_the_change(found):
    pasted, masked = (row(found.flips, "looks_at_marker", direction=name) for name in ("insertion", "removal"))
    assert pasted["to positive"].value == 1
    assert np.isnan(pasted["to negative"].value)  # none was called before
    assert masked["to negative"].value == 1
    assert pasted["log-odds"].value > 8
    assert masked["log-odds"].value < -8
    assert pasted["to positive control"].value == 0


def test_masking_moves_answers_and_area_only_of_the_run_that_looks_there(found):
    marker, lesion, nothing = (
        row(found.masking, name) for name in ("looks_at_marker", "looks_at_lesion", "sees_nothing")
    )
    assert marker["log-odds"].value > 8
    assert marker["log-odds control"].value < 1.5
    assert marker["AUROC masked"].value == pytest.approx(0.5, abs=0.25)
    assert lesion["AUROC"].value == lesion["AUROC masked"].value == 1
    assert lesion["log-odds"].value < 0.2
    assert nothing["log-odds"].value == 0
    assert nothing["AUROC"].value == 0.5


def test_evidence_lies_where_the_rule_looks(found):
    marker, lesion, nothing = (
        row(found.evidence, name) for name in ("looks_at_marker", "looks_at_lesion", "sees_nothing")
    )
    assert lesion["inside"].value == pytest.approx(1, abs=0.02)
    assert lesion["inside, even"].value < 0.3
    assert lesion["on marks"].value == pytest.approx(0, abs=0.02)
    assert marker["on marks"].value == pytest.approx(1, abs=0.05)
    assert marker["inside"].value == pytest.approx(0, abs=0.05)
    assert nothing["films"] == 0
    assert nothing["without evidence"] == 6
    assert np.isnan(nothing["inside"].value)


def test_probe_tells_a_site_that_is_brighter(found):
    assert set(found.sites) == {"looks_at_marker", "looks_at_lesion", "sees_nothing"}
    one = found.sites["sees_nothing"]
    assert one.sites == ("A", "B")
    assert one.films == 40
    assert one.features.value > 0.95
    assert one.statistics.value > 0.95
    assert one.excess.value == pytest.approx(0, abs=0.05)


def test_doses_are_in_order(found):
    rows = found.doses[found.doses["direction"] == "insertion"]
    assert list(rows["dose"]) == [0.1, 0.5, 0.9]
    assert [one.value for one in rows["excess"]] == [0, 0, 1]


def test_sentences_name_what_was_found(found):
    leaning, *rest = verdicts(found.flips)
    rates = "in 100 % [76, 100] of 12 films the call flips"
    pasted = f"{rates} when a marker is pasted in, 0 % [0, 24] for a patch without one, and more films are called then"
    masked = f"{rates} when the marker is masked, 0 % [0, 24] when as much is masked elsewhere, and fewer films are"
    masked += " called then"
    assert leaning == f"looks_at_marker: nodule leans on marker: {pasted}; {masked}."
    assert all("is not seen to lean on marker" in sentence for sentence in rest)
    assert all(sentence.endswith("an excess of 0 % [−24, 24].") for sentence in rest)


def test_page_and_tables_are_written_once(found, tmp_path):
    settings = ShortcutSettings(films=12)
    page = write_shortcuts(tmp_path / "a", found, settings, {"by": "a test"}, ABOUT).read_text()
    for words in ("nodule leans on marker", "Where the evidence lies", "Does it know the site", "What it cannot tell"):
        assert words in page
    content = json.loads((tmp_path / "a" / "shortcuts.json").read_text())
    assert content["shortcuts"][0]["flips"] == 1
    assert content["summary"][0].startswith("looks_at_marker")
    table = pd.read_csv(tmp_path / "a" / "shortcuts.csv")
    assert {"flips low", "excess high", "found"} <= set(table)
    names = {"shortcuts", "films", "masking", "evidence", "maps", "site", "dose"}
    assert {path.stem for path in (tmp_path / "a").glob("*.csv")} == names
    with pytest.raises(sw.ScanweaveError, match="exists already"):
        write_shortcuts(tmp_path / "a", found, settings, {}, ABOUT)


def test_the_same_seed_finds_the_same(marked, found):
    settings = ShortcutSettings(films=12, maps=0, marks=("marker",))
    again = audit_shortcuts({"looks_at_marker": Toy(looks_at_marker)}, marked, settings, quiet)
    before = found.changes[found.changes["run"] == "looks_at_marker"].reset_index(drop=True)
    pd.testing.assert_frame_equal(again.changes, before)


def test_marks_are_by_default_what_no_run_tells(marked):
    lines = []
    found = audit_shortcuts({"toy": Toy(looks_at_marker)}, marked, ShortcutSettings(films=6, maps=0), lines.append)
    assert list(dict.fromkeys(found.flips["mark"])) == ["marker", "tube"]
    assert not row(found.flips, "toy", mark="tube", direction="insertion")["found"]
    assert any(line.startswith("nodule leans on marker") for line in lines)


def test_each_patient_counts_once_a_direction_and_donors_are_others(tmp_path):
    cohort = make_marked(tmp_path / "c", patients=12, per_patient=4)
    found = audit_shortcuts({"toy": Toy(looks_at_marker)}, cohort, ShortcutSettings(maps=0, marks=("marker",)), quiet)
    assert not found.changes.duplicated(["patient", "direction"]).any()
    assert {one.n for one in found.flips["excess"]} == set(found.flips["films"])
    donors = found.changes[found.changes["donor"] != ""]
    owner = cohort.frame.set_index("study")["patient"].astype(str)
    assert (donors["donor"].map(owner) != donors["patient"]).all()
    assert (donors["control donor"].map(owner) != donors["patient"]).all()


def test_what_cannot_be_audited_is_refused_in_one_line(marked, tmp_path):
    toy, few = Toy(looks_at_marker), ShortcutSettings(films=4, maps=0)
    bare = replace(marked, frame=marked.frame.drop(columns="boxes"))
    with pytest.raises(sw.ScanweaveError, match="has no boxes, so it is not known where marks are"):
        audit_shortcuts({"toy": toy}, bare, few, quiet)
    with pytest.raises(
        sw.ScanweaveError, match=r"marks: no film of these studies has a box 'markr'. Choose from marker"
    ):
        audit_shortcuts({"toy": toy}, marked, few.model_copy(update={"marks": ("markr",)}), quiet)
    with pytest.raises(sw.ScanweaveError, match="marks: 'nodule' is a finding that the run tells"):
        audit_shortcuts({"toy": toy}, marked, few.model_copy(update={"marks": ("nodule",)}), quiet)
    with pytest.raises(sw.ScanweaveError, match=r"findings: no run tells 'mass'. Choose from nodule"):
        audit_shortcuts({"toy": toy}, marked, few.model_copy(update={"findings": ("mass",)}), quiet)
    with pytest.raises(sw.ScanweaveError, match="dose: 2 doses for 1 run"):
        audit_shortcuts({"toy": toy}, marked, few.model_copy(update={"doses": (0.5, 0.9)}), quiet)
    with pytest.raises(sw.ScanweaveError, match="has no column 'clinic'"):
        audit_shortcuts({"toy": toy}, marked, few.model_copy(update={"site": "clinic"}), quiet)
    with pytest.raises(sw.ScanweaveError, match=r"offers no audit of shortcuts: it has no points, no probabilities"):
        audit_shortcuts({"x": type("Other", (), {"plan": toy.plan})()}, marked, few, quiet)
    alone = marked.where(marked.frame["study"] == marked.studies[0])
    with pytest.raises(sw.ScanweaveError, match=r"marks: (all boxes of these films are of findings|on no film could)"):
        audit_shortcuts({"toy": toy}, alone, few, quiet)


SMALL = {
    "network": {"encoder": "resnet10", "width": 0.125},
    "training": {"steps": 24, "warm_up": 0, "batch_size": 16, "validate_every": 12, "workers": 0, "ema_decay": None},
}


def test_classifier_that_learnt_the_marker_is_told_by_the_command_line(tmp_path, capsys):
    cohort = make_marked(tmp_path / "c", patients=64, rho=1.0)
    others = make_marked(tmp_path / "o", patients=24, rho=0.5, seed=1)
    run = sw.fit("classify", cohort, tmp_path / "run", config=SMALL, say=quiet)
    words = ["audit", "shortcuts", str(run.run.folder), "--cohort", str(others.folder), "--part", "all"]
    size = ["--films", "12", "--maps", "1", "--marks", "marker", "--device", "cpu"]
    assert main([*words, *size]) == 0
    assert "nodule leans on marker" in capsys.readouterr().out
    folder = run.run.folder / "audit-shortcuts"
    content = json.loads((folder / "shortcuts.json").read_text())
    assert content["shortcuts"][0]["found"]
    assert content["site"][0]["run"] == "run"
    assert "Fitted with" in (folder / "shortcuts.html").read_text()
    assert main([*words, *size]) == USAGE
    assert "exists already" in capsys.readouterr().err
    assert main(["audit", "shortcuts", "--cohort", str(others.folder)]) == USAGE
    assert "RUN" in capsys.readouterr().err
    done = api.audit_shortcuts(
        [run, run], others, tmp_path / "two", part="all", settings={"films": 4, "maps": 0, "doses": [1, 1]}, say=quiet
    )
    assert set(done.table["run"]) == {"run (1)", "run (2)"}


def test_a_mark_that_is_only_masked_to_effect_is_told_as_found(found):
    """Judged in either direction: the sentence, the count of the page and the table say the same."""
    flips = found.flips.assign(found=[row == "removal" for row in found.flips["direction"]])
    (first, *_) = main_rows(flips)
    assert first["leans"]
    assert "leans on marker: in 100 % [76, 100] of 12 films the call flips when the marker is masked" in verdict(first)
