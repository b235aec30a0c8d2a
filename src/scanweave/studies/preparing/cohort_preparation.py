"""A cohort made ready on disk: registered, brain found, bias taken out; a study at a time, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.files import atomic_folder, make_folder, read_json, real_path, sweep, write_json, writing
from scanweave.spreadsheet_cells import write_csv
from scanweave.studies.cohort import ABOUT, Cohort
from scanweave.studies.formats.image_writer import add_facts, write_scan
from scanweave.studies.formats.json_boxes import write_box_json
from scanweave.studies.formats.pet_units import pet_facts
from scanweave.studies.preparing.registration_picture import write_picture
from scanweave.studies.preparing.study_preparation import PreparedStudy, PrepareSettings, prepare_study
from scanweave.studies.study import Study
from scanweave.wording import nearest
from scanweave.wording import studies as counted

STUDIES, TRANSFORMS, PICTURES = "studies", "transforms", "pictures"
REQUEST, RECORD, TABLE, BOXES = "preparation.json", "prepared.json", "prepared.csv", "boxes.json"
KEPT_FILES = ("splits.json", "table.json")
"""Files beside a manifest that hold for the prepared cohort too."""
_ELSEWHERE = "Choose another --out, or remove it"
_LINKED = ("report", "boxes")
Say = Callable[[str], None]


@dataclass
class Prepared:
    """The outcome of `prepare_cohort`.

    Attributes:
        folder: The new cohort.
        made: Names of the studies in it.
        failed: The one-line reason for each study that is not.
        table: One row a scan: what was done, metric before and after, angle and shift.
    """

    folder: Path
    made: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    table: pd.DataFrame = field(default_factory=pd.DataFrame)


def prepare_cohort(
    cohort: Cohort | str | Path,
    out: str | Path,
    *,
    studies: Sequence[str] | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Say = print,
    **settings: Any,
) -> Prepared:
    """Register the scans of each study, find its brain and take out its bias, into a new cohort.

    The files of the cohort are only read. `out` holds `studies/<study>/` (NIfTI), `transforms/<study>/<scan>.json` and
    `.tfm`, `pictures/<study>.png`, `prepared.csv` and the manifest with the same patients, splits, labels, tables,
    reports; boxes are moved with the scan that they lie on. A study that fails is said and the rest goes on; the same
    call goes on where an earlier one was stopped, and tries again what failed.

    Args:
        cohort: The studies, or the cohort's folder.
        out: A new folder, or that of the same call.
        studies: Names of studies or patients; None: all.
        workers: Processes; the result does not depend on them.
        progress: Called with the number of studies done and of all.
        say: Takes a line a scan that was moved, and a line a study that failed.
        **settings: Fields of `PrepareSettings`: `register_scans`, `across_visits`, `brain_mask`, `strip`, `bias`,
            `reference`, `grid`, `registration`.

    Raises:
        ScanweaveError: A setting or name is wrong, a library is absent, `out` holds something else, or every study
            fails.
    """
    cohort = Cohort.open(cohort) if isinstance(cohort, str | Path) else cohort
    out, chosen, asked = Path(out), _named(cohort, studies), _checked(cohort, workers, settings)
    _claim(out, cohort, asked)
    firsts = _first_visits(cohort) if asked.across_visits else {}
    rows = [{str(name): value for name, value in row.items()} for row in chosen.frame.to_dict("records")]
    done = Prepared(out)
    records: dict[str, dict[str, Any]] = {}
    progress(0, len(rows))
    for number, (name, result) in enumerate(_each(cohort, rows, firsts, out, asked, workers), start=1):
        if isinstance(result, str):
            done.failed[name] = result.replace(f"{cohort.root}/", "")
            say(f"error: {name}: {done.failed[name].removeprefix(f'{name}: ')}")
        else:
            records[name] = result
            for row in result["table"]:
                say(f"{name} · {row['scan']}: {row['what']}")
            if result.get("boxes"):
                say(f"{name} · boxes: {result['boxes']}")
        progress(number, len(rows))
    if not records:
        raise ScanweaveError(out, f"none of {counted(len(rows))} could be prepared", "See the lines above")
    done.made = list(records)
    done.table = _write_table(out, records)
    _write_manifest(out, cohort, [row for row in rows if row["study"] in records], records)
    return done


def _checked(cohort: Cohort, workers: int, settings: Mapping[str, Any]) -> PrepareSettings:
    if workers < 1:
        raise ScanweaveError("workers", f"{workers} is too small", "Give 1 or more")
    try:
        asked = PrepareSettings(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ScanweaveError(where, first["msg"], nearest(where, PrepareSettings.model_fields)) from error
    if not (asked.register_scans or asked.across_visits or asked.brain_mask or asked.bias):
        step = "Give one or more of --register, --across-visits, --brain-mask, --bias"
        raise ScanweaveError("cohort prepare", "nothing is asked for", step)
    _refuse_idle(asked)
    if asked.strip and not asked.brain_mask:
        raise ScanweaveError("--strip", "needs the brain mask", "Give --brain-mask too")
    if asked.reference is not None and asked.reference not in cohort.names("scan"):
        raise ScanweaveError(
            "--reference", f"no study has a scan '{asked.reference}'", nearest(asked.reference, cohort.names("scan"))
        )
    require("SimpleITK", "itk")
    if asked.brain_mask:
        require("nilearn", "simulate")
    return asked


def _refuse_idle(asked: PrepareSettings) -> None:
    """Refuse options of a step that is not asked for."""
    moves, given = asked.register_scans or asked.across_visits, asked.registration.model_fields_set
    if "spacing_mm" in given and not moves:
        raise ScanweaveError("--spacing", "has no effect: nothing is registered", "Leave it out, or give --register")
    if "seed" in given and not (moves or asked.brain_mask):
        raise ScanweaveError("--seed", "has no effect: nothing is drawn", "Leave it out, or give --register")
    if asked.reference is not None and asked.grid == "own" and not (moves or asked.brain_mask):
        raise ScanweaveError("--reference", "has no effect: each scan keeps its own grid and place", "Leave it out")


def _named(cohort: Cohort, studies: Sequence[str] | None) -> Cohort:
    if studies is None:
        return cohort
    known = [*cohort.studies, *cohort.patients]
    for name in studies:
        if name not in known:
            raise ScanweaveError("--studies", f"the cohort has no study or patient '{name}'", nearest(name, known))
    return cohort.where(cohort.frame["study"].isin(list(studies)) | cohort.frame["patient"].isin(list(studies)))


def _claim(out: Path, cohort: Cohort, asked: PrepareSettings) -> None:
    """Make sure that `out` is ours: new, empty, or begun by the same call; clear what was half-written."""
    inside = real_path(out).is_relative_to(real_path(cohort.root)) and real_path(out) == real_path(cohort.root)
    request = {
        "format": 1,
        "cohort": cohort.digest,
        "root": str(real_path(cohort.root)),
        **asked.model_dump(mode="json"),
    }
    known = out / REQUEST
    if known.exists():
        if read_json(known, _ELSEWHERE) != request:
            raise ScanweaveError(out, "holds a cohort prepared in another way, or another cohort", _ELSEWHERE)
    elif inside or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise ScanweaveError(out, "is not empty and not a prepared cohort", _ELSEWHERE)
    else:
        make_folder(out)
        write_json(known, request)
    for room in (STUDIES, TRANSFORMS, PICTURES):
        make_folder(out / room)
        sweep(out / room)


def _first_visits(cohort: Cohort) -> dict[str, str]:
    """Return the first study of each patient, in the order of the manifest."""
    firsts: dict[str, str] = {}
    for study, patient in zip(cohort.frame["study"], cohort.frame["patient"], strict=True):
        firsts.setdefault(str(patient), str(study))
    return firsts


def _each(
    cohort: Cohort,
    rows: list[dict[str, Any]],
    firsts: Mapping[str, str],
    out: Path,
    asked: PrepareSettings,
    workers: int,
) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Yield the record of each study, or the reason why there is none, in order."""
    names = [str(row["study"]) for row in rows]
    first = [firsts.get(str(row["patient"])) for row in rows]
    work = partial(_prepare_one, cohort, out, asked)
    if workers == 1:
        yield from zip(names, map(work, names, first), strict=True)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from zip(names, pool.map(work, names, first), strict=True)


def _prepare_one(
    cohort: Cohort, out: Path, asked: PrepareSettings, name: str, first: str | None
) -> dict[str, Any] | str:
    """Prepare a study unless it is there, and return its record, or the reason why it failed."""
    folder = out / STUDIES / name
    if not folder.exists():
        try:
            study = cohort[name]
            made = prepare_study(study, asked, cohort[first] if first is not None else None)
            _write_study(out, study, made, asked)
        except ScanweaveError as error:
            return str(error)
    record: dict[str, Any] = read_json(folder / RECORD, _ELSEWHERE)
    return record


def _write_study(out: Path, study: Study, made: PreparedStudy, asked: PrepareSettings) -> None:
    """Write transforms and picture, then the study: where its folder is, all is."""
    for old in (out / TRANSFORMS / study.id, out / STUDIES / study.id):
        shutil.rmtree(old, ignore_errors=True)
    if asked.register_scans or asked.across_visits:
        with atomic_folder(out / TRANSFORMS / study.id) as folder:
            for name, place in made.transforms.items():
                grid = made.native[name]
                facts = {"shape": list(grid.shape), "affine": grid.affine.tolist(), "reference": made.reference}
                place.save(folder, {"native": facts})
    write_picture(out / PICTURES / f"{study.id}.png", made, study[made.reference])
    files: dict[str, str] = {}
    with atomic_folder(out / STUDIES / study.id) as folder:
        for kind, images in (("scan", made.study.scans), ("mask", made.study.masks)):
            for name, image in images.items():
                file = f"{name}.nii.gz" if kind == "scan" else f"mask_{name}.nii.gz"
                write_scan(folder / file, image)
                if kind == "scan" and (facts := pet_facts(study[name].path)):
                    add_facts(folder / file, facts)  # its numbers are still of that unit
                files[f"{kind}:{name}"] = f"{STUDIES}/{study.id}/{file}"
        brain = made.brain.why if made.brain else None
        if made.boxes is not None and made.boxes.moved and made.boxes.boxes is not None:
            write_box_json(folder / BOXES, made.boxes.boxes)
            files["boxes"] = f"{STUDIES}/{study.id}/{BOXES}"
        told = {"boxes": made.boxes.told, "boxes_kept": made.boxes.boxes is not None} if made.boxes else {}
        write_json(folder / RECORD, {"files": files, "table": made.table, "brain": brain, **told})


def _write_table(out: Path, records: Mapping[str, dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame([row for record in records.values() for row in record["table"]])
    write_csv(out / TABLE, table, float_format="%.5g")
    return table


def _write_manifest(out: Path, cohort: Cohort, rows: list[dict[str, Any]], records: Mapping[str, Any]) -> None:
    """Write the manifest of `cohort` with the new images; what is not prepared is named where it lies."""
    made = []
    for row in rows:
        kept = {
            name: value for name, value in row.items() if not name.startswith(("scan:", "mask:")) and not pd.isna(value)
        }
        for name in kept:
            if name in _LINKED or name.startswith("sinogram:"):
                kept[name] = os.path.relpath(real_path(cohort.root / str(kept[name])), real_path(out))
        record = records[str(row["study"])]
        if not record.get("boxes_kept", True):
            kept.pop("boxes", None)
        made.append({**kept, **record["files"]})
    with writing(out):
        (out / ABOUT).unlink(missing_ok=True)
    name = f"{cohort.about.get('name', cohort.folder.name)} (prepared)"
    Cohort.create(
        out,
        made,
        root=".",
        name=name,
        source=str(real_path(cohort.folder)),
        layout="prepared",
        structures=cohort.about.get("structures"),
    )
    for file in KEPT_FILES:
        if (cohort.folder / file).is_file():
            content = json.loads((cohort.folder / file).read_text(encoding="utf-8"))
            write_json(out / file, content)
