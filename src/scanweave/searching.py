"""The verb `search` in Python: studies found by words, or by their likeness to another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.api import open_run
from scanweave.engine.cohort_parts import part_of
from scanweave.errors import ScanweaveError
from scanweave.framework.reported.search import search_cohort
from scanweave.framework.system import System
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import Part
from scanweave.systems import registry

Say = Callable[[str], None]


def search(
    run: System[Any] | str | Path,
    cohort: Cohort | str | Path,
    out: str | Path,
    *,
    words: str = "",
    like: str = "",
    most: int = 12,
    part: Part | None = None,
    device: str = "auto",
    say: Say = print,
) -> pd.DataFrame:
    """Find the studies of a cohort that are most like some words, or like a study; write a table and a page.

    The vectors of the cohort are computed once and kept in the run; the same call goes on where one was stopped.

    Args:
        run: A fitted system that offers it, or its run folder.
        cohort: The studies, or the cohort's folder; they need no reports.
        out: A new folder.
        words: What is looked for, such as "right pleural effusion"; or
        like: the name of a study of the cohort.
        most: Studies to find.
        part: Which part of the run's fold: "train", "validation" or "test"; None: all studies.
        device: Where to compute, for a run folder.
        say: Takes lines on what is found.

    Returns:
        `rank, study, patient, likeness`.

    Raises:
        ScanweaveError: The run is of another kind, the words are not known, or `out` is there already.
    """
    system: Any = open_run(run, device, "search") if isinstance(run, str | Path) else run
    if "search" not in registry.entry(system.name).verbs:
        raise ScanweaveError("search", f"{system.name} reads no words", "Name a run of mgca or mg3d")
    if system.computes_on:
        say(f"device: {system.computes_on}")
    whole = Cohort.open(cohort) if isinstance(cohort, str | Path) else cohort
    chosen = whole if part is None else part_of(system.run, whole, part)
    return search_cohort(system, chosen, Path(out), words=words, like=like, most=most, say=say)
