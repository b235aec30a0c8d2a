"""From what a scanner measured to line integrals that a linear operator explains.

Every reconstruction takes them from here: a beam of many energies bends line integrals below those of one energy, and
what is left of that would pass for noise in a data residual.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from scanweave.physics.spectral.hardening import correct_for_water
from scanweave.physics.spectral.logarithm import line_integrals

Array = NDArray[np.floating]


class Measured(Protocol):
    """Interface of a measurement, as far as it is read here: see `studies.sinogram.Sinogram`."""

    @property
    def values(self) -> Array:
        """Counts or line integrals `(S, V, D)`."""

    @property
    def kind(self) -> str:
        """Either "counts" or "line_integrals"."""

    @property
    def air(self) -> Array | None:
        """Counts without an object."""

    @property
    def thresholds(self) -> Array | None:
        """Lower threshold of each bin [keV]."""

    @property
    def energies(self) -> Array | None:
        """Energies of the beam [keV]."""

    @property
    def photons(self) -> Array | None:
        """Photons at each of them."""

    @property
    def response(self) -> Array | None:
        """Share of a photon of each energy that is added to each bin `(S, E)`."""


def corrected_lines(measured: Measured, *, dead: Literal["refuse", "interpolate"] = "refuse") -> NDArray[np.float32]:
    """Return line integrals `(S, V, D)`, corrected for the beam hardening of water where the spectrum is known.

    Args:
        measured: Counts with their air counts, or line integrals.
        dead: What to do with NaN among counts.

    Raises:
        ScanweaveError: A reading cannot be used (`logarithm`), or a bin sees no photon of the spectrum.
    """
    if measured.kind == "counts":
        values = line_integrals(measured.values, np.asarray(measured.air), dead=dead).values
    else:
        values = np.asarray(measured.values, np.float32)
    beam = beam_of(measured)
    return values if beam is None else np.asarray(correct_for_water(values, *beam), np.float32)


def beam_of(measured: Measured) -> tuple[Array, Array] | None:
    """Return energies [keV] and the weights of each bin `(S, E)`; with thresholds only, those of ideal bins."""
    if measured.energies is None or measured.photons is None:
        return None
    response: Any = measured.response
    if response is None:
        low = np.zeros(1) if measured.thresholds is None else measured.thresholds
        above = measured.energies >= low[:, None]
        response = above & ~np.vstack([above[1:], np.zeros((1, above.shape[1]), bool)])
    return measured.energies, np.asarray(response * measured.photons / measured.photons.sum(), np.float64)


def same_beam(one: tuple[Array, Array], other: tuple[Array, Array], tolerance: float = 1e-3) -> bool:
    """Tell whether two beams of `beam_of` are one: what each energy adds to each bin, in shares of that bin."""
    if one[0].shape != other[0].shape or one[1].shape != other[1].shape or not np.allclose(one[0], other[0], atol=0.01):
        return False
    shares = [weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300) for _, weights in (one, other)]
    return bool(np.abs(shares[0] - shares[1]).sum(axis=1).max() <= tolerance)
