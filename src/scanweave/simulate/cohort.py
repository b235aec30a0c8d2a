"""A simulated cohort on disk: subjects stream to it one by one, each whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from scanweave.errors import ScanweaveError
from scanweave.files import read_json, write_json
from scanweave.simulate.settings import BrainSettings
from scanweave.simulate.truth import describe
from scanweave.simulate.writing import AGAIN, HELD_OUT, STUDIES, TRUTH, claim, name_of, write_subjects
from scanweave.studies.cohort import ABOUT, Cohort

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
    chosen = _checked(subjects, seed, workers, settings)
    _refuse_idle(chosen, keep_removed)
    claim(out, {"seed": seed, "keep_removed": keep_removed, "settings": chosen.model_dump(mode="json")})
    truth = {}
    for done, index in enumerate(write_subjects(out, range(subjects), seed, chosen, keep_removed, workers), start=1):
        truth[name_of(index)] = read_json(out / STUDIES / name_of(index) / TRUTH, AGAIN)
        if progress is not None:
            progress(done, subjects)
    write_json(out / TRUTH, describe(chosen, seed) | (_measured(seed, chosen) if oracle else {}) | {"subjects": truth})
    removed = [_row(name, Path(), chosen, facts, "absent") for name, facts in truth.items() if facts["absent"]]
    if keep_removed and removed:
        _write_cohort(out / HELD_OUT, removed, f"{out.name}, removed scans")
    rows = [_row(name, Path(STUDIES), chosen, facts, "present") for name, facts in truth.items()]
    return _write_cohort(out, rows, out.name)


def _measured(seed: int, settings: BrainSettings) -> dict[str, Any]:
    from scanweave.simulate.oracle import pairwise_oracle  # scikit-learn is slow to import in every worker

    return {"oracle": pairwise_oracle(seed, settings=settings)}


def _checked(subjects: int, seed: int, workers: int, settings: dict[str, Any]) -> BrainSettings:
    for name, value, least in (("subjects", subjects, 1), ("seed", seed, 0), ("workers", workers, 1)):
        if value < least:
            raise ScanweaveError(name, f"{value} is too small", f"Give {least} or more")
    try:
        return BrainSettings(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ScanweaveError(field, first["msg"], "See the fields of BrainSettings") from error


def _refuse_idle(settings: BrainSettings, keep_removed: bool) -> None:
    """Refuse options about what is absent, or about time, where nothing is."""
    if settings.missing and settings.protocol != "random":
        reason = f"has no effect with protocol {settings.protocol}"
        raise ScanweaveError("missing", reason, "Leave it out, or ask for protocol random")
    if keep_removed and (settings.protocol == "none" or (settings.protocol == "random" and not settings.missing)):
        raise ScanweaveError("keep_removed", "has no effect: no scan is removed", "Leave it out, or name a protocol")
    if settings.dce_interval != BrainSettings.model_fields["dce_interval"].default and not settings.dce_frames:
        raise ScanweaveError("dce_interval", "has no effect without dce_frames", "Leave it out")


def _row(
    name: str, room: Path, settings: BrainSettings, facts: dict[str, Any], part: Literal["present", "absent"]
) -> dict[str, Any]:
    """Return the row of the manifest for the scans of this part; masks and lesions go with those that are present."""
    folder = room / name
    row: dict[str, Any] = {"study": name, "patient": name}
    row |= {f"scan:{scan}": str(folder / f"{scan}.nii.gz") if scan in facts[part] else None for scan in settings.names}
    if part == "present":
        row |= {f"mask:{mask}": str(folder / f"{mask}.nii.gz") for mask in _MASKS}
        row |= {f"table:{tissue}_ml": volume for tissue, volume in facts["volume_ml"].items()}
        row["label:lesion"] = int(bool(facts["lesions"]))
    return row


def _write_cohort(folder: Path, rows: list[dict[str, Any]], name: str) -> Cohort:
    """Write the manifest anew: the subjects on disk are the truth, it is their index."""
    (folder / ABOUT).unlink(missing_ok=True)
    return Cohort.create(folder, rows, root=".", name=name, source="scanweave simulate brain", layout="simulated")
