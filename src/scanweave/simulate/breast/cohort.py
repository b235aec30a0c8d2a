"""A simulated cohort of breasts on disk: subjects stream to it one by one, each whole or not at all.

`studies/<study>/` holds a NIfTI file for each scan and mask, and `truth.json`. Where frames are not evenly spaced,
their times stand beside the series (`dce.json`, `VolumeTiming` [s], as in BIDS); the b-values of `dwi` always do
(`dwi.bval`, `dwi.bvec`). With outcomes their coefficients, and what can be known of them, stand in `outcomes.json`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from scanweave.files import write_json
from scanweave.simulate.breast.ceiling import FILE, describe_outcomes
from scanweave.simulate.breast.settings import BreastSettings
from scanweave.simulate.breast.subject import simulate_subject
from scanweave.simulate.breast.traits import check_times
from scanweave.simulate.breast.truth import describe
from scanweave.simulate.cohort_folder import checked_settings, refuse_idle, write_manifest, write_studies
from scanweave.simulate.writing import TRUTH
from scanweave.studies.cohort import Cohort

_MASKS = ("breast", "tissue", "lesion")
_VOLUMES = ("breast", "fat", "gland", "lesion")


def simulate_breast(
    out: str | Path,
    *,
    subjects: int,
    seed: int,
    workers: int = 1,
    keep_removed: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Cohort:
    """Simulate a cohort of breasts into `out`, which is a scanweave cohort afterwards.

    Subjects that `out` already holds are kept, so that an interrupted call is taken up where it stopped and a larger
    number adds to a smaller one.

    Args:
        out: Folder to make. Holds `studies/<study>/*.nii.gz`, `truth.json`, `manifest.parquet` and `cohort.json`, and
            `outcomes.json` where outcomes are planted.
        subjects: How many.
        seed: Any non-negative number; the same one gives the same cohort.
        workers: Processes; the result does not depend on them.
        keep_removed: Also write the scans that the protocol removes, to the cohort `held_out/` inside `out`.
        progress: Called with the number of subjects done and of all, after each.
        **settings: Fields of `BreastSettings`.

    Raises:
        ScanweaveError: A setting is wrong, or `out` holds something else or the cohort of another request.
    """
    out = Path(out)
    advice = "See the fields of BreastSettings"
    chosen = checked_settings(BreastSettings, settings, advice, subjects=subjects, seed=seed, workers=workers)
    if not chosen.outcomes:  # else no type of curve is asked for
        check_times(chosen)
    refuse_idle(chosen.protocol, chosen.missing, keep_removed)
    request = {"seed": seed, "keep_removed": keep_removed, "settings": chosen.record}
    facts = write_studies(
        out,
        {"system": "breast"} | request,
        partial(simulate_subject, seed, settings=chosen),
        subjects=subjects,
        keep_removed=keep_removed,
        workers=workers,
        progress=progress,
    )
    write_json(out / TRUTH, describe(chosen, seed) | {"subjects": facts})
    if chosen.outcomes:
        write_json(out / FILE, describe_outcomes(chosen, facts))
    return write_manifest(
        out,
        facts,
        source="scanweave simulate breast",
        scans=chosen.sequences,
        masks=_MASKS,
        labels=_labels,
        keep_removed=keep_removed,
    )


def _labels(truth: dict[str, Any]) -> dict[str, Any]:
    volumes = {f"table:{name}_ml": truth["volume_ml"][name] for name in _VOLUMES}
    planted = truth.get("outcomes")
    if planted is None:
        return volumes | {"label:lesion": int(bool(truth["lesions"]))}
    variables = {
        f"table:{name}": None if name in planted["absent_variables"] else value
        for name, value in planted["variables"].items()
    }
    labels = {f"label:{name}": value for name, value in planted["labels"].items()}
    return volumes | variables | {"table:site": planted["site"]} | labels
