"""Take the pictures of the README: `python docs/make_images.py demo/run/report.html --outlines PICTURE`.

Of the report it takes the parts that show what each sequence makes of each other, and the ranking; that needs Chromium.
PICTURE is one that `scanweave evaluate` drew of a run of Segment on the hippocampi, which may be shown (CC BY-SA 4.0).
`--series RUN COHORT` takes a run of Seq2Seq with `dce` and `fsdce`, as `benchmarks/seq2seq_4d.py` fits them, and draws
the first test patient, whoever that is.
"""

import argparse
import re
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageChops

import scanweave as sw
from scanweave.measures.enhancement_curves import mean_curve
from scanweave.report.style import ACCENT, COLOURS, INK, WIDTH, styled

OUT = Path(__file__).parent / "images" / "report.png"
OUTLINES, SERIES = OUT.with_name("hippocampus.png"), OUT.with_name("series.png")
TARGET = "dce"
SOURCES = {"made from fsdce": ("fsdce",), "made from t1, fst1, t2, dwi": ("t1", "fst1", "t2", "dwi")}
PIXELS = 1200
"""Of the picture of outlines [pixels]."""
PARTS = ("from-each-sequence-to-each-other", "which-sequence-matters")
SECTION = re.compile(r'<section id="([^"]+)".*?</section>', re.DOTALL)
NAVIGATION = re.compile(r"<nav\b.*?</nav>", re.DOTALL)
STYLE = "<style>.page { display: block; max-width: 60rem; margin: auto }</style></head>"
"""Without the navigation its column goes too."""
MARGIN = 24


def main() -> None:
    """Save the pictures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, nargs="?")
    parser.add_argument("--outlines", type=Path, help="a picture of `scanweave evaluate`")
    parser.add_argument("--series", type=Path, nargs=2, metavar=("RUN", "COHORT"))
    parser.add_argument("--parts", nargs="+", default=PARTS, help="ends of the ids of sections")
    parser.add_argument("--height", type=int, default=1500, help="largest height [pixels]")
    parser.add_argument("--chromium", default="chromium")
    given = parser.parse_args()
    if given.outlines:
        picture = Image.open(given.outlines).convert("RGB")
        picture.thumbnail((PIXELS, PIXELS))
        picture.save(OUTLINES, optimize=True)
    if given.series:
        draw_series(*given.series).savefig(SERIES, dpi=120)
    if given.report:
        take_report(given)


@styled
def draw_series(run: Path, folder: Path) -> Figure:
    """Draw frames of a series, real and made, through the largest lesion, and its mean curve."""
    system = sw.open_run(run)
    study = next(iter(sw.Cohort.open(folder).part("test")))
    shown = {"real": np.asarray(study.scans[TARGET].data)}
    for name, sources in SOURCES.items():
        given = replace(study, scans={source: study.scans[source] for source in sources})
        shown[name] = np.asarray(system.predict(given, [TARGET]).scans[TARGET].data)
    lesions, times = np.asarray(study.masks["lesion"].data), study.scans[TARGET].times
    lesion = lesions == 1  # the largest
    middle, top = int(np.argmax(lesion.sum(axis=(0, 1)))), np.percentile(shown["real"], 99.8)
    figure = Figure(figsize=(WIDTH, 1.0 * len(shown)), layout="constrained")
    grid = figure.add_gridspec(len(shown), len(times) + 2)
    for row, (name, series) in enumerate(shown.items()):
        for column, time in enumerate(times):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(series[..., middle, column].T[::-1], cmap="gray", vmin=0, vmax=top, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.set_title(f"{time:g} s" if row == 0 else "", fontsize=8)
            axes.set_ylabel(name.replace(" from ", " from\n") if column == 0 else "", fontsize=7)
    axes = figure.add_subplot(grid[:, -2:])
    for (name, series), colour in zip(shown.items(), (INK, ACCENT, COLOURS[1]), strict=True):
        axes.plot(times, mean_curve(series, lesion), color=colour, label=name, marker="o", markersize=3)
    axes.set(xlabel="time [s]", yticks=[])
    axes.set_title("mean of the lesion", fontsize=8)
    axes.legend(fontsize=7)
    return figure


def take_report(given: argparse.Namespace) -> None:
    """Save the chosen parts of a report as one picture."""
    page = given.report.read_text(encoding="utf-8")
    ends = tuple(given.parts)
    page = SECTION.sub(lambda found: found[0] if found[1].endswith(ends) else "", NAVIGATION.sub("", page)).replace(
        "</head>", STYLE
    )
    OUT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        copy, shot = Path(folder) / "page.html", Path(folder) / "page.png"
        copy.write_text(page, encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,6000"]
        subprocess.run([given.chromium, *options, f"--screenshot={shot}", copy.as_uri()], check=True)
        picture = Image.open(shot).convert("RGB")
    empty = Image.new("RGB", picture.size, picture.getpixel((0, 0)))
    left, top, right, bottom = ImageChops.difference(picture, empty).getbbox() or (0, 0, *picture.size)
    box = (max(0, left - MARGIN), max(0, top - MARGIN), right + MARGIN, min(bottom + MARGIN, top + given.height))
    picture.crop(box).save(OUT, optimize=True)


if __name__ == "__main__":
    main()
