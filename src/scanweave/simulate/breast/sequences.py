"""Noiseless signals of the breast: water and fat of each voxel, suppressed, enhanced, weighted by diffusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanweave.physics.mr import diffusion_weighted
from scanweave.simulate.breast.protocol import PROTOCOL, Bolus
from scanweave.simulate.breast.tissue import FAT, BreastTissues
from scanweave.simulate.fields import Array
from scanweave.simulate.material import sensitivities, signal_of


@dataclass(frozen=True)
class BreastTexture:
    """Deviations of a voxel from the mean of its tissues, relative and independent of each other, `(N,)`.

    Attributes:
        pd: Of proton density.
        t1: Of T1 of water.
        t2: Of T2 of water.
        adc: Of diffusion.
        uptake: Of what the agent adds to the signal.
        left: Share of fat that fat suppression leaves; it fails where the field is uneven.
    """

    pd: Array
    t1: Array
    t2: Array
    adc: Array
    uptake: Array
    left: Array


@dataclass(frozen=True)
class Body:
    """All that gives signal: shares of tissues `(K, N)`, what tissues are, and how voxels deviate from them."""

    fractions: Array
    tissues: BreastTissues
    texture: BreastTexture


def acquire(body: Body, name: str) -> Array:
    """Return the noiseless signal `(N,)` of a sequence of `PROTOCOL`, without agent, diffusion or receive field.

    S = (1 + δPD) [Σ f_k (1 − φ_k) (S_k + δT1 ∂S_k/∂ln T1 + δT2 ∂S_k/∂ln T2) + r Σ f_k φ_k S_fat], with tissues k of
    share f_k and fat φ_k, and r = 1 or, where fat is suppressed, what is left of it.
    """
    fractions, texture = body.fractions, body.texture
    mean, by_t1, by_t2 = (
        fractions.T @ _of_water(body, values) for values in sensitivities(PROTOCOL[name], body.tissues.water)
    )
    return _with_fat(body, name, mean + texture.t1 * by_t1 + texture.t2 * by_t2)


def acquire_series(body: Body, name: str, bolus: Bolus, times: Sequence[float]) -> Array:
    """Return the noiseless series `(N, T)` of a sequence after contrast agent.

    To `acquire` comes Σ f_k (1 − φ_k) (S_k(t) − S_k(0)) (1 + δ uptake) (1 + δPD).

    Args:
        body: All that gives signal.
        name: The sequence, of `PROTOCOL`.
        bolus: The agent.
        times: Times of the frames [s], `(T,)`.
    """
    tissues = body.tissues
    agent = bolus.in_tissue(times, tissues.ktrans, tissues.ve, tissues.vp)
    before = signal_of(PROTOCOL[name], tissues.water)
    added = signal_of(PROTOCOL[name], tissues.water.with_contrast(agent)) - before
    gain = (1 + body.texture.pd) * (1 + body.texture.uptake)
    rise = np.stack([body.fractions.T @ _of_water(body, frame) for frame in added], axis=1)
    return np.clip(acquire(body, name)[:, None] + gain[:, None] * rise, 0, None)


def acquire_diffusion(body: Body, name: str, b_values: Sequence[float]) -> Array:
    """Return the noiseless series `(N, B)` of a sequence over diffusion weighting, a mean over all directions.

    Water of tissue k falls as exp(−b ADC_k (1 + δADC)), what is left of fat does not.

    Args:
        body: All that gives signal.
        name: The sequence, of `PROTOCOL`.
        b_values: Diffusion weighting [s/mm²], `(B,)`.
    """
    mean, _, by_t2 = (_of_water(body, values) for values in sensitivities(PROTOCOL[name], body.tissues.water))
    series = np.empty((body.fractions.shape[1], len(b_values)), np.float32)
    for column, b in enumerate(b_values):
        water = np.zeros(series.shape[0], np.float32)
        for share, signal, slope, adc in zip(body.fractions, mean, by_t2, body.tissues.adc, strict=True):
            free = signal + body.texture.t2 * slope
            water += share * diffusion_weighted(free, np.float32(adc) * (1 + body.texture.adc), b=np.float32(b))
        series[:, column] = _with_fat(body, name, water)
    return series


def _of_water(body: Body, values: NDArray[np.floating]) -> Array:
    """Return values of the water of each tissue times its share of the protons, `(K,)`."""
    return np.asarray(values * (1 - body.tissues.fat), np.float32)


def _with_fat(body: Body, name: str, water: Array) -> Array:
    """Return the signal of a voxel from that of its water, `(N,)`."""
    one = float(signal_of(PROTOCOL[name], FAT)[0])
    fat = body.fractions.T @ np.asarray(body.tissues.fat * body.tissues.water.pd * one, np.float32)
    left = body.texture.left if PROTOCOL[name].get("suppressed") else np.float32(1)
    return np.asarray(np.clip((water + left * fat) * (1 + body.texture.pd), 0, None), np.float32)
