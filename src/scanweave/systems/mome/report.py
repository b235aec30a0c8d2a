"""The report of a run: what was asked and planned, what was learnt, how good it is, what each modality gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scanweave.framework.classification.page import METRICS, cautions, quality, shares_table
from scanweave.framework.run_outputs import result_file, result_picture, result_table
from scanweave.framework.run_page import RunPage
from scanweave.measures.bootstrap import Interval
from scanweave.measures.summary import estimate, sureness
from scanweave.report.blocks import Block, Figure, KeyNumbers, Section, Table
from scanweave.report.runs import tried_on
from scanweave.systems.mome.explanation import FILE, PICTURE
from scanweave.systems.mome.fitted import FittedMome
from scanweave.systems.mome.subsets import AREAS, SUBSETS

SUBSETS_TITLE, GIVEN = "From which modalities", "What each modality gives"

PAPER = """\
@article{luo2025mome,
  author  = {Luo, Luyang and others},
  title   = {A large model for non-invasive and personalized management of breast cancer from multiparametric {MRI}},
  journal = {Nature Communications},
  year    = {2025},
  note    = {arXiv:2408.12606}
}
"""


def write(fitted: FittedMome, page: RunPage, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        fitted: The fitted run.
        page: Its page.
        path: The file; None: `report.html` in the run.
    """
    plan = fitted.plan
    return page.write(
        path,
        f"MOME: {', '.join(plan.labels[:3])}{' …' if len(plan.labels) > 3 else ''}",
        f"Tells {', '.join(plan.outputs)} from {', '.join(plan.modalities)}; any of these may be absent.",
        [
            _plan(fitted, page),
            page.learning(METRICS),
            *quality(fitted, page),
            *page.results(SUBSETS_TITLE, "evaluation", _subsets),
            *page.results(GIVEN, "explanation", _given, FILE),
        ],
        paper=PAPER,
        closing="Probabilities are predictions of a network, not diagnoses.",
    )


def _subsets(folder: Path, record: dict[str, Any]) -> list[Section]:
    if result_file(folder, SUBSETS) is None:
        return []
    table = result_table(folder, SUBSETS)
    rows = [
        {
            "modalities": row["modalities"].replace("+", " + "),
            "output": row["output"],
            "AUROC": Interval(row["AUROC"], row["low"], row["high"], row["patients"]),
            "patients": row["patients"],
        }
        for row in table.to_dict("records")
        if row["AUROC"] == row["AUROC"]
    ]
    lead = (
        "Each subset is measured on the patients who have all of it, so rows are of different patients where "
        f"modalities are absent. {tried_on(record)}"
    )
    caption = "AUROC with DeLong's 95 % interval; what is not in a subset is not seen at all."
    return [Section(SUBSETS_TITLE, lead, [Table(rows, caption, {"AUROC": "{:.3f}"}), *_areas(folder)])]


def _areas(folder: Path) -> list[Block]:
    """Show what each modality adds to the AUROC, if it could be measured."""
    if result_file(folder, AREAS) is None:
        return []
    rows = [
        {
            "modality": row["modality"],
            "output": row["output"],
            "adds to the AUROC": Interval(row["contribution"], row["low"], row["high"], row["patients"]),
        }
        for row in result_table(folder, AREAS).to_dict("records")
    ]
    caption = (
        "What each modality adds to the AUROC, averaged over all orders in which they can come (Shapley values), of "
        "the patients who lack none; together they are the AUROC less 0.5. Intervals of 95 % from DeLong's covariance."
    )
    return [Table(rows, caption, {"adds to the AUROC": "{:+.3f}"})] if rows else []


def _given(folder: Path, record: dict[str, Any]) -> Section:
    """Show what each modality gives on average, and the maps of some studies."""
    picture, blocks = result_picture(folder, PICTURE), list[Block]()
    lead = (
        "The contribution of a modality is by how much it moves the log-odds of an answer, averaged over all orders in "
        "which modalities can come (Shapley values; all of a patient's add up to the answer less the prevalence in "
        f"training). It says what moved the network, not what causes the outcome. {tried_on(record)}"
    )
    if picture is not None:
        words = "Mean size of the contributions over patients, with 95 % intervals."
        blocks.append(Figure(picture, words, "Bars of the mean size of each modality's contribution."))
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in record["rows"]:
        mine = rows.setdefault((row["output"], row["modality"]), {"output": row["output"], "modality": row["modality"]})
        mine[row["measure"]] = estimate(row, row["patients"])
    formats = {"contribution": "{:+.2f}", "size": "{:.2f}", "share": "{:.2f}"}
    caption = f"Log-odds, and the share of all contributions. {sureness(row['patients'] for row in record['rows'])}"
    blocks.append(Table(list(rows.values()), caption, formats))
    blocks += [block for one in record["maps"] for block in _maps(folder, one)]
    return Section(GIVEN, lead, blocks)


def _maps(folder: Path, one: dict[str, Any]) -> Iterator[Block]:
    for image in one["images"]:
        picture = result_picture(folder, image["picture"])
        if picture is None:
            continue
        name = image["modality"]
        in_lesion = ""
        if "mass" in image:
            hit = "the brightest voxel too" if image["pointing"] == 1 else "the brightest voxel does not"
            in_lesion = f" {image['mass']:.0%} of it lies in the lesion, which is {image['volume']:.1%} of it; {hit}."
        yield Figure(
            picture,
            f"{one['study']}, {name}: where integrated gradients say that the answer {one['output']} comes from."
            f"{in_lesion} The sum misses the answer by {one['error']:.1%}; likeness to a network that learnt nothing: "
            f"{one['likeness_to_random'][name]:.2f} (1 would be the same map).",
            f"Map of {one['study']}, {name}.",
        )


def _plan(fitted: FittedMome, page: RunPage) -> Section:
    numbers = [
        ("Classes or findings", len(fitted.plan.outputs), ""),
        ("Modalities", len(fitted.plan.modalities), ", ".join(fitted.plan.modalities)),
    ]
    blocks: list[Block] = [
        *cautions(fitted, page),
        KeyNumbers(numbers),
        *page.parts(),
        shares_table(fitted.plan),
        page.planned((*fitted.plan.reasons, *fitted.preparation.reasons)),
    ]
    return Section("What was learnt from", "", blocks)
