"""A run's knowledge of its scans: bins, spectrum and the scale of each bin; saved as `plan.json`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat

from scanweave.engine.saved_plan import SavedPlan
from scanweave.errors import ScanweaveError
from scanweave.physics.spectral.corrected import beam_of, same_beam
from scanweave.physics.spectral.decomposition import averaged_attenuation, decompose_images, monoenergetic_image
from scanweave.physics.spectral.materials import PER_CM_TO_PER_MM, density
from scanweave.studies.measured_slices import same_pixel, same_thresholds, thresholds_of
from scanweave.studies.sinogram import Sinogram

Array = NDArray[np.floating]
Beam = tuple[Array, Array]
"""Energies [keV] `(E,)` and what each adds to the open reading of each bin `(S, E)`."""


class SpectralPlan(SavedPlan):
    """The same for every study of a run.

    Attributes:
        sinogram: Name of the measurement.
        bins: Names of the bins' images.
        thresholds: Lower threshold of each bin [keV]; empty with a single energy window.
        energies: Energies of the spectrum [keV], `(E,)`; empty where the sinograms tell none.
        weights: What each energy adds to the open reading of each bin, `(S, E)`.
        offset: Mean of each bin in the training images [1/mm].
        scale: Their standard deviation [1/mm].
        span: Fixed range of PSNR and SSIM [1/mm]: twice the attenuation of water, or without a spectrum the 99.5th
            percentile of the training images.
        geometry: The scan as plain values where all training studies share one, else empty.
        materials: Basis of the material maps.
        monoenergetic: Energies of virtual monoenergetic images [keV].
    """

    sinogram: str
    bins: tuple[str, ...]
    thresholds: tuple[float, ...]
    energies: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    offset: tuple[float, ...]
    scale: tuple[PositiveFloat, ...]
    span: tuple[PositiveFloat, ...]
    geometry: dict[str, Any] = Field(default_factory=dict)
    materials: tuple[str, ...] = ()
    monoenergetic: tuple[int, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """All images that can be made: bins, and with a known spectrum material maps and monoenergetic images."""
        if self.beam is None:
            return self.bins
        return (*self.bins, *self.materials, *(f"mono{energy}" for energy in self.monoenergetic))

    @property
    def sources(self) -> tuple[str, ...]:
        """The column of the manifest that they are made of."""
        return (f"sinogram:{self.sinogram}",)

    @cached_property
    def beam(self) -> Beam | None:
        """Energies [keV] `(E,)` and the weights of each bin `(S, E)`, or None."""
        return (np.array(self.energies), np.array(self.weights)) if self.energies else None

    def attenuation(self, materials: Sequence[str]) -> Array:
        """Return μ/ρ [cm²/g] of materials in each bin of the open beam, `(S, M)`.

        Raises:
            ScanweaveError: The sinograms told no spectrum.
        """
        if self.beam is None:
            step = "Write energies and photons of the beam into the sinograms"
            raise ScanweaveError("materials", "cannot be told without the spectrum of the scan", step)
        return averaged_attenuation(materials, *self.beam)

    def derived(self, bins: Array) -> dict[str, Array]:
        """Return material maps [g/cm³] and virtual monoenergetic images [1/mm] of bins `(S, H, W)` [1/mm].

        Least squares in each pixel, each bin in shares of its own range, so that the most attenuated does not decide
        alone.
        """
        weights = 1 / np.array(self.span) ** 2
        densities = decompose_images(bins, self.attenuation(self.materials), weights=weights)
        made: dict[str, Array] = dict(zip(self.materials, densities, strict=True))
        return made | {
            f"mono{energy}": monoenergetic_image(densities, self.materials, energy) for energy in self.monoenergetic
        }

    def check(self, sinogram: Sinogram, where: str) -> None:
        """Refuse a sinogram of other bins, another spectrum or pixels of another size.

        Raises:
            ScanweaveError: The number of bins, their thresholds, the spectrum or the pixels differ.
        """
        if sinogram.bins != len(self.bins):
            raise ScanweaveError(
                where, f"has {sinogram.bins} bins, the run {len(self.bins)}", "Use scans of one protocol"
            )
        same_thresholds(thresholds_of(sinogram), self.thresholds, where)
        same_spectrum(beam_of(sinogram), self.beam, where)
        told, wanted = sinogram.geometry.get("pixel"), self.geometry.get("pixel")
        if isinstance(told, int | float) and wanted:
            same_pixel(float(told), float(wanted), where)


def same_spectrum(told: Beam | None, wanted: Beam | None, where: str) -> None:
    """Refuse a scan of another spectrum: its attenuation, material maps and beam hardening are others.

    Raises:
        ScanweaveError: The spectra differ, or one of them is not known.
    """
    if told is None and wanted is None:
        return
    step = "Use scans of one protocol, or fit a run for this one"
    if told is None or wanted is None:
        known, unknown = ("the run", "the scan") if told is None else ("the scan", "the run")
        raise ScanweaveError(where, f"{known} tells its spectrum, {unknown} does not", step)
    if not same_beam(told, wanted):
        raise ScanweaveError(where, "its spectrum, or the response of its bins, differs from the run's", step)


def spans(beam: Beam | None, pixels: Array) -> tuple[float, ...]:
    """Return the range of each bin [1/mm]; see `SpectralPlan.span`.

    Args:
        beam: What `beam_of` gives.
        pixels: Values of clean images [1/mm], `(S, N)`.
    """
    if beam is None:
        return tuple(np.percentile(pixels, 99.5, axis=1).tolist())
    water = averaged_attenuation(("water",), *beam)[:, 0] * density("water") * PER_CM_TO_PER_MM
    return tuple((2 * water).tolist())
