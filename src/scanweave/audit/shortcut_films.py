"""Studies that several runs are audited on, and what the runs are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scanweave.audit.told_findings import answering
from scanweave.errors import ScanweaveError
from scanweave.files import real_path
from scanweave.framework.study_selection import Choice, select_studies
from scanweave.framework.system import System
from scanweave.studies.cohort import Cohort

Say = Callable[[str], None]


def named_runs(runs: Sequence[System[Any]]) -> dict[str, System[Any]]:
    """Return runs by the names of their folders, numbered where several have one name.

    Raises:
        ScanweaveError: A run does not answer for films.
    """
    names = [real_path(run.run.folder).name for run in runs]
    found: dict[str, System[Any]] = {}
    for number, (name, run) in enumerate(zip(names, runs, strict=True), 1):
        answering(run, run.run.folder)
        found[name if names.count(name) == 1 else f"{name} ({number})"] = run
    return found


def common_films(
    runs: Mapping[str, System[Any]], cohort: Cohort, part: Choice | None, say: Say
) -> tuple[Cohort, dict[str, Any]]:
    """Return the studies that all runs may be tried on, and what they are: plain values of the first run.

    Raises:
        ScanweaveError: There is none.
    """
    chosen = []
    for name, run in runs.items():
        lines: list[str] = []
        chosen.append(select_studies(run.run, cohort, part, lines.append))
        for line in lines:
            say(line if len(runs) == 1 else f"{name}: {line}")
    common = set(chosen[0].cohort.studies).intersection(*(one.cohort.studies for one in chosen[1:]))
    films = chosen[0].cohort.select(common)
    if not len(films):
        raise ScanweaveError(cohort.folder, "has no study that all runs may be tried on", "Name them by --part all")
    seen = [one.about["seen"] for one in chosen]
    most = None if None in seen else max(seen)
    return films, {**chosen[0].about, "seen": most, "studies": len(films), "left_out": []}
