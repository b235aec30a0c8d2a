"""Bits of stored pixels that are no value: overlays of old scanners, padding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def own_bits(stored: NDArray[Any], bits: int, signed: bool) -> NDArray[Any]:
    """Return pixels without what old scanners kept in the bits above: overlays."""
    spare = stored.dtype.itemsize * 8 - bits
    if spare <= 0 or stored.dtype.kind not in "iu":
        return stored
    if signed:
        return np.right_shift(np.left_shift(stored, spare), spare)
    return np.bitwise_and(stored, np.array(2**bits - 1, dtype=stored.dtype))


def padding_of(stored: NDArray[Any], data: Any) -> NDArray[np.bool_] | None:
    """Return a mask of the pixels that show nothing, as the file tells it; None if it tells none."""
    value = data.get("PixelPaddingValue")
    if value is None:
        return None
    limit = data.get("PixelPaddingRangeLimit", value)
    low, high = sorted((int(value), int(limit)))
    return np.asarray((stored >= low) & (stored <= high))
