"""A run from someone else: its report shows what lies in it, if it is of this version's shape, and nothing else."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.run_outputs import find_output, newest_output, note_output, result_picture, result_table
from scanweave.framework.run_page import RunPage, figures
from scanweave.report.blocks import Figure, Section
from scanweave.report.page import write_report

ABOUT = {"part": "test", "fold": 0, "name": "", "seen": 0, "left_out": {}}


def png(shade: int) -> bytes:
    """A small picture that nothing else equals."""
    stream = io.BytesIO()
    Image.new("L", (4, 4), shade).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run with an evaluation: a summary and a picture."""
    with Run.start(tmp_path / "run", "any", {"fold": 0}) as started:
        started.weights.write_bytes(b"w")
        started.finish(step=1)
    results(started.folder / "evaluation", 10)
    return Run.open(started.folder)


def results(folder: Path, shade: int) -> None:
    """Write the results of an evaluation."""
    folder.mkdir(parents=True)
    (folder / "grid.png").write_bytes(png(shade))
    row = {"method": "own", "measure": "psnr", "mean": 30.0, "low": 29.0, "high": 31.0, "patients": 3, "studies": 3}
    (folder / "summary.json").write_text(json.dumps({"format": 1, "about": ABOUT, "rows": [row]}))


def page(run: Run, *named: Path) -> str:
    """Return the page of a run as a system would write it."""
    sections = RunPage(run, named).measured(
        "How good", {"psnr": ("PSNR", "{:.1f}")}, caption="By method.", pictures={"grid.png": "Pictures."}
    )
    path = RunPage(run).write(run.folder / "report.html", "Any", "Any.", sections, paper="@misc{a}")
    return path.read_text(encoding="utf-8")


def shows(html: str, picture: bytes) -> bool:
    """Tell whether a page holds the bytes of a picture."""
    return any(base64.b64decode(m) == picture for m in re.findall(r'src="data:[^,]*,([A-Za-z0-9+/=]+)"', html))


def test_own_results_are_shown(run: Run) -> None:
    assert shows(page(run), png(10))


@pytest.mark.parametrize("kind", ["file", "folder", "path", "dots"])
def test_pictures_outside_of_the_run_are_not_shown(run: Run, tmp_path: Path, kind: str) -> None:
    results(tmp_path / "home", 200)
    folder = run.folder / "evaluation"
    if kind == "file":
        (folder / "grid.png").unlink()
        (folder / "grid.png").symlink_to(tmp_path / "home" / "grid.png")
    elif kind == "folder":
        folder.rename(tmp_path / "aside")
        folder.symlink_to(tmp_path / "home")
    else:
        where = str(tmp_path / "home") if kind == "path" else "../home"
        (run.folder / "outputs.json").write_text(json.dumps({"evaluation": where}))
    if kind == "file":
        with pytest.raises(ScanweaveError, match=r"grid\.png: lies outside of"):
            page(run)
    else:
        assert not shows(page(run), png(200))


def test_names_in_records_do_not_lead_out(run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(99))
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for name in ("../../secret", str(tmp_path / "secret")):
        with pytest.raises(ScanweaveError, match="lies outside"):
            list(figures(run.folder / "evaluation", {f"{name}.png": "A picture."}))
        with pytest.raises(ScanweaveError, match="lies outside"):
            result_table(run.folder / "evaluation", f"{name}.csv")


def test_a_picture_is_a_plain_file(run: Run) -> None:
    folder = run.folder / "evaluation"
    assert result_picture(folder, "absent.png") is None
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(ScanweaveError, match="pipe or device"):
        result_picture(folder, "pipe.png")


@pytest.mark.parametrize("content", [b'<?xml version="1.0"?><svg/>', b"<svg xmlns='a'/>", b"  <?xml?>", b"{}", b""])
def test_only_raster_pictures_are_taken_over(tmp_path: Path, content: bytes) -> None:
    section = Section("One", "", [Figure(content, "A picture.", "A picture.")])
    with pytest.raises(ScanweaveError, match="no PNG or JPEG"):
        write_report(tmp_path / "page.html", "Any", "Any.", [section], {})


def test_results_elsewhere_are_shown_to_who_names_them(run: Run, tmp_path: Path) -> None:
    results(tmp_path / "mine", 77)
    note_output(run, "evaluation", tmp_path / "mine")
    assert newest_output(run, "evaluation") == tmp_path / "mine"
    assert find_output(run, "evaluation", [tmp_path / "mine"]) == tmp_path / "mine"
    assert shows(page(run, tmp_path / "mine"), png(77))
    assert find_output(run, "evaluation") == run.folder / "evaluation"  # of an earlier call
    results(tmp_path / "other", 55)  # named, though another folder was noted since
    assert shows(page(run, tmp_path / "other"), png(55))
    assert shows(page(run), png(10))
    (run.folder / "evaluation").rename(tmp_path / "aside")
    html = page(run)
    assert not shows(html, png(77))
    assert "outside of the run" in html
    assert "--results" in html


WRONG: tuple[Any, ...] = (
    [],
    5,
    {},
    {"about": ABOUT},
    {"about": 5, "rows": []},
    {"about": ABOUT, "rows": 5},
    {"about": ABOUT, "rows": [5]},
    {"about": ABOUT, "rows": [{}]},
    {"about": ABOUT, "rows": [{"method": "own", "measure": "psnr", "mean": "x", "patients": 3, "studies": "y"}]},
    {"about": {}, "rows": [{"method": "own", "measure": ["psnr"], "mean": {}, "patients": None}]},
    {"about": {"part": [], "fold": 0}, "rows": [{"method": "own", "measure": "psnr", "patients": 3, "studies": 1}]},
)


@pytest.mark.parametrize("content", WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_a_record_of_another_shape_is_named(run: Run, content: Any) -> None:
    path = run.folder / "evaluation" / "summary.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ScanweaveError, match=r"summary\.json: is n") as error:
        page(run)
    assert "make it again" in str(error.value)


def test_what_the_run_keeps_of_its_cohort_is_named(run: Run) -> None:
    for content in ([], {}, {"parts": 5}, {"parts": {"train": 5}, "fold": 0}):
        (run.folder / "cohort.json").write_text(json.dumps(content))
        with pytest.raises(ScanweaveError, match=r"cohort\.json: is not what this version writes"):
            RunPage(run).parts()


def test_metrics_of_other_kinds_are_named(run: Run) -> None:
    (run.folder / "metrics.jsonl").write_text('{"step": 1, "split": "train", "loss": {"a": 1}}\n')
    with pytest.raises(ScanweaveError, match=r"metrics\.jsonl: is not what this version writes"):
        RunPage(run).learning({"loss": ("lower", "what is minimised")})
