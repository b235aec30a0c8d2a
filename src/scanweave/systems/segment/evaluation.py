"""How well structures are outlined: overlap, surfaces and lesions, a study at a time, with intervals by patient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from scanweave.errors import ScanweaveError
from scanweave.framework.trial import Trial
from scanweave.measures.lesions import LesionCounts, count_lesions, summarise_lesions
from scanweave.measures.segmentation import MEASURES, measure_structures, structure_masks, summarise_structures
from scanweave.report.overlays import mask_overlay
from scanweave.report.saving import save_figure, save_table
from scanweave.studies.geometry import orient
from scanweave.studies.preparing.preparation import labels_on, to_grid
from scanweave.studies.study import Study
from scanweave.systems.segment.config import EvaluateOptions
from scanweave.systems.segment.fitted import FittedSegment
from scanweave.wording import count

STRUCTURES, LESIONS = "structures.csv", "lesions.csv"


def evaluate(fitted: FittedSegment, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
    """Segment every study whose label map is known, and compare on its native grid.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: Tolerance, lesions.

    Returns:
        One row a study and structure, as in `structures.csv`.

    Raises:
        ScanweaveError: No study has the label map.
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
    about: dict[str, Any] = {"tolerance": options.tolerance, "mask": fitted.mask}
    about["pictures"] = _draw(fitted, trial, table, options.pictures)
    if lesions:
        found = summarise_lesions(lesions, patients, seed=options.seed)
        save_table(found, trial.folder / LESIONS)
    trial.conclude(summary, **about)
    trial.say(f"evaluation: {_in_short(summary)}, {count(len(set(patients)), 'patient')}")
    return table


def measured(fitted: FittedSegment, study: Study, options: EvaluateOptions) -> tuple[pd.DataFrame, LesionCounts | None]:
    """Measure one study: a row a structure, and its lesions if asked for.

    Raises:
        ScanweaveError: It has no label map, or cannot be segmented.
    """
    if fitted.mask not in study.masks:
        raise ScanweaveError(study.id, f"has no mask '{fitted.mask}' to compare with", "Leave it out")
    made = fitted.predict(study).masks[fitted.mask]
    truth = labels_on(study.masks[fitted.mask], made.geometry)
    names = {str(value): value for value in fitted.values}
    found = np.asarray(made.data)
    table = measure_structures(
        structure_masks(truth, names), structure_masks(found, names), made.geometry.spacing, options.tolerance
    )
    table = table.assign(study=study.id, patient=study.patient)
    if not options.lesions:
        return table, None
    return table, count_lesions(np.isin(truth, fitted.values), found > 0, made.geometry.spacing)


def _draw(fitted: FittedSegment, trial: Trial, table: pd.DataFrame, count: int) -> dict[str, str]:
    """Draw studies from the worst to the best by their mean Dice; return what each picture shows, by its name."""
    order = table.groupby("study")["Dice"].mean().sort_values()
    places = sorted({round(place) for place in np.linspace(0, len(order) - 1, min(count, len(order)))})
    told = {}
    for place in places:
        name, dice = str(order.index[place]), float(order.iloc[place])
        study = trial.study(name)
        made = fitted.predict(study).masks[fitted.mask]
        grid = made.geometry
        scan = next(study.scans[one] for one in fitted.scans if one in study.scans)
        arrays = (to_grid(scan, grid), labels_on(study.masks[fitted.mask], grid), np.asarray(made.data))
        image, *labels = (orient(array, grid) for array in arrays)
        names = {str(value): value for value in fitted.values}
        truth, found = (structure_masks(one, names) for one in labels)
        figure = mask_overlay(np.nan_to_num(image), grid.oriented("RAS").spacing, truth, found)
        save_figure(figure, trial.folder / f"{name}.png")
        told[f"{name}.png"] = f"{name}, mean Dice {dice:.3f}, {place + 1} of {len(order)} from the worst."
    return told


def _in_short(summary: pd.DataFrame) -> str:
    rows = summary[(summary["measure"] == "Dice") & (summary["studies of"] == "all")]
    return ", ".join(f"{row['structure']} Dice {row['mean']:.3f}" for row in rows.to_dict("records"))
