"""Figures as text: aligned, with their interval and number of patients, absent ones as a dash."""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

ABSENT = "–"
MINUS = "−"


@runtime_checkable
class Estimate(Protocol):
    """Anything with an estimate, its interval and the number of patients, such as `measures.bootstrap.Interval`."""

    @property
    def value(self) -> float:
        """The estimate."""

    @property
    def low(self) -> float:
        """Lower end, NaN if unknown."""

    @property
    def high(self) -> float:
        """Upper end, NaN if unknown."""

    @property
    def n(self) -> int:
        """Number of patients."""


def written(value: Any, pattern: str | None = None) -> tuple[str, str]:
    """Return a value and, if it is an estimate, its interval, as text.

    Args:
        value: An estimate, a number, `None` or anything with a text.
        pattern: A format such as `"{:.1f}"` for its numbers.

    Returns:
        The value, and the interval as `"[low, high]"`; the latter empty where there is none.
    """
    if isinstance(value, Estimate):
        if math.isnan(value.low):
            return _number(value.value, pattern), ""
        return _number(value.value, pattern), f"[{_number(value.low, pattern)}, {_number(value.high, pattern)}]"
    return _number(value, pattern), ""


def duration(seconds: float) -> str:
    """Return a time in words [h, min, s]."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def is_number(value: Any) -> bool:
    """Tell whether a value is written right-aligned."""
    if isinstance(value, Estimate) or value is None:
        return True
    return hasattr(value, "__float__") and not isinstance(value, (bool, str))


def _number(value: Any, pattern: str | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ABSENT
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        return str(value)
    if pattern is None:
        pattern = "{:,}" if float(value).is_integer() and hasattr(value, "__index__") else "{:.3g}"
    return pattern.format(value).replace("-", MINUS)
