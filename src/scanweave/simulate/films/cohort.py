"""A simulated cohort of chest films on disk: films stream to it one by one, each whole or not at all.

`studies/<study>/` holds `film.png` (16 bits), a mask a finding that is there (`nodule.png`, 0 and 1), `boxes.json` of
findings and marks, and `truth.json`. A film that is not annotated has neither masks nor boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scanweave.files import atomic_folder, json_text, read_json, write_json
from scanweave.simulate.cohort_folder import checked_settings
from scanweave.simulate.films.backgrounds import choose_backgrounds, simulate_on_background
from scanweave.simulate.films.film import Film, simulate_film
from scanweave.simulate.films.settings import FilmSettings
from scanweave.simulate.films.truth import describe
from scanweave.simulate.writing import AGAIN, STUDIES, TRUTH, claim, in_processes, name_of
from scanweave.studies.cohort import ABOUT, Cohort
from scanweave.studies.formats.json_boxes import write_box_json

FILM, BOXES = "film.png", "boxes.json"


def simulate_films(
    out: str | Path,
    *,
    subjects: int,
    seed: int,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Cohort:
    """Simulate a cohort of chest films into `out`, which is a scanweave cohort afterwards.

    Films that `out` already holds are kept, so that an interrupted call is taken up where it stopped and a larger
    number adds to a smaller one.

    Args:
        out: Folder to make. Holds `studies/<study>/`, `truth.json`, `manifest.parquet` and `cohort.json`.
        subjects: How many; each is one film of one patient, but of backgrounds whose patients are known.
        seed: Any non-negative number; the same one gives the same cohort.
        workers: Processes; the result does not depend on them.
        progress: Called with the number of films done and of all, after each.
        **settings: Fields of `FilmSettings`.

    Raises:
        ScanweaveError: A setting is wrong, `out` holds something else or the cohort of another request, or there are
            too few backgrounds.
    """
    out = Path(out)
    advice = "See: scanweave simulate films --help"
    chosen = checked_settings(FilmSettings, settings, advice, subjects=subjects, seed=seed, workers=workers)
    request: dict[str, Any] = {"system": "films", "seed": seed, "settings": chosen.record}
    make: Callable[[int], Film] = partial(simulate_film, seed, settings=chosen)
    shared = describe(chosen, seed)
    if chosen.backgrounds is not None:
        real = choose_backgrounds(chosen.backgrounds, subjects, chosen.size)
        request |= {"backgrounds": real.digest}
        shared |= {"backgrounds": {"used": subjects, "left_out": real.left_out}}
        make = partial(simulate_on_background, seed, chosen, real.films)
    claim(out, request)
    for done, _ in enumerate(in_processes(partial(_write_film, out, make), range(subjects), workers), start=1):
        if progress is not None:
            progress(done, subjects)
    names = [name_of(index) for index in range(subjects)]
    facts = {name: read_json(out / STUDIES / name / TRUTH, AGAIN) for name in names}
    write_json(out / TRUTH, shared | {"subjects": facts})
    (out / ABOUT).unlink(missing_ok=True)
    rows = [_row(name, truth, chosen, seed) for name, truth in facts.items()]
    return Cohort.create(out, rows, root=".", name=out.name, source="scanweave simulate films", layout="simulated")


def _write_film(out: Path, make: Callable[[int], Film], index: int) -> None:
    folder = out / STUDIES / name_of(index)
    if folder.exists():
        return
    film = make(index)
    with atomic_folder(folder, lasting=False) as temporary:
        _write_png(temporary / FILM, film.pixels)
        if film.annotated:
            for name, mask in film.masks.items():
                _write_png(temporary / f"{name}.png", mask.astype(np.uint8))
            write_box_json(temporary / BOXES, film.boxes)
        told = {"index": index, "labels": film.labels} | film.truth
        (temporary / TRUTH).write_text(json_text(told), encoding="utf-8")


def _write_png(path: Path, pixels: NDArray[np.uint16] | NDArray[np.uint8]) -> None:
    """Write a PNG, lightly compressed: noise hardly gets smaller, and time is dear."""
    Image.fromarray(pixels).save(path, compress_level=1)


def _row(name: str, truth: dict[str, Any], settings: FilmSettings, seed: int) -> dict[str, Any]:
    """Return a row of the manifest; patients of another seed are others, those of the same one are not."""
    folder, drawn = f"{STUDIES}/{name}", truth["annotated"]
    row = {"study": name, "patient": truth.get("patient", f"seed{seed}-{name}"), "scan:film": f"{folder}/{FILM}"}
    for finding in settings.planted:
        seen = drawn and truth["labels"][finding]
        row[f"mask:{finding}"] = f"{folder}/{finding}.png" if seen else None
    row |= {"boxes": f"{folder}/{BOXES}" if drawn else None}
    row |= {f"label:{finding}": there for finding, there in truth["labels"].items()}
    return row | {f"table:{what}": truth[what] for what in ("site", "view") if what in truth}
