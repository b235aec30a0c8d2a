"""Real films into which nodules and marks are put: which are fit for it, where their lungs lie, what they absorb."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from PIL import Image
from scipy import ndimage

from scanweave.errors import ScanweaveError
from scanweave.simulate.fields import Array
from scanweave.simulate.films.film import Draws, Film, Mask, Stream
from scanweave.simulate.films.findings import Nodule, nodule_sizes
from scanweave.simulate.films.marks import Landmarks
from scanweave.simulate.films.plane import FilmPlane
from scanweave.simulate.films.settings import FINDINGS, FilmSettings
from scanweave.simulate.films.thickness import nodule_shadow
from scanweave.studies.cohort import ABOUT, Cohort, safe_id
from scanweave.studies.formats.image_names import is_film, stem
from scanweave.studies.formats.image_reader import read_scan

LUNGS_MM = 250.0
"""Width of both lungs that a real film's scale is guessed by, an adult's."""
AIR, BETWEEN = 2.2, 4.2
"""Line integrals of attenuation of lungs, and of what lies between them, in simulated films."""
_COARSE = 128
"""Longer side of the film in which lungs are sought [pixel]."""
_LEAST, _MOST = 0.03, 0.3
"""Share of a film that each lung covers."""
_WIDEST_GAP = 0.4
"""Most of the width of both lungs that lies between them: beyond, one is an armpit."""
_CONTRAST = 0.08
"""Least difference between lungs and what lies between them, over that between the film's black and white."""
_THRESHOLDS = (30, 35, 40, 45, 25, 20, 50)
"""Percentiles of a film's middle below which it may be lung, in the order in which they are tried."""


@dataclass(frozen=True)
class Background:
    """Name a real film: its file, and whose it is."""

    file: str
    patient: str


@dataclass(frozen=True)
class Chosen:
    """Hold real films that are used, how many before the last were left out, and what tells the folder from another."""

    films: list[Background]
    left_out: int
    digest: str


@dataclass(frozen=True)
class Lungs:
    """Hold where the lungs of a real film lie.

    Attributes:
        masks: Mask of the left and of the right one on the film, `(2, H, W)`.
        levels: Median value of the lungs, and of what lies between them.
    """

    masks: Mask
    levels: tuple[float, float]


def list_backgrounds(folder: Path) -> list[Background]:
    """Return the films of a folder by name, or the first film of each study of a cohort.

    Raises:
        ScanweaveError: There is no such folder, or no film in it.
    """
    if (folder / ABOUT).is_file():
        found = []
        for study in Cohort.open(folder):
            file = next((scan.path for scan in study.scans.values() if scan.path and is_film(scan.path)), None)
            found += [Background(str(file), study.patient)] if file else []
    elif folder.is_dir():
        films = sorted(path for path in folder.iterdir() if is_film(path.name))
        found = [Background(str(path), safe_id(stem(path.name))) for path in films]
    else:
        raise ScanweaveError(folder, "no such folder", "Give a folder of films, or a cohort of them")
    if not found:
        raise ScanweaveError(folder, "holds no films", "Give a folder of PNG, JPEG, TIFF or DICOM films, or a cohort")
    return found


def choose_backgrounds(folder: Path, subjects: int, size: int) -> Chosen:
    """Return as many films of a folder as are wanted, in order, of those whose lungs are found.

    Raises:
        ScanweaveError: There are fewer.
    """
    chosen: list[Background] = []
    listed = list_backgrounds(folder)
    for tried, one in enumerate(listed, start=1):
        if find_lungs(read_background(one.file, size)) is not None:
            chosen.append(one)
        if len(chosen) == subjects:
            told = "\n".join(f"{Path(film.file).name}\t{film.patient}" for film in listed)
            return Chosen(chosen, tried - subjects, hashlib.sha256(told.encode()).hexdigest()[:16])
    reason = f"in {len(chosen)} of {len(listed)} films both lungs were found, and {subjects} are asked for"
    raise ScanweaveError(folder, reason, f"Give --subjects {len(chosen)}" if chosen else "Give frontal chest films")


def read_background(file: str, size: int) -> Array:
    """Return a film `(H, W)`, its longer side `size`, black 0 and white 1 at the 1st and 99th percentile.

    Raises:
        ScanweaveError: The file cannot be read, or is no film.
    """
    scan = read_scan(file).grey()
    pixels = np.asarray(scan.data, np.float32)
    if pixels.ndim != 3 or pixels.shape[2] != 1:
        raise ScanweaveError(file, "is no film", "Leave it out")
    image = pixels[..., 0].T
    factor = size / max(image.shape)
    shape = [max(round(length * factor), 1) for length in image.shape[::-1]]
    small = np.asarray(Image.fromarray(image).resize((shape[0], shape[1]), Image.Resampling.BILINEAR))
    black, white = np.percentile(small, (1, 99))
    return np.asarray(np.clip((small - black) / max(white - black, 1e-6), -0.2, 1.2), np.float32)


def find_lungs(film: Array) -> Lungs | None:
    """Return the lungs of a frontal film `(H, W)` as two dark regions side by side; None where there are no such.

    A region is dark below a percentile of the film's middle, off its border, and of the size of a lung; both are alike
    in size and height. Simple, and often wrong at the base and behind the heart: good enough to lie within.
    """
    step = max(max(film.shape) / _COARSE, 1.0)
    coarse = ndimage.zoom(ndimage.gaussian_filter(film, step / 2), 1 / step, order=1)
    smooth = ndimage.gaussian_filter(coarse, 1.5)
    height, width = smooth.shape
    middle = smooth[height // 8 : -height // 8, width // 8 : -width // 8]
    for percentile in _THRESHOLDS:
        pair = _pair(smooth < np.percentile(middle, percentile))
        if pair is None:
            continue
        zoomed = [ndimage.zoom(one.astype(np.float32), np.divide(film.shape, one.shape), order=1) > 0.5 for one in pair]
        masks = np.stack(zoomed)
        inner = [int(np.flatnonzero(masks[0].any(axis=0))[-1]), int(np.flatnonzero(masks[1].any(axis=0))[0])]
        rows = np.flatnonzero(masks.any(axis=(0, 2)))
        centre, half = sum(inner) // 2, max(abs(inner[1] - inner[0]) // 2, 3)
        between = film[rows[len(rows) // 3] : rows[-1], max(centre - half, 0) : centre + half]
        levels = (float(np.median(film[masks.any(axis=0)])), float(np.median(between)))
        if levels[1] - levels[0] >= _CONTRAST:
            return Lungs(masks, levels)
    return None


def simulate_on_background(seed: int, settings: FilmSettings, films: Sequence[Background], index: int) -> Film:
    """Put a nodule, or none, and marks into real film `index` of a list.

    The scale is guessed from the lungs, `LUNGS_MM` wide; values are taken for line integrals of attenuation, scaled so
    that lungs lie at `AIR` and what lies between them at `BETWEEN`.

    Raises:
        ScanweaveError: The film has changed since its lungs were found.
    """
    film = read_background(films[index].file, settings.size)
    lungs = find_lungs(film)
    if lungs is None:
        raise ScanweaveError(films[index].file, "its lungs are found no more", "Leave the films as they are")
    draws = Draws(seed, index, settings)
    plane, place = _placed(lungs)
    low, high = lungs.levels
    attenuation = np.clip(AIR + (film - low) * (BETWEEN - AIR) / (high - low), 0, 8)
    masks, findings = {}, {}
    if draws.rng(Stream.PRESENCE, FINDINGS.index("nodule")).random() < settings.prevalence["nodule"]:
        nodule = _nodule(draws.rng(Stream.FINDING, FINDINGS.index("nodule")), lungs, plane, settings.conspicuity)
        seen, mask = nodule_shadow(nodule, plane)
        attenuation, masks["nodule"], findings["nodule"] = attenuation + seen, mask, asdict(nodule)
    told: dict[str, Any] = {"background": Path(films[index].file).name, "patient": films[index].patient}
    told |= {"spacing_mm": plane.spacing, "middle": list(plane.middle), "findings": findings}
    return draws.film(np.asarray(attenuation, np.float32), masks, plane, place, told)


def _pair(dark: Mask) -> tuple[Mask, Mask] | None:
    """Return the left and the right lung among dark regions."""
    closed = ndimage.binary_opening(dark, iterations=2)
    numbers, count = ndimage.label(closed)
    edge = np.unique(np.concatenate([numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]]))
    sides: dict[bool, list[tuple[int, Mask]]] = {False: [], True: []}
    for number in set(range(1, count + 1)) - set(edge.tolist()):
        region = np.asarray(ndimage.binary_fill_holes(numbers == number))
        if _LEAST < region.mean() < _MOST:
            centre = float(np.flatnonzero(region.any(axis=0)).mean())
            sides[centre > dark.shape[1] / 2].append((int(region.sum()), region))
    if not sides[False] or not sides[True]:
        return None
    (first, left), (second, right) = (max(sides[side], key=lambda one: one[0]) for side in (False, True))
    heights = [np.flatnonzero(one.any(axis=1)) for one in (left, right)]
    shared = min(heights[0][-1], heights[1][-1]) - max(heights[0][0], heights[1][0])
    alike = 0.4 < first / second < 2.5 and shared > 0.6 * max(map(len, heights))
    columns = [np.flatnonzero(one.any(axis=0)) for one in (left, right)]
    gap = (columns[1][0] - columns[0][-1]) / (columns[1][-1] - columns[0][0])
    return (left, right) if alike and -0.1 < gap < _WIDEST_GAP else None


def _placed(lungs: Lungs) -> tuple[FilmPlane, Landmarks]:
    """Return the plane of a real film, and where marks are placed by."""
    both = np.asarray(lungs.masks.any(axis=0))
    rows, columns = np.flatnonzero(both.any(axis=1)), np.flatnonzero(both.any(axis=0))
    inner = [np.flatnonzero(lungs.masks[0].any(axis=0))[-1], np.flatnonzero(lungs.masks[1].any(axis=0))[0]]
    spacing = LUNGS_MM / (columns[-1] + 1 - columns[0])
    middle = (float(sum(inner) + 1) / 2, float(rows[0] + rows[-1] + 1) / 2)
    tall = float(len(rows) * spacing)
    place = Landmarks(-tall / 2, (0.0, -0.12 * tall), 0.0, LUNGS_MM / 2)
    return FilmPlane(both.shape[0], both.shape[1], float(spacing), middle), place


def _nodule(rng: Generator, lungs: Lungs, plane: FilmPlane, conspicuity: float) -> Nodule:
    """Draw a nodule within the lungs of a real film, its whole disc if there is room for it."""
    radius, density = nodule_sizes(rng, conspicuity)
    both = np.asarray(lungs.masks.any(axis=0))
    depth = ndimage.distance_transform_edt(both) * plane.spacing
    rows, columns = np.nonzero(depth >= min(radius, float(depth.max())))
    chosen = int(rng.integers(len(rows)))
    x, y = plane.x[0, columns[chosen]], plane.y[rows[chosen], 0]
    return Nodule(float(x), float(y), radius, density)
