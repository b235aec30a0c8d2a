"""Magnetic resonance signal equations.

Times are in milliseconds, angles in degrees, concentrations in millimole per litre, and signals are in the unit of
the proton density `pd` that is handed in. Arguments may be numbers or arrays that broadcast; the result has the
broadcast shape. T1, T2, TR, TE and TI must be positive.

Reference for the equations: Brown, Cheng, Haacke, Thompson and Venkatesan, Magnetic Resonance Imaging: Physical
Principles and Sequence Design, 2nd edition, Wiley 2014.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]

R1_GADOBUTROL = 5.0
"""Longitudinal relaxivity of gadobutrol in plasma, 3 T, 37 °C [1/(s mmol/L)]: Rohrer et al., Invest Radiol 2005."""
R2_GADOBUTROL = 7.1
"""Transverse relaxivity of gadobutrol in plasma, 3 T, 37 °C [1/(s mmol/L)]: Rohrer et al., Invest Radiol 2005."""


def spin_echo(pd: ArrayLike, t1: ArrayLike, t2: ArrayLike, *, tr: float, te: float) -> Array:
    """Return the signal of a 90°–180° spin echo.

    S = PD (1 − exp(−TR/T1)) exp(−TE/T2), for TE ≪ TR (Hahn, Phys Rev 1950; Brown et al. 2014, ch. 8).

    Args:
        pd: Proton density [any unit].
        t1: Longitudinal relaxation time [ms].
        t2: Transverse relaxation time [ms].
        tr: Repetition time [ms].
        te: Echo time [ms].
    """
    pd, t1, t2 = np.asarray(pd), np.asarray(t1), np.asarray(t2)
    return np.asarray(pd * -np.expm1(-tr / t1) * np.exp(-te / t2))


def spoiled_gradient_echo(
    pd: ArrayLike, t1: ArrayLike, t2_star: ArrayLike, *, tr: float, te: float, flip: float
) -> Array:
    """Return the steady-state signal of a spoiled gradient echo (FLASH).

    S = PD sin α (1 − E1) / (1 − cos α · E1) · exp(−TE/T2*), with E1 = exp(−TR/T1)
    (Ernst and Anderson, Rev Sci Instrum 1966; Haase et al., J Magn Reson 1986).

    Args:
        pd: Proton density [any unit].
        t1: Longitudinal relaxation time [ms].
        t2_star: Effective transverse relaxation time [ms].
        tr: Repetition time [ms].
        te: Echo time [ms].
        flip: Flip angle α [°].
    """
    pd, t1, t2_star = np.asarray(pd), np.asarray(t1), np.asarray(t2_star)
    angle = np.deg2rad(flip)
    e1 = np.exp(-tr / t1)
    return np.asarray(pd * np.sin(angle) * (1 - e1) / (1 - np.cos(angle) * e1) * np.exp(-te / t2_star))


def inversion_recovery(pd: ArrayLike, t1: ArrayLike, t2: ArrayLike, *, tr: float, te: float, ti: float) -> Array:
    """Return the magnitude signal of an inversion-recovery spin echo, of which FLAIR is the case that nulls fluid.

    S = PD |1 − 2 exp(−TI/T1) + exp(−TR/T1)| exp(−TE/T2), for TE ≪ TR
    (Hajnal et al., J Comput Assist Tomogr 1992; Brown et al. 2014, ch. 8).

    Args:
        pd: Proton density [any unit].
        t1: Longitudinal relaxation time [ms].
        t2: Transverse relaxation time [ms].
        tr: Repetition time [ms].
        te: Echo time [ms].
        ti: Inversion time [ms].
    """
    pd, t1, t2 = np.asarray(pd), np.asarray(t1), np.asarray(t2)
    recovered = np.abs(1 - 2 * np.exp(-ti / t1) + np.exp(-tr / t1))
    return np.asarray(pd * recovered * np.exp(-te / t2))


def diffusion_weighted(signal: ArrayLike, adc: ArrayLike, *, b: ArrayLike) -> Array:
    """Return the signal after diffusion weighting.

    S = S₀ exp(−b ADC) (Stejskal and Tanner, J Chem Phys 1965; Le Bihan et al., Radiology 1986).

    Args:
        signal: Signal S₀ without diffusion weighting [any unit].
        adc: Apparent diffusion coefficient [mm²/s].
        b: Diffusion weighting [s/mm²].
    """
    return np.asarray(np.asarray(signal) * np.exp(-np.asarray(b) * np.asarray(adc)))


def relaxed_by_contrast(time: ArrayLike, concentration: ArrayLike, *, relaxivity: float) -> Array:
    """Return the relaxation time [ms] in the presence of a contrast agent, in fast exchange.

    1/T' = 1/T + r C, for T1 with r1 and for T2 with r2 (Solomon–Bloembergen; Rohrer et al., Invest Radiol 2005).

    Args:
        time: T1 or T2 without the agent [ms].
        concentration: Concentration C of the agent [mmol/L].
        relaxivity: r1 or r2 [1/(s mmol/L)].
    """
    return np.asarray(1 / (1 / np.asarray(time) + 1e-3 * relaxivity * np.asarray(concentration)))


def rician(signal: Array, sigma: ArrayLike, rng: Generator) -> Array:
    """Return the magnitude of a complex signal with independent Gaussian noise in both channels.

    M = √((S + n₁)² + n₂²), n ~ N(0, σ²): Rice distributed (Gudbjartsson and Patz, Magn Reson Med 1995).

    Args:
        signal: Noiseless magnitude, any shape; float32 stays float32.
        sigma: Standard deviation of one channel, in the unit of `signal`; broadcasts against it.
        rng: The source of randomness.
    """
    dtype = np.float32 if signal.dtype == np.float32 else np.float64
    sigma = np.asarray(sigma, dtype)
    real = rng.standard_normal(signal.shape, dtype=dtype)
    imaginary = rng.standard_normal(signal.shape, dtype=dtype)
    return np.hypot(signal + sigma * real, sigma * imaginary)
