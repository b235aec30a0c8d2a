"""Simulated CT measurement of a body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.physics.spectral.counts import air_counts, area_densities, measure
from scanweave.physics.spectral.detectors import Detector, PhotonCounting
from scanweave.physics.spectral.spectra import Spectrum
from scanweave.simulate.ct.maps import MaterialMap
from scanweave.studies.sinogram import Sinogram

Array = NDArray[np.floating]


def acquire(
    body: MaterialMap,
    project: Callable[[Array], Array],
    geometry: Mapping[str, Any],
    spectrum: Spectrum,
    detector: Detector,
    photons: float,
    rng: Generator,
) -> Sinogram:
    """Measure a body: projection of its materials, polyenergetic attenuation, noise.

    To keep simulation and reconstruction apart, draw the body with a supersampling above 1 and hand in the projector
    of that finer grid; reconstruct on the grid of `body.coarsened(supersampling)`.

    Args:
        body: The materials.
        project: Integrals [mm] of images `(M, H, W)` on the grid of `body`, as `(M, V, D)`.
        geometry: The geometry of the scan as a plain dict, kept with the counts.
        spectrum: The beam.
        detector: What is counted.
        photons: Photons of the open beam a reading.
        rng: The source of randomness.

    Returns:
        Readings of each bin, with air counts, thresholds and spectrum.
    """
    area = area_densities(body.densities, project)
    return Sinogram(
        values=measure(area, body.materials, spectrum, detector, photons, rng),
        kind="counts",
        geometry=dict(geometry),
        air=air_counts(spectrum, detector, photons),
        thresholds=np.array(detector.thresholds) if isinstance(detector, PhotonCounting) else None,
        energies=spectrum.energies,
        photons=spectrum.photons,
        response=detector.response(spectrum.energies),
    )
