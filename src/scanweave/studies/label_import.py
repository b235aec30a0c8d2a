"""The way out of a cohort without a label: the import that makes one of a variable, as a command to copy."""

from __future__ import annotations

import shlex

import pandas as pd

from scanweave.studies.cohort import Cohort
from scanweave.studies.label_values import MOST_CLASSES
from scanweave.wording import listed


def how_to_label(cohort: Cohort, name: str | None = None) -> str:
    """Return the import that makes a variable of a cohort a label, as a next step in words.

    Args:
        cohort: It has a table beside its images.
        name: Of the variable; None: the one of fewest values, of the others the names are told.
    """
    source, folder = cohort.about.get("source"), cohort.folder
    table = source if cohort.about.get("layout") in ("table", "BIDS") and source else "TABLE"
    kinds = {one: int(cohort.frame[f"table:{one}"].nunique()) for one in cohort.names("table")}
    fits = [one for one, number in kinds.items() if 2 <= number <= MOST_CLASSES]
    told = sorted(fits, key=lambda one: (kinds[one], pd.api.types.is_numeric_dtype(cohort.frame[f"table:{one}"])))
    heading = name or next(iter(told), "HEADING")
    begin = f"Its variables are {listed(kinds)}. " if kinds and name is None else ""
    begin += "Import it again, with whatever else you gave --columns: "
    command = shlex.join(["scanweave", "cohort", "import", str(table), "--out", f"{folder}-labelled"])
    return f'{begin}{command} --columns "{heading}=label category"'
