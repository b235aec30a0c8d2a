"""A simulated cohort of bodies on disk: subjects stream to it one by one, each whole or not at all.

`studies/<study>/` holds `ct.nii.gz` [HU], the masks `organs.nii.gz` and `lesions.nii.gz`, and `truth.json`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from scanweave.files import write_json
from scanweave.simulate.bodies.painting import LESIONS, ORGANS
from scanweave.simulate.bodies.settings import BodiesSettings
from scanweave.simulate.bodies.subject import MASKS, SCAN, simulate_body
from scanweave.simulate.bodies.truth import describe
from scanweave.simulate.cohort_folder import checked_settings, write_manifest, write_studies
from scanweave.simulate.writing import TRUTH
from scanweave.studies.cohort import Cohort


def simulate_bodies(
    out: str | Path,
    *,
    subjects: int,
    seed: int,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Cohort:
    """Simulate a cohort of CT bodies into `out`, which is a scanweave cohort afterwards.

    Subjects that `out` already holds are kept, so that an interrupted call is taken up where it stopped and a larger
    number adds to a smaller one.

    Args:
        out: Folder to make. Holds `studies/<study>/*.nii.gz`, `truth.json`, `manifest.parquet` and `cohort.json`.
        subjects: How many; each is one study of one patient.
        seed: Any non-negative number; the same one gives the same cohort.
        workers: Processes; the result does not depend on them.
        progress: Called with the number of subjects done and of all, after each.
        **settings: Fields of `BodiesSettings`.

    Raises:
        ScanweaveError: A setting is wrong, or `out` holds something else or the cohort of another request.
    """
    out = Path(out)
    advice = "See: scanweave simulate bodies --help"
    chosen = checked_settings(BodiesSettings, settings, advice, subjects=subjects, seed=seed, workers=workers)
    facts = write_studies(
        out,
        {"system": "bodies", "seed": seed, "settings": chosen.model_dump(mode="json")},
        partial(simulate_body, seed, settings=chosen),
        subjects=subjects,
        keep_removed=False,
        workers=workers,
        progress=progress,
    )
    write_json(out / TRUTH, describe(chosen, seed) | {"subjects": facts})
    return write_manifest(
        out,
        facts,
        source="scanweave simulate bodies",
        scans=(SCAN,),
        masks=MASKS,
        labels=_labels,
        keep_removed=False,
        structures={mask: numbered(names) for mask, names in zip(MASKS, (ORGANS, LESIONS), strict=True)},
        patients=f"seed{seed}-",
    )


def numbered(names: tuple[str, ...]) -> dict[str, list[int]]:
    """Return the number of each structure of a mask, from 1."""
    return {name: [number] for number, name in enumerate(names, start=1)}


def _labels(truth: dict[str, Any]) -> dict[str, Any]:
    labels = {f"label:{finding}": there for finding, there in truth["labels"].items()}
    return labels | {"table:site": truth["site"], "table:contrast": truth["contrast"]}
