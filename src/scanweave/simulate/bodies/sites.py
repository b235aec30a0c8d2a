"""Hospitals whose CT differs in noise, sharpness, offset and use of contrast agent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.simulate.bodies.settings import SiteName
from scanweave.simulate.fields import Array

AIR = -1000
"""Attenuation of air [HU]."""
_LEAST, _MOST = -1024, 3071
"""Range of a scanner of 12 bits [HU]."""
_WATER = 0.0192
"""Attenuation of water at the mean energy of a tube at 120 kV [1/mm]."""
_USUAL_PATH = 310.0
"""Water that rays pass through in a body for which the noise of a site is told [mm]."""
_NOISE_AT = 3.0
"""Edge of the voxels for which it is told [mm]: the deviation goes with volume to the power of -1/2."""
_STREAKS = 0.5
"""Share of the deviation of the noise that is the same along a ray from side to side."""


@dataclass(frozen=True)
class Site:
    """Hold how one hospital scans.

    Attributes:
        noise: Standard deviation in a body of usual width, at voxels of 3 mm [HU].
        blur: Standard deviation of the blur of its kernel [mm].
        offset: What its scanner adds [HU].
        contrast: Share of its patients with contrast agent.
    """

    noise: float
    blur: float
    offset: float
    contrast: float

    def scanned(self, rng: Generator, body: Array, spacing: float, noise: float) -> NDArray[np.int16]:
        """Return what a scanner shows of a body `(X, Y, Z)` [HU].

        Noise grows with what lies in the way from side to side. A quarter of its variance is the same along that way:
        the streaks between shoulders. Both parts are blurred as the image is; the deviation is that after the blur.

        Args:
            rng: The source of noise; it draws the same, whatever the body.
            body: Attenuation [HU].
            spacing: Edge of a voxel [mm].
            noise: Factor on the noise.
        """
        image = ndimage.gaussian_filter(body, self.blur / spacing)
        water = np.clip(1 + body / 1000, 0, None).sum(axis=0, keepdims=True) * spacing  # mm, along x
        wider = np.exp(_WATER / 2 * np.clip(water - _USUAL_PATH, -_USUAL_PATH, _USUAL_PATH))
        grain = ndimage.gaussian_filter(rng.standard_normal(body.shape, dtype=np.float32), self.blur / spacing)
        lines = ndimage.gaussian_filter(rng.standard_normal(body.shape[1:], dtype=np.float32), self.blur / spacing)[
            None
        ]
        mixed = np.sqrt(1 - _STREAKS**2) * grain / grain.std() + _STREAKS * lines / lines.std()
        deviation = noise * self.noise * (_NOISE_AT / spacing) ** 1.5
        made = image + self.offset + deviation * wider * mixed
        return np.asarray(np.clip(np.rint(made), _LEAST, _MOST), np.int16)


SITES: dict[SiteName, Site] = {
    "A": Site(noise=11.0, blur=1.0, offset=0.0, contrast=0.7),
    "B": Site(noise=18.0, blur=0.6, offset=4.0, contrast=0.5),
    "C": Site(noise=8.0, blur=1.8, offset=-5.0, contrast=0.2),
}
"""Differences are our choice."""
