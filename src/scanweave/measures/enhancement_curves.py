"""Curves of signal over time after a contrast agent: how much they rise, what becomes of them, how far two differ.

The signal before the agent is the mean of the frames before it; the early peak is the highest signal of the early
frames, those of the first two minutes after the injection (ACR BI-RADS MRI, Morris et al. 2013: the initial phase), or,
where times are not known, the first two frames after the agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError
from scanweave.measures.input_checks import reached
from scanweave.measures.regions import checked_region

Array = NDArray[np.float64]

EARLY_S = 120.0
"""End of the initial phase after the injection [s] (ACR BI-RADS MRI, Morris et al. 2013)."""
PLATEAU = 0.1
"""Change from the early peak to the last frame, relative, up to which a curve is level (same source)."""


class CurveType(IntEnum):
    """Type of a curve by what becomes of it after its early peak: those of Kuhl et al., Radiology 1999, 211:101."""

    PERSISTENT, PLATEAU, WASHOUT = 1, 2, 3


@dataclass(frozen=True)
class Phases:
    """Frames of a series in order: some before the agent, some early, and at least one late.

    Attributes:
        before: How many before the agent.
        early: How many early ones.
    """

    before: int = 1
    early: int = 2

    @classmethod
    def of(cls, times: ArrayLike, injection: float = 0.0) -> Phases:
        """Return the phases of frames at known times: before the injection, and up to `EARLY_S` after it.

        Args:
            times: Time of each frame, in which the centre of k-space is measured [s], `(T,)`, ascending.
            injection: Time of the injection [s]; a frame at this very time holds no agent yet.

        Raises:
            ScanweaveError: Times do not ascend, or one of the three phases has no frame.
        """
        moments = np.asarray(times, np.float64)
        if moments.ndim != 1 or not np.isfinite(moments).all() or (np.diff(moments) <= 0).any():
            raise ScanweaveError("times", "they do not ascend", "Give the time of each frame [s], in order")
        before = int((moments <= injection).sum())
        early = int((moments <= injection + EARLY_S).sum()) - before
        counts = {"before the injection": before, f"up to {EARLY_S:g} s after it": early}
        counts[f"later than {EARLY_S:g} s after it"] = moments.size - before - early
        lacking = [phase for phase, count in counts.items() if count < 1]
        if lacking:
            reason = f"no frame lies {lacking[0]} (injection at {injection:g} s)"
            raise ScanweaveError("times", reason, "Check the times and the injection, or leave both out")
        return cls(before, early)


def wash_in(curves: ArrayLike, phases: Phases | None = None) -> Array:
    """Return (S_early − S_before) / S_before, S_early being the early peak; NaN where S_before is not above 0.

    Args:
        curves: Signal over time, `(…, T)`: one curve, or a series whose every voxel is one.
        phases: Which frames are which; one before and two early ones when left out.

    Raises:
        ScanweaveError: There are too few frames.
    """
    before, early, _ = _levels(curves, phases)
    return _relative(early, before)


def wash_out(curves: ArrayLike, phases: Phases | None = None) -> Array:
    """Return (S_last − S_early) / S_early, negative where the agent leaves; arguments and errors as `wash_in`."""
    _, early, last = _levels(curves, phases)
    return _relative(last, early)


def curve_type(curve: ArrayLike, phases: Phases | None = None) -> CurveType:
    """Return the type of one curve by its change from the early peak to the last frame.

    Above +10 % it is persistent, below −10 % washout, else plateau (ACR BI-RADS MRI, Morris et al. 2013; the types are
    those of Kuhl et al. 1999).

    Args:
        curve: Mean signal of a lesion over time, `(T,)`.
        phases: Which frames are which; one before and two early ones when left out.

    Raises:
        ScanweaveError: It is no curve, holds NaN or infinity, has too few frames, or is not above 0 at its early peak.
    """
    signal = np.asarray(curve, np.float64)
    if signal.ndim != 1 or not np.isfinite(signal).all():
        raise ScanweaveError("curve", "is not one curve of finite values", "Give the mean signal of a region, (T,)")
    change = float(wash_out(signal, phases))
    if np.isnan(change):
        raise ScanweaveError("curve", "is not above 0 at its early peak", "Give signals of a magnitude image")
    if reached(PLATEAU, abs(change)):
        return CurveType.PLATEAU
    return CurveType.PERSISTENT if change > 0 else CurveType.WASHOUT


def mean_curve(series: ArrayLike, region: ArrayLike) -> Array:
    """Return the mean signal over time `(T,)` of a series `(X, Y, Z, T)` in a region `(X, Y, Z)`.

    Raises:
        ScanweaveError: It is no series, the region has another shape or is empty, or a value in it is not finite.
    """
    frames = np.asarray(series)
    if frames.ndim != 4:
        raise ScanweaveError("series", f"its shape is {frames.shape}", "Give a series (X, Y, Z, T)")
    values = frames[checked_region("region", region, frames.shape[:3])]
    if not np.isfinite(values).all():
        raise ScanweaveError("series", "it holds NaN or infinity in the region", "Mask those voxels before measuring")
    return np.asarray(values.mean(axis=0, dtype=np.float64))


def curve_errors(
    made: ArrayLike,
    real: ArrayLike,
    regions: Mapping[str, ArrayLike],
    *,
    made_times: ArrayLike | None = None,
    real_times: ArrayLike | None = None,
) -> dict[str, dict[str, float]]:
    """Measure how far the mean curves of two series differ, region by region.

    Where both times are known, the curve of `made` is interpolated to the frames of `real` that lie within its span;
    else frame is compared with frame. Enhancement is the signal relative to the first of the compared frames, less 1:
    it does not depend on the scale of either series.

    Args:
        made: A series `(X, Y, Z, T)`, such as a predicted one.
        real: What it should be, `(X, Y, Z, T')`, on the same grid and in the same units.
        regions: Masks `(X, Y, Z)` by name.
        made_times: Times of the frames of `made` [s], ascending.
        real_times: Times of the frames of `real` [s], from the same start.

    Returns:
        For each region `{"rmse", "enhancement_rmse", "frames"}`: the root mean square difference of the curves in the
        units of the series, that of their enhancements (NaN where a curve does not begin above 0), and how many
        frames were compared.

    Raises:
        ScanweaveError: Grids differ, the numbers of frames differ and times are not known, fewer than two frames are
            common, or as `mean_curve`.
    """
    given, wanted = np.asarray(made), np.asarray(real)
    if given.shape[:3] != wanted.shape[:3]:
        reason = f"its grid is {given.shape[:3]}, that of the real one {wanted.shape[:3]}"
        raise ScanweaveError("made", reason, "Give two series on one grid")
    errors = {}
    for name, region in regions.items():
        pair = mean_curve(given, region), mean_curve(wanted, region)
        one, other = _at_common_times(*pair, made_times, real_times)
        starts = one[0] > 0 and other[0] > 0
        relative = _rms(one / one[0] - other / other[0]) if starts else float("nan")
        errors[name] = {"rmse": _rms(one - other), "enhancement_rmse": relative, "frames": float(one.size)}
    return errors


def _levels(curves: ArrayLike, phases: Phases | None) -> tuple[Array, Array, Array]:
    """Return the signal before the agent, the early peak and the last signal, each `(…)`."""
    signal, phases = np.asarray(curves, np.float64), phases or Phases()
    late = phases.before + phases.early
    if phases.before < 1 or phases.early < 1 or signal.ndim < 1 or signal.shape[-1] <= late:
        reason = f"of shape {signal.shape}, with {phases.before} frames before the agent and {phases.early} early ones"
        raise ScanweaveError("curve", reason, "At least one frame must follow; name the phases, or give all frames")
    return signal[..., : phases.before].mean(axis=-1), signal[..., phases.before : late].max(axis=-1), signal[..., -1]


def _relative(value: Array, base: Array) -> Array:
    """Return value / base − 1, NaN where the base is not above 0."""
    ratio = np.divide(value, base, out=np.full(np.shape(base), np.nan), where=base > 0)
    return np.asarray(ratio - 1)


def _at_common_times(
    made: Array, real: Array, made_times: ArrayLike | None, real_times: ArrayLike | None
) -> tuple[Array, Array]:
    if made_times is None or real_times is None:
        if made.size != real.size:
            reason = f"has {made.size} frames, the real one {real.size}, and not all times are known"
            raise ScanweaveError("made", reason, "Give the times of both")
        return made, real
    given, wanted = _checked_times("made_times", made_times, made), _checked_times("real_times", real_times, real)
    common = (wanted >= given[0]) & (wanted <= given[-1])
    if common.sum() < 2:
        raise ScanweaveError("made_times", "fewer than two frames of the real series lie within them", "Check both")
    return np.asarray(np.interp(wanted[common], given, made)), real[common]


def _checked_times(name: str, times: ArrayLike, curve: Array) -> Array:
    moments = np.asarray(times, np.float64)
    if moments.shape != curve.shape or not np.isfinite(moments).all() or (np.diff(moments) <= 0).any():
        raise ScanweaveError(name, f"are not {curve.size} ascending times", "Give the time of each frame [s], in order")
    return moments


def _rms(difference: Array) -> float:
    return float(np.sqrt(np.mean(difference**2)))
