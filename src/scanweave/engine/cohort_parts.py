"""Parts of a cohort as a run knows them."""

from __future__ import annotations

import hashlib

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import Part


def is_own(run: Run, cohort: Cohort) -> bool:
    """Tell whether a run was fitted on this cohort."""
    return cohort.digest == (run.record.get("cohort") or {}).get("sha256")


def known_patients(run: Run) -> frozenset[str] | None:
    """Return the patients that a run learnt from, in training or validation; None where an early run tells none.

    Raises:
        ScanweaveError: `inputs.json` is damaged.
    """
    inputs = run.inputs
    return None if inputs is None else frozenset(inputs)


def count_seen(run: Run, cohort: Cohort) -> int | None:
    """Return how many studies of a cohort are of patients that a run learnt from; None where an early run tells none.

    Raises:
        ScanweaveError: As in `known_patients`.
    """
    known = known_patients(run)
    return None if known is None else int(cohort.frame["patient"].isin(list(known)).sum())


def part_of(run: Run, cohort: Cohort, part: Part) -> Cohort:
    """Return a part of the run's fold.

    Raises:
        ScanweaveError: The run's own cohort was split again after the fit.
    """
    chosen = cohort.part(part, int(run.config.get("fold", 0)))
    if is_own(run, cohort) and run.config.get("splits", "") != splits_digest(cohort):
        raise ScanweaveError(
            cohort.folder,
            "was split again after the fit: its test part may hold studies that trained the run",
            "Fit a new run, or restore splits.json",
        )
    return chosen


def splits_digest(cohort: Cohort) -> str:
    """Hash of the written splits, empty where there are none (the manifest then says who trains)."""
    splits = cohort.splits()
    if splits is None:
        return ""
    told = repr(splits)
    told += "".join(repr(named) for named in (splits.test, splits.validating) if named)  # without any the hash stays
    return hashlib.sha256(told.encode()).hexdigest()[:16]
