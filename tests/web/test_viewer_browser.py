"""The page driven in a browser: everything that a person can do with it; a picture of each step.

Pictures go to the folder that SCANWEAVE_PICTURES names, to be looked at; else to the test's own.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import scanweave as sw

CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
HOME = re.compile(r"http://127\.0\.0\.1:\d+/|blob:|data:")
HALF_WINDOW = """() => {
  const one = state.panels[0].viewer, own = one.volumes[0];
  own.cal_max = own.robust_min + 0.5 * (own.robust_max - own.robust_min);
  one.updateGLVolume();
  one.onIntensityChange(own);
}"""
WINDOWS = """state.panels.map(({ viewer: { volumes: [one] } }) =>
  (one.cal_max - one.robust_min) / (one.robust_max - one.robust_min))"""
LONG = 60_000
"""Milliseconds that a verb may take."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Brains with masks, one of them without a FLAIR, and films with boxes."""
    home = tmp_path_factory.mktemp("home")
    names = ("t1", "t2", "flair")
    brains = sw.simulate_brain(home / "brains", subjects=2, seed=0, spacing=6.0, sequences=names, missing=0.0)
    rows = [{name: cell for name, cell in row.items() if isinstance(cell, str)} for _, row in brains.frame.iterrows()]
    del rows[0]["scan:flair"]
    (home / "brains" / "cohort.json").unlink()
    sw.Cohort.create(home / "brains", rows, root=".", name="brains", source="simulated", layout="simulated")
    sw.simulate_films(home / "films", subjects=6, seed=0, size=128, findings=("nodule",), conspicuity=3.0)
    return home


@pytest.fixture(scope="module")
def address(home):
    words = [sys.executable, "-m", "scanweave", "serve", str(home), "--jobs", str(home / "page")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        yield next(line.removeprefix("open ").strip() for line in process.stdout if line.startswith("open "))
    finally:
        process.terminate()
        process.wait(20)


class Page:
    """The page, with what it asked for and said."""

    def __init__(self, page, folder, tmp_path):
        self.page, self.folder, self.tmp_path = page, folder, tmp_path
        self.faults, self.asked = [], []
        page.on("console", lambda told: self.faults.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def picture(self, name):
        self.until("[...document.querySelectorAll('.panel header')].every((one) => !one.textContent.endsWith('…'))")
        self.page.wait_for_timeout(300)
        self.page.screenshot(path=self.folder / f"{name}.png")

    def loaded(self, study):
        """Wait for a study to be shown; the next one is waited for anew."""
        self.until(f"document.body.dataset.loaded?.startsWith('{study} ')")
        self.page.evaluate("document.body.dataset.loaded = ''")

    def until(self, words):
        """Wait until an expression is true; the page's own policy forbids Playwright to do so in it."""
        for _ in range(LONG // 100):
            if self.page.evaluate(words):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"never true: {words}")

    def panels(self):
        return self.page.eval_on_selector_all(".panel", "all => all.map((one) => one.className)")

    def done(self, words):
        """Wait for the newest job of that title to be done."""
        job = self.page.locator(".job", has_text=words).first
        api.expect(job.locator(".badge")).to_contain_text("done", timeout=LONG)


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address, tmp_path):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    folder = Path(os.environ.get("SCANWEAVE_PICTURES", tmp_path / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    one = Page(context.new_page(), folder, tmp_path)
    one.page.goto(address)
    yield one
    assert one.faults == []
    assert [url for url in one.asked if not HOME.match(url)] == []
    context.close()


def test_scans_lie_side_by_side_and_are_linked(page):
    page.loaded("sub-000000")
    assert page.panels() == ["panel acquired", "panel acquired"]
    badges = page.page.eval_on_selector_all("#scans .badge", "all => all.map((one) => one.textContent)")
    assert sorted(badges) == ["absent", "acquired", "acquired"]
    page.picture("absent")
    page.page.keyboard.press("n")
    page.loaded("sub-000001")
    assert len(page.panels()) == 3
    box = page.page.locator(".panel canvas").first.bounding_box()
    page.page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.4)
    crosses = page.page.evaluate("state.panels.map((one) => Array.from(one.viewer.scene.crosshairPos))")
    np.testing.assert_allclose(crosses[1:], [crosses[0]] * 2, atol=1e-3)
    assert np.abs(np.array(crosses[0]) - 0.5).max() > 0.02  # it went where it was asked to
    page.page.evaluate(HALF_WINDOW)
    shares = page.page.evaluate(WINDOWS)
    np.testing.assert_allclose(shares, 0.5, atol=1e-3)
    page.picture("linked-window")
    page.page.keyboard.press("0")
    page.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.page.keyboard.down("Control")
    page.page.mouse.wheel(0, -300)
    page.page.keyboard.up("Control")
    for key, name in (("c", "coronal"), ("s", "sagittal"), ("m", "all"), ("3", "render"), ("a", "axial")):
        page.page.keyboard.press(key)
        assert page.page.locator(f"[data-planes={name}]").get_attribute("class") == "chosen"
        page.picture(f"planes-{name}")
    page.page.keyboard.press("?")
    api.expect(page.page.locator("dialog")).to_be_visible()
    page.page.keyboard.press("Escape")
    page.page.locator("#overlay").select_option(label="lesion")
    page.until("state.panels.every((one) => one.viewer.volumes.length === 2)")
    page.page.locator("#opacity").fill("0.9")
    page.picture("mask")
    page.page.set_viewport_size({"width": 2560, "height": 1440})
    page.picture("reading-room")


def test_a_scan_is_made_beside_the_truth_and_saved(page):
    page.loaded("sub-000000")
    page.page.locator("#study").select_option(label="sub-000001")
    page.loaded("sub-000001")
    row = page.page.locator("#scans .row", has_text="flair")
    row.get_by_role("button", name="withhold and make").click()
    page.done("predict by builtin:brain: flair")
    page.until("document.querySelectorAll('.panel.difference').length === 1")
    assert sorted(page.panels()) == ["panel acquired"] * 3 + ["panel difference", "panel synthetic"]
    mark = page.page.evaluate("getComputedStyle(document.querySelector('.panel.synthetic'), '::after').content")
    assert "SYNTHETIC" in mark
    assert "Research use only" in page.page.locator("header .warning").inner_text()
    page.picture("withheld")
    with page.page.expect_download() as got:
        row.get_by_text("save").click()
    assert got.value.suggested_filename == "sub-000001_flair.nii.gz"
    with page.page.expect_download() as got:
        page.page.locator(".job").first.get_by_text("save").click()
    assert got.value.suggested_filename.endswith(".zip")
    page.page.reload()
    page.loaded("sub-000000")
    assert page.page.locator(".job").count() >= 1  # jobs outlive the page


def test_results_are_read_and_maps_lie_over_scans(page):
    page.loaded("sub-000000")
    page.page.locator("#verbs").get_by_role("button", name="explain").click()
    page.done("explain by builtin:brain")
    page.page.locator("#verbs").get_by_role("button", name="rank").click()
    page.done("rank by builtin:brain")
    page.page.locator("#result").select_option(label="rank by builtin:brain")
    page.page.locator("#table").select_option(label="ranking")
    api.expect(page.page.locator("#found")).to_contain_text("[")
    page.picture("ranking")
    label = next(one for one in page.page.locator("#overlay option").all_inner_texts() if "t1 differentiation" in one)
    page.page.locator("#overlay").select_option(label=label)
    page.until("state.panels.every((one) => one.viewer.volumes.length === 2)")
    page.picture("map")


def test_films_have_boxes(page, home):
    page.loaded("sub-000000")
    films = sw.Cohort.open(home / "films")
    number = next(k for k, study in enumerate(films) if study.boxes is not None and len(study.boxes))
    label = next(one for one in page.page.locator("#cohort option").all_inner_texts() if one.startswith("films"))
    page.page.locator("#cohort").select_option(label=label)
    page.page.locator("#study").select_option(index=number)
    page.loaded(films.studies[number])
    label = next(one for one in page.page.locator("#overlay option").all_inner_texts() if one.startswith("boxes"))
    page.page.locator("#overlay").select_option(label=label)
    page.until("state.panels.every((one) => one.viewer.volumes.length === 2)")
    page.picture("boxes")


def test_files_are_dropped_and_a_fit_is_cancelled(page, home):
    page.loaded("sub-000000")
    before = page.page.locator("#cohort option").count()
    for name in ("t1", "t2"):
        (home / "drop" / "anna-1").mkdir(parents=True, exist_ok=True)
        shutil.copy(home / "brains" / "studies" / "sub-000001" / f"{name}.nii.gz", home / "drop" / "anna-1")
    (home / "drop" / "notes.txt").write_text("no image")
    page.page.locator("#folder").set_input_files(home / "drop")
    page.until(f"document.querySelectorAll('#cohort option').length > {before}")
    page.page.locator("#fit").click()
    job = page.page.locator(".job", has_text="fit seq2seq").first
    api.expect(job).to_contain_text("running", timeout=LONG)
    page.picture("fit")
    job.get_by_role("button", name="cancel").click()
    api.expect(job.locator(".badge")).to_contain_text("cancelled", timeout=LONG)
    page.page.locator("#check").click()
    page.done("check")
