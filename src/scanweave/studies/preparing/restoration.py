"""Predictions on a prepared cohort brought back to where, and on which grid, the scans came."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, make_folder, read_json, real_path, sweep, write_json
from scanweave.studies.boxes import Boxes
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.formats.json_boxes import write_box_json
from scanweave.studies.geometry import Geometry
from scanweave.studies.preparing.cohort_preparation import BOXES, REQUEST, STUDIES, TRANSFORMS
from scanweave.studies.preparing.placed_boxes import owner_of
from scanweave.studies.preparing.transforms import RigidTransform
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

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
    """Bring the scans, masks and boxes of `predictions` back through the transforms that `prepared` kept.

    A scan goes to the place and grid of the native scan of its name, or of `like`, or else of the reference, in each
    study; a mask to those of `like`, else of the scan of its name, else of the reference. Scans are interpolated
    linearly, masks to the nearest voxel. Boxes go where the scan of `like`, or else the reference, came; in RAS mm, and
    upright around what was turned.

    Args:
        predictions: A cohort whose studies are named as those of `prepared`.
        prepared: What `prepare_cohort` made, with registration.
        out: A new folder, or that of the same call; it becomes a cohort.
        like: Native scan on whose grid all is written.
        progress: Called with the number of studies done and of all.

    Raises:
        ScanweaveError: A study has no transforms, `out` holds something else, or boxes in voxels are of no image.
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
    names = {(kind, one): f"{one}.nii.gz" if kind == "scan" else f"mask_{one}.nii.gz" for kind, one, _ in images}
    if not (out / STUDIES / name).exists():
        with atomic_folder(out / STUDIES / name) as folder:
            for kind, one, image in images:
                write_scan(folder / names[kind, one], _native(image, one, transforms, like, labels=kind == "mask"))
            if study.boxes is not None:
                write_box_json(folder / BOXES, _native_boxes(study, transforms, like))
    files = {f"{kind}:{one}": file for (kind, one), file in names.items()}
    files |= {} if study.boxes is None else {"boxes": BOXES}
    return row | {column: f"{STUDIES}/{name}/{file}" for column, file in files.items()}


def _native_boxes(study: Study, transforms: Path, like: str | None) -> Boxes:
    boxes = study.boxes
    assert boxes is not None  # noqa: S101 - asked for by the caller
    if boxes.unit == "pixel":
        return boxes
    grids = {name: image.geometry for name, image in {**study.masks, **study.scans}.items()}
    owner = None if boxes.unit == "mm" else owner_of(boxes, grids, like or "")
    if boxes.unit == "voxel" and owner is None:
        raise ScanweaveError(f"{study.id}: boxes", "are in voxels of no image here", "Write them in RAS mm")
    place, _ = _place(transforms, [like])
    return (boxes if owner is None else boxes.to_patient(grids[owner])).moved(place.inverse.matrix)


def _native(scan: Scan, name: str, transforms: Path, like: str | None, *, labels: bool) -> Scan:
    place, grid = _place(transforms, [like, name] if labels or like else [name])
    made = place.inverse.resample(scan, grid, "nearest" if labels else "linear")
    return replace(made, synthetic=scan.synthetic)


def _place(transforms: Path, wanted: Sequence[str | None]) -> tuple[RigidTransform, Geometry]:
    """The transform of the first of these scans that has one, else of the reference; and the grid it came on."""
    path = next((p for one in wanted if one and (p := transforms / f"{one}.json").is_file()), None)
    path = path or transforms / f"{_reference(transforms)}.json"
    native = _facts(path)["native"]
    return RigidTransform.load(path), Geometry.of(native["shape"], np.array(native["affine"]))


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
