"""Evaluation of outlines: overlap, surfaces and lesions, a study at a time, with intervals by patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter

from scanweave.errors import ScanweaveError
from scanweave.framework.segmentation.fitted import FittedSegmentation
from scanweave.framework.segmentation.settings import EvaluateOptions
from scanweave.framework.trial import Trial
from scanweave.measures.lesion_rates import LesionRates, lesion_rates, summarise_rates
from scanweave.measures.lesions import LesionCounts, count_lesions, summarise_lesions
from scanweave.measures.segmentation import MEASURES, measure_structures, summarise_structures
from scanweave.report.overlays import mask_overlay
from scanweave.report.saving import save_figure, save_table
from scanweave.studies.geometry import Geometry, orient
from scanweave.studies.mask_targets import structure_planes
from scanweave.studies.preparing.preparation import to_grid, to_native
from scanweave.studies.study import Study
from scanweave.wording import count

STRUCTURES, LESIONS, RATES = "structures.csv", "lesions.csv", "lesions_at_rate.csv"
Masks = dict[str, NDArray[Any]]


class Compared(NamedTuple):
    """Hold drawn and predicted masks of one study, on its native grid.

    Attributes:
        truth: Drawn mask of each structure that somebody looked for.
        found: The predicted ones.
        grid: Of all of them.
        shares: Probability that a voxel belongs to any of these structures; computed when it is asked for.
    """

    truth: Masks
    found: Masks
    grid: Geometry
    shares: Callable[[], NDArray[np.float32]]


class Measured(NamedTuple):
    """Hold the measures of one study.

    Attributes:
        table: A row a structure.
        lesions: Of all structures together, where they are asked for.
        rates: The same at many thresholds, likewise.
    """

    table: pd.DataFrame
    lesions: LesionCounts | None = None
    rates: LesionRates | None = None


def evaluate(fitted: FittedSegmentation[Any], trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
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
    rates: list[LesionRates] = []
    patients: list[str] = []
    kept, kept_rates = TypeAdapter(LesionCounts | None), TypeAdapter(LesionRates | None)

    def told(study: Study) -> dict[str, Any]:
        made = measured(fitted, study, options)
        return {
            "rows": made.table.to_dict("records"),
            "lesions": kept.dump_python(made.lesions, mode="json"),
            "rates": kept_rates.dump_python(made.rates, mode="json"),
        }

    for name, found in trial.each(told, options):
        tables.append(pd.DataFrame(found["rows"]))
        counts, at_thresholds = kept.validate_python(found["lesions"]), kept_rates.validate_python(found["rates"])
        lesions += [] if counts is None else [counts]
        rates += [] if at_thresholds is None else [at_thresholds]
        patients.append(str(tables[-1]["patient"].iloc[0]))
        means = ", ".join(f"{row['structure']} {row['Dice']:.3f}" for row in found["rows"])
        trial.say(f"{name}: Dice {means}")
    table = pd.concat(tables, ignore_index=True)
    summary = summarise_structures(table, MEASURES, options.seed)
    save_table(table, trial.folder / STRUCTURES)
    about: dict[str, Any] = {"tolerance": options.tolerance, "masks": list(fitted.target.masks)}
    about["pictures"] = _draw(fitted, trial, table, options.pictures)
    about |= _lesion_tables(trial, lesions, rates, patients, options)
    trial.conclude(summary, **about)
    trial.say(f"evaluation: {_in_short(summary)}, {count(len(set(patients)), 'patient')}")
    return table


def _lesion_tables(
    trial: Trial,
    lesions: Sequence[LesionCounts],
    rates: Sequence[LesionRates],
    patients: Sequence[str],
    options: EvaluateOptions,
) -> dict[str, Any]:
    """Write the tables of lesions that are asked for, and return them for the page."""
    about: dict[str, Any] = {}
    if lesions:
        found = summarise_lesions(lesions, patients, seed=options.seed)
        save_table(found, trial.folder / LESIONS)
        about["lesions"] = found.to_dict("records")
    if rates and options.false_rate is not None:
        at_rate = summarise_rates(rates, patients, options.false_rate, seed=options.seed)
        save_table(at_rate, trial.folder / RATES)
        about["lesions_at_rate"] = at_rate.to_dict("records")
        for row in at_rate.to_dict("records"):
            trial.say(f"{row['measure']}: {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]")
    return about


def measured(fitted: FittedSegmentation[Any], study: Study, options: EvaluateOptions) -> Measured:
    """Measure one study: a row a structure whose mask it has, and its lesions if asked for.

    Raises:
        ScanweaveError: It has no mask of the run, or cannot be segmented.
    """
    truth, found, grid, shares = compared(fitted, study)
    table = measure_structures(truth, found, grid.spacing, options.tolerance)
    table = table.assign(study=study.id, patient=study.patient)
    every = [np.any(list(masks.values()), axis=0) for masks in (truth, found)]
    drawn, called = every
    lesions = count_lesions(drawn, called, grid.spacing, least=options.covered) if options.lesions else None
    if options.false_rate is None:
        return Measured(table, lesions)
    return Measured(table, lesions, lesion_rates(every[0], shares(), grid.spacing, covered=options.covered))


def compared(fitted: FittedSegmentation[Any], study: Study) -> Compared:
    """Return the drawn and the predicted mask of each structure that somebody looked for.

    Raises:
        ScanweaveError: It has no mask of the run, or cannot be segmented.
    """
    target = fitted.target
    if not any(name in study.masks for name in target.masks):
        named = " or ".join(f"'{name}'" for name in target.masks)
        raise ScanweaveError(study.id, f"has no mask {named} to compare with", "Leave it out")
    outputs, frame = fitted.segmented(study)
    answer = fitted.outlined(study, outputs, frame, target.masks)
    grid = answer.masks[target.masks[0]].geometry
    drawn, known = structure_planes(study, target.structures, grid)
    called, _ = structure_planes(answer, target.structures, grid)
    looked = [number for number, there in enumerate(known) if there]
    sides = [{target.names[number]: planes[number] for number in looked} for planes in (drawn, called)]

    def shares() -> NDArray[np.float32]:
        own = outputs[[number + target.exclusive for number in looked]]
        full = np.zeros(frame.working.shape, np.float32)
        full[frame.box] = own.sum(axis=0) if target.exclusive else own.max(axis=0)
        return to_native(full, frame, fitted.plan)

    return Compared(sides[0], sides[1], grid, shares)


def _draw(fitted: FittedSegmentation[Any], trial: Trial, table: pd.DataFrame, count: int) -> dict[str, str]:
    """Draw studies from the worst to the best by their mean Dice; return what each picture shows, by its name."""
    order = table.groupby("study")["Dice"].mean().sort_values()
    places = sorted({round(place) for place in np.linspace(0, len(order) - 1, min(count, len(order)))})
    told = {}
    for place in places:
        name, dice = str(order.index[place]), float(order.iloc[place])
        study = trial.study(name)
        sides = compared(fitted, study)
        grid = sides.grid
        scan = next(study.scans[one] for one in fitted.scans if one in study.scans)
        image = orient(to_grid(scan, grid), grid)
        truth, found = ({key: orient(plane, grid) for key, plane in side.items()} for side in sides[:2])
        figure = mask_overlay(np.nan_to_num(image), grid.oriented("RAS").spacing, truth, found)
        save_figure(figure, trial.folder / f"{name}.png")
        told[f"{name}.png"] = f"{name}, mean Dice {dice:.3f}, {place + 1} of {len(order)} from the worst."
    return told


def _in_short(summary: pd.DataFrame) -> str:
    rows = summary[(summary["measure"] == "Dice") & (summary["studies of"] == "all")]
    return ", ".join(f"{row['structure']} Dice {row['mean']:.3f}" for row in rows.to_dict("records"))
