"""A simulated cohort of livers with tumours on disk: subjects stream to it one by one, each whole or not at all.

`studies/<study>/` holds `ct.nii.gz` [HU], the masks `organs.nii.gz` and `tumours.nii.gz`, and `truth.json`. A scan in
which nobody looked has its mask of tumours on disk too, but not in the manifest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from scanweave.files import write_json
from scanweave.simulate.bodies.sites import SITES
from scanweave.simulate.cohort_folder import checked_settings, write_manifest, write_studies
from scanweave.simulate.tumours.settings import TumoursSettings
from scanweave.simulate.tumours.subject import MASKS, ORGANS, SCAN, simulate_tumour_scan
from scanweave.simulate.writing import STUDIES, TRUTH, name_of
from scanweave.studies.cohort import Cohort


def simulate_tumours(
    out: str | Path,
    *,
    subjects: int,
    seed: int,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Cohort:
    """Simulate a cohort of livers into `out`, which is a scanweave cohort afterwards.

    Subjects that `out` already holds are kept, so that an interrupted call is taken up where it stopped and a larger
    number adds to a smaller one.

    Args:
        out: Folder to make. Holds `studies/<study>/*.nii.gz`, `truth.json`, `manifest.parquet` and `cohort.json`.
        subjects: How many; each is one study of one patient.
        seed: Any non-negative number; the same one gives the same cohort.
        workers: Processes; the result does not depend on them.
        progress: Called with the number of subjects done and of all, after each.
        **settings: Fields of `TumoursSettings`.

    Raises:
        ScanweaveError: A setting is wrong, or `out` holds something else or the cohort of another request.
    """
    out = Path(out)
    advice = "See: scanweave simulate tumours --help"
    chosen = checked_settings(TumoursSettings, settings, advice, subjects=subjects, seed=seed, workers=workers)
    facts = write_studies(
        out,
        {"system": "tumours", "seed": seed, "settings": chosen.model_dump(mode="json")},
        partial(simulate_tumour_scan, seed, settings=chosen),
        subjects=subjects,
        keep_removed=False,
        workers=workers,
        progress=progress,
    )
    write_json(out / TRUTH, _truth(chosen, seed) | {"subjects": facts})
    return write_manifest(
        out,
        facts,
        source="scanweave simulate tumours",
        scans=(SCAN,),
        masks=("organs",),
        labels=_columns,
        keep_removed=False,
        structures={"organs": {name: [number] for number, name in enumerate(ORGANS, start=1)}},
        patients=f"seed{seed}-",
    )


def _columns(truth: dict[str, Any]) -> dict[str, Any]:
    """Return further columns of a study: its mask of tumours if somebody looked, its label and its site."""
    drawn = str(Path(STUDIES) / name_of(truth["index"]) / f"{MASKS[1]}.nii.gz") if truth["looked"] else None
    label = int(any(not one["cyst"] for one in truth["growths"])) if truth["looked"] else None
    return {
        f"mask:{MASKS[1]}": drawn,
        "label:tumour": label,
        "table:site": truth["site"],
        "table:contrast": truth["contrast"],
    }


def _truth(settings: TumoursSettings, seed: int) -> dict[str, Any]:
    """Return the truth that all scans share."""
    return {
        "seed": seed,
        "randomness": "numpy.random.default_rng((seed, subject index, stream))",
        "settings": settings.model_dump(mode="json"),
        "sites": {name: vars(SITES[name]) for name in settings.sites},
        "masks": {"organs": {"1": "liver"}, "tumours": "1, 2, …: a number each"},
        "coordinates": "middle_mm: RAS mm in the scan; diameters [mm] and volumes [mL] as painted",
    }
