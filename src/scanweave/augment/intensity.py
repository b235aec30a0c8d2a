"""Intensity changes of samples; MONAI's where they are plain functions of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from monai.transforms import AdjustContrast, ScaleIntensityFixedMean
from torch import Tensor
from torch.nn import functional as F

from scanweave.augment.affine import balanced
from scanweave.augment.settings import AugmentationSettings

BLUR_REACH_DEVIATIONS = 4.0
"""Half width of the blur's kernel [standard deviations]."""


def vary_intensity(
    rng: np.random.Generator, image: Tensor, settings: AugmentationSettings, present: Sequence[bool] | None = None
) -> Tensor:
    """Return a sample with noise, blur, brightness, contrast, resolution and gamma varied, in nnU-Net's order.

    Args:
        rng: Source of chance; asked for the same numbers whichever channels are present.
        image: `(C, *spatial)`, normalised to a deviation of about 1, float32.
        settings: Shares and ranges.
        present: Whether each channel was acquired; the others stay as they are. None: all were.

    Returns:
        `(C, *spatial)`; the image itself is not changed.
    """
    made = list(image.unbind(0))
    here = [True] * len(made) if present is None else [bool(one) for one in present]
    for share, change in _changes(settings):
        if rng.random() >= share:
            continue
        for channel, seen in enumerate(here):
            varied = change(rng, made[channel], seen)
            made[channel] = varied if seen else made[channel]
    return torch.stack(made)


Change = Callable[[np.random.Generator, Tensor, bool], Tensor]


def _changes(settings: AugmentationSettings) -> list[tuple[float, Change]]:
    """Return each change and its share. A change draws its numbers before it asks whether the channel is there."""

    def gamma(inverted: bool) -> Change:
        def change(rng: np.random.Generator, x: Tensor, seen: bool) -> Tensor:
            exponent = balanced(rng, settings.gamma)
            return gamma_changed(x, exponent, inverted) if seen else x

        return change

    def noisy(rng: np.random.Generator, x: Tensor, seen: bool) -> Tensor:
        deviation = float(rng.uniform(0, settings.noise))
        return x + deviation * torch.from_numpy(rng.standard_normal(tuple(x.shape), dtype=np.float32))

    def blurry(rng: np.random.Generator, x: Tensor, seen: bool) -> Tensor:
        wanted, deviations = rng.random() < settings.blur_per_channel, rng.uniform(*settings.blur, x.ndim)
        return blurred(x, [float(one) for one in deviations]) if wanted and seen else x

    def bright(rng: np.random.Generator, x: Tensor, seen: bool) -> Tensor:
        return x * balanced(rng, settings.brightness)

    def contrasted(rng: np.random.Generator, x: Tensor, seen: bool) -> Tensor:
        factor = balanced(rng, settings.contrast)
        return contrast_changed(x, factor) if seen else x

    def coarse(rng: np.random.Generator, x: Tensor, seen: bool) -> Tensor:
        wanted, fraction = (
            rng.random() < settings.low_resolution_per_channel,
            float(rng.uniform(*settings.low_resolution)),
        )
        keep_first = settings.in_plane and x.ndim == 3
        return (
            coarsened(x, [1.0 if keep_first and not axis else fraction for axis in range(x.ndim)])
            if wanted and seen
            else x
        )

    return [
        (settings.noise_share, noisy),
        (settings.blur_share, blurry),
        (settings.brightness_share, bright),
        (settings.contrast_share, contrasted),
        (settings.low_resolution_share, coarse),
        (settings.inverted_gamma_share, gamma(True)),
        (settings.gamma_share, gamma(False)),
    ]


def gamma_changed(x: Tensor, exponent: float, inverted: bool = False) -> Tensor:
    """Return a channel `(*spatial)` with its range raised to a power, of its brightness or (`inverted`) its darkness.

    Mean and standard deviation are kept.
    """
    made: Tensor = AdjustContrast(exponent, invert_image=inverted, retain_stats=True)(x)
    return made.as_subclass(torch.Tensor)


def contrast_changed(x: Tensor, factor: float) -> Tensor:
    """Return a channel `(*spatial)` with differences from its mean times `factor`, clipped to its range."""
    made: Tensor = ScaleIntensityFixedMean(factor - 1, preserve_range=True)(x)
    return made.as_subclass(torch.Tensor)


def blurred(x: Tensor, deviations: Sequence[float]) -> Tensor:
    """Return a channel `(*spatial)` blurred by a Gaussian of `deviations` [voxels] an axis; its border is repeated.

    MONAI's smoothing takes 0 beyond the border, which darkens the edges of every crop.
    """
    made = x[None, None]
    convolve = F.conv2d if x.ndim == 2 else F.conv3d
    for axis, deviation in enumerate(deviations):
        reach = max(int(BLUR_REACH_DEVIATIONS * deviation + 0.5), 1)
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation) ** 2)
        sides = [0, 0] * x.ndim
        sides[2 * (x.ndim - 1 - axis) : 2 * (x.ndim - axis)] = [reach, reach]
        shape = [1, 1, *(-1 if one == axis else 1 for one in range(x.ndim))]
        made = convolve(F.pad(made, sides, mode="replicate"), (kernel / kernel.sum()).view(shape))
    return made[0, 0]


def coarsened(x: Tensor, fractions: Sequence[float]) -> Tensor:
    """Return a channel `(*spatial)` brought to `fractions` of its size by nearest voxels and back by linear ones."""
    size = [max(round(edge * fraction), 1) for edge, fraction in zip(x.shape, fractions, strict=True)]
    small = F.interpolate(x[None, None], size=size, mode="nearest-exact")
    return F.interpolate(
        small, size=tuple(x.shape), mode="bilinear" if x.ndim == 2 else "trilinear", align_corners=False
    )[0, 0]
