"""Hospitals whose scanners differ in units, noise and resolution, for cohorts with outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.simulate.fields import Array
from scanweave.simulate.subject import fill

_FWHM = 2.355
"""Width at half height of a Gaussian, in standard deviations."""


@dataclass(frozen=True)
class Site:
    """One hospital's scanner.

    Attributes:
        name: Name of the site.
        units: Factor on the intensities, which have no unit.
        noise: Factor on the noise of every sequence.
        blur: Width at half height of the blur beyond the voxel [mm].
    """

    name: str
    units: float
    noise: float
    blur: float

    def blurred(self, image: Array, mask: NDArray[np.bool_], spacing: float) -> Array:
        """Return a noiseless image `(N,)` or series `(N, T)` of the voxels of a mask at this resolution.

        Args:
            image: The signal; air has none.
            mask: The body, `(X, Y, Z)`.
            spacing: Edge of a voxel [mm].
        """
        if not self.blur:
            return image
        widths = (self.blur / _FWHM / spacing,) * 3 + (0,) * (image.ndim - 1)
        return np.asarray(ndimage.gaussian_filter(fill(mask, image), widths, mode="nearest")[mask], np.float32)


PLAIN = Site("A", units=1.0, noise=1.0, blur=0.0)
SITES = (PLAIN, Site("B", units=0.4, noise=0.8, blur=1.5), Site("C", units=2.5, noise=1.3, blur=2.5))
"""The scanner of cohorts without outcomes; and the sites, a third of the patients each. Differences are our choice."""
