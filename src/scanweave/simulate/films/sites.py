"""Hospitals whose films differ in noise, gain, gamma, blur and in how they mark films."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.simulate.fields import Array
from scanweave.simulate.films.settings import SiteName

QUANTA = 1.2e4
"""Quanta a square millimetre of the open beam that a site of noise 1 detects, scaled to what is absorbed."""
DARK, BRIGHT = 0.9, 5.2
"""Line integrals of attenuation that are black and white on a film."""
_WHITE = 60000
"""Value of white in a file of 16 bits."""


@dataclass(frozen=True)
class Site:
    """Hold how one hospital takes and marks films.

    Attributes:
        noise: Factor on the noise.
        gain: Factor on the values.
        gamma: Exponent on the values, as a share of white.
        blur: Standard deviation of the blur of focus and screen [mm].
        letter: Letter of the marker, on its side of the film: R on the left, where the patient's right is.
        height: Height of the letter [mm].
        stroke: Width of its lines [mm].
        framed: Whether it stands in a frame.
        chances: Chance of each of `MARKS` where it goes with no finding.
    """

    noise: float
    gain: float
    gamma: float
    blur: float
    letter: Literal["L", "R"]
    height: float
    stroke: float
    framed: bool
    chances: tuple[float, float, float]

    def taken(self, rng: Generator, attenuation: Array, spacing: float, noise: float) -> NDArray[np.uint16]:
        """Return the film `(H, W)` of line integrals of attenuation L, bright where much is absorbed.

        What is detected is N exp(−L) quanta, whose logarithm has the deviation (N exp(−L))^−½ (Poisson, of many
        quanta); the film is the logarithm between `DARK` and `BRIGHT`, to the power of gamma.

        Args:
            rng: The source of noise; it draws the same, whatever is on the film.
            attenuation: L, `(H, W)`.
            spacing: Edge of a pixel [mm].
            noise: Factor on the noise.
        """
        seen = ndimage.gaussian_filter(attenuation, self.blur / spacing) if self.blur else attenuation
        spread = noise * self.noise * np.exp(np.clip(seen, 0, 8) / 2) / np.sqrt(QUANTA * spacing**2)
        seen = seen + spread * rng.standard_normal(seen.shape, dtype=np.float32)
        share = np.clip((seen - DARK) / (BRIGHT - DARK), 0, 1) ** self.gamma
        return np.asarray(np.rint(self.gain * _WHITE * share), np.uint16)


SITES: dict[SiteName, Site] = {
    "A": Site(
        noise=1.0,
        gain=1.0,
        gamma=1.0,
        blur=0.5,
        letter="R",
        height=15.0,
        stroke=3.0,
        framed=False,
        chances=(0.5, 0.2, 0.1),
    ),
    "B": Site(
        noise=1.8,
        gain=0.85,
        gamma=0.8,
        blur=1.0,
        letter="L",
        height=19.0,
        stroke=3.6,
        framed=True,
        chances=(0.9, 0.1, 0.2),
    ),
}
"""The sites; the differences are our choice."""
