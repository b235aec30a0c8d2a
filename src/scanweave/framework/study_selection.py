"""Studies of a cohort that a fitted run is tried on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

from scanweave.engine.cohort_parts import count_seen, is_own, known_patients, part_of
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import file_sha256
from scanweave.studies.checks.cohort_check import sound_studies
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import check_part
from scanweave.wording import studies as counted

Choice = Literal["train", "validation", "test", "all", "unseen"]
"""A part of the run's fold, all studies, or those that neither trained the run nor chose its weights."""
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Selection:
    """Studies that were chosen.

    Attributes:
        cohort: They alone.
        about: Which they are and of which run, as plain values; equal for equal choices.
    """

    cohort: Cohort
    about: dict[str, Any]


def chosen_part(run: Run, cohort: Cohort, part: Choice | None) -> Choice:
    """Return the part that a run is tried on: the one that is asked for, else as `select_studies` says."""
    return part or ("test" if is_own(run, cohort) else "all" if known_patients(run) is None else "unseen")


def select_studies(
    run: Run, cohort: Cohort, part: Choice | None, say: Say, *, series: Collection[str] = ()
) -> Selection:
    """Choose the studies to try a run on: of its own cohort the test part, of another one all that the fit did not see.

    Patients are known by their names; studies that the check refuses are left out.

    Args:
        run: The fitted run.
        cohort: Any cohort.
        part: Overrides the choice.
        say: Takes lines that name the choice.
        series: Names of scans that the run takes as series; all others are left out where they are series.

    Raises:
        ScanweaveError: There is no such part, or no study is left.
    """
    if part is not None:
        check_part(part, get_args(Choice))
    own, fold = is_own(run, cohort), int(run.config.get("fold", 0))
    known, chosen = known_patients(run), chosen_part(run, cohort, part)
    if chosen == "all":
        studies, where = cohort, "all"
    elif chosen == "unseen":
        studies = cohort.where(~cohort.frame["patient"].isin(list(known or ())))
        where = "all of patients that the fit did not see"
        if len(studies) < len(cohort):
            say(f"left out: {counted(len(cohort) - len(studies))} of patients that the fit saw, by their names")
    else:
        studies, where = part_of(run, cohort, chosen), f"the {chosen} part of fold {fold}"
    if len(studies) == 0:
        raise ScanweaveError(
            cohort.folder,
            f"has no study to try the run on ({where})",
            "Split it with a test part, or name another: --part validation, train or all",
        )
    name = "the cohort of the fit" if own else "another cohort"
    say(f"studies: {len(studies)}" + ("" if part == "all" else f", {where}, of {name}"))  # all: as the user named them
    if studies.names("scan") or studies.names("sinogram"):
        studies = sound_studies(studies, 1, say, series=series)
    seen = count_seen(run, studies)
    if seen:
        say(f"note: the fit saw {seen} of them")
    about = {
        "run": file_sha256(run.weights),
        "cohort": cohort.digest,
        "name": str(cohort.about.get("name", "")),
        "part": chosen,
        "fold": None if chosen in ("all", "unseen") else fold,
        "seen": seen,
    }
    return Selection(studies, about)
