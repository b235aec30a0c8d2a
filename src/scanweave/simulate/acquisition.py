"""A noiseless image as a scanner gives it: moved, sampled at its own resolution, noisy, back on the common grid."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.physics.mr import rician
from scanweave.simulate.artefacts import LEVEL
from scanweave.simulate.fields import Array
from scanweave.simulate.scanners import Acquisition

_FWHM = 2.355
"""Width at half height of a Gaussian, in standard deviations."""


def acquired(
    rng: Generator, image: Array, how: Acquisition, spacing: float, *, mean: float, noise: float
) -> NDArray[np.int16]:
    """Return an image `(X, Y, Z)` as it is acquired, in whole numbers.

    Args:
        rng: The source of the noise.
        image: The signal with the receive field, in any unit.
        how: Resolution, motion, noise and units.
        spacing: Edge of a voxel of the grid [mm].
        mean: Mean signal of the brain, in the unit of the image.
        noise: Standard deviation of one channel in units of that mean, before the factor of the acquisition.
    """
    gain = LEVEL * how.units
    signal = moved(image, how, spacing) * np.float32(gain / max(mean, 1e-12))
    steps = [max(edge / spacing, 1.0) for edge in how.voxel]
    for axis, step in enumerate(steps):
        signal = _sampled(signal, axis, step)
    if noise > 0:
        signal = rician(signal, noise * how.noise * gain, rng)
    for axis, step in enumerate(steps):
        signal = _spread(signal, axis, step, image.shape[axis])
    return np.asarray(np.clip(np.rint(signal), 0, np.iinfo(np.int16).max), np.int16)


def moved(image: Array, how: Acquisition, spacing: float) -> Array:
    """Return the magnitude image of a head that moves between lines of k-space.

    A shift of the head by d multiplies a line k by exp(−2πi k·d) (Zaitsev et al., J Magn Reson Imaging 2015): edges
    ring along the axis of phase encoding. The head lies where it lay while the middle of k-space was read.

    Args:
        image: `(X, Y, Z)`.
        how: `phase` and `moves`.
        spacing: Edge of a voxel [mm].
    """
    if not how.moves:
        return image
    slices = max(range(3), key=lambda axis: how.voxel[axis] * (axis != how.phase))
    read = next(axis for axis in range(3) if axis not in (how.phase, slices))
    lines = np.linspace(0, 1, image.shape[how.phase], endpoint=False)
    place = np.zeros((2, lines.size))
    for when, along, across in how.moves:
        place += np.where(lines >= when, 1.0, 0.0) * np.array([[along], [across]]) / spacing
    place -= place[:, lines.size // 2][:, None]
    place = np.fft.ifftshift(place, axes=1)
    k_phase, k_read = np.fft.fftfreq(image.shape[how.phase]), np.fft.fftfreq(image.shape[read])
    turns = (k_phase * place[0])[:, None] + place[1][:, None] * k_read[None, :]
    factor = np.exp(-2j * np.pi * turns)
    factor = np.expand_dims(factor if how.phase < read else factor.T, slices).astype(np.complex64)
    axes = (how.phase, read)
    return np.abs(np.fft.ifftn(np.fft.fftn(image, axes=axes) * factor, axes=axes)).astype(np.float32)


def _sampled(image: Array, axis: int, step: float) -> Array:
    """Return an image blurred to voxels of `step` of its own along an axis, at every `step`-th place."""
    if step == 1:
        return image
    blurred = ndimage.gaussian_filter1d(image, np.sqrt(step**2 - 1) / _FWHM, axis=axis)
    count = image.shape[axis]
    return _applied(_between(np.arange(0, count - 1 + step, step), count), blurred, axis)


def _spread(image: Array, axis: int, step: float, count: int) -> Array:
    """Return an image that was sampled at every `step`-th place at all `count` places again, linearly between them."""
    return image if step == 1 else _applied(_between(np.arange(count) / step, image.shape[axis]), image, axis)


def _between(places: NDArray[np.floating], count: int) -> Array:
    """Return linear weights `(len(places), count)` of voxels `0 … count - 1` at places; the last beyond them."""
    distance = np.abs(np.clip(places, 0, count - 1)[:, None] - np.arange(count)[None, :])
    return np.asarray(np.clip(1 - distance, 0, None), np.float32)


def _applied(weights: Array, image: Array, axis: int) -> Array:
    return np.moveaxis(np.tensordot(weights, image, axes=(1, axis)), 0, axis)
