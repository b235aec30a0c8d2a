"""Section of a page on how well findings are located."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.framework.localisation.detections import Detections, load_detections
from scanweave.framework.localisation.evaluation import COMPARISON, FROC, FROC_SCORE, MEASURES
from scanweave.framework.run_outputs import result_file, result_picture, result_table, shape_faults
from scanweave.framework.run_page import RunPage
from scanweave.measures.bootstrap import Interval
from scanweave.measures.froc import froc_curve
from scanweave.measures.jafroc import VARIANTS
from scanweave.measures.summary import estimate, sureness
from scanweave.report.blocks import Block, Figure, Section, Table
from scanweave.report.froc_plot import froc_plot
from scanweave.report.runs import tried_on
from scanweave.report.saving import SUMMARY

TITLE = "How well findings are located"
COMPARED = ("AP50", *VARIANTS)
"""Measures of a comparison of two runs."""
MOST_CURVES = 6
"""Of one figure."""
CAPTION = (
    "AP: average precision of boxes at IoU 0.3, 0.5, and the mean over 0.5 to 0.95. FROC score: mean share of lesions "
    "found at 1/8 to 8 false marks an image. JAFROC: the chance that a lesion is rated above the highest false mark of "
    "a film without one, 0.5 where neither is marked; JAFROC-1: above that of any film; both with intervals by the "
    "jackknife. Pointing game: how often the highest point lies on a lesion, beside how often the middle of the image "
    "does."
)


def localisation_section(folder: Path, record: dict[str, Any]) -> Section | None:
    """Return the section on boxes, from the results of an evaluation; None where no boxes were measured.

    Args:
        folder: Of the evaluation.
        record: Its summary, see `RunPage.record`.

    Raises:
        ScanweaveError: A file is not what this version writes.
    """
    measured = [row for row in record["rows"] if row["measure"] in MEASURES]
    made = load_detections(folder)
    if made is None or not measured:
        return None
    rows = [
        {
            "outcome": row["outcome"],
            "measure": row["measure"],
            "value": estimate(row, row["patients"], "value") if row["low"] is not None else row["value"],
            "middle of the image": row["control"],
        }
        for row in measured
    ]
    table = Table(rows, CAPTION, {"value": "{:.3f}", "middle of the image": "{:.3f}"})
    blocks: list[Block] = [table, *_curves(folder, made), *_comparison(folder), *_pictures(folder, made)]
    lead = f"{tried_on(record)} {sureness([row['patients'] for row in measured])}"
    return Section(TITLE, lead, blocks)


def localisation_sections(page: RunPage) -> list[Section]:
    """Return the section of the newest evaluation of a run; none where no boxes were measured.

    Raises:
        ScanweaveError: A file is not what this version writes.
    """
    folder, record = page.folder("evaluation"), page.record("evaluation")
    if folder is None or record is None:
        return []
    with shape_faults(folder / f"{SUMMARY}.json", f"Remove {folder}, and make it again"):
        made = localisation_section(folder, record)
    return [] if made is None else [made]


def _curves(folder: Path, made: Detections) -> Iterator[Block]:
    told = {name: one for name, one in made.marks().items() if len(one.lesion_scores)}
    curves = {name: froc_curve(one) for name, one in list(told.items())[:MOST_CURVES]}
    if not curves or result_file(folder, FROC) is None:
        return
    table = result_table(folder, FROC, dtype={"class": str}, keep_default_na=False)
    table = table[table["measure"] != FROC_SCORE]
    numbers = table.assign(
        **{name: pd.to_numeric(table[name]) for name in ("rate", "value", "low", "high", "patients")}
    )
    points = {
        name: [
            (float(row["rate"]), estimate(row, int(row["patients"]), "value"))
            for row in numbers[numbers["class"] == name].to_dict("records")
        ]
        for name in curves
    }
    shown = {name: (curve.rates, curve.sensitivities) for name, curve in curves.items()}
    caption = "Lesions found against false marks an image; points with their 95 % intervals over patients."
    yield Figure(froc_plot(shown, points), caption, "FROC curves.", vector=True)


def _comparison(folder: Path) -> Iterator[Block]:
    if result_file(folder, COMPARISON) is None:
        return
    rows = result_table(folder, COMPARISON, dtype={"class": str}).to_dict("records")
    caption = (
        "This run (first) beside another one on the same studies: AP50 by resampling patients, JAFROC by the "
        "jackknife; p after Holm over the classes."
    )
    shown = [{"class": row["class"], "measure": name, **_compared(row, name)} for row in rows for name in COMPARED]
    yield Table(shown, caption, dict.fromkeys(("first", "second", "p after Holm"), "{:.3f}"))


def _compared(row: dict[Any, Any], name: str) -> dict[str, Any]:
    """Return what a comparison tells of one measure."""
    low, high = row[f"{name} difference low"], row[f"{name} difference high"]
    apart = Interval(row[f"{name} difference"], low, high, int(row["patients"]))
    return {
        "first": row[f"first {name}"],
        "second": row[f"second {name}"],
        "difference": apart,
        "p after Holm": row[f"{name} p Holm"],
    }


def _pictures(folder: Path, made: Detections) -> Iterator[Block]:
    for name, words in made.pictures.items():
        picture = result_picture(folder, name)
        if picture is not None:
            yield Figure(
                picture, f"{words} True boxes beside the highest marks of each class with their scores.", words
            )
