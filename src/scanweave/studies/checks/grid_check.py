"""Checks of how the grids of a study lie to each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from scanweave.studies.findings import Finding
from scanweave.studies.geometry import Geometry

LEAST_OVERLAP = 0.5
"""Share of the smaller of two boxes that must lie within the other."""
LEAST_SLICES = 3
FARTHEST_MM = 1e4
"""Distance of a grid's centre from the zero of the scanner above which its position is in doubt."""
SMALLEST_MM, LARGEST_MM = 20.0, 3000.0
"""Longest side of a body part in a scanner; outside of it the affine is not in millimetres. Whole-body PET is 2 m."""


def grid_findings(grids: Mapping[str, Geometry], reference: str | None) -> list[Finding]:
    """List what is peculiar about the grids of a study's images, of which `reference` gives the grid to work on.

    Films are no places in the patient: each is judged alone.

    Args:
        grids: Grid of each scan (`"t1"`) and label map (`"mask:lesion"`).
        reference: Name of the reference scan; None where all are films.
    """
    findings = [finding.of(name) for name, grid in grids.items() for finding in _own(grid)]
    placed = {name: grid for name, grid in grids.items() if grid.is_placed}
    axes = {name: grid.orientation for name, grid in placed.items()}
    if len(set(axes.values())) > 1:
        named = ", ".join(f"{_listed(axes, code)} {code}" for code in dict.fromkeys(axes.values()))
        findings.append(Finding("orientation", "repaired", f"mixed orientation: {named}", "reoriented, exact"))
    if reference is None:
        return findings
    base = placed[reference].oriented()
    for name, grid in placed.items():
        if name != reference:
            findings += [finding.of(name) for finding in _pair(grid.oriented(), base, reference)]
    return findings


def unplaced_findings(grids: Mapping[str, Geometry], unplaced: Collection[str]) -> list[Finding]:
    """Refuse images that do not say where they lie and do not fall on the grids of the others.

    Args:
        grids: Grid of each image of a study, as for `grid_findings`.
        unplaced: Names of those whose position is not known and was put at 0.
    """
    findings = []
    for name in sorted(unplaced):
        other = next((o for o in grids if o != name and grids[o].is_placed and not grids[o].matches(grids[name])), None)
        if other is not None:
            words = f"does not say where it lies, and {other} lies elsewhere than at 0"
            findings.append(Finding("position", "refused", words, "Convert it anew, with the position kept", name))
    return findings


def mask_fault(grid: Geometry, films: Sequence[Geometry]) -> Finding | None:
    """Say why a label map cannot be laid on any of a study's films; None if it can."""
    if any(grid.matches(film) for film in films):
        return None
    if not films:
        words, step = "a label map without a place in the patient", "Save it on the grid of its scan, as NIfTI"
    elif grid.shape in {film.shape for film in films}:
        words = f"its axes run {grid.orientation}, those of the film {films[0].orientation}"
        step = "Save it as the film is: columns from the left, rows from the top"
    else:
        sizes = " or ".join(dict.fromkeys(_size(film) for film in films))
        words, step = f"its grid {_size(grid)} is not that of its film, {sizes}", "Draw it on the film itself"
    return Finding("grid", "refused", words, step)


def _own(grid: Geometry) -> list[Finding]:
    findings = []
    if 1 < min(grid.shape) < LEAST_SLICES:
        words = f"only {min(grid.shape)} slices"
        findings.append(Finding("slices", "refused", words, "Leave it out: a volume is needed"))
    if not grid.spacing_known:
        return findings
    longest = float(np.max(np.array(grid.shape) * grid.spacing))
    if not SMALLEST_MM <= longest <= LARGEST_MM:
        unit = "metres or centimetres" if longest < SMALLEST_MM else "micrometres"
        words = f"its longest side is {longest:.4g} mm: the affine seems to be in {unit}"
        findings.append(Finding("units", "refused", words, "Write a copy with the affine in millimetres"))
    centre = float(np.linalg.norm(grid.positions([(np.array(grid.shape) - 1) / 2])))
    if grid.is_placed and centre > FARTHEST_MM:
        words = f"its centre lies {centre / 1000:.4g} m from the zero of its scanner"
        findings.append(Finding("position", "suspect", words, "Check the position in its header"))
    if not grid.is_orthogonal:
        words = "its axes do not stand at right angles (gantry tilt or a sheared affine)"
        step = "every voxel is placed as it says; what is made of it is written at right angles"
        findings.append(Finding("sheared", "repaired", words, step))
    return findings


def _pair(grid: Geometry, base: Geometry, reference: str) -> list[Finding]:
    smaller, larger = sorted((grid, base), key=_volume)
    share = smaller.overlap(larger)
    if share < LEAST_OVERLAP:
        words = f"shares {100 * share:.0f} % of the space of the smaller image with {reference}"
        return [Finding("overlap", "refused", words, "Check that both show the same part of the same patient")]
    if grid.matches(base):
        return []
    own, other = _text(grid), _text(base)
    words = (
        f"own grid {own}, {reference} has {other}" if own != other else f"own grid, {grid.distance(base):.2g} mm off"
    )
    step, covered = f"resampled to the grid of {reference}", base.overlap(grid)
    if covered < 1:
        step += f"; about {100 * (1 - covered):.0f} % of that it does not cover: absent there"
    return [Finding("grid", "repaired", words, step)]


def _listed(axes: Mapping[str, str], code: str) -> str:
    return " ".join(name for name, own in axes.items() if own == code)


def _size(grid: Geometry) -> str:
    return "×".join(str(n) for n in grid.shape)


def _text(grid: Geometry) -> str:
    return f"{_size(grid)} at {'×'.join(f'{step:.3g}' for step in grid.spacing)} mm"


def _volume(grid: Geometry) -> float:
    return grid.voxels * float(np.prod(grid.spacing))
