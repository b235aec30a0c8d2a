"""Splits of the patients into those who train, validate and test: in k folds, from a seed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, read_json
from scanweave.wording import count, nearest

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
FILE = "splits.json"
NAMED = ("stratify", "group", "test", "by", "validating")
"""Fields of splits that are written only where they name anything."""
FOLDS = 5
"""Folds where nobody says how many."""
_ADVICE = "Make it again with: scanweave cohort split COHORT --again"


@dataclass(frozen=True)
class Splits:
    """K folds of patients.

    In fold k the patients assigned to k are the test part, those assigned to k + 1 (mod K) the validation part if
    `validation` is set, and all others train. K = number of patients is leave-one-patient-out. Where patients are named
    as `validating`, they are the validation part instead, of each fold in which they do not test.

    Attributes:
        folds: K.
        validation: Whether patients are set aside for validation.
        seed: What the assignment was drawn from.
        assignment: Fold number of each patient.
        stratify: Columns whose values are spread evenly over the folds, and
        group: columns whose values are kept together in one fold, as they were named.
        test: Patients whom the user sets aside: they test in every fold, and are assigned to none.
        by: Column of which each value is one fold, such as a hospital; none where folds were drawn.
        validating: Patients who validate in every fold in which they do not test.
    """

    folds: int
    validation: bool
    seed: int
    assignment: Mapping[str, int]
    stratify: tuple[str, ...] = field(default=(), repr=False)  # a run knows its splits by their repr: who is where
    group: tuple[str, ...] = field(default=(), repr=False)
    test: tuple[str, ...] = field(default=(), repr=False)
    by: tuple[str, ...] = field(default=(), repr=False)
    validating: tuple[str, ...] = field(default=(), repr=False)

    def patients(self, part: Part, fold: int) -> list[str]:
        """Return patients of one part of one fold, sorted.

        Raises:
            ScanweaveError: There is no such part or fold.
        """
        check_part(part)
        parts, apart = self._part_of(fold), set(self.validating)
        return sorted(
            patient
            for patient, number in self.assignment.items()
            if part == ("validation" if patient in apart and number != fold else parts[number])
        )

    def parts(self, patients: pa.Array, fold: int, where: str | Path = FILE) -> NDArray[np.str_]:
        """Return the part of one fold that each of `patients` (text, any length) belongs to.

        Raises:
            ScanweaveError: There is no such fold, or a patient is assigned to none.
        """
        names = pa.array(list(self.assignment), type=pa.string())
        at = pc.index_in(patients, value_set=names)
        if at.null_count:
            stranger = patients.filter(pc.is_null(at))[0].as_py()
            raise ScanweaveError(where, f"its {FILE} does not say where patient '{stranger}' belongs", _ADVICE)
        numbers = np.fromiter(self.assignment.values(), dtype=np.int64, count=len(self.assignment))
        own = numbers[at.to_numpy(zero_copy_only=False)]
        found = np.array(self._part_of(fold), dtype=object)[own]
        apart = pc.is_in(patients, value_set=pa.array(self.validating, type=pa.string()))
        found[apart.to_numpy(zero_copy_only=False) & (own != fold)] = "validation"
        return found.astype(np.str_)

    def _part_of(self, fold: int) -> list[Part]:
        """Return the part that each fold's patients have when `fold` is tested."""
        if not 0 <= fold < self.folds:
            raise ScanweaveError("fold", f"{fold} is not one of 0 to {self.folds - 1}", "Choose one of those")
        parts: list[Part] = ["train"] * self.folds
        if self.validation and not self.validating:
            parts[(fold + 1) % self.folds] = "validation"
        parts[fold] = "test"
        return parts


def usual_folds(units: int) -> tuple[int, bool]:
    """Return the folds that are made of so many patients, or groups of them, unasked, and whether one validates.

    Of 5 or fewer it is one each and none validates, so that as many train as can.
    """
    return min(FOLDS, units), units > FOLDS


def check_part(part: str, known: Sequence[str] = PARTS) -> None:
    """Refuse the name of a part that is none.

    Raises:
        ScanweaveError: It is none of those `known`.
    """
    if part not in known:
        raise ScanweaveError("part", f"there is no part '{part}'", nearest(part, known))


def make_splits(
    patients: Sequence[str],
    folds: int = FOLDS,
    *,
    seed: int = 0,
    validation: bool = True,
    stratify: Mapping[str, str] | None = None,
    group: Mapping[str, str] | None = None,
) -> Splits:
    """Assign patients to `folds` folds of (almost) equal size; depends on the set of patients and the seed only.

    Args:
        patients: Whom to divide.
        folds: Into how many parts.
        seed: What the assignment is drawn from.
        validation: Whether a fold is set aside for validation.
        stratify: Stratum of each patient, such as an outcome: each is spread evenly over the folds.
        group: Group of each patient, such as a hospital: none is in two folds, which then may differ in size.

    Raises:
        ScanweaveError: Fewer patients or groups than folds, or too few folds for three parts.
    """
    names = sorted(set(patients))
    units = len({group[name] for name in names}) if group else len(names)
    least = 3 if validation else 2
    if not least <= folds <= units:
        of = "group" if group else "patient"
        raise ScanweaveError(
            "folds",
            f"{count(folds, 'fold')} of {count(units, of)} cannot be made",
            f"Choose {least} to {units} folds" if units >= least else f"Add {of}s",
        )
    order = [names[i] for i in np.random.default_rng([seed, folds]).permutation(len(names)).tolist()]
    if group:
        assignment = _grouped(order, folds, stratify or {}, group)
    else:
        if stratify:
            order.sort(key=lambda name: stratify[name])  # stable: drawn order within a stratum
        assignment = {name: position % folds for position, name in enumerate(order)}
    return Splits(folds, validation, seed, assignment)


def _grouped(order: Sequence[str], folds: int, stratify: Mapping[str, str], group: Mapping[str, str]) -> dict[str, int]:
    """Put groups, the largest first, into the fold in which their strata are rarest; then into the smallest fold."""
    members: dict[str, list[str]] = {}
    for name in order:
        members.setdefault(group[name], []).append(name)
    strata = sorted({stratify.get(name, "") for name in order})
    total = Counter(stratify.get(name, "") for name in order)
    held = np.zeros((folds, len(strata)))
    assignment: dict[str, int] = {}
    for names in sorted(members.values(), key=len, reverse=True):
        own = Counter(stratify.get(name, "") for name in names)
        share = np.array([own[stratum] / total[stratum] for stratum in strata])
        costs = [float(((held[fold] + share) ** 2).sum() - (held[fold] ** 2).sum()) for fold in range(folds)]
        fold = min(range(folds), key=lambda number: (round(costs[number], 12), number))
        held[fold] += share
        assignment |= dict.fromkeys(names, fold)
    return assignment


def write_splits(folder: str | Path, splits: Splits, *, again: bool = False) -> None:
    """Write `splits.json` into a cohort folder.

    Args:
        folder: The cohort's folder.
        splits: Who is in which fold.
        again: Whether other splits that are there, or a damaged file, are replaced.

    Raises:
        ScanweaveError: There are other splits already, and `again` is not set.
    """
    before = None if again else read_splits(Path(folder))
    if before not in (None, splits):
        raise ScanweaveError(
            folder,
            f"is split already, into {before.folds} folds from seed {before.seed}",
            "Give --again (again=True) to split it anew; runs of the old folds then no longer know who tests",
        )
    content: dict[str, object] = {"folds": splits.folds, "validation": splits.validation, "seed": splits.seed}
    content |= {name: list(named) for name in NAMED if (named := getattr(splits, name))}
    text = json.dumps({**content, "assignment": dict(splits.assignment)})  # one line: indenting 10^6 patients is slow
    with atomic_write(Path(folder) / FILE) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


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
        assignment = {str(patient): _whole(fold) for patient, fold in content["assignment"].items()}
        folds, validation, seed = _whole(content["folds"]), content["validation"], _whole(content["seed"])
        named = {name: tuple(str(one) for one in content.get(name, ())) for name in NAMED}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ScanweaveError(path, f"not a description of splits ({error!r})", _ADVICE) from error
    if not isinstance(validation, bool):
        raise ScanweaveError(path, f"'validation' is {validation!r}, neither true nor false", _ADVICE)
    if not (3 if validation and not named["validating"] else 2) <= folds <= len(assignment):
        raise ScanweaveError(path, f"divides {len(assignment)} patients into {folds} folds", _ADVICE)
    splits = Splits(folds, validation, seed, assignment, **named)
    if any(not 0 <= fold < splits.folds for fold in splits.assignment.values()):
        raise ScanweaveError(path, f"assigns a patient to a fold outside 0 to {splits.folds - 1}", _ADVICE)
    return splits


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a whole number")
    return value
