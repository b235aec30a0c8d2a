"""The page to look with, timed in headless Chromium with software rendering: how soon is the first scan there?

A real brain of 240 × 240 × 155 voxels in four sequences is opened, each time in a new browser context with nothing
kept. Time runs from the call of the page to the first scan on the screen, and to all four. Bar, written before any run:
the first within 5 s on 2 cores. Errors in the console and requests that leave the machine are counted: none. Needs
Chromium and Playwright; nothing else may run meanwhile.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, Claim, benchmark_arguments, silent, write_results
from served import Tab, browser, served

import scanweave as sw
from scanweave.studies.layouts import import_cohort

FIRST_SECONDS = 5.0
STUDY = "BraTS-GLI-00001-000"
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
    first: list[float] = []
    every: list[float] = []
    tabs: list[Tab] = []
    with served(folder / "cohort", jobs=folder / "page") as page, browser() as chromium:
        for _ in range(times):
            context = chromium.new_context(viewport={"width": 1440, "height": 900})
            tabs.append(tab := Tab(context))
            began = time.perf_counter()
            tab.page.goto(page.address)
            for kind, into in (("first", first), ("loaded", every)):
                tab.until(f"document.body.dataset.{kind}")
                into.append(time.perf_counter() - began)
            context.close()
    for line in [line for tab in tabs for line in tab.faults]:
        print(line, flush=True)
    return first, every, sum(len(tab.faults) for tab in tabs), sum(len(tab.outside) for tab in tabs)


if __name__ == "__main__":
    main()
