"""Take the pictures of the README: `python docs/make_images.py demo/run/report.html --outlines PICTURE`.

Of the report it takes the parts that show what each sequence makes of each other, and the ranking; that needs Chromium.
PICTURE is one that `scanweave evaluate` drew of a run of Segment on the hippocampi, which may be shown (CC BY-SA 4.0).
"""

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

OUT = Path(__file__).parent / "images" / "report.png"
OUTLINES = OUT.with_name("hippocampus.png")
WIDTH = 1200
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
    parser.add_argument("--parts", nargs="+", default=PARTS, help="ends of the ids of sections")
    parser.add_argument("--height", type=int, default=1500, help="largest height [pixels]")
    parser.add_argument("--chromium", default="chromium")
    given = parser.parse_args()
    if given.outlines:
        picture = Image.open(given.outlines).convert("RGB")
        picture.thumbnail((WIDTH, WIDTH))
        picture.save(OUTLINES, optimize=True)
    if given.report:
        take_report(given)


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
