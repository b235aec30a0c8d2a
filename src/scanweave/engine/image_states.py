"""The state of the images that a run learns from, by which a resumed run tells that one was changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.file_states import file_state


def image_states(cohort: Cohort, columns: Sequence[str]) -> dict[str, dict[str, dict[str, list[int]]]]:
    """Return the size [bytes] and change time [ns] of the images of each patient; opens none.

    Args:
        cohort: What is trained and validated on, or predicted from.
        columns: The images that count, as the manifest has them: `scan:t1`, `sinogram:ct`.

    Returns:
        `{patient: {study: {image: [size, time]}}}`, a scan by its plain name; `[]` for a file that is not there, which
        the check of the cohort tells.
    """
    found: dict[str, dict[str, dict[str, list[int]]]] = {}
    for row in cohort.frame[["study", "patient", *columns]].to_dict("records"):
        paths = {name.removeprefix("scan:"): row[name] for name in columns if isinstance(row[name], str)}
        states = {name: file_state(cohort.root / path) for name, path in paths.items()}
        found.setdefault(str(row["patient"]), {})[str(row["study"])] = states
    return found


def states_digest(cohort: Cohort, columns: Sequence[str]) -> str:
    """Return a hash of what `image_states` tells: another one means that an image changed."""
    return hashlib.sha256(repr(image_states(cohort, columns)).encode()).hexdigest()
