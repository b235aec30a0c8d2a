"""The page to look with, timed in headless Chromium with software rendering: how soon is the first scan there?

A real brain of 240 × 240 × 155 voxels in four sequences is opened, each time in a new browser context with nothing
kept. Time runs from the call of the page to the first scan on the screen, and to all four. Bar, written before any run:
the first within 5 s on 2 cores. Errors in the console and requests that leave the machine are counted: none. Needs
Chromium and Playwright; nothing else may run meanwhile.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, Claim, benchmark_arguments, silent, write_results
from served import served

import scanweave as sw
from scanweave.studies.layouts import import_cohort

FIRST_SECONDS = 5.0
STUDY = "BraTS-GLI-00001-000"
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
HOME = re.compile(r"http://127\.0\.0\.1:\d+/|blob:|data:")
WAIT_SECONDS, STEP_MS = 120, 20
NONE = (float("nan"), float("nan"))
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"times": 1, "real": False},
    "proof": {"times": 7, "real": True},
    "study": {"times": 25, "real": True},
}


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if tier["real"]:
            data = Path(os.environ.get("SCANWEAVE_DATA", ROOT.parent / "shared" / "data"))
            source = folder / "source" / STUDY
            source.parent.mkdir()
            shutil.copytree(data / "mri_multiseq" / STUDY, source)
            import_cohort(source.parent, folder / "cohort", say=silent)
        else:
            sw.simulate_brain(folder / "cohort", subjects=1, seed=0, spacing=6.0, missing=0.0)
        first, every, faults, outside = opened(folder, tier["times"])
    claims = [
        _seconds("seconds to the first of the scans", first, FIRST_SECONDS),
        _seconds("seconds to all of them", every, None),
        Claim("errors in the console", faults, *NONE, "", tier["times"], 0.0, "lower"),
        Claim("requests that leave the machine", outside, *NONE, "", tier["times"], 0.0, "lower"),
    ]
    write_results("viewer", arguments, (0,), claims)


def _seconds(name: str, values: list[float], bar: float | None) -> Claim:
    return Claim(name, float(np.median(values)), min(values), max(values), "s", len(values), bar, "lower")


def opened(folder: Path, times: int) -> tuple[list[float], list[float], int, int]:
    """Return the seconds to the first and to all scans of each call, and counts of faults and of requests outside."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    first: list[float] = []
    every: list[float] = []
    faults: list[str] = []
    asked: list[str] = []
    with served(folder / "cohort", jobs=folder / "page") as page, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for _ in range(times):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            tab = context.new_page()
            tab.on("console", lambda told: faults.append(told.text) if told.type == "error" else None)
            tab.on("pageerror", lambda error: faults.append(str(error)))
            tab.on("request", lambda request: asked.append(request.url))
            began = time.perf_counter()
            tab.goto(page.address)
            for kind, into in (("first", first), ("loaded", every)):
                _until(tab, f"document.body.dataset.{kind}", began)
                into.append(time.perf_counter() - began)
            context.close()
        browser.close()
    for line in faults:
        print(line, flush=True)
    return first, every, len(faults), sum(HOME.match(url) is None for url in asked)


def _until(tab: Any, words: str, began: float) -> None:
    while not tab.evaluate(words):
        if time.perf_counter() - began > WAIT_SECONDS:
            raise TimeoutError(words)
        tab.wait_for_timeout(STEP_MS)


if __name__ == "__main__":
    main()
