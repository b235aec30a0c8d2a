"""Predictions on a prepared cohort brought back to where, and on which grid, the scans came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, make_folder, read_json, real_path, sweep, write_json
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.geometry import Geometry
from scanweave.studies.preparing.cohort_preparation import REQUEST, STUDIES, TRANSFORMS
from scanweave.studies.preparing.transforms import RigidTransform
from scanweave.studies.scan import Scan

MARK = "restoration.json"
_AGAIN = "Choose another --out, or remove it"


def restore_cohort(
    predictions: Cohort | str | Path,
    prepared: str | Path,
    out: str | Path,
    *,
    like: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Cohort:
    """Bring the scans and masks of `predictions` back through the transforms that `prepared` kept.

    A scan goes to the place and grid of the native scan of its name, or of `like`, or else of the reference, in each
    study; a mask to those of `like`, else of the scan of its name, else of the reference. Scans are interpolated
    linearly, masks to the nearest voxel.

    Args:
        predictions: A cohort whose studies are named as those of `prepared`.
        prepared: What `prepare_cohort` made, with registration.
        out: A new folder, or that of the same call; it becomes a cohort.
        like: Native scan on whose grid all is written.
        progress: Called with the number of studies done and of all.

    Raises:
        ScanweaveError: A study has no transforms, or `out` holds something else.
    """
    cohort = Cohort.open(predictions) if isinstance(predictions, str | Path) else predictions
    prepared, out = Path(prepared), Path(out)
    if not (prepared / REQUEST).is_file():
        raise ScanweaveError(prepared, "was not made by cohort prepare", "Give the folder of the prepared cohort")
    unknown = [name for name in cohort.studies if not (prepared / TRANSFORMS / name).is_dir()]
    if unknown:
        reason = f"keeps no transforms of study '{unknown[0]}'"
        raise ScanweaveError(prepared, reason, "Give the cohort that the predictions were made on, registered")
    asked = {"predictions": cohort.digest, "prepared": read_json(prepared / REQUEST, _AGAIN), "like": like}
    filled = out.exists() and (not out.is_dir() or any(out.iterdir()))
    if filled and (not (out / MARK).is_file() or read_json(out / MARK, _AGAIN) != asked):
        raise ScanweaveError(out, "is not empty, and not of the same call", _AGAIN)
    make_folder(out / STUDIES)
    write_json(out / MARK, asked)
    sweep(out / STUDIES)
    rows = []
    for number, name in enumerate(cohort.studies, start=1):
        rows.append(_restore_study(cohort, name, prepared / TRANSFORMS / name, out, like))
        progress(number, len(cohort))
    if (out / "cohort.json").is_file():
        return Cohort.open(out)
    title = f"{cohort.about.get('name', cohort.folder.name)} (restored)"
    return Cohort.create(
        out,
        rows,
        root=".",
        name=title,
        source=str(real_path(cohort.folder)),
        layout="restored",
        structures=cohort.about.get("structures"),
    )


def _restore_study(cohort: Cohort, name: str, transforms: Path, out: Path, like: str | None) -> dict[str, Any]:
    """Write a study unless it is there, and return its row of the manifest."""
    study = cohort[name]
    row: dict[str, Any] = {"study": name, "patient": study.patient}
    images = [("scan", one, scan) for one, scan in study.scans.items()]
    images += [("mask", one, mask) for one, mask in study.masks.items()]
    files = {(kind, one): f"{one}.nii.gz" if kind == "scan" else f"mask_{one}.nii.gz" for kind, one, _ in images}
    if not (out / STUDIES / name).exists():
        with atomic_folder(out / STUDIES / name) as folder:
            for kind, one, image in images:
                write_scan(folder / files[kind, one], _native(image, one, transforms, like, labels=kind == "mask"))
    return row | {f"{kind}:{one}": f"{STUDIES}/{name}/{file}" for (kind, one), file in files.items()}


def _native(scan: Scan, name: str, transforms: Path, like: str | None, *, labels: bool) -> Scan:
    wanted = [like, name] if labels or like else [name]
    path = next((p for one in wanted if one and (p := transforms / f"{one}.json").is_file()), None)
    path = path or transforms / f"{_reference(transforms)}.json"
    place, native = RigidTransform.load(path), _facts(path)["native"]
    grid = Geometry.of(native["shape"], np.array(native["affine"]))
    made = place.inverse.resample(scan, grid, "nearest" if labels else "linear")
    return replace(made, synthetic=scan.synthetic)


def _facts(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = read_json(path, "Prepare the cohort again")
    if not isinstance(facts.get("native"), dict) or not isinstance(facts["native"].get("reference"), str):
        raise ScanweaveError(path, "does not say which grid the scan came on", "Prepare the cohort again")
    return facts


def _reference(transforms: Path) -> str:
    path = next(iter(sorted(transforms.glob("*.json"))), None)
    if path is None:
        raise ScanweaveError(transforms, "holds no transform", "Prepare the cohort again")
    return str(_facts(path)["native"]["reference"])
