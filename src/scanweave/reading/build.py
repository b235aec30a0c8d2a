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
from scanweave.wording import nearest

Say = Callable[[str], None]
STUDY, ITEMS, ANSWERS = "reading.json", "items", "answers"
LOWEST, HIGHEST = -1024, 3071
"""Range of all crops [HU]."""
LEAST_EDGE_MM, WIDER = 60.0, 3.0
"""Least edge of a crop [mm], and how many times as wide as the largest tumour it is."""
LIKE = 0.15
"""Share by which the diameters of a pair may differ."""
LEAST_ITEMS = 4


@dataclass(frozen=True, eq=False)
class Lesion:
    """Hold where a tumour is.

    Attributes:
        study: Its study.
        number: Its number in the mask, or its place among the pieces of a plain one.
        centre_mm: Its middle, RAS [mm].
        diameter_mm: Of the ball of its volume [mm].
        spacing: Smallest size of a voxel of its scan [mm].
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
    """Build a reading study of pairs of a real and a made tumour of like diameter.

    Args:
        real: Scans with drawn tumours.
        made: Scans with made ones, as `scanweave synthesize` gives them.
        out: The folder that is served; new.
        key: The file that tells which items are made; it must lie outside of `out`.
        mask: Mask of the tumours in both.
        scan: Scan in both; None: the only one.
        items: How many to show, without those that come twice.
        repeated: Share of them that comes twice, for each reader's agreement with himself.
        seed: Draws which tumours are shown, and the order in which each reader sees them; not what an item is.
        say: Takes a line on what was matched.

    Returns:
        What `reading.json` holds.

    Raises:
        ScanweaveError: There are too few tumours of a kind, or the key would be served.
    """
    _check(out, key, items, repeated, seed)
    name = _common_scan(real, made, scan)
    found = [list(lesions(cohort, mask, name)) for cohort in (real, made)]
    pairs = _pairs(found[0], found[1], items, seed, say)
    every = [(cohort, one) for pair in pairs for cohort, one in zip((real, made), pair, strict=True)]
    secret = np.random.default_rng(secrets.randbits(128))  # nothing that is served says where an item comes from
    order = [int(place) for place in secret.permutation(len(every))]
    places = [*order, *order[: round(repeated * len(every))]]
    edge = max(LEAST_EDGE_MM, WIDER * max(one.diameter_mm for _, one in every))
    spacing = float(np.median([one.spacing for _, one in every]))
    told: dict[str, dict[str, Any]] = {}
    with atomic_folder(out) as folder:
        for item, place in zip(_names(secret, len(places)), places, strict=True):
            cohort, one = every[place]
            image = cohort[one.study].scans[name]
            write_item(folder / ITEMS / f"{item}.nii", crop(image, one.centre_mm, edge, spacing), spacing)
            first = next((known for known, about in told.items() if about["place"] == place), None)
            told[item] = {"made": cohort is made, "place": place, "study": one.study, "number": one.number}
            told[item] |= {"diameter_mm": round(one.diameter_mm, 1), "again": first}
        content = {"format": 1, "salt": secrets.token_hex(16), "items": told}
        about = {"format": 1, "items": sorted(told), "seed": seed, "key_sha256": key_hash(content)}
        about |= {"edge_mm": round(edge, 1), "spacing_mm": round(spacing, 2)}
        write_json(folder / STUDY, about)
        write_json(key, content)  # before the study is there: it is worth nothing without
    return about


def _pairs(
    real: Sequence[Lesion], made: Sequence[Lesion], items: int, seed: int, say: Say
) -> list[tuple[Lesion, Lesion]]:
    """Return pairs of like size, and tell what there is."""
    pairs = matched(real, made, items // 2, np.random.default_rng(seed))
    if 2 * len(pairs) < LEAST_ITEMS:
        reason = f"{len(real)} real and {len(made)} made tumours match in {len(pairs)} pairs of like size"
        raise ScanweaveError("items", reason, "Give more scans, or made tumours of the diameters of the real ones")
    sizes = [np.median([one.diameter_mm for one in kind]) for kind in zip(*pairs, strict=True)]
    say(f"matched: {len(pairs)} pairs, of {sizes[0]:.1f} mm (real) and {sizes[1]:.1f} mm (made) in the median")
    if 2 * len(pairs) < items:
        say(f"caution: {2 * len(pairs)} items, not {items}: give more scans, or made tumours of like diameters")
    return pairs


def _check(out: Path, key: Path, items: int, repeated: float, seed: int) -> None:
    if lies_within(out, key):
        raise ScanweaveError(key, "lies in the folder that is served", "Choose another place for the key")
    if key.exists() or out.exists():
        raise ScanweaveError(key if key.exists() else out, "exists already", "Choose another one, or remove it")
    if items < LEAST_ITEMS:
        raise ScanweaveError("items", f"{items} are too few", f"Give {LEAST_ITEMS} or more")
    if not 0 <= repeated <= 1:
        raise ScanweaveError("repeated", f"{repeated:g} is no share", "Give a number from 0 to 1")
    if seed < 0:
        raise ScanweaveError("seed", f"{seed} is too small", "Give 0 or more")


def _common_scan(real: Cohort, made: Cohort, scan: str | None) -> str:
    """Return the scan that is shown of both, so that what is shown does not tell them apart.

    Raises:
        ScanweaveError: There is none, or several and none is named.
    """
    common = [name for name in real.names("scan") if name in made.names("scan")]
    if scan is not None and scan not in common:
        raise ScanweaveError("scan", f"'{scan}' is not in both cohorts", nearest(scan, common))
    if scan is None and len(common) != 1:
        raise ScanweaveError(
            "scan", f"both cohorts have {', '.join(common) or 'no scan in common'}", "Name one by --scan"
        )
    return scan or common[0]


def key_hash(key: dict[str, Any]) -> str:
    """Return the hash of a key: the same whatever its layout."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def lesions(cohort: Cohort, mask: str, scan: str) -> Iterator[Lesion]:
    """Yield the tumours of the studies of a cohort that have a scan.

    Raises:
        ScanweaveError: It has no such mask.
    """
    if mask not in cohort.names("mask"):
        there = ", ".join(cohort.names("mask")) or "none"
        raise ScanweaveError(cohort.folder, f"has no mask '{mask}' (there: {there})", "Name another one by --mask")
    for study in cohort:
        if mask not in study.masks or scan not in study.scans:
            continue
        drawn = study.masks[mask]
        labels = np.asarray(drawn.data).astype(np.int64)
        pieces = labels if labels.max(initial=0) > 1 else ndimage.label(labels, np.ones((3, 3, 3)))[0]
        for number in range(1, int(pieces.max(initial=0)) + 1):
            places = np.argwhere(pieces == number)
            if len(places):
                x, y, z = (float(one) for one in drawn.geometry.positions(places.mean(axis=0)[None])[0])
                size = diameter_of(len(places), drawn.geometry.spacing)
                yield Lesion(study.id, number, (x, y, z), size, min(study.scans[scan].geometry.spacing))


def matched(
    real: Sequence[Lesion], made: Sequence[Lesion], most: int, rng: np.random.Generator
) -> list[tuple[Lesion, Lesion]]:
    """Return pairs of a real and a made tumour of like diameter, no tumour in two pairs; the nearest is taken."""
    free = list(made)
    pairs: list[tuple[Lesion, Lesion]] = []
    for place in rng.permutation(len(real)):
        if len(pairs) >= most or not free:
            break
        one = real[int(place)]
        nearest_made = min(free, key=lambda other: abs(np.log(other.diameter_mm / one.diameter_mm)))
        if abs(np.log(nearest_made.diameter_mm / one.diameter_mm)) <= np.log(1 + LIKE):
            pairs.append((one, nearest_made))
            free.remove(nearest_made)
    return pairs


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
