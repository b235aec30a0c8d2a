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

EVEN = 0.9
"""Share of its longer side that the shorter side of a detector must see, unless it sees the image's inner circle."""
FEW = 8
"""Views up to which any sweep is taken as it is told."""


def ray_weights(geometry: CtGeometry) -> Array:
    """Return the weight of each ray `(views, detectors)` [rad]: over the rays of one line, it sums to its angle.

    Views need not be evenly spread or in order: each stands for half the way to its neighbours. Parallel views count
    modulo 180°. A fan that turns all the way counts each line twice, by one half; a shorter one by Parker's weights.

    Raises:
        ScanweaveError: A fan turns less than 180° and its own angle, the detector is shifted so far that it sees one
            side of the image only, or views seem to be told in radians.
    """
    _check_sides(geometry)
    angles = np.deg2rad(geometry.angles)
    if len(angles) > FEW and np.ptp(geometry.angles) <= 2 * math.pi:
        reason = f"{len(angles)} views sweep {np.ptp(geometry.angles):.4g}°, as angles in radians would"
        raise ScanweaveError("angles", reason, "Give degrees, or reconstruct by iteration: A_dagger with dagger='cg'")
    if not isinstance(geometry, FanGeometry):
        return np.broadcast_to(_spread(angles, math.pi).share[:, None], geometry.sinogram_shape)
    spread = _spread(angles, 2 * math.pi)
    if spread.sweep is None:
        return np.broadcast_to(0.5 * spread.share[:, None], geometry.sinogram_shape)
    missing = math.radians(geometry.short_sweep) - spread.sweep
    if missing > spread.step:
        reason = f"the views sweep {math.degrees(spread.sweep):.4g}°, this fan needs {geometry.short_sweep:.4g}°"
        raise ScanweaveError("angles", reason, "Add views, or reconstruct by iteration: A_dagger with dagger='cg'")
    return spread.share[:, None] * _parker(spread.turned, spread.sweep, geometry)


def _check_sides(geometry: CtGeometry) -> None:
    """Refuse a half fan: the weights take every line for measured by both halves of the detector."""
    ends = geometry.positions[[0, -1]]
    if isinstance(geometry, FanGeometry):
        ends = geometry.source * np.sin(geometry.fan_angles[[0, -1]])
    short, long = sorted((float(-ends[0]), float(ends[1])))
    if short < EVEN * long and short < 0.5 * geometry.pixel * min(geometry.shape):
        reason = f"the detector sees {short:.4g} mm to one side of the isocentre and {long:.4g} mm to the other"
        raise ScanweaveError("offset", reason, "Reconstruct by iteration: A_dagger with dagger='cg'")


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
