"""A CT scanner's measurement of one slice: readings of every bin, view and detector, and how they were taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError

Array = NDArray[np.floating]
Kind = Literal["counts", "line_integrals"]
Dead = Literal["refuse", "keep"]
KINDS: tuple[Kind, ...] = ("counts", "line_integrals")
LARGEST_LINE_INTEGRAL = 100.0
"""Line integral that no detector can tell from darkness: a share of e⁻¹⁰⁰ of the photons."""
MOST_AIR_RATIO = 2.0
"""Ratio to the air counts, exceeded by half of a bin's readings, from which these counts are of another scan."""
HIGHEST_ENERGY_KEV = 1000.0
"""Energy above which no X-ray tube works [keV]."""
LEAST_AIR_FRACTION = 0.01
"""Share of its air counts that the brightest reading of a bin must reach: some ray passes beside the object."""
TOLD_READING_FRACTION = 0.01
"""Share of readings that are dark, or at the limit, above which they are told."""
LEAST_LIMIT = 100.0
"""Smallest count that is taken for the limit of a detector: few photons repeat themselves by chance."""


@dataclass(frozen=True, eq=False)
class Sinogram:
    """Measurements of one slice.

    Attributes:
        values: Readings (counts, or keV of an energy-integrating detector) or line integrals −ln(N/N_air),
            `(S, V, D)`: bins, views, detector elements.
        kind: Which of the two.
        geometry: The geometry of the scan as a plain dict of numbers, texts and lists of numbers. Its entries
            `"angles"` (one a view) or `"views"`, and `"detectors"`, must agree with `values`.
        air: Readings without an object, `(S,)` or `(S, D)`; needed with counts.
        thresholds: Lower threshold of each bin [keV], ascending, `(S,)`; absent where there is one energy window.
        energies: Energies of the spectrum of the beam [keV], `(E,)`, or absent.
        photons: Photons at each of them, in any unit, `(E,)`; absent with `energies`.
        response: What a photon of each energy adds to a reading of each bin, D_b(E) `(S, E)`; absent where only the
            thresholds are known.
        dead: Whether NaN among counts marks a dead element (`"keep"`) or is refused.
    """

    values: Array
    kind: Kind
    geometry: Mapping[str, Any] = field(default_factory=dict)
    air: Array | None = None
    thresholds: Array | None = None
    energies: Array | None = None
    photons: Array | None = None
    response: Array | None = None
    dead: Dead = "refuse"

    def __post_init__(self) -> None:
        self.check("sinogram")

    @property
    def bins(self) -> int:
        """Number of energy bins S."""
        return int(self.values.shape[0])

    def check(self, where: object) -> None:
        """Refuse what contradicts itself.

        Args:
            where: What the error names: a file, say.

        Raises:
            ScanweaveError: Wrong shape, missing views, NaN, mismatched bins, air counts or a spectrum without sense.
        """
        fault = self._shape_fault() or self._value_fault() or self._bin_fault() or self._spectrum_fault()
        if fault:
            raise ScanweaveError(str(where), *fault)

    def doubts(self) -> list[tuple[str, str]]:
        """Say what a person should know before trusting counts, and what is done about it.

        Dark readings, and readings that stand at one largest value as those of a saturated detector do.
        """
        if self.kind != "counts":
            return []
        values = np.nan_to_num(self.values)
        top = values.max(axis=(1, 2), keepdims=True)
        dark, full = (values < 1).mean(axis=(1, 2)), ((values == top) & (top >= LEAST_LIMIT)).mean(axis=(1, 2))
        found = []
        if dark.max() > TOLD_READING_FRACTION:
            done = "They are taken as one photon: raise the dose, or leave the bin out"
            found.append((f"{_shares(dark)} hold no photon", done))
        if full.max() > TOLD_READING_FRACTION:
            done = "They are used as they are, so that the object seems thicker there than it is: look at the detector"
            found.append((f"{_shares(full)} are its largest: saturated?", done))
        return found

    def _shape_fault(self) -> tuple[str, str] | None:
        if self.kind not in KINDS:
            return f"holds {self.kind!r}", f"Use {' or '.join(KINDS)}"
        if self.values.ndim != 3 or not self.values.size:
            return f"values have the shape {self.values.shape}", "Give (bins, views, detectors)"
        _, views, detectors = self.values.shape
        if "angles" not in self.geometry and "views" not in self.geometry:
            return "its geometry names neither angles nor views", "Give the geometry of the scan"
        told = {"views": int(np.size(self.geometry["angles"]))} if "angles" in self.geometry else {}
        told |= {name: self.geometry[name] for name in ("views", "detectors") if name in self.geometry}
        for name, there in (("views", views), ("detectors", detectors)):
            if told.get(name, there) != there:
                return f"has {there} {name}, but its geometry {told[name]}", "Use the geometry of this scan"
        return None

    def _value_fault(self) -> tuple[str, str] | None:
        bad = ~np.isfinite(self.values)
        if self.kind == "counts" and self.dead == "keep":
            bad &= ~np.isnan(self.values)
        if bad.any():
            place, share = np.argwhere(bad)[0], 100 * bad.mean()
            return (
                f"{share:.2g} % of its values are not finite, first at bin {place[0]}, view {place[1]}, "
                f"detector {place[2]}",
                'Repair them; dead elements among counts are read with dead="keep"',
            )
        if self.kind == "line_integrals" and float(self.values.max()) > LARGEST_LINE_INTEGRAL:
            reason = f"line integrals reach {float(self.values.max()):.4g}, which no photon passes"
            return reason, "Give −ln(N/N_air), or counts as kind 'counts' with their air counts"
        empty = np.flatnonzero((np.nan_to_num(self.values) == 0).all(axis=(0, 2)))
        if self.kind == "counts" and len(empty):
            return f"view {empty[0]} holds no photon in any bin", "Leave missing views out of values and geometry"
        return None

    def _bin_fault(self) -> tuple[str, str] | None:
        bins, _, detectors = self.values.shape
        if self.thresholds is None:
            if bins > 1:
                return f"has {bins} bins, but no thresholds", "Give the lower threshold of each bin [keV]"
        elif self.thresholds.shape != (bins,):
            return f"has {bins} bins, but thresholds of shape {self.thresholds.shape}", "Give one for each bin"
        elif not (np.isfinite(self.thresholds).all() and (np.diff(self.thresholds) > 0).all()):
            return "its thresholds do not ascend", "Give keV, ascending"
        elif self.thresholds[-1] > HIGHEST_ENERGY_KEV:
            return f"its thresholds reach {self.thresholds[-1]:.4g} keV", "Give keV"
        if self.air is None:
            return (
                None
                if self.kind == "line_integrals"
                else ("holds counts without air counts", "Give those of the open beam")
            )
        if self.air.shape not in ((bins,), (bins, detectors)):
            return f"air counts have the shape {self.air.shape}", f"Give ({bins},) or ({bins}, {detectors})"
        if not (np.isfinite(self.air).all() and (self.air > 0).all()):
            return "an air count is not positive", "Measure the open beam again, or leave that bin out"
        return self._air_fault(self.air.reshape(bins, 1, -1))

    def _air_fault(self, air: Array) -> tuple[str, str] | None:
        if self.kind == "line_integrals":
            return None
        ratio = np.nan_to_num(self.values) / air
        step = "Give the air counts of this scan, in the unit of its counts"
        middle, most = np.median(ratio, axis=(1, 2)), ratio.max(axis=(1, 2))
        if middle.max() > MOST_AIR_RATIO:
            worst = int(np.argmax(middle))
            return f"bin {worst} reads {middle[worst]:.3g} times its air counts, with an object in the beam", step
        if most.min() < LEAST_AIR_FRACTION:
            step = "Give the air counts of this scan; what is a logarithm already is of the kind 'line_integrals'"
            return f"no reading of bin {int(np.argmin(most))} reaches {LEAST_AIR_FRACTION:.0%} of its air counts", step
        return None

    def _spectrum_fault(self) -> tuple[str, str] | None:
        if self.energies is None and self.photons is None:
            return None if self.response is None else ("has a response without a spectrum", "Give both, or neither")
        if self.energies is None or self.photons is None or self.energies.shape != self.photons.shape:
            return "energies and photons of its spectrum differ in length", "Give both, or neither"
        fit = self.energies.ndim == 1 and np.isfinite(self.photons).all() and (self.photons >= 0).all()
        if not (fit and np.isfinite(self.energies).all() and (np.diff(self.energies) > 0).all()):
            return "its spectrum does not ascend or is not finite", "Give energies [keV], ascending"
        if self.energies[-1] > HIGHEST_ENERGY_KEV:
            return f"its spectrum reaches {self.energies[-1]:.4g} keV", "Give energies in keV"
        if self.response is not None:
            if self.response.shape != (self.bins, len(self.energies)):
                return f"its response has the shape {self.response.shape}", "Give (bins, energies)"
            if not (np.isfinite(self.response).all() and (self.response >= 0).all()):
                return "its response is negative or not finite", "Give the share of photons that each bin counts"
        return None


def _shares(shares: Array) -> str:
    """Say which readings: the bins of which more than `TOLD_READING_FRACTION` are meant, and how many at most."""
    bins = np.flatnonzero(shares > TOLD_READING_FRACTION)
    named = ", ".join(map(str, bins))
    return (
        f"{shares.max():.1%} of the readings of bin {named}"
        if len(bins) == 1
        else (f"up to {shares.max():.1%} of the readings of bins {named}")
    )
