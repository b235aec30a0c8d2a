"""Masks as what is to be learnt: structures by name, as one label map or one plane a structure, on any grid.

A structure may be some numbers of a label map, a mask of its own, or one channel of a one-hot file. That a mask is
absent is not that it is empty: nobody looked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.geometry import Geometry, resample
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

if TYPE_CHECKING:
    from scanweave.studies.cohort import Cohort


@dataclass(frozen=True)
class Structure:
    """Something that masks show.

    Attributes:
        name: Its name, such as `"anterior"`.
        mask: The mask that shows it.
        values: Its numbers there; none: every number but 0.
    """

    name: str
    mask: str
    values: tuple[int, ...] = ()


def structures_of(cohort: Cohort, masks: Sequence[str] | None = None) -> tuple[Structure, ...]:
    """Return the structures of a cohort's masks: as its source names them, else by the numbers that the check saw.

    Args:
        cohort: Any cohort.
        masks: Which masks; all if not given.

    Raises:
        ScanweaveError: The numbers of a mask are not named, and the cohort was never checked.
    """
    from scanweave.studies.checks.cohort_check import seen_values

    named = cohort.about.get("structures", {})
    found: list[Structure] = []
    for mask in cohort.names("mask") if masks is None else masks:
        if mask in named:
            found += [Structure(name, mask, tuple(values)) for name, values in named[mask].items()]
            continue
        values = seen_values(cohort, mask)
        if values is None:
            step = f"Note which numbers there are: scanweave cohort check {cohort.folder}"
            raise ScanweaveError(f"mask:{mask}", "nothing says what its numbers are", step)
        shown = sorted(set(values) - {0})
        single = [Structure(mask, mask)]
        found += single if len(shown) < 2 else [Structure(f"{mask}-{value}", mask, (value,)) for value in shown]
    return tuple(found)


def structure_planes(
    study: Study, structures: Sequence[Structure], grid: Geometry
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return each structure on `grid` `(K, X, Y, Z)`, and which of them somebody drew or left empty `(K,)`.

    Masks on other grids are sampled at the nearest voxel.

    Raises:
        ScanweaveError: A mask has neither one number a voxel nor one channel a structure, or does not fit the grid.
    """
    planes = np.zeros((len(structures), *grid.shape), dtype=bool)
    known = np.array([structure.mask in study.masks for structure in structures], dtype=bool)
    for mask in dict.fromkeys(structure.mask for structure in structures if structure.mask in study.masks):
        scan = study.masks[mask]
        data = _on_grid(scan, grid, f"{study.id}: mask:{mask}")
        own = [place for place, structure in enumerate(structures) if structure.mask == mask]
        for order, place in enumerate(own):
            planes[place] = _shown(data, structures[place], order, len(own))
    return planes, known


def label_map(study: Study, structures: Sequence[Structure], grid: Geometry) -> NDArray[np.uint16]:
    """Return one number a voxel on `grid` `(X, Y, Z)`: 0 for none, k + 1 for structure k.

    Raises:
        ScanweaveError: Two structures share a voxel, or one was not looked for in this study.
    """
    planes, known = structure_planes(study, structures, grid)
    if not known.all():
        absent = structures[int(np.flatnonzero(~known)[0])].mask
        raise ScanweaveError(study.id, f"mask:{absent} is absent", "Choose studies that have it")
    made = np.zeros(grid.shape, dtype=np.uint16)
    for number, plane in enumerate(planes, 1):
        if (made[plane] > 0).any():
            other = structures[int(made[plane].max()) - 1].name
            words = f"{structures[number - 1].name} and {other} share voxels"
            raise ScanweaveError(study.id, words, "Take them as planes of their own, not as one label map")
        made[plane] = number
    return made


def _on_grid(scan: Scan, grid: Geometry, where: str) -> NDArray[np.generic]:
    data, own = np.asarray(scan.released().data), scan.geometry
    if own.is_placed and grid.is_placed:
        return resample(data.astype(np.float32), own, grid, "nearest")
    if not own.matches(grid):
        raise ScanweaveError(where, "does not lie on the grid of its film", "See why: scanweave cohort check COHORT")
    return data


def _shown(data: NDArray[np.generic], structure: Structure, order: int, many: int) -> NDArray[np.bool_]:
    """Return where a mask shows a structure: by its numbers, or in its own channel, after that of the background."""
    if data.ndim == 3:
        return np.isin(data, structure.values) if structure.values else np.asarray(data != 0)
    if data.shape[3] not in (many, many + 1):
        words = f"has {data.shape[3]} channels for {many} structures"
        raise ScanweaveError(
            f"mask:{structure.mask}", words, "Give one channel each, after one of the background or not"
        )
    return np.asarray(data[..., order + data.shape[3] - many] != 0)


def parse_structures(labels: object) -> Mapping[str, list[int]]:
    """Parse structures by name from `labels` of a `dataset.json`, of either nnU-Net version: background left out.

    `{"0": "background", "1": "Anterior"}`, `{"background": 0, "whole": [1, 2]}`; what is neither is passed over.
    """
    found: dict[str, list[int]] = {}
    for key, value in labels.items() if isinstance(labels, dict) else ():
        name, numbers = (value, key) if isinstance(value, str) else (key, value)
        several = numbers if isinstance(numbers, list) else [numbers]
        if all(str(number).isdecimal() for number in several) and name not in ("background", "ignore"):
            wanted = [int(number) for number in several if int(number) != 0]
            if wanted:
                found[str(name)] = wanted
    return found
