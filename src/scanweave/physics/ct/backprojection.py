"""Pixel-driven backprojection, as filtered backprojection wants it, and its transpose.

Not the adjoint of the projector: each pixel reads every view once, interpolated linearly between detector elements
and weighted by its distance from the source.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.physics.ct.geometry import CtGeometry, FanArcGeometry, FanGeometry
from scanweave.physics.ct.kernels import compiled, numba, prange

Array = NDArray[Any]
PARALLEL, FLAT, ARC = 0, 1, 2


@dataclass(frozen=True)
class Backprojection:
    """Sums over the views of q(position of the pixel) · weight of the pixel, for images in `(N, views, detectors)`.

    The weight is 1 for parallel rays, source²/(source + p·c)² for a flat and 1/|p − source|² for a curved detector
    (Kak and Slaney 1988, eqs. 3.114 and 3.83); see `geometry` for c.
    """

    geometry: CtGeometry

    def apply(self, views: Array) -> Array:
        """Return `(N, H, W)` of `(N, views, detectors)`."""
        out = np.zeros((len(views), *self.geometry.shape), views.dtype)
        gather(views, *self._plan(), out)
        return out

    def transpose(self, images: Array) -> Array:
        """Return `(N, views, detectors)` of `(N, H, W)`."""
        out = np.zeros((len(images), *self.geometry.sinogram_shape), images.dtype)
        scatter(images, *self._plan(), out)
        return out

    def _plan(self) -> tuple[Any, ...]:
        geometry = self.geometry
        _, u = geometry.axes()
        middle = (geometry.detectors - 1) / 2 - geometry.offset / geometry.pitch
        kind, source, pitch = PARALLEL, math.inf, geometry.pitch
        if isinstance(geometry, FanGeometry):
            source = geometry.source
            pitch = geometry.pitch / (geometry.source + geometry.detector)  # of the tangent, or the angle
            kind = ARC if isinstance(geometry, FanArcGeometry) else FLAT
        return kind, geometry.pixel, source, pitch, middle, np.ascontiguousarray(u)


def _place(
    kind: int, x: float, y: float, cosine: float, sine: float, source: float, pitch: float, middle: float
) -> tuple[float, float]:
    """Return where the ray through (x, y) [mm] meets the detector [elements], and the weight of the pixel."""
    across = x * cosine + y * sine
    if kind == PARALLEL:
        return across / pitch + middle, 1.0
    along = source - x * sine + y * cosine
    if kind == FLAT:
        return across / (along * pitch) + middle, (source / along) ** 2
    return math.atan2(across, along) / pitch + middle, 1.0 / (across * across + along * along)


_locate = numba.njit(error_model="numpy", inline="always")(_place)


@compiled()
def gather(
    views: Array, kind: int, pixel: float, source: float, pitch: float, middle: float, u: Array, out: Array
) -> None:
    """Add to `out` `(N, H, W)` what each pixel reads of `views` `(N, V, D)`."""
    count, height, width = out.shape
    last = views.shape[2] - 1
    for i in prange(height):
        y = ((height - 1) / 2 - i) * pixel
        for v in range(views.shape[1]):
            for j in range(width):
                x = (j - (width - 1) / 2) * pixel
                place, weight = _locate(kind, x, y, u[v, 0], u[v, 1], source, pitch, middle)
                if 0.0 <= place <= last:
                    k = min(int(place), max(last - 1, 0))
                    right = out.dtype.type(place - k) * out.dtype.type(weight)
                    left = out.dtype.type(weight) - right
                    for n in range(count):
                        out[n, i, j] += left * views[n, v, k] + right * views[n, v, min(k + 1, last)]


@compiled()
def scatter(
    images: Array, kind: int, pixel: float, source: float, pitch: float, middle: float, u: Array, out: Array
) -> None:
    """Add to `out` `(N, V, D)` what each pixel of `images` `(N, H, W)` gives: the transpose of `gather`."""
    count, height, width = images.shape
    last = out.shape[2] - 1
    for v in prange(out.shape[1]):
        for i in range(height):
            y = ((height - 1) / 2 - i) * pixel
            for j in range(width):
                x = (j - (width - 1) / 2) * pixel
                place, weight = _locate(kind, x, y, u[v, 0], u[v, 1], source, pitch, middle)
                if 0.0 <= place <= last:
                    k = min(int(place), max(last - 1, 0))
                    right = out.dtype.type(place - k) * out.dtype.type(weight)
                    left = out.dtype.type(weight) - right
                    for n in range(count):
                        out[n, v, k] += left * images[n, i, j]
                        out[n, v, min(k + 1, last)] += right * images[n, i, j]
