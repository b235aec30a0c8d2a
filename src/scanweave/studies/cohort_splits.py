"""Splits of a cohort: by patient, spread evenly over strata, kept together by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.patient_strata import patient_values, study_values
from scanweave.studies.splits import FOLDS, Splits, make_splits, usual_folds
from scanweave.wording import count, nearest

NAMED_PATIENTS, SHOWN_FOLDS = 6, 10
"""Patients of a part, and folds, that are told: a line each on a terminal."""

MOST_VALUES_FOR_FOLDS = 100
"""Values of a column above which a fold for each would be a fold a patient, or nearly."""


def split_cohort(
    cohort: Cohort,
    folds: int | None = None,
    *,
    seed: int = 0,
    validation: bool = True,
    stratify: Sequence[str] = (),
    group: Sequence[str] = (),
    test: Sequence[str] = (),
) -> Splits:
    """Return splits of the patients whom neither the source nor the user sets aside for testing.

    Args:
        cohort: Whose patients.
        folds: How many; None: 5, or, of five patients or groups or fewer, one each and no validation part.
        seed: What they are drawn from.
        validation: Whether a fold is set aside for validation.
        stratify: Columns, such as `label:grade`, `grade` or `table:age`, spread evenly over the folds.
        group: Columns of which patients with one value stay in one fold.
        test: Patients who test in every fold.

    Raises:
        ScanweaveError: There is no such column or patient, or the folds cannot be made.
    """
    frame = _divided(cohort, test)
    strata = patient_values(frame, stratify, coarse=True) if stratify else None
    groups = patient_values(frame, group, coarse=False) if group else None
    patients = sorted(set(frame["patient"].astype(str)))
    if folds is None:
        folds, enough = usual_folds(len({groups[name] for name in patients}) if groups else len(patients))
        validation = validation and enough
    made = make_splits(patients, folds, seed=seed, validation=validation, stratify=strata, group=groups)
    return replace(made, stratify=tuple(stratify), group=tuple(group), test=tuple(sorted(set(test))))


def split_by_column(
    cohort: Cohort,
    column: str,
    *,
    seed: int = 0,
    validation: bool = True,
    stratify: Sequence[str] = (),
    test: Sequence[str] = (),
) -> Splits:
    """Return splits in which each value of a column is the test part of one fold: leave one hospital out.

    One in five patients, drawn evenly from all values and strata, validates in the folds in which he does not test; of
    five patients or fewer none does.

    Args:
        cohort: Whose patients; those whom the source sets aside for testing test in every fold.
        column: Such as `table:hospital` or `hospital`.
        seed: What those who validate are drawn from.
        validation: Whether any patients validate.
        stratify: Columns of which those who validate hold each value in like shares.
        test: Patients who test in every fold.

    Raises:
        ScanweaveError: There is no such column or patient, a patient has two values or none, or they are one or too
            many.
    """
    frame = _divided(cohort, test)
    values = _one_value(frame, column)
    levels = sorted(set(values.values()))
    if not 2 <= len(levels) <= MOST_VALUES_FOR_FOLDS:
        reason = f"has {count(len(levels), 'value')} among the patients to divide"
        raise ScanweaveError(column, reason, f"Choose a column of 2 to {MOST_VALUES_FOR_FOLDS} values")
    patients = sorted(values)
    order = [patients[i] for i in np.random.default_rng([seed, len(levels)]).permutation(len(patients)).tolist()]
    strata = patient_values(frame, stratify, coarse=True) if stratify else {}
    order.sort(key=lambda name: (strata.get(name, ""), values[name]))  # stable: drawn order within them
    few = not validation or len(patients) <= FOLDS
    validating = () if few else tuple(sorted(order[FOLDS // 2 :: FOLDS]))
    assignment = {name: levels.index(value) for name, value in values.items()}
    named = {"stratify": tuple(stratify), "test": tuple(sorted(set(test))), "by": (column,)}
    return Splits(len(levels), bool(validating), seed, assignment, validating=validating, **named)


def _divided(cohort: Cohort, test: Sequence[str]) -> pd.DataFrame:
    """The studies of the patients whom neither the source nor the user sets aside for testing."""
    for name in test:
        if name not in cohort.patients:
            raise ScanweaveError("test", f"the cohort has no patient '{name}'", nearest(name, cohort.patients))
    held = [*cohort.held_out, *test]
    return cohort.frame[~cohort.frame["patient"].isin(held)] if held else cohort.frame


def _one_value(frame: pd.DataFrame, column: str) -> dict[str, str]:
    """The value of each patient in a column.

    Raises:
        ScanweaveError: A patient has two, or none.
    """
    found: dict[str, str] = {}
    values = study_values(frame, column)
    for patient, value in zip(frame["patient"].astype(str), values, strict=True):
        if value is not None and found.setdefault(patient, value) != value:
            reason = f"is {found[patient]} in one study of patient '{patient}' and {value} in another"
            raise ScanweaveError(
                column, reason, "Nobody may train for one and test for the other: correct or leave out"
            )
    absent = sorted(set(frame["patient"].astype(str)) - set(found))
    if absent:
        reason = f"is absent of {count(len(absent), 'patient')}, such as '{absent[0]}'"
        raise ScanweaveError(column, reason, "Fill it in, leave them out, or set them aside: --test PATIENT …")
    return found


def part_lines(cohort: Cohort, named: int = NAMED_PATIENTS) -> list[str]:
    """Return who trains, validates and tests, a line a fold; none where nothing divides the cohort.

    Args:
        cohort: As it is on disk.
        named: Patients of a part that are named; of more, the others are counted.
    """
    splits = cohort.splits()
    lines = []
    for fold in range(min(splits.folds if splits else 1, SHOWN_FOLDS)):
        parts = cohort.part_names(fold)
        told = [f"{part} {_named(patients, named)}" for part, patients in parts.items() if patients]
        lines += [f"  {f'fold {fold}: ' if splits else ''}{' · '.join(told)}"] if told else []
    if splits and splits.folds > SHOWN_FOLDS:
        lines.append(f"  … and {splits.folds - SHOWN_FOLDS} more folds")
    return lines


def _named(patients: Sequence[str], most: int) -> str:
    more = f" and {len(patients) - most} more" if len(patients) > most else ""
    return f"{len(patients)}: {' '.join(patients[:most])}{more}"


def fold_lines(cohort: Cohort, splits: Splits) -> list[str]:
    """Return which value each fold tests, or how many patients of each stratum it has, in words; else none."""
    if splits.by:
        values = _one_value(cohort.frame[cohort.frame["patient"].isin(list(splits.assignment))], splits.by[0])
        levels = {fold: values[patient] for patient, fold in splits.assignment.items()}
        return [f"  fold {fold} tests {splits.by[0]} {levels[fold]}" for fold in range(splits.folds)][:SHOWN_FOLDS]
    if not splits.stratify:
        return []
    frame = cohort.frame[cohort.frame["patient"].isin(list(splits.assignment))]
    strata = patient_values(frame, splits.stratify, coarse=True)
    held = {name: [0] * splits.folds for name in sorted({strata[patient] for patient in splits.assignment})}
    for patient, fold in splits.assignment.items():
        held[strata[patient]][fold] += 1
    named = " · ".join(splits.stratify)
    return [f"  {named} {name}: {' '.join(map(str, number))} a fold" for name, number in held.items()]
