"""The report of a run: what it learnt from, how well it tells and fills in, where words are looked for."""

from __future__ import annotations

from pathlib import Path

from scanweave.framework.reported.explanation import FILE, WHERE, maps_section
from scanweave.framework.reported.page import CLOSING, METRICS, learnt_section, told_sections
from scanweave.framework.run_page import RunPage
from scanweave.report.blocks import Figure, Section, Text
from scanweave.systems.mg3d.evaluation import HIDDEN
from scanweave.systems.mg3d.fitted import FittedMg3d
from scanweave.wording import listed

PAPER = """\
@article{ni2024mg3d,
  title   = {{MG-3D}: Multi-Grained Knowledge-Enhanced {3D} Medical Vision-Language Pre-training},
  author  = {Ni, Xuefeng and Wu, Linshan and Zhuang, Jiaxin and Wang, Qiong and Wu, Mingxiang and Vardhanabhuti, Varut
             and Zhang, Lihai and Gao, Hanyu and Chen, Hao},
  journal = {arXiv:2412.05876},
  year    = {2024}
}
"""
OWN = {HIDDEN: "of the error with the own report that with another patient's, of the difference none"}
FILLED = "Hidden blocks, filled in"


def write(fitted: FittedMg3d, page: RunPage, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        fitted: The fitted run.
        page: Its page.
        path: The file; None: `report.html` in the run.
    """
    return page.write(
        path,
        "Learnt from volumes and their reports",
        f"Volumes ({listed(fitted.plan.scans)}) and their reports, brought into one space; no label was learnt from.",
        [
            learnt_section(fitted, page),
            page.learning(METRICS),
            *told_sections(fitted, page, "Hidden blocks and words", OWN),
            *_filled(page),
            *page.results(WHERE, "explanation", maps_section, FILE),
            Section("How to use it", "", [Text(_use(page))]),
        ],
        paper=PAPER,
        closing=CLOSING,
    )


def _filled(page: RunPage) -> list[Section]:
    """Return the section of pictures of the newest evaluation; none where there are none."""
    folder = page.folder("evaluation")
    pictures = sorted(folder.glob("*/*_filled.png")) if folder else []
    captions = {
        picture: f"{picture.parent.name}: hidden blocks, filled in by its own report and by another patient's."
        for picture in pictures
    }
    blocks = [Figure(picture.read_bytes(), caption, caption) for picture, caption in captions.items()]
    return [Section(FILLED, "", [*blocks])] if blocks else []


def _use(page: RunPage) -> str:
    folder = page.run.folder
    return (
        f'scanweave search {folder} "pleural effusion" --cohort COHORT --out FOUND finds studies by words. '
        f"scanweave fit segment --cohort COHORT --run RUN --from {folder} begins from this encoder of volumes, and so "
        "do classify and mome. Whether it helps is to be measured on your own labels, against random weights."
    )
