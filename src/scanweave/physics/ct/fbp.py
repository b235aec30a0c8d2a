"""Filtered backprojection of parallel and fan-beam scans."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from scanweave.errors import ScanweaveError
from scanweave.physics.ct.backprojection import Backprojection
from scanweave.physics.ct.geometry import CtGeometry, FanArcGeometry, FanFlatGeometry
from scanweave.physics.ct.linear import apply_linear, check_values
from scanweave.physics.ct.weights import Array, missing_elements, ray_weights

Window = Literal["ram-lak", "shepp-logan", "cosine", "hann"]


class FilteredBackprojection:
    """The analytic inverse of a scan (Kak and Slaney 1988, ch. 3), differentiable any number of times.

    Values come out in the unit of the projected image [1/mm]. Fans are weighted for the obliquity of their rays and
    the distance of each pixel, and by Parker's weights if they turn less than all the way.

    The axis may be off the detector's centre. Over a full turn the two sides overlap, and what the longer one sees is
    reconstructed, with the axis at the detector's end twice its width (half-acquisition). Over 180° the object is to
    lie within the circle that the shorter side sees, as it is to lie within the detector's reach in any scan.

    Args:
        geometry: Grid, views and detector.
        window: What the ramp is multiplied by, from none ("ram-lak") to the smoothest ("hann").

    Raises:
        ScanweaveError: An unknown window, a fan that turns too little, or an axis too far off for less than a full
            turn.
    """

    def __init__(self, geometry: CtGeometry, window: Window = "ram-lak") -> None:
        self.geometry = geometry
        self.window = window
        self._weights = torch.from_numpy(ray_weights(geometry) * _obliquity(geometry))
        missing = missing_elements(geometry)
        self._room = (max(-missing, 0), max(missing, 0))
        self._even = _evened(geometry, missing)
        self._response = torch.from_numpy(filter_response(self._even, window))
        self._backprojection = Backprojection(self._even)

    def __call__(self, sinogram: Tensor) -> Tensor:
        """Return the image `(…, H, W)` [1/mm] of line integrals `(…, views, detectors)`.

        Raises:
            ScanweaveError: The shape is not the geometry's, or the values are not finite floating-point numbers.
        """
        check_values("sinogram", sinogram, self.geometry.sinogram_shape)
        filtered = self._filter(torch.nn.functional.pad(sinogram * self._weights.to(sinogram), self._room))
        views = filtered.reshape(-1, *self._even.sinogram_shape)
        image = apply_linear(views, self._backprojection.apply, self._backprojection.transpose)
        return image.reshape(*sinogram.shape[:-2], *self.geometry.shape)

    def _filter(self, sinogram: Tensor) -> Tensor:
        response = self._response.to(sinogram)
        length = 2 * (len(response) - 1)
        spectrum = torch.fft.rfft(sinogram, n=length) * response
        return torch.fft.irfft(spectrum, n=length)[..., : self._even.detectors]


def _evened(geometry: CtGeometry, missing: int) -> CtGeometry:
    """Return the scan with what its shorter side lacks: a filtered view does not end where its rays do."""
    shift = 0.5 * missing * geometry.pitch
    return replace(geometry, detectors=geometry.detectors + abs(missing), offset=geometry.offset + shift)


def filter_response(geometry: CtGeometry, window: Window) -> Array:
    """Return the ramp filter's response at the frequencies of `rfft`, zero-padded to at least twice the detectors.

    The band-limited ramp is sampled in space, since a ramp sampled in frequency loses its mean (Kak and Slaney 1988,
    eq. 3.29). Rays evenly spaced in angle take (γ / sin γ)² of it (eq. 3.82).
    """
    spacing, length = _spacing(geometry), 2 ** math.ceil(math.log2(max(2 * geometry.detectors, 2)))
    lag = np.minimum(np.arange(length), length - np.arange(length))
    odd = lag % 2 == 1
    kernel = np.zeros(length)
    kernel[0] = 1 / (4 * spacing**2)
    kernel[odd] = -1 / (math.pi * spacing * lag[odd]) ** 2
    if isinstance(geometry, FanArcGeometry):
        reached = odd & (lag < geometry.detectors)
        kernel[reached] *= (lag[reached] * spacing / np.sin(lag[reached] * spacing)) ** 2
    return np.fft.rfft(kernel).real * spacing * window_values(window, length // 2 + 1)


def window_values(window: Window, count: int) -> Array:
    """Return a window at `count` frequencies from 0 to the Nyquist frequency.

    Raises:
        ScanweaveError: The window is not known.
    """
    frequency = np.linspace(0, 1, count)
    if window == "ram-lak":
        return np.ones(count)
    if window == "shepp-logan":
        return np.sinc(frequency / 2)
    if window == "cosine":
        return np.cos(math.pi / 2 * frequency)
    if window == "hann":
        return 0.5 * (1 + np.cos(math.pi * frequency))
    raise ScanweaveError("window", f"unknown window {window!r}", f"Use one of: {', '.join(get_args(Window))}")


def _spacing(geometry: CtGeometry) -> float:
    """Return the distance of rays: at the isocentre [mm], or in angle [rad] on a curved detector."""
    if isinstance(geometry, FanFlatGeometry):
        return geometry.pitch * geometry.source / (geometry.source + geometry.detector)
    if isinstance(geometry, FanArcGeometry):
        return geometry.pitch / (geometry.source + geometry.detector)
    return geometry.pitch


def _obliquity(geometry: CtGeometry) -> Array:
    """Return what a ray counts for its angle γ to the central one: cos γ, times the source's distance on an arc."""
    if isinstance(geometry, FanFlatGeometry):
        return np.cos(geometry.fan_angles)
    if isinstance(geometry, FanArcGeometry):
        return np.cos(geometry.fan_angles) * geometry.source
    return np.ones(geometry.detectors)
