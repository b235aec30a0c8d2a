"""Check of whether the voxels of a CT are Hounsfield units, by which air is −1000 and water 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanweave.studies.findings import Finding
from scanweave.studies.layouts.names import sequence_of

NAMES = frozenset({"ct", "cta"})
"""Scans that are expected in Hounsfield units."""
AIR_OR_FAT = (-1200, -20)
"""Between these lie air, lung and fat; what is below is padding [HU]."""
LEAST_SHARE = 1e-3
"""Share of the voxels above padding that air, lung and fat make at least, even of a crop."""
BITS_8 = 255
INTERCEPT = 1024
"""Offset that most scanners add to values before they store them [HU]."""
AIR_WIDTH = 100
"""Distance from its true value within which the air of an image is looked for [HU]."""
SOFT, MIDDLE = (-30, 110), (10, 70)
"""Between the first lie the brain, its fluid, blood and fresh haemorrhage; between the second its median [HU]."""
LEAST_SOFT = 0.95
"""Share of the voxels of a brain without its skull that lie there: the rest is noise and calcifications."""
_STEP = "Convert it anew with rescale slope and intercept; a fixed window would show something else here"


def is_ct(name: str) -> bool:
    """Tell whether a scan of this name is expected in Hounsfield units: `ct`, `cta`, `ct_late`."""
    return sequence_of(name) in NAMES


def hounsfield_findings(data: NDArray[np.generic]) -> list[Finding]:
    """Return a suspicion if the voxels of a CT, all finite, have no air, lung or fat, or nothing else.

    Soft tissue alone, on a background of 0 or cropped, is a brain whose skull was taken off: that is only noted.
    """
    sample = data.ravel(order="K")[:: max(1, data.size // 1_000_000)]
    values = np.asarray(sample, dtype=np.float32)
    shown = values[values > AIR_OR_FAT[0]]
    if not shown.size:
        return [Finding("units", "suspect", "no voxel is above −1200, so these are no Hounsfield units", _STEP)]
    if float(shown.max()) < AIR_OR_FAT[1]:
        return [_suspect("every voxel is below water, as if the intercept were taken off twice")]
    if np.mean(shown < AIR_OR_FAT[1]) >= LEAST_SHARE:
        return []
    if _is_soft_tissue(shown[shown != 0]):
        words = "no air, lung or fat, but soft tissue alone, as where the skull was taken off"
        return [Finding("units", "ok", words, "values stay as they are")]
    low, high = float(shown.min()), float(shown.max())
    if high <= 1.5 or (low >= 0 and high <= BITS_8):
        return [_suspect(f"its values lie between {low:g} and {high:g}, as after a window or a rescaling")]
    near_zero = np.mean(np.abs(shown - (INTERCEPT - 1000)) <= AIR_WIDTH)
    if low >= -AIR_WIDTH and near_zero >= LEAST_SHARE and high > INTERCEPT:
        return [_suspect(f"its air is near 0, not near −1000, as if {INTERCEPT} were added")]
    return [_suspect(f"no air, lung or fat: its values lie between {low:g} and {high:g}")]


def _is_soft_tissue(values: NDArray[np.float32]) -> bool:
    """Tell whether values, without those of a background of 0, are those of a brain in Hounsfield units."""
    if not values.size or not MIDDLE[0] <= float(np.median(values)) <= MIDDLE[1]:
        return False
    return bool(np.mean((values >= SOFT[0]) & (values <= SOFT[1])) >= LEAST_SOFT)


def _suspect(words: str) -> Finding:
    return Finding("units", "suspect", f"may not be in Hounsfield units: {words}", _STEP)
