"""Scanners drawn at random: field strength, protocol, resolution, field of the coil, motion, noise and units.

A network that has seen every contrast within reason need not have seen the one at hand (domain randomisation: Tobin et
al., IROS 2017; for brain MRI, SynthSeg: Billot et al., Med Image Anal 2023). Here the contrasts follow from signal
equations. Ranges of times and angles lie around the consensus protocol of brain tumour imaging (Ellingson et al.,
Neuro-Oncology 2015), wider than it; where nothing is cited, they are our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from scanweave.simulate.material import Material

Range = tuple[float, float]
HEAD_SHARE = 0.5
"""Share of subjects with skull and scalp."""
T1_FACTOR: Range = (0.70, 1.05)
"""T1 over that at 3 T: grey matter has 1124 ms at 1.5 T and 1820 ms at 3 T, white 884 and 1084 (Stanisz et al., Magn
Reson Med 2005)."""
T2_FACTOR: Range = (0.90, 1.15)
"""T2 over that at 3 T; it hardly depends on the field (as there)."""
GRADIENT_ECHO: dict[str, Range] = {"tr": (8, 35), "te": (2, 6), "flip": (18, 40)}
SPIN_ECHO: dict[str, Range] = {"tr": (400, 750), "te": (8, 20)}
PREPARED: dict[str, Range] = {"tr": (1900, 2200), "te": (2, 5), "ti": (950, 1150)}
"""An inversion-prepared gradient echo, by the equation of inversion recovery; these times leave fluid dark."""
T1_KINDS = (("spoiled_gradient_echo", GRADIENT_ECHO), ("spin_echo", SPIN_ECHO), ("inversion_recovery", PREPARED))
LONG: dict[str, dict[str, Range]] = {
    "t2": {"tr": (2500, 6500), "te": (75, 125)},
    "pd": {"tr": (2000, 4000), "te": (8, 30)},
    "flair": {"tr": (7000, 11000), "te": (90, 145)},
}
NULLING: Range = (0.94, 1.04)
"""Inversion time of FLAIR over that which nulls fluid at 3 T: 2480 ms for a TR of 9000 ms."""
FLUID_T1 = 4300.0
"""T1 of fluid that the inversion time is set by [ms]: Rooney et al., Magn Reson Med 2007."""
SAME_T1_SHARE = 0.8
"""Share of sessions whose t1c has the protocol of t1."""
VOLUME_SHARE = {"t1": 0.6, "t1c": 0.6, "t2": 0.2, "flair": 0.4, "pd": 0.1}
"""Share of scans that are acquired as volumes of nearly cubic voxels, the rest in slices."""
CUBE: Range = (0.8, 1.5)
IN_PLANE: Range = (0.5, 1.3)
THICKNESS: Range = (2.0, 6.0)
"""Edges of voxels [mm]; slices of clinical routine are up to 5 or 6 mm apart."""
AXES = (0.15, 0.15, 0.70)
"""Share of sagittal, coronal and axial slices."""
BIAS: Range = (0.02, 0.25)
"""Relative spread of the receive field over the head; Sled and Pike, IEEE TMI 1998, show 10 to 30 %."""
MOTION_SHARE = 0.25
MOVES = 4
SHIFT: Range = (0.3, 2.5)
"""Standard deviation of a move [mm], and at most how many."""
NOISE_FACTOR: Range = (0.3, 2.0)
UNITS: Range = (0.25, 10.0)
"""Factor on the intensities, which have no unit."""
SUPPRESSED_SHARE = 0.3
FAT_LEFT: Range = (0.05, 0.3)
"""Share of scans with fat suppression, and what it leaves of the signal of fat."""


@dataclass(frozen=True)
class Acquisition:
    """Settings that one scan is acquired with.

    Attributes:
        protocol: `equation`, `tr`, `te`, `ti` [ms], `flip` [°], `contrast`.
        voxel: Edges of the acquired voxels [mm].
        fat: Share of the signal of fat that is left.
        bias: Relative spread of the receive field.
        phase: Axis of phase encoding, along which motion blurs.
        moves: The part of k-space, in [0, 1], after which the head lies elsewhere, and by how much along the phase and
            along the other axis in its plane [mm].
        noise: Factor on the noise.
        units: Factor on the intensities.
    """

    protocol: dict[str, Any]
    voxel: tuple[float, float, float]
    fat: float
    bias: float
    phase: int
    moves: tuple[tuple[float, float, float], ...]
    noise: float
    units: float

    @property
    def record(self) -> dict[str, Any]:
        """All of it in plain values, rounded, for the truth of a subject."""
        return {name: _rounded(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Session:
    """One examination on one scanner.

    Attributes:
        t1_factor: T1 over that at 3 T.
        t2_factor: T2 over that at 3 T.
        scans: How each sequence is acquired, by name.
    """

    t1_factor: float
    t2_factor: float
    scans: dict[str, Acquisition]

    def at_field(self, material: Material) -> Material:
        """Return tissues as they are at this scanner's field."""
        return Material(material.pd, material.t1 * self.t1_factor, material.t2 * self.t2_factor)

    @property
    def record(self) -> dict[str, Any]:
        """All of it in plain values, rounded, for the truth of a subject."""
        factors = {"t1_factor": round(self.t1_factor, 3), "t2_factor": round(self.t2_factor, 3)}
        return {**factors, "scans": {name: one.record for name, one in self.scans.items()}}


def draw_session(rng: Generator, names: Sequence[str]) -> Session:
    """Draw a scanner and how it acquires each of some sequences.

    Every sequence is drawn, whichever are asked for, so that one does not depend on the others.
    """
    factors = _log_uniform(rng, T1_FACTOR), _log_uniform(rng, T2_FACTOR)
    scans: dict[str, Acquisition] = {}
    for name in ("t1", "t1c", "t2", "flair", "pd"):
        protocol = _protocol(rng, name)
        if name == "t1c" and rng.random() < SAME_T1_SHARE:
            protocol = {**scans["t1"].protocol, "contrast": True}
        scans[name] = _acquisition(rng, name, protocol)
    return Session(*factors, {name: scans[name] for name in names})


def _protocol(rng: Generator, name: str) -> dict[str, Any]:
    if name in ("t1", "t1c"):
        equation, ranges = T1_KINDS[rng.integers(len(T1_KINDS))]
        drawn = {key: float(rng.uniform(*limits)) for key, limits in ranges.items()}
        return {"equation": equation, **drawn, **({"contrast": True} if name == "t1c" else {})}
    drawn = {key: float(rng.uniform(*limits)) for key, limits in LONG[name].items()}
    if name != "flair":
        return {"equation": "spin_echo", **drawn}
    nulling = FLUID_T1 * np.log(2 / (1 + np.exp(-drawn["tr"] / FLUID_T1)))
    return {"equation": "inversion_recovery", **drawn, "ti": float(nulling * rng.uniform(*NULLING))}


def _acquisition(rng: Generator, name: str, protocol: dict[str, Any]) -> Acquisition:
    axis = int(rng.choice(3, p=AXES))
    if rng.random() < VOLUME_SHARE[name]:
        edges = [float(rng.uniform(*CUBE))] * 3
    else:
        edges = [float(rng.uniform(*IN_PLANE))] * 3
        edges[axis] = float(rng.uniform(*THICKNESS))
    phase = int(rng.choice([one for one in range(3) if one != axis]))
    count = int(rng.integers(1, MOVES + 1)) if rng.random() < MOTION_SHARE else 0
    spread = _log_uniform(rng, SHIFT)
    moves = sorted((float(rng.random()), *map(float, rng.normal(0, spread, 2))) for _ in range(count))
    fat = float(rng.uniform(*FAT_LEFT)) if rng.random() < SUPPRESSED_SHARE else 1.0
    return Acquisition(
        protocol=protocol,
        voxel=(edges[0], edges[1], edges[2]),
        fat=fat,
        bias=float(rng.uniform(*BIAS)),
        phase=phase,
        moves=tuple((when, along, across) for when, along, across in moves),
        noise=_log_uniform(rng, NOISE_FACTOR),
        units=_log_uniform(rng, UNITS),
    )


def _log_uniform(rng: Generator, limits: Range) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, tuple) else value
