"""Who trains, who validates, who tests: by patient, in k folds, from a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.files import read_json, write_json

Part = Literal["train", "validation", "test"]
FILE = "splits.json"
_ADVICE = "Make it again with: scanweave cohort split COHORT"


@dataclass(frozen=True)
class Splits:
    """K folds of patients.

    In fold k the patients assigned to k are the test part, those assigned to k + 1 (mod K) the validation part if
    `validation` is set, and all others train. K = number of patients is leave-one-patient-out.

    Attributes:
        folds: K.
        validation: Whether a fold is set aside for validation.
        seed: What the assignment was drawn from.
        assignment: Fold number of each patient.
    """

    folds: int
    validation: bool
    seed: int
    assignment: Mapping[str, int]

    def patients(self, part: Part, fold: int) -> list[str]:
        """Patients of one part of one fold, sorted.

        Raises:
            ScanweaveError: There is no such fold.
        """
        if not 0 <= fold < self.folds:
            raise ScanweaveError("fold", f"{fold} is not one of 0 to {self.folds - 1}", "Choose one of those")
        parts: dict[int, Part] = {(fold + 1) % self.folds: "validation"} if self.validation else {}
        parts[fold] = "test"
        return sorted(patient for patient, number in self.assignment.items() if parts.get(number, "train") == part)


def make_splits(patients: Sequence[str], folds: int = 5, *, seed: int = 0, validation: bool = True) -> Splits:
    """Assign patients to `folds` folds of (almost) equal size; depends on the set of patients and the seed only.

    Raises:
        ScanweaveError: Fewer patients than folds, or too few folds for three parts.
    """
    names = sorted(set(patients))
    least = 3 if validation else 2
    if not least <= folds <= len(names):
        raise ScanweaveError(
            "folds", f"{folds} folds of {len(names)} patients cannot be made",
            f"Choose {least} to {len(names)} folds" if len(names) >= least else "Add patients",
        )  # fmt: skip
    order = np.random.default_rng([seed, folds]).permutation(len(names))
    assignment = {names[i]: position % folds for position, i in enumerate(order)}
    return Splits(folds, validation, seed, assignment)


def write_splits(folder: Path, splits: Splits) -> None:
    """Write `splits.json` into a cohort folder."""
    write_json(
        folder / FILE,
        {
            "folds": splits.folds,
            "validation": splits.validation,
            "seed": splits.seed,
            "assignment": dict(splits.assignment),
        },
    )


def read_splits(folder: Path) -> Splits | None:
    """Read `splits.json` of a cohort folder; None if there is none.

    Raises:
        ScanweaveError: The file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    content = read_json(path, _ADVICE)
    try:
        assignment = {str(patient): int(fold) for patient, fold in content["assignment"].items()}
        splits = Splits(int(content["folds"]), bool(content["validation"]), int(content["seed"]), assignment)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ScanweaveError(path, f"not a description of splits ({error!r})", _ADVICE) from error
    if any(not 0 <= fold < splits.folds for fold in splits.assignment.values()):
        raise ScanweaveError(path, f"assigns a patient to a fold outside 0 to {splits.folds - 1}", _ADVICE)
    return splits
