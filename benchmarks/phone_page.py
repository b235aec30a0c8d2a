"""The page that runs exported networks in a browser, driven in headless Chromium at the size of a phone.

1. A ResNet-18 on films of 224 × 224, whole and with 70 % of its multiply-adds cut: time of a pass in WebAssembly on one
   thread, each call of the page anew, and size of the file. No bar was asked for; those of the device: `export.py`.
2. Real chest films as pictures: probabilities that the page tells beside those of the run. Bar: 1e-3, which is what the
   page shows.

Errors in the console and requests that leave the machine are counted: none. Needs Chromium and Playwright; nothing else
may run meanwhile.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, Claim, benchmark_arguments, silent, write_results
from export import FEW, SEED, pruned_and_whole, split
from PIL import Image
from served import Tab, browser, started

import scanweave as sw
from scanweave.exported_models import open_model
from scanweave.exporting import export
from scanweave.studies.layouts import import_cohort

SHOWN = 1e-3
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
CELLS = "[...document.querySelectorAll('#{} tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText))"
NONE = (float("nan"), float("nan"))
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"size": 64, "times": 1, "films": 2},
    "proof": {"size": 224, "times": 7, "films": 24},
    "study": {"size": 224, "times": 25, "films": 200},
}


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    with tempfile.TemporaryDirectory() as name, browser() as chromium:
        folder = Path(name)
        tabs: list[Tab] = []
        claims = [*timed(folder, tier, chromium, tabs), *told(folder, tier, chromium, tabs)]
    for line in [line for tab in tabs for line in tab.faults]:
        print(line, flush=True)
    faults, outside = (sum(map(len, some)) for some in zip(*((tab.faults, tab.outside) for tab in tabs), strict=True))
    claims += [
        Claim("errors in the console", faults, *NONE, "", len(tabs), 0.0, "lower"),
        Claim("requests that leave the machine", outside, *NONE, "", len(tabs), 0.0, "lower"),
    ]
    write_results("phone_page", arguments, (SEED,), claims)


def timed(folder: Path, tier: dict[str, Any], chromium: Any, tabs: list[Tab]) -> Iterator[Claim]:
    """Yield what pruning spares in the browser."""
    size = tier["size"]
    files = pruned_and_whole(folder, size)
    rows = []
    with started("device", str(files[0]), "--against", str(files[1]), "--page", log=folder / "log") as page:
        for _ in range(tier["times"]):
            context = chromium.new_context(**PHONE)
            tabs.append(tab := Tab(context))
            tab.page.goto(page.address)
            tab.until("!document.getElementById('measure').disabled")
            tab.page.locator("#measure").click()
            tab.until("document.getElementById('state').textContent === 'Done'")
            rows.append([[float(cell) for cell in row[1:]] for row in tab.page.evaluate(CELLS.format("models"))])
            context.close()
    found = np.array(rows)  # call, file, MiB and ms
    ratios = found[:, 1, 1] / found[:, 0, 1]
    shown = {"pruned [ms]": float(np.median(found[:, 0, 1])), "whole [ms]": float(np.median(found[:, 1, 1]))}
    name = f"ResNet-18 at {size}², 70 % cut, in the browser: times as fast"
    ends = float(ratios.min()), float(ratios.max())
    yield Claim(name, float(np.median(ratios)), *ends, "", len(rows), None, "higher", shown)
    sizes = {"pruned [MiB]": float(found[0, 0, 0]), "whole [MiB]": float(found[0, 1, 0])}
    yield Claim("file", float(found[0, 0, 0] / found[0, 1, 0]), *NONE, "", 1, None, "lower", sizes)


def told(folder: Path, tier: dict[str, Any], chromium: Any, tabs: list[Tab]) -> Iterator[Claim]:
    """Yield how far the page's probabilities are from those of the run."""
    data = Path(os.environ.get("SCANWEAVE_DATA", ROOT.parent / "shared" / "data"))
    pictures = []
    with np.load(data / "medmnist" / "pneumoniamnist_rebuilt.npz") as archive:
        images, labels = archive["test_images"], archive["test_labels"].ravel()
    for side, word in enumerate(("normal", "pneumonia")):
        (folder / "pictures" / word).mkdir(parents=True)
        for number in np.flatnonzero(labels == side)[: max(tier["films"] // 2, 12)]:
            path = folder / "pictures" / word / f"{number}.png"
            Image.fromarray(images[number]).save(path)
            pictures.append(path)
    cohort = split(import_cohort(folder / "pictures", folder / "cohort", say=silent))
    config = {**FEW, "training.steps": 60, "network.width": 0.25, "training.batch_size": 8}
    sw.fit("classify", cohort, folder / "run", preset="small", config=config, say=silent)
    model: Any = open_model(export(folder / "run", folder / "model.onnx", say=silent).path)
    studies = {Path(str(study.scans[name].path)).name: study for study in cohort for name in study.scans}
    far = []
    with started("device", str(folder / "model.onnx"), "--page", log=folder / "log") as page:
        tabs.append(tab := Tab(chromium.new_context(**PHONE)))
        tab.page.goto(page.address)
        tab.until("!document.getElementById('measure').disabled")
        for path in pictures[:: max(1, len(pictures) // tier["films"])]:
            tab.page.evaluate("document.getElementById('took').textContent = ''")
            tab.page.locator("#file").set_input_files(path)
            tab.until("document.getElementById('took').textContent")
            shares = [float(row[1].split()[-1]) for row in tab.page.evaluate(CELLS.format("answers"))]
            far.append(np.abs(np.array(shares) - model.probabilities(studies[path.name])).max())
    yield Claim("farthest probability from the run's", float(max(far)), *NONE, "", len(far), SHOWN, "lower")


if __name__ == "__main__":
    main()
