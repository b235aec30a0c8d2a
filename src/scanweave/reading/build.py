"""The items of a reading study: crops of real and of made tumours, matched, alike in everything but that; and the key.

What tells them apart must be the tumour: crops have one size and spacing, one type, one range of intensities, a
header that says nothing, and names that are drawn. The key lies elsewhere; its hash, salted, is committed before
anybody reads.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, lies_within, write_json
from scanweave.studies.cohort import Cohort
from scanweave.studies.geometry import Geometry, resample
from scanweave.studies.scan import Scan
from scanweave.tumours.shapes import diameter_of

Say = Callable[[str], None]
STUDY, ITEMS, ANSWERS = "reading.json", "items", "answers"
LOWEST, HIGHEST = -1024, 3071
"""Range of all crops [HU]."""
LEAST_EDGE_MM, WIDER = 60.0, 3.0
"""Least edge of a crop [mm], and how many times as wide as the largest tumour it is."""
BINS = 3
"""Classes of diameter within which real and made tumours are matched."""
LEAST_ITEMS = 4


@dataclass(frozen=True, eq=False)
class Lesion:
    """Hold where a tumour is.

    Attributes:
        study: Its study.
        number: Its number in the mask, or its place among the pieces of a plain one.
        centre_mm: Its middle, RAS [mm].
        diameter_mm: Of the ball of its volume [mm].
        spacing: Largest size of a voxel of its scan [mm].
    """

    study: str
    number: int
    centre_mm: tuple[float, float, float]
    diameter_mm: float
    spacing: float


def build_study(
    real: Cohort,
    made: Cohort,
    out: Path,
    key: Path,
    *,
    mask: str = "tumours",
    scan: str | None = None,
    items: int = 100,
    repeated: float = 0.08,
    seed: int = 0,
    say: Say = print,
) -> dict[str, Any]:
    """Build a reading study: as many made as real tumours of each class of diameter.

    Args:
        real: Scans with drawn tumours.
        made: Scans with made ones, as `scanweave synthesize` gives them.
        out: The folder that is served; new.
        key: The file that tells which items are made; it must lie outside of `out`.
        mask: Mask of the tumours in both.
        scan: Scan in both; None: the only one.
        items: How many to show, without those that come twice.
        repeated: Share of them that comes twice, for each reader's agreement with himself.
        seed: Draws which tumours are shown, and in which order each reader sees them.
        say: Takes a line on what was matched.

    Returns:
        What `reading.json` holds.

    Raises:
        ScanweaveError: There are too few tumours of a kind, or the key would be served.
    """
    if lies_within(out, key):
        raise ScanweaveError(key, "lies in the folder that is served", "Choose another place for the key")
    if key.exists() or out.exists():
        raise ScanweaveError(key if key.exists() else out, "exists already", "Choose another one, or remove it")
    rng = np.random.default_rng(seed)
    found = {kind: list(lesions(cohort, mask)) for kind, cohort in (("real", real), ("made", made))}
    chosen = matched(found["real"], found["made"], items, rng)
    count = len(chosen["real"])
    if 2 * count < LEAST_ITEMS:
        reason = f"{len(found['real'])} real and {len(found['made'])} made tumours match in {count} pairs"
        raise ScanweaveError("items", reason, "Give more scans, or made tumours of like size")
    say(f"matched: {count} real and {count} made tumours, in {BINS} classes of diameter")
    if 2 * count < items:
        say(f"caution: {2 * count} items, not {items}: give more scans, or made tumours of like diameters")
    every = [(kind, one) for kind in ("real", "made") for one in chosen[kind]]
    order = [int(place) for place in rng.permutation(len(every))]
    places = [*order, *order[: round(repeated * len(every))]]
    edge = max(LEAST_EDGE_MM, WIDER * max(one.diameter_mm for _, one in every))
    spacing = max(one.spacing for _, one in every)
    told: dict[str, dict[str, Any]] = {}
    with atomic_folder(out) as folder:
        for name, place in zip(_names(rng, len(places)), places, strict=True):
            kind, one = every[place]
            study = (real if kind == "real" else made)[one.study]
            image = study.scans[scan or next(iter(study.scans))]
            write_item(folder / ITEMS / f"{name}.nii", crop(image, one.centre_mm, edge, spacing), spacing)
            first = next((known for known, about in told.items() if about["place"] == place), None)
            told[name] = {"made": kind == "made", "place": place, "study": one.study, "number": one.number}
            told[name] |= {"diameter_mm": round(one.diameter_mm, 1), "again": first}
        content = {"format": 1, "salt": secrets.token_hex(16), "items": told}
        about = {"format": 1, "items": sorted(told), "seed": seed, "key_sha256": key_hash(content)}
        about |= {"edge_mm": round(edge, 1), "spacing_mm": round(spacing, 2)}
        write_json(folder / STUDY, about)
    write_json(key, content)
    return about


def key_hash(key: dict[str, Any]) -> str:
    """Return the hash of a key: the same whatever its layout."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def lesions(cohort: Cohort, mask: str) -> Iterator[Lesion]:
    """Yield the tumours of a cohort.

    Raises:
        ScanweaveError: It has no such mask.
    """
    if mask not in cohort.names("mask"):
        there = ", ".join(cohort.names("mask")) or "none"
        raise ScanweaveError(cohort.folder, f"has no mask '{mask}' (there: {there})", "Name another one by --mask")
    for study in cohort:
        if mask not in study.masks:
            continue
        drawn = study.masks[mask]
        labels = np.asarray(drawn.data).astype(np.int64)
        pieces = labels if labels.max(initial=0) > 1 else ndimage.label(labels, np.ones((3, 3, 3)))[0]
        for number in range(1, int(pieces.max(initial=0)) + 1):
            places = np.argwhere(pieces == number)
            if len(places):
                x, y, z = (float(one) for one in drawn.geometry.positions(places.mean(axis=0)[None])[0])
                size = diameter_of(len(places), drawn.geometry.spacing)
                yield Lesion(study.id, number, (x, y, z), size, max(drawn.geometry.spacing))


def matched(
    real: Sequence[Lesion], made: Sequence[Lesion], items: int, rng: np.random.Generator
) -> dict[str, list[Lesion]]:
    """Return as many real as made tumours of each class of diameter, drawn."""
    chosen: dict[str, list[Lesion]] = {"real": [], "made": []}
    if not real or not made:
        return chosen
    edges = np.quantile([one.diameter_mm for one in real], np.linspace(0, 1, BINS + 1)[1:-1])
    wanted = -(-items // (2 * BINS))
    for number in range(BINS):
        own = {
            kind: [one for one in found if np.searchsorted(edges, one.diameter_mm) == number]
            for kind, found in (("real", real), ("made", made))
        }
        count = min(wanted, *map(len, own.values()))
        for kind, found in own.items():
            chosen[kind] += [found[int(place)] for place in rng.permutation(len(found))[:count]]
    most = items // 2
    return {kind: found[:most] for kind, found in chosen.items()}


def crop(scan: Scan, centre_mm: Sequence[float], edge_mm: float, spacing_mm: float) -> NDArray[np.int16]:
    """Return a cube around a place, of one size and spacing, int16; beyond the scan the lowest value."""
    count = int(np.ceil(edge_mm / spacing_mm))
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = np.asarray(centre_mm) - spacing_mm * (count - 1) / 2
    data = np.asarray(scan.data, dtype=np.float32)
    found = resample(data, scan.geometry, Geometry.of((count,) * 3, affine), outside=LOWEST)
    return np.clip(np.rint(np.nan_to_num(found, nan=LOWEST)), LOWEST, HIGHEST).astype(np.int16)


def write_item(path: Path, volume: NDArray[np.int16], spacing_mm: float = 1.0) -> None:
    """Write a crop as NIfTI that says nothing but its voxels and their size, uncompressed: all are of one length."""
    path.parent.mkdir(exist_ok=True)
    image = nib.Nifti1Image(volume, np.diag([spacing_mm] * 3 + [1.0]))
    image.header.set_xyzt_units("mm")
    path.write_bytes(image.to_bytes())


def _names(rng: np.random.Generator, count: int) -> list[str]:
    """Return names that tell nothing, also not by their order."""
    made: list[str] = []
    while len(made) < count:
        name = rng.bytes(6).hex()
        if name not in made:
            made.append(name)
    return made
