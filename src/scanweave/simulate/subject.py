"""One simulated subject, as every kind of simulation hands it over."""

from __future__ import annotations

from typing import Any, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)
Scan = NDArray[np.int16] | NDArray[np.float32]


class Subject(TypedDict):
    """Everything about one simulated subject; all images lie on one grid `(X, Y, Z)`."""

    scans: dict[str, Scan]
    """All scans, those that the protocol removes included; series are `(X, Y, Z, T)`. 0 outside the body."""
    times: dict[str, NDArray[np.floating]]
    """Times of the frames of each series over time [s], `(T,)`."""
    b_values: dict[str, tuple[float, ...]]
    """Diffusion weighting of the frames of each series over it [s/mm²]."""
    masks: dict[str, NDArray[np.uint8]]
    """Labels of tissues and lesions: see the simulation."""
    affine: NDArray[np.float64]
    """Voxel to RAS mm, `(4, 4)`."""
    absent: tuple[str, ...]
    """Scans that the protocol removes."""
    truth: dict[str, Any]
    """All that was drawn, and the volumes of it [mL]: see the simulation."""


def fill(mask: NDArray[np.bool_], values: NDArray[Number]) -> NDArray[Number]:
    """Return the values at the voxels of a mask, `(N,)` or `(N, T)`, in a volume of zeros, `(X, Y, Z)` or with T."""
    volume = np.zeros(mask.shape + values.shape[1:], values.dtype)
    volume[mask] = values
    return volume
