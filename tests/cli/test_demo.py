"""The demo says of the planted facts what follows from its results."""

from __future__ import annotations

import json

import pytest

from scanweave.cli.demo import findings


@pytest.fixture
def results(tmp_path):
    def write(values: dict[str, float], area: float | None):
        def put(path, content):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(json.dumps(content))

        planted = {"c_d_highest": "t1c", "c_d_lowest": "t2r"}
        put("cohort/truth.json", {"planted": planted, "masks": {"lesion": {"1": "core", "2": "enhancing rim"}}})
        ranks = [{"value": value} for value in values.values()]
        put("run/ranking/ranking.json", {"sequences": list(values), "C_d": ranks})
        rows = [] if area is None else [{"sequence": "t1c", "measure": "auroc_2", "mean": area, "patients": 3}]
        put("run/explanation/explanation.json", {"summary": rows})
        return "\n".join(findings(tmp_path))

    return write


def test_all_that_was_planted_is_found(results):
    told = results({"t1": 0.1, "t1c": 2.0, "t2r": -1.0}, 0.95)
    assert "Found 3 of 3 facts" in told
    assert "AUROC 0.950 over 3 patients" in told
    assert "✗" not in told
    assert "hardest first: t1c, t1, t2r" in told


def test_what_is_not_found_is_said(results):
    told = results({"t1": 3.0, "t1c": 2.0, "t2r": 2.5}, 0.85)
    assert "Found 0 of 3 facts" in told
    assert told.count("✗") == 3
    assert "no test study has one" in results({"t1": 3.0, "t1c": 2.0, "t2r": 2.5}, None)
