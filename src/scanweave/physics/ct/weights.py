"""Weights of rays in filtered backprojection: the angle each stands for, and the lines that are measured twice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.physics.ct.geometry import CtGeometry, FanGeometry

Array = NDArray[np.float64]
WEDGE = math.radians(20.0)
"""A gap between views above this, and above three times the usual one, is a part of the circle that was not scanned."""

EVEN = {"parallel": 0.5, "fan": 0.9}
"""Share of its longer side that the shorter side of a detector must see in less than a full turn, unless it sees the
image's inner circle. Parallel rays need both sides for what lies off the axis only, Parker's weights for all."""
FEW_VIEWS = 8
"""Views up to which any sweep is taken as it is told."""


def ray_weights(geometry: CtGeometry) -> Array:
    """Return the weight of each ray `(views, detectors)` [rad]: over the rays of one line, it sums to its angle.

    Views need not be evenly spread or in order: each stands for half the way to its neighbours. Parallel views count
    modulo 180°. A fan that turns all the way counts each line twice, by one half; a shorter one by Parker's weights.
    A detector whose axis is off its centre and that turns all the way counts by `overlap_weights`.

    Raises:
        ScanweaveError: A fan turns less than 180° and its own angle, the detector is shifted so far that it sees one
            side of the image only and does not turn all the way, or views seem to be told in radians.
    """
    angles = np.deg2rad(geometry.angles)
    if len(angles) > FEW_VIEWS and np.ptp(geometry.angles) <= 2 * math.pi:
        reason = f"{len(angles)} views sweep {np.ptp(geometry.angles):.4g}°, as angles in radians would"
        raise ScanweaveError("angles", reason, "Give degrees, or reconstruct by iteration: A_dagger with dagger='cg'")
    spread, fan = _spread(angles, 2 * math.pi), isinstance(geometry, FanGeometry)
    if spread.sweep is None and (fan or missing_elements(geometry)):
        _check_axis(geometry)
        return spread.share[:, None] * overlap_weights(geometry)
    _check_sides(geometry)
    if spread.sweep is None or not isinstance(geometry, FanGeometry):
        return np.broadcast_to(_spread(angles, math.pi).share[:, None], geometry.sinogram_shape)
    missing = math.radians(geometry.short_sweep) - spread.sweep
    if missing > spread.step:
        reason = f"the views sweep {math.degrees(spread.sweep):.4g}°, this fan needs {geometry.short_sweep:.4g}°"
        raise ScanweaveError("angles", reason, "Add views, or reconstruct by iteration: A_dagger with dagger='cg'")
    return spread.share[:, None] * _parker(spread.turned, spread.sweep, geometry)


def missing_elements(geometry: CtGeometry) -> int:
    """Return how many elements the detector lacks on its shorter side: below 0 before the first, else after the last.

    0 where both sides of the axis are as long, but for half an element: a quarter-detector offset lacks none.
    """
    lacking = float(-geometry.positions[[0, -1]].sum()) / geometry.pitch
    return int(math.copysign(math.ceil(abs(lacking) - 0.5 - 1e-6), lacking))


def overlap_weights(geometry: CtGeometry) -> Array:
    """Return what each element counts in a full turn `(detectors,)`; the two rays of a line, s and −s, sum to one.

    What one side of the axis alone sees counts once. Towards the end of the shorter side a ray fades out, its other
    one in, by a squared sine, so that no edge is filtered; between them both count one half, which keeps the noise low.
    With the axis at one end (half-acquisition) this is Wang's weight (Med Phys 29(7), 2002, eq. 5).
    """
    places = geometry.fan_angles if isinstance(geometry, FanGeometry) else geometry.positions
    if not missing_elements(geometry):
        return np.full(geometry.detectors, 0.5)
    outwards = places if places[-1] > -places[0] else -places
    short, long = sorted((float(-places[0]), float(places[-1])))
    zone = min(short, long - short)

    def rising(place: Array) -> Array:
        return np.sin(math.pi / 2 * np.clip((place + short) / zone, 0, 1)) ** 2

    weights: Array = 0.5 * (1 + rising(outwards) - rising(-outwards))
    return weights


def _sides(geometry: CtGeometry) -> tuple[float, float]:
    """Return how far from the isocentre the detector sees to its shorter and to its longer side [mm]."""
    ends = geometry.positions[[0, -1]]
    if isinstance(geometry, FanGeometry):
        ends = geometry.source * np.sin(geometry.fan_angles[[0, -1]])
    short, long = sorted((float(-ends[0]), float(ends[1])))
    return short, long


def _check_axis(geometry: CtGeometry) -> None:
    """Refuse a detector that does not reach the axis: no view sees what lies next to it."""
    short, long = _sides(geometry)
    if short <= 0 and long > 0 and geometry.detectors > 1:
        reason = f"the detector begins {-short:.4g} mm off the isocentre, so the middle is not seen"
        raise ScanweaveError("offset", reason, "Check where the axis falls: offset is the detector's centre along u")


def _check_sides(geometry: CtGeometry) -> None:
    """Refuse a detector that sees too little of one side to turn less than all the way."""
    short, long = _sides(geometry)
    least = EVEN["fan" if isinstance(geometry, FanGeometry) else "parallel"]
    if short < least * long and short < 0.5 * geometry.pixel * min(geometry.shape):
        reason = f"the detector sees {short:.4g} mm to one side of the isocentre and {long:.4g} mm to the other"
        step = "Turn all the way (360°), or reconstruct by iteration: A_dagger with dagger='cg'"
        raise ScanweaveError("offset", reason, step)


@dataclass(frozen=True)
class _Spread:
    """Spread of views on a circle: the angle each stands for, step, sweep (`None`: all round), turn since its start."""

    share: Array
    step: float
    sweep: float | None
    turned: Array


def _spread(angles: Array, period: float) -> _Spread:
    turn = np.mod(angles, period)
    order = np.argsort(turn, kind="stable")
    gaps = np.diff(turn[order], append=turn[order[0]] + period)
    step = float(np.median(gaps[gaps > 1e-9]))
    wedge = (gaps > WEDGE) & (gaps > 3 * step)
    ways = np.where(wedge, step, gaps)
    share = np.empty_like(turn)
    share[order] = 0.5 * (ways + np.roll(ways, 1))
    if not wedge.any():
        return _Spread(share, step, None, turn)
    widest = int(np.argmax(gaps))
    start = turn[order[(widest + 1) % len(order)]]
    return _Spread(share, step, period - float(gaps[widest]) + step, np.mod(turn - start, period) + step / 2)


def _parker(turned: Array, sweep: float, geometry: FanGeometry) -> Array:
    """Return weights `(views, detectors)` that sum to one over the two rays of a line and fall smoothly to none.

    Parker, Med Phys 9(2), 1982; with the fan taken as wide as the sweep allows, Silver, Med Phys 27(4), 2000. Rays
    (θ, γ) and (θ + π − 2γ, −γ) are one line.
    """
    half = max((sweep - math.pi) / 2, geometry.half_fan) + 1e-9
    gamma = -np.clip(geometry.fan_angles, -half, half)[None, :]
    beta = np.clip(turned, 0, math.pi + 2 * half)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        rising = np.sin(math.pi / 4 * beta / (half - gamma)) ** 2
        falling = np.sin(math.pi / 4 * (math.pi + 2 * half - beta) / (half + gamma)) ** 2
    once = np.where(beta <= math.pi - 2 * gamma, 1.0, falling)
    return np.nan_to_num(np.where(beta < 2 * (half - gamma), rising, once))
