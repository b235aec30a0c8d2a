"""The state of the images that a run learns from, by which a resumed run tells that one was changed."""

from __future__ import annotations

from collections.abc import Sequence

from scanweave.studies.cohort import Cohort
from scanweave.studies.states import file_state


def image_states(
    cohort: Cohort, sequences: Sequence[str], sinograms: Sequence[str] = ()
) -> dict[str, dict[str, dict[str, list[int]]]]:
    """Size [bytes] and change time [ns] of the images and sinograms of each patient; opens none.

    Args:
        cohort: What is trained and validated on.
        sequences: The images that count.
        sinograms: The sinograms that count.

    Returns:
        `{patient: {study: {sequence: [size, time]}}}`, sinograms as `"sinogram:<name>"`; `[]` for a file that is not
        there, which the check of the cohort tells.
    """
    columns = {f"scan:{name}": name for name in sequences}
    columns |= {f"sinogram:{name}": f"sinogram:{name}" for name in sinograms}
    found: dict[str, dict[str, dict[str, list[int]]]] = {}
    for row in cohort.frame[["study", "patient", *columns]].to_dict("records"):
        paths = {name: row[column] for column, name in columns.items() if isinstance(row[column], str)}
        states = {name: file_state(cohort.root / path) for name, path in paths.items()}
        found.setdefault(str(row["patient"]), {})[str(row["study"])] = states
    return found
