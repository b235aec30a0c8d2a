from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("common", "scoreboard"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import common
    import scoreboard

    return common, scoreboard


def claims(common):
    nan = float("nan")
    return [
        common.Claim("gain | over mean", 2.1, 1.5, 2.7, "dB", 24, 1.0, "higher", {"mean of the sources": 0.0}),
        common.Claim("gain over U-Net", 0.2, -0.3, 0.7, "dB", 24, 0.5, "higher"),
        common.Claim("time", 3.0, nan, nan, "s", 1, 5.0, "lower"),
        common.Claim("broken", nan, nan, nan, "", 0, 5.0, "lower"),
        common.Claim("size", 12.0, nan, nan, "MB", 1, None, "lower", {f"network {n}": 9.0 for n in range(9)}),
    ]


@pytest.fixture
def result(modules, tmp_path):
    common, _ = modules
    path = tmp_path / "results" / "ranking.json"
    arguments = common.benchmark_arguments("what it shows", arguments=["--tier", "proof", "--json", str(path)])
    common.write_results("ranking", arguments, [0, 1, 2], claims(common))
    return path


def test_holds_is_computed_in_both_directions(modules):
    common, _ = modules
    assert [claim.holds for claim in claims(common)] == [True, False, True, False, None]
    assert [common.verdict(claim) for claim in claims(common)] == [
        "holds",
        "fails, not clearly",
        "holds",
        "fails",
        "reported",
    ]


def test_json_holds_what_the_design_asks_for(result):
    written = json.loads(result.read_text())
    assert list(written) == ["benchmark", "tier", "command", "commit", "machine", "seconds", "seeds", "claims"]
    assert {"name", "value", "low", "high", "unit", "n", "bar", "holds", "control"} <= set(written["claims"][0])
    assert written["claims"][3]["value"] is None  # NaN is no JSON


def test_json_names_no_host_and_no_folder(result, tmp_path):
    text = result.read_text()
    assert str(tmp_path) not in text
    assert str(BENCHMARKS.parent) not in text
    written = json.loads(text)
    assert written["command"] == "python benchmarks/ranking.py --tier proof --json ranking.json"
    assert platform.node() not in written["machine"].split()


def test_scoreboard_shows_wins_and_losses(modules, result, tmp_path):
    _, scoreboard = modules
    out = tmp_path / "scoreboard.md"
    assert scoreboard.main(["--results", str(result.parent), "--out", str(out)]) == 0
    text = out.read_text()
    assert "**2 of 4 claims hold.**" in text
    assert "gain \\| over mean" in text
    assert "fails" in text
    assert "| mean of the sources 0 |" in text
    assert "| <details><summary>9 figures</summary>network 0 9, " in text


def test_summary_has_a_row_a_benchmark_and_losses_follow(modules, result, tmp_path):
    _, scoreboard = modules
    summary, losses, details = scoreboard.scoreboard(result.parent).split("## ", 2)
    assert "| [ranking](#ranking-proof) | gain \\| over mean | 2.1 dB |" in summary
    assert summary.rstrip().endswith("| holds | 2 of 4 |")
    assert "| ranking | gain over U-Net | 0.2 dB |" in losses
    assert "time" not in losses
    assert "<details><summary>5 claims, with their controls</summary>" in details


def test_check_tells_a_stale_scoreboard(modules, result, tmp_path):
    _, scoreboard = modules
    arguments = ["--results", str(result.parent), "--out", str(tmp_path / "scoreboard.md")]
    assert scoreboard.main([*arguments, "--check"]) == 1
    scoreboard.main(arguments)
    assert scoreboard.main([*arguments, "--check"]) == 0
    result.write_text(result.read_text().replace("2.1", "2.2"))
    assert scoreboard.main([*arguments, "--check"]) == 1


def test_the_scoreboard_of_this_repository_is_fresh(modules):
    _, scoreboard = modules
    assert scoreboard.main(["--check"]) == 0


def test_a_typed_in_verdict_is_refused(modules, result, tmp_path, capsys):
    _, scoreboard = modules
    result.write_text(result.read_text().replace('"holds": false', '"holds": true', 1))
    assert scoreboard.main(["--results", str(result.parent), "--out", str(tmp_path / "s.md")]) == 1
    assert "verdict" in capsys.readouterr().err
    assert not (tmp_path / "s.md").exists()


def test_no_results_yet(modules, tmp_path):
    _, scoreboard = modules
    assert "No results yet" in scoreboard.scoreboard(tmp_path)
