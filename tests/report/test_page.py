from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas
from PIL import Image

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.report import page
from scanweave.report.blocks import Caution, Figure, KeyNumbers, Section, Table, Text
from scanweave.report.page import write_report
from scanweave.report.pictures import picture
from scanweave.report.provenance import environment, shown_command, shown_path
from scanweave.report.values import written

HOSTILE = '"><script src="https://evil.example/x.js">alert(1)</script><img src=x onerror=alert(1)>'


class Reader(HTMLParser):
    """Collects the tags, attributes and visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, {name: value or "" for name, value in attributes}))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def drawing():
    canvas = Canvas(figsize=(4, 2))
    canvas.subplots().plot([1, 2, 3])
    return canvas


def noise_png(side):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def report(tmp_path):
    sections = [
        Section(
            f"One {HOSTILE}",
            HOSTILE,
            [
                KeyNumbers(
                    [(HOSTILE, Interval(28.44, 27.1, 29.9, 24), HOSTILE), ("one", Interval(12, np.nan, np.nan, 1), "")],
                    {"one": "{:.1f}"},
                ),
                Table(
                    [{HOSTILE: HOSTILE, "psnr": Interval(-1.26, -2.0, 3.0, 24), "absent": None}],
                    HOSTILE,
                    {"psnr": "{:.1f}"},
                ),
                Figure(drawing(), HOSTILE, HOSTILE),
                Figure(drawing(), "drawn", "a line", vector=True),
                Text(f"{HOSTILE}\n\nsecond"),
                Caution(HOSTILE),
            ],
        ),
        Section("Two"),
    ]
    path = write_report(tmp_path / "out" / "report.html", HOSTILE, HOSTILE, sections, {HOSTILE: HOSTILE}, HOSTILE)
    return path, Reader(path.read_text(encoding="utf-8"))


def test_it_is_one_file(report):
    path, _ = report
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_nothing_is_asked_for_from_outside(report):
    path, html = report
    for tag, attributes in html.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "poster", "data", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:image/")), (tag, attributes)
    style = path.read_text().split("<style>")[1].split("</style>")[0]
    assert not re.search(r"url\(|@import|https?:", style)
    policy = next(a["content"] for a in html.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_hostile_names_are_shown_as_they_are(report):
    _, html = report
    assert sum(HOSTILE in words for words in html.words) >= 9


def test_pictures_have_words_and_sections_have_names(report):
    _, html = report
    assert [image["alt"] for image in html.all("img")] == [HOSTILE, "a line"]
    ids = [a["id"] for _, a in html.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in html.all("a")} <= set(ids)
    assert html.all("html") == [{"lang": "en"}]
    assert {"main", "nav", "header", "footer"} <= {tag for tag, _ in html.tags}
    with pytest.raises(ScanweaveError, match="alternative text"):
        write_report("unused.html", "", "", [Section("x", "", [Figure(drawing(), "caption", " ")])], {})


def test_the_last_line_says_only_what_is_true_of_the_page(tmp_path):
    plain = write_report(tmp_path / "a.html", "t", "s", [], {}).read_text()
    told = write_report(tmp_path / "b.html", "t", "s", [], {}, footer="Do not read <these>.").read_text()
    assert "<footer><p>Research use only.</p></footer>" in plain
    assert "Research use only. Do not read &lt;these&gt;." in told


def test_figures_are_written_with_interval_and_number(report):
    text = " ".join(report[1].words)
    assert "28.4" in text
    assert "[27.1, 29.9]" in text
    assert "−1.3" in text  # a true minus
    assert "12.0" in text
    assert written(Interval(12, np.nan, np.nan, 1)) == ("12", "")
    assert written(None) == ("–", "")
    assert written(1234) == ("1,234", "")
    assert written(True) == ("True", "")


def test_long_tables_are_cut_and_say_so(tmp_path):
    table = Table([{"row": index} for index in range(30)], "many", limit=10)
    html = write_report(tmp_path / "r.html", "t", "s", [Section("x", "", [table])], {}).read_text()
    assert html.count("<tr>") == 11
    assert "20 more rows" in html


def test_folded_tables_are_opened_by_their_caption(tmp_path):
    tables = [Table([{"row": 1}], "short"), Table([{"row": 1}], "long", folded=True)]
    html = write_report(tmp_path / "r.html", "t", "s", [Section("x", "", tables)], {}).read_text()
    assert html.count("<details>") == html.count("</details>") == 1
    assert "<summary>long</summary>" in html
    assert "<caption>short</caption>" in html


def test_pictures_are_made_coarser_to_keep_the_budget(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "BUDGET", 200_000)
    path = write_report(
        tmp_path / "r.html", "t", "s", [Section("x", "", [Figure(noise_png(600), "c", "noise")] * 2)], {}
    )
    assert path.stat().st_size < 200_000
    image = Reader(path.read_text()).all("img")[0]
    assert (image["width"], image["height"]) == ("300", "300")


@pytest.mark.parametrize("data", [b"", b"<html>", b"\x89PNG but not really", b"GIF89a"])
def test_bytes_that_are_no_picture_are_refused(data):
    with pytest.raises(ScanweaveError, match="PNG"):
        picture(data, vector=False)


def test_drawings_are_the_same_every_time():
    assert picture(drawing(), vector=True).data == picture(drawing(), vector=True).data


def test_provenance_names_no_host():
    import platform

    assert platform.node() not in " ".join(environment().values()).split()
    assert "numpy" in environment()["Libraries"]


def test_commands_keep_relative_folders_and_tell_no_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed = f"/home/me/bin/scanweave fit seq2seq --cohort ../a --run runs/glioma --out=/home/me/o --in {tmp_path}/b/c"
    assert shown_command(typed) == "scanweave fit seq2seq --cohort ../a --run runs/glioma --out=…/o --in b/c"
    assert shown_command("scanweave 'torn") == shown_command("") == ""
    assert shown_path("my runs/a") == "'my runs/a'"
