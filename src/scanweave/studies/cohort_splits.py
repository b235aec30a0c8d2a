"""Splits of a cohort: by patient, spread evenly over strata, kept together by group; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scanweave.studies.cohort import Cohort
from scanweave.studies.patient_strata import patient_values
from scanweave.studies.splits import Splits, make_splits


def split_cohort(
    cohort: Cohort,
    folds: int = 5,
    *,
    seed: int = 0,
    validation: bool = True,
    stratify: Sequence[str] = (),
    group: Sequence[str] = (),
) -> Splits:
    """Return splits of the patients that the source does not hold out.

    Args:
        cohort: Whose patients.
        folds: How many.
        seed: What they are drawn from.
        validation: Whether a fold is set aside for validation.
        stratify: Columns, such as `label:grade`, `grade` or `table:age`, spread evenly over the folds.
        group: Columns of which patients with one value stay in one fold.

    Raises:
        ScanweaveError: There is no such column, or the folds cannot be made.
    """
    held = set(cohort.held_out)
    frame = cohort.frame[~cohort.frame["patient"].isin(list(held))] if held else cohort.frame
    strata = patient_values(frame, stratify, coarse=True) if stratify else None
    groups = patient_values(frame, group, coarse=False) if group else None
    patients = sorted(set(cohort.patients) - held)
    made = make_splits(patients, folds, seed=seed, validation=validation, stratify=strata, group=groups)
    return replace(made, stratify=tuple(stratify), group=tuple(group))


def fold_lines(cohort: Cohort, splits: Splits) -> list[str]:
    """Return how many patients of each stratum each fold has, in words; none where splits are not stratified."""
    if not splits.stratify:
        return []
    frame = cohort.frame[cohort.frame["patient"].isin(list(splits.assignment))]
    strata = patient_values(frame, splits.stratify, coarse=True)
    held = {name: [0] * splits.folds for name in sorted({strata[patient] for patient in splits.assignment})}
    for patient, fold in splits.assignment.items():
        held[strata[patient]][fold] += 1
    named = " · ".join(splits.stratify)
    return [f"  {named} {name}: {' '.join(map(str, number))} a fold" for name, number in held.items()]
