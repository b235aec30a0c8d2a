"""A simulated cohort of brains on disk: subjects stream to it one by one, each whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.files import write_json
from scanweave.simulate.brain import simulate_subject
from scanweave.simulate.cohort_folder import checked_settings, refuse_idle, write_manifest, write_studies
from scanweave.simulate.settings import BrainSettings
from scanweave.simulate.truth import describe
from scanweave.simulate.writing import TRUTH
from scanweave.studies.cohort import Cohort

_MASKS = ("brain", "tissue", "lesion")


def simulate_brain(
    out: str | Path,
    *,
    subjects: int,
    seed: int,
    workers: int = 1,
    keep_removed: bool = False,
    oracle: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Cohort:
    """Simulate a cohort of brains into `out`, which is a scanweave cohort afterwards.

    Subjects that `out` already holds are kept, so that an interrupted call is taken up where it stopped and a larger
    number adds to a smaller one.

    Args:
        out: Folder to make. Holds `studies/<study>/*.nii.gz`, `truth.json`, `manifest.parquet` and `cohort.json`.
        subjects: How many.
        seed: Any non-negative number; the same one gives the same cohort.
        workers: Processes; the result does not depend on them.
        keep_removed: Also write the scans that the protocol removes, to the cohort `held_out/` inside `out`.
        oracle: Also measure how hard each sequence is to generate by plain regression, into `truth.json`; about a
            minute at 2 mm.
        progress: Called with the number of subjects done and of all, after each.
        **settings: Fields of `BrainSettings`.

    Raises:
        ScanweaveError: A setting is wrong, or `out` holds something else or the cohort of another request.
    """
    out = Path(out)
    advice = "See the fields of BrainSettings"
    chosen = checked_settings(BrainSettings, settings, advice, subjects=subjects, seed=seed, workers=workers)
    refuse_idle(chosen.protocol, chosen.missing, keep_removed)
    if chosen.dce_interval != BrainSettings.model_fields["dce_interval"].default and not chosen.dce_frames:
        raise ScanweaveError("dce_interval", "has no effect without dce_frames", "Leave it out")
    if oracle and chosen.scanners:
        raise ScanweaveError("oracle", "regresses scans of one protocol, and scanners are drawn", "Leave one out")
    facts = write_studies(
        out,
        {"seed": seed, "keep_removed": keep_removed, "settings": chosen.record},
        partial(simulate_subject, seed, settings=chosen),
        subjects=subjects,
        keep_removed=keep_removed,
        workers=workers,
        progress=progress,
    )
    write_json(out / TRUTH, describe(chosen, seed) | (_measured(seed, chosen) if oracle else {}) | {"subjects": facts})
    return write_manifest(
        out,
        facts,
        source="scanweave simulate brain",
        scans=chosen.names,
        masks=_MASKS,
        labels=_labels,
        keep_removed=keep_removed,
    )


def _measured(seed: int, settings: BrainSettings) -> dict[str, Any]:
    from scanweave.simulate.oracle import pairwise_oracle  # scikit-learn is slow to import in every worker

    return {"oracle": pairwise_oracle(seed, settings=settings)}


def _labels(truth: dict[str, Any]) -> dict[str, Any]:
    volumes = {f"table:{tissue}_ml": volume for tissue, volume in truth["volume_ml"].items()}
    return volumes | {"label:lesion": int(bool(truth["lesions"]))}
