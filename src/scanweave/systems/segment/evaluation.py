"""Evaluation of outlines: overlap, surfaces and lesions, a study at a time, with intervals by patient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter

from scanweave.errors import ScanweaveError
from scanweave.framework.trial import Trial
from scanweave.measures.lesions import LesionCounts, count_lesions, summarise_lesions
from scanweave.measures.segmentation import MEASURES, measure_structures, summarise_structures
from scanweave.report.overlays import mask_overlay
from scanweave.report.saving import save_figure, save_table
from scanweave.studies.geometry import Geometry, orient
from scanweave.studies.mask_targets import structure_planes
from scanweave.studies.preparing.preparation import to_grid
from scanweave.studies.study import Study
from scanweave.systems.segment.config import EvaluateOptions
from scanweave.systems.segment.fitted import FittedSegment
from scanweave.wording import count

STRUCTURES, LESIONS = "structures.csv", "lesions.csv"
Masks = dict[str, NDArray[Any]]


def evaluate(fitted: FittedSegment, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
    """Segment every study of which a mask is known, and compare on its native grid.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: Tolerance, lesions.

    Returns:
        One row a study and structure, as in `structures.csv`.

    Raises:
        ScanweaveError: No study has a mask of the run.
    """
    tables: list[pd.DataFrame] = []
    lesions: list[LesionCounts] = []
    patients: list[str] = []
    kept = TypeAdapter(LesionCounts | None)

    def told(study: Study) -> dict[str, Any]:
        table, counts = measured(fitted, study, options)
        return {"rows": table.to_dict("records"), "lesions": kept.dump_python(counts, mode="json")}

    for name, found in trial.each(told, options):
        tables.append(pd.DataFrame(found["rows"]))
        counts = kept.validate_python(found["lesions"])
        lesions += [] if counts is None else [counts]
        patients.append(str(tables[-1]["patient"].iloc[0]))
        means = ", ".join(f"{row['structure']} {row['Dice']:.3f}" for row in found["rows"])
        trial.say(f"{name}: Dice {means}")
    table = pd.concat(tables, ignore_index=True)
    summary = summarise_structures(table, MEASURES, options.seed)
    save_table(table, trial.folder / STRUCTURES)
    about: dict[str, Any] = {"tolerance": options.tolerance, "masks": list(fitted.target.masks)}
    about["pictures"] = _draw(fitted, trial, table, options.pictures)
    if lesions:
        found = summarise_lesions(lesions, patients, seed=options.seed)
        save_table(found, trial.folder / LESIONS)
    trial.conclude(summary, **about)
    trial.say(f"evaluation: {_in_short(summary)}, {count(len(set(patients)), 'patient')}")
    return table


def measured(fitted: FittedSegment, study: Study, options: EvaluateOptions) -> tuple[pd.DataFrame, LesionCounts | None]:
    """Measure one study: a row a structure whose mask it has, and its lesions if asked for.

    Raises:
        ScanweaveError: It has no mask of the run, or cannot be segmented.
    """
    truth, found, made = compared(fitted, study)
    spacing = made.spacing
    table = measure_structures(truth, found, spacing, options.tolerance)
    table = table.assign(study=study.id, patient=study.patient)
    if not options.lesions:
        return table, None
    every = [np.any(list(masks.values()), axis=0) for masks in (truth, found)]
    return table, count_lesions(every[0], every[1], spacing)


def compared(fitted: FittedSegment, study: Study) -> tuple[Masks, Masks, Geometry]:
    """Return the drawn and the predicted mask of each structure that somebody looked for, and the grid of both.

    Raises:
        ScanweaveError: It has no mask of the run, or cannot be segmented.
    """
    target = fitted.target
    if not any(name in study.masks for name in target.masks):
        named = " or ".join(f"'{name}'" for name in target.masks)
        raise ScanweaveError(study.id, f"has no mask {named} to compare with", "Leave it out")
    answer = fitted.predict(study)
    grid = answer.masks[target.masks[0]].geometry
    drawn, known = structure_planes(study, target.structures, grid)
    called, _ = structure_planes(answer, target.structures, grid)
    looked = [number for number, there in enumerate(known) if there]
    sides = [{target.names[number]: planes[number] for number in looked} for planes in (drawn, called)]
    return sides[0], sides[1], grid


def _draw(fitted: FittedSegment, trial: Trial, table: pd.DataFrame, count: int) -> dict[str, str]:
    """Draw studies from the worst to the best by their mean Dice; return what each picture shows, by its name."""
    order = table.groupby("study")["Dice"].mean().sort_values()
    places = sorted({round(place) for place in np.linspace(0, len(order) - 1, min(count, len(order)))})
    told = {}
    for place in places:
        name, dice = str(order.index[place]), float(order.iloc[place])
        study = trial.study(name)
        *sides, grid = compared(fitted, study)
        scan = next(study.scans[one] for one in fitted.scans if one in study.scans)
        image = orient(to_grid(scan, grid), grid)
        truth, found = ({key: orient(plane, grid) for key, plane in side.items()} for side in sides)
        figure = mask_overlay(np.nan_to_num(image), grid.oriented("RAS").spacing, truth, found)
        save_figure(figure, trial.folder / f"{name}.png")
        told[f"{name}.png"] = f"{name}, mean Dice {dice:.3f}, {place + 1} of {len(order)} from the worst."
    return told


def _in_short(summary: pd.DataFrame) -> str:
    rows = summary[(summary["measure"] == "Dice") & (summary["studies of"] == "all")]
    return ", ".join(f"{row['structure']} Dice {row['mean']:.3f}" for row in rows.to_dict("records"))
