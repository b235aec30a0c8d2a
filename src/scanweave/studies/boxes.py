"""Hold boxes around lesions and organs, and carry them through every change of the image and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.box_faults import BoxFault, find_faults
from scanweave.studies.geometry import Geometry

Unit = Literal["pixel", "voxel", "mm"]
DIMENSIONS: dict[Unit, int] = {"pixel": 2, "voxel": 3, "mm": 3}
"""Axes of a box by its unit: pixels of a film, voxels of a volume, RAS millimetres of the patient."""

PARALLEL_TOLERANCE = 1e-6
"""Largest share of another axis in an axis that is still parallel to it."""


def _no_corners() -> NDArray[np.float64]:
    return np.zeros((0, 2, 2))


@dataclass(frozen=True, eq=False)
class Boxes:
    """Hold the boxes of one image.

    In pixels and voxels corners are edges: pixel `i` covers `[i, i + 1]` and its centre lies at `i + 0.5`, so that a
    box of whole numbers covers the array slice `start:stop` (COCO and torchvision count so). A `Geometry` places
    the centre of voxel `i` at index `i`; `to_patient` and `regrid` take account of the half voxel between.

    Attributes:
        corners: `(N, 2, D)`, start and stop of each box, axes in the order of the array (x, y, z).
        labels: Their class names, N.
        unit: `"pixel"` (D 2), `"voxel"` (D 3) or `"mm"` (D 3, RAS).
        scores: `(N,)` in [0, 1], of predictions; None: truth.
        ignored: `(N,)`, neither to be found nor false when found (COCO crowds, VOC difficult objects).
        size: Of the image, `(D,)` [pixel or voxel]; None: unknown, or the unit is mm.

    Raises:
        ScanweaveError: The parts differ in number, or the corners have another shape than the unit asks for.
    """

    corners: NDArray[np.float64] = field(default_factory=_no_corners)
    labels: tuple[str, ...] = ()
    unit: Unit = "pixel"
    scores: NDArray[np.float64] | None = None
    ignored: NDArray[np.bool_] | None = None
    size: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        axes = DIMENSIONS[self.unit]
        corners = np.array(self.corners, dtype=np.float64)
        if corners.size == 0:
            corners = corners.reshape(0, 2, axes)
        if corners.ndim != 3 or corners.shape[1:] != (2, axes):
            raise _fault(f"corners have shape {corners.shape}", f"Give (N, 2, {axes}) for boxes in {self.unit}")
        ignored = np.zeros(len(corners), bool) if self.ignored is None else np.array(self.ignored, dtype=bool)
        scores = None if self.scores is None else np.array(self.scores, dtype=np.float64)
        for name, values in (("labels", self.labels), ("ignored", ignored), ("scores", scores)):
            if values is not None and len(values) != len(corners):
                raise _fault(f"{len(corners)} boxes with {len(values)} {name}", "Give one for each box")
        if self.size is not None and (len(self.size) != axes or self.unit == "mm"):
            raise _fault(f"size {self.size} of boxes in {self.unit}", "Give one number an axis, and none for mm")
        for name, array in (("corners", corners), ("ignored", ignored), ("scores", scores)):
            if array is not None:
                array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "size", None if self.size is None else tuple(int(n) for n in self.size))

    def __len__(self) -> int:
        return len(self.corners)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {self.labels.count(name)}" for name in sorted(set(self.labels)))
        return f"<Boxes {len(self)} in {self.unit}{': ' + counts if counts else ''}>"

    @property
    def dimensions(self) -> int:
        """Number of axes, 2 or 3."""
        return DIMENSIONS[self.unit]

    @property
    def extents(self) -> NDArray[np.float64]:
        """Length of each box along each axis, `(N, D)`."""
        return self.corners[:, 1] - self.corners[:, 0]

    @property
    def volumes(self) -> NDArray[np.float64]:
        """Area (D 2) or volume (D 3) of each box, `(N,)`; swapped corners count as nothing."""
        return np.clip(self.extents, 0, None).prod(axis=1)

    def faults(self, classes: Sequence[str] | None = None) -> tuple[BoxFault, ...]:
        """Return what is wrong with single boxes; `classes` are the names that are known, None: any."""
        return find_faults(self.corners, self.labels, self.scores, self.size, self.unit == "pixel", classes)

    def select(self, keep: ArrayLike) -> Boxes:
        """Return the boxes of a boolean mask `(N,)` or of indices, in that order."""
        which = np.asarray(keep)
        index = np.flatnonzero(which) if which.dtype == bool else which.astype(int).reshape(-1)
        return replace(
            self,
            corners=self.corners[index],
            labels=tuple(self.labels[i] for i in index),
            scores=None if self.scores is None else self.scores[index],
            ignored=None if self.ignored is None else self.ignored[index],
        )

    def crop(self, start: ArrayLike, stop: ArrayLike) -> Boxes:
        """Return the boxes as the crop `start:stop` of the image sees them; nothing is cut off, see `clip`.

        The way back from a crop of an image of `size` is `crop(-start, size - start)`.
        """
        start, stop = self._vector(start), self._vector(stop)
        size = None if self.unit == "mm" else tuple(np.round(stop - start).astype(int))
        return replace(self, corners=self.corners - start, size=size)

    def resize(self, size: ArrayLike) -> Boxes:
        """Return the boxes in the image resized to `size`; `resize(old)` is the way back.

        Raises:
            ScanweaveError: The size of the image is unknown.
        """
        old, new = self._known_size(), self._vector(size)
        return replace(self, corners=self.corners * new / old, size=tuple(np.round(new).astype(int)))

    def scale(self, factor: ArrayLike) -> Boxes:
        """Return the boxes with every coordinate times `factor`, one number or one an axis, above 0."""
        factor = np.broadcast_to(np.asarray(factor, dtype=np.float64), self.dimensions)
        if not (np.isfinite(factor).all() and (factor > 0).all()):
            raise _fault(f"factor {factor.tolist()}", "Give numbers above 0; mirror with flip")
        size = None if self.size is None else tuple(np.round(np.array(self.size) * factor).astype(int))
        return replace(self, corners=self.corners * factor, size=size)

    def flip(self, *axes: int) -> Boxes:
        """Return the boxes in the image mirrored along `axes`; its own inverse.

        Raises:
            ScanweaveError: The size of the image is unknown.
        """
        size, corners = self._known_size(), self.corners.copy()
        for axis in axes:
            corners[:, :, axis] = size[axis] - self.corners[:, ::-1, axis]
        return replace(self, corners=corners)

    def permute(self, order: Sequence[int]) -> Boxes:
        """Return the boxes in the array transposed to `order`; `permute(numpy.argsort(order))` is the way back."""
        if sorted(order) != list(range(self.dimensions)):
            raise _fault(f"order {list(order)}", f"Give each of the {self.dimensions} axes once")
        size = None if self.size is None else tuple(self.size[axis] for axis in order)
        return replace(self, corners=self.corners[:, :, list(order)], size=size)

    def clip(self, least: float = 0.0) -> Boxes:
        """Return what lies within the image, without boxes of which no more than the share `least` does.

        Raises:
            ScanweaveError: The size of the image is unknown.
        """
        inside = replace(self, corners=np.clip(self.corners, 0, self._known_size()))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = inside.volumes / self.volumes
        return inside.select(share > least)

    def regrid(self, source: Geometry, target: Geometry) -> Boxes:
        """Return boxes on the grid `source` as boxes on `target`; `regrid(target, source)` is the way back.

        This follows crops, resampling, flips and changes of orientation (`Geometry.crop`, `with_spacing`, `oriented`)
        exactly. Where the axes of the grids are not parallel, it is the smallest box that encloses the turned one.

        Raises:
            ScanweaveError: The boxes are in mm, or pixels would leave the plane of their film.
        """
        if self.unit == "mm":
            raise _fault("boxes in mm lie on no grid", "Use to_grid")
        matrix = _edges(np.linalg.inv(target.affine) @ source.affine)
        if self.unit == "pixel" and _leaves_plane(matrix):
            raise _fault("the two grids do not share the plane of the film", "Carry pixels between grids of one film")
        return self._mapped(matrix, size=target.shape[: self.dimensions])

    def to_patient(self, geometry: Geometry) -> Boxes:
        """Return boxes on the grid `geometry` in RAS mm; exact where its axes are parallel to the patient's.

        On an oblique grid it is the smallest upright box that encloses the turned one. Pixels are one voxel deep.
        """
        if self.unit == "mm":
            return self
        boxes = self if self.unit == "voxel" else _deepened(self)
        return boxes._mapped(_edges(geometry.affine, to_grid=False), unit="mm", size=None)

    def to_grid(self, geometry: Geometry) -> Boxes:
        """Return boxes in RAS mm as boxes in voxels of `geometry`; the inverse of `to_patient`, with its limits."""
        if self.unit != "mm":
            raise _fault(f"boxes in {self.unit} lie on a grid already", "Use regrid")
        return self._mapped(_edges(np.linalg.inv(geometry.affine), from_grid=False), unit="voxel", size=geometry.shape)

    def moved(self, matrix: ArrayLike) -> Boxes:
        """Return boxes in mm after the map `matrix` `(4, 4)` of RAS points: the smallest upright boxes around them.

        Raises:
            ScanweaveError: The boxes are not in mm.
        """
        if self.unit != "mm":
            raise _fault(f"boxes in {self.unit} are moved with their grid", "Use to_patient first")
        return self._mapped(np.asarray(matrix, dtype=np.float64))

    def _mapped(self, matrix: NDArray[np.float64], **changes: Any) -> Boxes:
        """Return the boxes that enclose these after the affine map `matrix` `(4, 4)` (centre and half extent)."""
        axes = self.dimensions
        linear, offset = matrix[:axes, :axes], matrix[:axes, 3]
        centre = self.corners.mean(axis=1) @ linear.T + offset
        half = (self.extents / 2) @ np.abs(linear).T
        return replace(self, corners=np.stack([centre - half, centre + half], axis=1), **changes)

    def _vector(self, values: ArrayLike) -> NDArray[np.float64]:
        return np.broadcast_to(np.asarray(values, dtype=np.float64), self.dimensions)

    def _known_size(self) -> NDArray[np.float64]:
        if self.size is None:
            raise _fault("the size of the image is unknown", "Give size, in the order of the corners")
        return np.array(self.size, dtype=np.float64)


def join(parts: Sequence[Boxes]) -> Boxes:
    """Return the boxes of one image that were found in parts, in order; unit and size are those of the first.

    Raises:
        ScanweaveError: There is no part, units differ, or some have scores and others none.
    """
    if not parts or len({part.unit for part in parts}) > 1 or len({part.scores is None for part in parts}) > 1:
        raise _fault("parts without a common unit, or with and without scores", "Bring them to one unit first")
    return replace(
        parts[0],
        corners=np.concatenate([part.corners for part in parts]),
        labels=tuple(label for part in parts for label in part.labels),
        scores=None if parts[0].scores is None else np.concatenate([_scores(part) for part in parts]),
        ignored=np.concatenate([np.asarray(part.ignored) for part in parts]),
    )


def _scores(boxes: Boxes) -> NDArray[np.float64]:
    return np.zeros(len(boxes)) if boxes.scores is None else boxes.scores


def _edges(matrix: NDArray[np.floating], from_grid: bool = True, to_grid: bool = True) -> NDArray[np.float64]:
    """Return a map between voxel centres as a map between voxel edges, half a voxel apart."""
    made = np.array(matrix, dtype=np.float64)
    if from_grid:
        made[:3, 3] -= made[:3, :3].sum(axis=1) / 2
    if to_grid:
        made[:3, 3] += 0.5
    return made


def _leaves_plane(matrix: NDArray[np.float64]) -> bool:
    steps = np.abs(matrix[:3, :3])
    return bool(max(steps[2, :2].max(), steps[:2, 2].max()) > PARALLEL_TOLERANCE * steps.max())


def _deepened(film: Boxes) -> Boxes:
    """Return boxes of a film as boxes of a volume that is one voxel deep."""
    depth = np.broadcast_to(np.array([[0.0], [1.0]]), (len(film), 2, 1))
    size = None if film.size is None else (*film.size, 1)
    return replace(film, corners=np.concatenate([film.corners, depth], axis=2), unit="voxel", size=size)


def _fault(reason: str, step: str) -> ScanweaveError:
    return ScanweaveError("boxes", reason, step)
