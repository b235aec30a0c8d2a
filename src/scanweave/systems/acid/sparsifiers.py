"""H⁺ S_ε(H f): what pushes an image towards few edges (spec 2.2).

All take images `(B, C, H, W)` and one threshold a sample `(B, 1, 1, 1)`, are differentiable, and are 1-homogeneous in
image and threshold together. A complex image has its real and imaginary part as two channels; `coupled` thresholds
their common gradient, so that its phase is kept.
"""

from __future__ import annotations

from typing import Protocol

import torch
from deepinv.models import TVDenoiser
from torch import Tensor

from scanweave.errors import ScanweaveError

PROX_ITERATIONS = 20
PROX_STEP = 0.1
"""Primal step of deepinv's TV prox for images of about unit size; of those tried, nearest to the limit in 20 steps."""


class Sparsifier(Protocol):
    """Maps an image and a threshold to a sparser image."""

    def __call__(self, image: Tensor, threshold: Tensor) -> Tensor:
        """Return the image `(B, C, H, W)` after thresholding by `(B, 1, 1, 1)`."""


def make_sparsifier(name: str, *, coupled: bool = False) -> Sparsifier:
    """Return the sparsifier of a name of `LoopSettings.sparsifier`.

    Args:
        name: Which.
        coupled: Whether the channels share their edges.

    Raises:
        ScanweaveError: There is none of that name.
    """
    known: dict[str, Sparsifier] = {
        "tv-inverse": TvPseudoInverse(coupled),
        "tv-prox": prox_tv,
        "wavelet": Haar(),
        "none": lambda image, threshold: image,
    }
    if name not in known:
        raise ScanweaveError("sparsifier", f"there is no '{name}'", f"Use one of: {', '.join(known)}")
    return known[name]


class TvPseudoInverse:
    """Soft thresholding of discrete gradients and a pseudo-inverse of the gradient (Yu and Wang 2010; spec 2.2).

    With d_ij = √((f_ij − f_{i+1,j})² + (f_ij − f_{i,j+1})²), ω the threshold, and differences across the border 0:

    fᵃ = f_ij − min(1/4, ω / 4d_ij) (2 f_ij − f_{i+1,j} − f_{i,j+1}),
    fᵇ = f_ij − min(1/2, ω / 2d_{i−1,j}) (f_ij − f_{i−1,j}), fᶜ likewise with j − 1; the result is (2fᵃ + fᵇ + fᶜ) / 4.

    One pass is not the proximal operator of total variation.

    Args:
        coupled: Whether d is taken over all channels together.
    """

    def __init__(self, coupled: bool = False) -> None:
        self.coupled = coupled

    def __call__(self, image: Tensor, threshold: Tensor) -> Tensor:
        """See `Sparsifier`."""
        down, right = _ahead(image, -2), _ahead(image, -1)
        square = down.square() + right.square()
        if self.coupled:
            square = square.sum(dim=1, keepdim=True)
        share = _clipped_share(square, threshold)
        both = image - 0.25 * share * (down + right)
        above = image - 0.5 * _behind(share * -down, -2)
        left = image - 0.5 * _behind(share * -right, -1)
        return (2 * both + above + left) / 4


class Haar:
    """Soft thresholding of stationary Haar wavelets, the same for every shift of the image (Coifman and Donoho 1995).

    Borders are periodic. The threshold is that of an orthonormal transform.

    Args:
        levels: Scales, the finest first.
    """

    def __init__(self, levels: int = 3) -> None:
        self.levels = levels

    def __call__(self, image: Tensor, threshold: Tensor, level: int = 0) -> Tensor:
        """See `Sparsifier`."""
        if level == self.levels:
            return image
        shift = 2**level
        low, high = _split(image, shift, -2)
        (smooth, across), (along, diagonal) = _split(low, shift, -1), _split(high, shift, -1)
        smooth = self(smooth, threshold, level + 1)
        across, along, diagonal = (_soft(part, threshold / (2 * shift)) for part in (across, along, diagonal))
        low, high = _joined(smooth, across, shift, -1), _joined(along, diagonal, shift, -1)
        return _joined(low, high, shift, -2)


def prox_tv(image: Tensor, threshold: Tensor) -> Tensor:
    """Return argmin_x ½‖x − f‖² + ε TV(x) after `PROX_ITERATIONS` of deepinv's solver, each channel for itself."""
    scale = image.detach().square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(torch.finfo(image.dtype).tiny)
    # A solver of its own for each call: kept between calls, it would start from another image's solution.
    solver = TVDenoiser(tau=PROX_STEP, n_it_max=PROX_ITERATIONS, crit=0.0)
    made: Tensor = scale * solver(image / scale, ths=(threshold / scale).clamp_min(1e-12).flatten())
    return made


def _ahead(image: Tensor, axis: int) -> Tensor:
    """Return F minus its next neighbour along an axis; 0 at the end."""
    count = image.shape[axis]
    inner = image.narrow(axis, 0, count - 1) - image.narrow(axis, 1, count - 1)
    return torch.cat([inner, torch.zeros_like(image.narrow(axis, 0, 1))], dim=axis)


def _behind(values: Tensor, axis: int) -> Tensor:
    """Return each pixel's previous neighbour along an axis; 0 at the start."""
    first = torch.zeros_like(values.narrow(axis, 0, 1))
    return torch.cat([first, values.narrow(axis, 0, values.shape[axis] - 1)], dim=axis)


def _clipped_share(square: Tensor, threshold: Tensor) -> Tensor:
    """Return min(1, ω/d) from d², with a derivative where d is 0."""
    small = square <= threshold.square()
    return torch.where(small, torch.ones_like(square), threshold * torch.where(small, 1.0, square).rsqrt())


def _split(image: Tensor, shift: int, axis: int) -> tuple[Tensor, Tensor]:
    other = image.roll(-shift, axis)
    return (image + other) / 2, (image - other) / 2


def _joined(low: Tensor, high: Tensor, shift: int, axis: int) -> Tensor:
    """Return the mean of the two images that a shifted pair of low and high tells of."""
    return (low + high + (low - high).roll(shift, axis)) / 2


def _soft(values: Tensor, threshold: Tensor) -> Tensor:
    return values - values.clamp(-threshold, threshold)
