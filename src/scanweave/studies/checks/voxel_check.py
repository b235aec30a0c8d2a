"""Checks of the voxels of one image."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.checks.series_check import frame_findings
from scanweave.studies.findings import Finding
from scanweave.studies.preparing.repairs import finite

EMPTY_SHARE = 1e-3
"""An image of which fewer voxels than this differ from its lowest value shows next to nothing."""
MOST_VALUES = 256
"""Numbers above which what is in a label map is not noted."""
WHOLE = 2**18
"""Voxels up to which an image is hashed whole."""


def scan_findings(data: NDArray[np.generic], *, series: bool = False) -> tuple[NDArray[np.generic], list[Finding]]:
    """Return the voxels of a scan, made finite, and what is peculiar about them; of a `series` those of each frame."""
    data, findings = _finite(data, series=series)
    if any(finding.status == "refused" for finding in findings):
        return data, findings
    lowest, highest = float(data.min()), float(data.max())
    if lowest == highest:
        words, step = f"constant: every voxel is {lowest:g}", "Leave it out of the study, or export it again"
        return data, [*findings, Finding("constant", "refused", words, step)]
    if np.count_nonzero(data != lowest) < EMPTY_SHARE * data.size:
        words = f"almost empty: fewer than {100 * EMPTY_SHARE:g} % of its voxels differ from {lowest:g}"
        findings.append(Finding("empty", "suspect", words, "Look at it"))
    return data, findings + (frame_findings(data) if series else [])


def mask_findings(data: NDArray[np.generic]) -> list[Finding]:
    """List what is peculiar about the voxels of a label map; being empty is not."""
    data, findings = _finite(data)
    if findings:
        return findings
    sample = np.asarray(data.ravel(order="K")[:: max(1, data.size // 1_000_000)], dtype=np.float32)
    if (sample != np.round(sample)).any() or sample.min() < 0:
        words = "a label map with fractional or negative numbers"
        findings.append(Finding("labels", "suspect", words, "Check that it is a label map and not an image"))
    return findings


def mask_values(data: NDArray[np.generic]) -> list[int]:
    """Return the numbers of a label map, sorted; none where they are no labels, or more than `MOST_VALUES`."""
    if data.size == 0 or not 0 <= float(data.min()) <= float(data.max()) < 2**16:
        return []
    counts = np.bincount(np.asarray(data, dtype=np.uint16).ravel())
    values = np.flatnonzero(counts).tolist()
    return values if len(values) <= MOST_VALUES else []


def fingerprint(data: NDArray[np.generic]) -> str:
    """Hash of an image's voxels (every 7th of them): equal images have equal prints whatever their files' names.

    A small image is hashed whole, since every 7th voxel of a slice may miss all that it shows.
    """
    values = np.ascontiguousarray(data.ravel(order="K")[:: 7 if data.size > WHOLE else 1])
    digest = hashlib.blake2b(values.data, digest_size=12)
    digest.update(repr(data.shape).encode())
    return digest.hexdigest()


def _finite(data: NDArray[np.generic], *, series: bool = False) -> tuple[NDArray[np.generic], list[Finding]]:
    try:
        data, bad = finite(data, "", series=series)
    except ScanweaveError as error:
        return data, [Finding("non-finite", "refused", error.reason, error.next_step)]
    if not bad:
        return data, []
    words = f"{bad} voxels are NaN or infinite"
    return data, [Finding("non-finite", "repaired", words, f"replaced by the lowest finite value, {data.min():g}")]
