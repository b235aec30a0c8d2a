"""Training samples: patches of studies with and without drawn tumours, and tumours to put into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.framework.segmentation.samples import PatchSamples
from scanweave.systems.freetumor.config import SynthesisSettings
from scanweave.systems.freetumor.looks import Looks, RealTumour
from scanweave.tumours.appearance import FIXED, Around, Rules
from scanweave.tumours.drawing import Box, DrawnTumour, box_around, draw_tumour
from scanweave.tumours.fields import Array
from scanweave.tumours.placement import draw_centre, draw_diameter, organ_depth

STREAM = 0x74756D
"""Keeps what is drawn here apart from what else is drawn from the same seed and index."""
Arrays = dict[str, NDArray[Any]]
Mask = NDArray[np.bool_]


class Look(Protocol):
    """A way in which tumours of samples look that needs no network."""

    def tumour(
        self, rng: Generator, image: Array, free: Mask, organ: Mask, spacing: Sequence[float]
    ) -> tuple[DrawnTumour, Array]:
        """Return a tumour for a patch, and what it changes in its box, as prepared."""
        ...


class RuleLook:
    """Tumours of a drawn shape and contrast; for a generator these are shape and texture alone.

    Args:
        settings: Sizes, shape, contrast.
        looks: Real tumours.
        unit: What 1 HU is as prepared.
    """

    def __init__(self, settings: SynthesisSettings, looks: Looks, unit: float) -> None:
        self.settings, self.unit = settings, unit
        labelled = settings.contrast == "labelled" and len(looks.contrasts) > 0
        self.rules = Rules(looks.contrasts, mean=True) if labelled else Rules(FIXED)

    def tumour(
        self, rng: Generator, image: Array, free: Mask, organ: Mask, spacing: Sequence[float]
    ) -> tuple[DrawnTumour, Array]:
        """Return a tumour of a drawn shape and contrast."""
        depth = organ_depth(free, spacing)
        diameter = draw_diameter(rng, depth, self.settings.diameters)
        centre = draw_centre(rng, depth, diameter)
        drawn = draw_tumour(rng, free, centre, diameter, spacing, shape=self.settings.shape)
        around = Around(image[drawn.box], organ[drawn.box], spacing, self.unit)
        return drawn, self.rules.change(rng, drawn, around, None)


class CopyLook:
    """Real tumours of the training studies, put elsewhere (after CarveMix: Zhang et al., MICCAI 2021).

    Args:
        real: The tumours.
        scan: Name of the scan.
        edge_mm: Deviation of the border [mm].
    """

    def __init__(self, real: Sequence[RealTumour], scan: str, edge_mm: float = 1.5) -> None:
        self.real, self.scan, self.edge_mm = list(real), scan, edge_mm

    def tumour(
        self, rng: Generator, image: Array, free: Mask, organ: Mask, spacing: Sequence[float]
    ) -> tuple[DrawnTumour, Array]:
        """Return a real tumour at another place, its intensities moved by the difference of the organs' means."""
        real = self.real[int(rng.random() * len(self.real))]
        flips = tuple(axis for axis in range(3) if rng.random() < 0.5)
        values = np.flip(np.nan_to_num(np.asarray(real.study.volume(self.scan)[real.box])), flips)
        mask = np.flip(real.mask, flips)
        places = np.argwhere(mask)
        middle = places[np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1))]
        inside = float(values[mask].mean()) - real.contrast  # the organ around it
        depth = organ_depth(free, spacing)
        centre = draw_centre(rng, depth, min(2 * depth.most, float(np.cbrt(mask.sum() * np.prod(spacing)))))
        reach = max((n * s for n, s in zip(mask.shape, spacing, strict=True)), default=1.0)
        box = box_around(centre, free.shape, reach, spacing)
        pasted, change = np.zeros(_shape(box), bool), np.zeros(_shape(box), np.float32)
        here, there = _common(box, centre, middle, mask.shape)
        allowed = free[box]
        pasted[here] = mask[there]
        pasted &= allowed
        level = float(image[box][allowed].mean())
        change[here] = (values[there] - inside) + level - image[box][here]
        soft = ndimage.gaussian_filter(pasted.astype(np.float32), self.edge_mm / np.asarray(spacing)) * allowed
        size = float(np.cbrt(6 / np.pi * max(1, pasted.sum()) * np.prod(spacing)))
        return DrawnTumour(box, pasted, soft, np.ones_like(soft), size, size, self.edge_mm), change


class TumourSamples:
    """Samples of `PatchSamples` with tumours to put in.

    `{"image": (1, X, Y, Z), "present", "tumour", "organ": (X, Y, Z), "real", "offered": (), "hard", "soft", "texture",
    "change": (T, X, Y, Z), "radius", "contrast", "gain": (T,), "case"}`, T tries. `change` is what rules would change,
    as prepared; `radius` the logarithm of that in millimetres. All are 0 where nothing is offered.

    Args:
        patches: Patches whose mask has two planes, tumour and organ.
        look: How tumours look.
        settings: Sizes, shares, tries.
        spacing: Size of a prepared voxel along each axis [mm].
        beside_real: Whether crops that hold a real tumour are offered another one, as the generator learns.
    """

    def __init__(
        self,
        patches: PatchSamples,
        look: Look,
        settings: SynthesisSettings,
        spacing: Sequence[float],
        *,
        beside_real: bool,
    ) -> None:
        self.patches, self.look, self.settings = patches, look, settings
        self.spacing, self.beside_real = tuple(spacing), beside_real

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return sample number `index`."""
        made = self.patches[index]
        tumour, organ = (plane.bool() for plane in made.pop("mask"))
        image = made["image"][0].numpy()
        rng = np.random.default_rng([STREAM, self.patches.seed, index])
        wanted = rng.random() < (1.0 if self.beside_real else self.settings.share)
        free = (organ & ~tumour).numpy()
        offered = bool(wanted and free.any() and (self.beside_real or not tumour.any()))
        arrays, numbers = self._tries(rng, image, free, organ.numpy(), offered=offered)
        return made | {
            "tumour": tumour,
            "organ": organ,
            "real": tumour.any(),
            "offered": torch.tensor(offered),
            **{name: torch.from_numpy(values) for name, values in (arrays | numbers).items()},
        }

    def case(self, index: int) -> str:
        """Return the study of a sample, without reading it."""
        return self.patches.case(index)

    def _tries(self, rng: Generator, image: Array, free: Mask, organ: Mask, *, offered: bool) -> tuple[Arrays, Arrays]:
        count = self.settings.tries
        arrays: Arrays = {
            name: np.zeros((count, *image.shape), bool if name == "hard" else np.float32)
            for name in ("hard", "soft", "texture", "change")
        }
        numbers: Arrays = {name: np.zeros(count, np.float32) for name in ("radius", "contrast", "gain")}
        for number in range(count if offered else 0):
            drawn, change = self.look.tumour(rng, image, free, organ, self.spacing)
            values = {"hard": drawn.mask, "soft": drawn.soft, "texture": drawn.texture, "change": change}
            for name, value in values.items():
                arrays[name][(number, *drawn.box)] = value
            numbers["radius"][number] = np.log(drawn.diameter_mm / 2)
            numbers["contrast"][number] = float((change * drawn.soft)[drawn.mask].mean()) if drawn.mask.any() else 0.0
            numbers["gain"][number] = rng.uniform(*self.settings.gain)
        return arrays, numbers


def _shape(box: Box) -> tuple[int, ...]:
    return tuple(side.stop - side.start for side in box)


def _common(
    box: Box, centre: Sequence[int], middle: Sequence[int], shape: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return what a box and a pasted array have in common, in either, where `middle` of it comes to `centre`."""
    here, there = [], []
    for side, at, own, size in zip(box, centre, middle, shape, strict=True):
        first = int(at) - int(own) - side.start  # of the array, in the box
        low, high = max(0, first), min(side.stop - side.start, first + size)
        here.append(slice(low, high))
        there.append(slice(low - first, high - first))
    return tuple(here), tuple(there)
