"""Splits of a cohort: by patient, spread evenly over strata, kept together by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.patient_strata import patient_values
from scanweave.studies.splits import Splits, make_splits, usual_folds
from scanweave.wording import nearest

NAMED_PATIENTS, SHOWN_FOLDS = 6, 10
"""Patients of a part, and folds, that are told: a line each on a terminal."""


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
    for name in test:
        if name not in cohort.patients:
            raise ScanweaveError("test", f"the cohort has no patient '{name}'", nearest(name, cohort.patients))
    held = {*cohort.held_out, *test}
    frame = cohort.frame[~cohort.frame["patient"].isin(list(held))] if held else cohort.frame
    strata = patient_values(frame, stratify, coarse=True) if stratify else None
    groups = patient_values(frame, group, coarse=False) if group else None
    patients = sorted(set(cohort.patients) - held)
    if folds is None:
        folds, enough = usual_folds(len({groups[name] for name in patients}) if groups else len(patients))
        validation = validation and enough
    made = make_splits(patients, folds, seed=seed, validation=validation, stratify=strata, group=groups)
    return replace(made, stratify=tuple(stratify), group=tuple(group), test=tuple(sorted(set(test))))


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
