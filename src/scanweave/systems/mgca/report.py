"""The report of a run: what it learnt from, how well it tells and finds, where words are looked for."""

from __future__ import annotations

from pathlib import Path

from scanweave.framework.reported.explanation import FILE, WHERE, maps_section
from scanweave.framework.reported.page import CLOSING, METRICS, learnt_section, told_sections
from scanweave.framework.run_page import RunPage
from scanweave.report.blocks import Section, Text
from scanweave.systems.mgca.evaluation import PROTOTYPES
from scanweave.systems.mgca.fitted import FittedMgca
from scanweave.wording import listed

PAPER = """\
@inproceedings{wang2022mgca,
  author    = {Wang, Fuying and Zhou, Yuyin and Wang, Shujun and Vardhanabhuti, Varut and Yu, Lequan},
  title     = {Multi-granularity cross-modal alignment for generalized medical visual representation learning},
  booktitle = {NeurIPS},
  year      = {2022},
  note      = {arXiv:2210.06044}
}
"""
OWN = {
    PROTOTYPES: "of one prototype for both what shuffled pairs reach, of shared information what shuffled findings do"
}


def write(fitted: FittedMgca, page: RunPage, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        fitted: The fitted run.
        page: Its page.
        path: The file; None: `report.html` in the run.
    """
    return page.write(
        path,
        "Learnt from films and their reports",
        f"Films ({listed(fitted.plan.scans)}) and their reports, brought into one space; no label was learnt from.",
        [
            learnt_section(fitted, page),
            page.learning(METRICS),
            *told_sections(fitted, page, "Words and prototypes", OWN),
            *page.results(WHERE, "explanation", maps_section, FILE),
            Section("How to use it", "", [Text(_use(page))]),
        ],
        paper=PAPER,
        closing=CLOSING,
    )


def _use(page: RunPage) -> str:
    folder = page.run.folder
    return (
        f'scanweave search {folder} "pleural effusion" --cohort COHORT --out FOUND finds studies by words. '
        f"scanweave fit classify --cohort COHORT --run RUN --from {folder} begins from this encoder of films, and so "
        "does detect. Whether it helps is to be measured on your own labels, against a fit from random weights."
    )
