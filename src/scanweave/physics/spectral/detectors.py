"""Detectors' answers to a photon: counts between thresholds, or a sum of energy.

Not modelled: pile-up (counts stay proportional to flux up to `limit`), scatter and cross-talk between detector
elements. A photon is counted at most once, so that counts stay Poisson distributed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError

Array = NDArray[np.floating]

_FWHM_TO_SIGMA = 1 / (2 * math.sqrt(2 * math.log(2)))
_erf = np.vectorize(math.erf, otypes=[np.float64])


@dataclass(frozen=True)
class PhotonCounting:
    """A photon-counting detector with energy bins.

    Bin b counts photons whose measured energy lies between threshold b and threshold b + 1; the last is open above.
    The measured energy is Gaussian around the true one; a share of the photons loses charge to a neighbour and is
    measured anywhere between 0 and its energy.

    Attributes:
        thresholds: Lower threshold of each of the S bins [keV], ascending.
        resolution: Full width at half maximum of the energy response [keV]; 0 for ideal thresholds.
        charge_sharing: Share of photons measured uniformly between 0 and their energy; 0 for none.
        efficiency: Share of photons that interact at all.
        limit: Counts at which a reading of a bin saturates.
    """

    thresholds: tuple[float, ...]
    resolution: float = 0.0
    charge_sharing: float = 0.0
    efficiency: float = 1.0
    limit: float = math.inf

    def __post_init__(self) -> None:
        steps = np.diff(self.thresholds)
        if not self.thresholds or not np.isfinite(self.thresholds).all() or min(self.thresholds) < 0 or any(steps <= 0):
            raise ScanweaveError(
                "thresholds", f"{list(self.thresholds)} do not ascend from 0 keV or above", "Give keV, ascending"
            )
        if not self.resolution >= 0:
            raise ScanweaveError("resolution", f"is {self.resolution} keV", "Give 0 or a width [keV]")
        if not 0 <= self.charge_sharing <= 1 or not 0 < self.efficiency <= 1:
            raise ScanweaveError("detector", "charge sharing or efficiency is no share", "Give numbers from 0 to 1")
        _check_limit(self.limit)

    @property
    def bins(self) -> int:
        """Number of energy bins S."""
        return len(self.thresholds)

    def response(self, energies: ArrayLike) -> Array:
        """Return D_b(E), the chance of a photon of each energy [keV] to be counted in each bin, `(S, E)`."""
        energies = np.asarray(energies, np.float64)
        above = self._above(np.asarray(self.thresholds)[:, None], energies)
        return np.asarray(self.efficiency * (above - np.vstack([above[1:], np.zeros_like(energies)])))

    def _above(self, thresholds: Array, energies: Array) -> Array:
        """Return the chance that the measured energy lies at or above each threshold, `(S, E)`."""
        if self.resolution > 0:
            spread = self.resolution * _FWHM_TO_SIGMA
            full = 0.5 * (1 + _erf((energies - thresholds) / (spread * math.sqrt(2))))
        else:
            full = (energies >= thresholds).astype(np.float64)
        shared = np.clip(1 - thresholds / energies, 0, 1)
        return np.asarray((1 - self.charge_sharing) * full + self.charge_sharing * shared)


@dataclass(frozen=True)
class EnergyIntegrating:
    """A detector that sums the energy of all photons, in one bin.

    Attributes:
        electronic_noise: Standard deviation of the Gaussian electronic noise of a reading [keV].
        efficiency: Share of photons that interact at all.
        limit: Energy at which a reading saturates [keV].
    """

    electronic_noise: float = 0.0
    efficiency: float = 1.0
    limit: float = math.inf

    def __post_init__(self) -> None:
        if not self.electronic_noise >= 0 or not 0 < self.efficiency <= 1:
            raise ScanweaveError("detector", "electronic noise is negative or efficiency no share", "Correct them")
        _check_limit(self.limit)

    @property
    def bins(self) -> int:
        """Number of energy bins: 1."""
        return 1

    def response(self, energies: ArrayLike) -> Array:
        """Return the expected reading [keV] of a photon of each energy [keV], `(1, E)`."""
        return self.efficiency * np.asarray(energies, np.float64)[None]


Detector = PhotonCounting | EnergyIntegrating


def _check_limit(limit: float) -> None:
    if not limit > 0:
        raise ScanweaveError("limit", f"a detector cannot saturate at {limit}", "Give a positive number or infinity")
