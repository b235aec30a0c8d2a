"""Masks as what is to be learnt: structures by name, as one label map or one plane a structure, on any grid.

A structure may be some numbers of a label map, a mask of its own, or one channel of a one-hot file. That a mask is
absent is not that it is empty: nobody looked. A one-hot file travels as one number a voxel, of which each channel is a
bit (`packed`), so that it is cut, turned and cached as a label map is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.columns import KINDS
from scanweave.studies.geometry import Geometry, resample
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

if TYPE_CHECKING:
    from scanweave.studies.cohort import Cohort


MOST_CHANNELS = 15
"""Of a one-hot file: as many as a number of 16 bits holds beside its sign."""


@dataclass(frozen=True)
class Structure:
    """Something that masks show.

    Attributes:
        name: Its name, such as `"anterior"`.
        mask: The mask that shows it.
        values: Its numbers there; none: every number but 0.
        channel: Its channel, from 0, where the mask is one-hot; None: the mask has one number a voxel.
    """

    name: str
    mask: str
    values: tuple[int, ...] = ()
    channel: int | None = None

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers by which it is written in a label map, or the place of its channel from 1."""
        return self.values or (1 if self.channel is None else self.channel + 1,)

    def shown(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """Return where labels show it, of any shape; those of a one-hot file as `packed` gives them."""
        if self.channel is not None:
            return np.asarray(labels >> self.channel & 1, dtype=bool)
        return np.isin(labels, self.values) if self.values else np.asarray(labels != 0)


def packed(channels: NDArray[Any], where: str = "mask") -> NDArray[np.int16]:
    """Return a one-hot file `(X, Y, Z, C)` as one number a voxel: bit k is set where channel k is not 0.

    Raises:
        ScanweaveError: There are more channels than a number has bits.
    """
    count = channels.shape[3]
    if count > MOST_CHANNELS:
        raise ScanweaveError(where, f"has {count} channels, more than {MOST_CHANNELS}", "Write a label map instead")
    made = np.zeros(channels.shape[:3], dtype=np.int16)
    for number in range(count):
        made |= (channels[..., number] != 0).astype(np.int16) << number
    return made


def structures_of(cohort: Cohort, masks: Sequence[str] | None = None) -> tuple[Structure, ...]:
    """Return the structures of a cohort's masks: as its source names them, else by the numbers that the check saw.

    Args:
        cohort: Any cohort.
        masks: Which masks; all if not given.

    Raises:
        ScanweaveError: The numbers of a mask are not named, and the cohort was never checked.
    """
    named = cohort.about.get("structures", {})
    found: list[Structure] = []
    for mask in cohort.names("mask") if masks is None else masks:
        names: Mapping[str, Sequence[int]] = named.get(mask, {})
        first = _first(cohort, mask)
        if first is not None and first.frames is not None:
            found += _channels(first, mask, list(names))
        elif names:
            found += [Structure(name, mask, tuple(values)) for name, values in names.items()]
        else:
            found += _numbered(cohort, mask)
    many = Counter(structure.name for structure in found)
    return tuple(replace(one, name=f"{one.mask}-{one.name}") if many[one.name] > 1 else one for one in found)


def one_hot_channels(cohort: Cohort, masks: Sequence[str]) -> dict[str, int]:
    """Return the number of channels of each of these masks that is one-hot, by the first study that has it."""
    first = {mask: _first(cohort, mask) for mask in masks}
    return {mask: scan.frames for mask, scan in first.items() if scan is not None and scan.frames is not None}


def _first(cohort: Cohort, mask: str) -> Scan | None:
    """The mask of the first study that has it; its header tells whether it is one-hot."""
    paths = cohort.frame[f"mask:{mask}"].dropna()
    return KINDS["mask"].read(cohort.root / str(paths.iloc[0])) if len(paths) else None


def _channels(scan: Scan, mask: str, names: Sequence[str]) -> list[Structure]:
    """The channels of a one-hot mask; a first one that makes them fill all of space is the background."""
    count = scan.frames or 1
    if not names:
        drawn = (np.asarray(scan.released().data) != 0).sum(axis=3)
        before = 1 if count > 1 and bool((drawn == 1).all()) else 0
        names = [f"{mask}-{number}" for number in range(1, count - before + 1)]
    before = count - len(names)
    if before not in (0, 1):
        words = f"has {count} channels for {len(names)} structures"
        raise ScanweaveError(f"mask:{mask}", words, "Give one channel each, after one of the background or not")
    return [Structure(name, mask, channel=number + before) for number, name in enumerate(names)]


def _numbered(cohort: Cohort, mask: str) -> list[Structure]:
    """The numbers of a label map that the check saw, as structures."""
    from scanweave.studies.checks.cohort_check import seen_values

    values = seen_values(cohort, mask)
    if values is None:
        step = f"Note which numbers there are: scanweave cohort check {cohort.folder}"
        raise ScanweaveError(f"mask:{mask}", "nothing says what its numbers are", step)
    shown = sorted(set(values) - {0})
    if len(shown) < 2:
        return [Structure(mask, mask, tuple(shown))]
    return [Structure(f"{mask}-{value}", mask, (value,)) for value in shown]


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
        channels = data.shape[3] if data.ndim == 4 else None
        labels = data if channels is None else packed(data, f"{study.id}: mask:{mask}")
        for place, structure in enumerate(structures):
            if structure.mask == mask:
                _check_channel(structure, channels, study.id)
                planes[place] = structure.shown(labels)
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


def _check_channel(structure: Structure, channels: int | None, study: str) -> None:
    """Refuse a one-hot file where a label map is wanted, and the reverse."""
    wanted = structure.channel
    if (wanted is None) == (channels is None) and (wanted is None or wanted < (channels or 0)):
        return
    has = "is a label map" if channels is None else f"has {channels} channels"
    words = "a label map is wanted" if wanted is None else f"channel {wanted} is wanted"
    raise ScanweaveError(f"{study}: mask:{structure.mask}", f"{has} where {words}", "Write it as the others are")


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
