"""Rigid motions between the places of scans in a patient: kept, turned round, joined, applied.

Points are RAS millimetres. ITK's files hold LPS millimetres and run the other way: from the fixed scan, whose grid is
filled, to the moving one, which is looked up there (Ibanez et al., The ITK Software Guide).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.affines import apply_affine
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, read_json, write_json
from scanweave.studies.geometry import FloatArray, Geometry, Interpolation, resample
from scanweave.studies.scan import Scan

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
RIGID_TOLERANCE = 1e-5
"""Largest deviation of a rotation's columns from unit length and right angles: files keep about 7 digits."""
DIRECTION = "points of 'moving' to points of 'fixed', RAS mm"
_ADVICE = "Prepare the cohort again with: scanweave cohort prepare COHORT --out NEW"
_MATRICES = ("MatrixOffsetTransformBase_double_3_3", "AffineTransform_double_3_3")
_NUMBERS = re.compile(r"^(Transform|Parameters|FixedParameters):(.*)$", re.MULTILINE)


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """A turn and a shift that bring one scan to the place of another.

    Attributes:
        matrix: `(4, 4)`, maps a point of `moving` to the same point of the patient in `fixed`, RAS mm.
        moving: Name of what is moved.
        fixed: Name of what it is moved to.

    Raises:
        ScanweaveError: The matrix is no rotation and translation.
    """

    matrix: FloatArray
    moving: str
    fixed: str

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        turn = matrix[:3, :3] if matrix.shape == (4, 4) else np.zeros((3, 3))
        apart = np.abs(turn.T @ turn - np.eye(3)).max() if np.isfinite(matrix).all() else np.inf
        if apart > RIGID_TOLERANCE or np.linalg.det(turn) < 0 or (matrix[3] != (0, 0, 0, 1)).any():
            raise ScanweaveError("matrix", "is not a rotation and a translation", "Give a rigid 4 × 4 matrix")
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def identity(cls, moving: str, fixed: str) -> RigidTransform:
        """Return the transform that moves nothing: the headers are right."""
        return cls(np.eye(4), moving, fixed)

    @property
    def inverse(self) -> RigidTransform:
        """The way back, from `fixed` to `moving`."""
        turn = self.matrix[:3, :3].T
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = turn, -turn @ self.matrix[:3, 3]
        return RigidTransform(matrix, self.fixed, self.moving)

    @property
    def angle_degrees(self) -> float:
        """The angle of its turn, in [0, 180]."""
        turn = self.matrix[:3, :3]
        axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
        return float(np.degrees(np.arctan2(np.linalg.norm(axis), np.trace(turn) - 1.0)))

    def then(self, other: RigidTransform) -> RigidTransform:
        """Join with the transform that comes after this one.

        Raises:
            ScanweaveError: `other` does not begin where this one ends.
        """
        if other.moving != self.fixed:
            raise ScanweaveError(
                "transform", f"one to '{self.fixed}' cannot be joined with one from '{other.moving}'", "Check the order"
            )
        joined = other.matrix @ self.matrix
        left, _, right = np.linalg.svd(joined[:3, :3])  # a product of many drifts: the nearest rotation
        joined[:3, :3] = left @ right
        return RigidTransform(joined, self.moving, other.fixed)

    def is_like(self, other: RigidTransform) -> bool:
        """Tell whether both move points alike, to within rounding."""
        return bool(np.allclose(self.matrix, other.matrix, rtol=0, atol=RIGID_TOLERANCE))

    def apply(self, points: ArrayLike) -> FloatArray:
        """Move points `(N, 3)` of `moving` to `fixed` [RAS mm]."""
        return apply_affine(self.matrix, np.asarray(points, dtype=np.float64))

    def displacement_mm(self, points: ArrayLike) -> FloatArray:
        """Return how far points `(N, 3)` [RAS mm] are moved, `(N,)` [mm]."""
        return displacement_mm(self.matrix, np.eye(4), points)

    def move(self, scan: Scan) -> Scan:
        """Place a scan of `moving` in `fixed` by its header alone: no voxel is touched."""
        return replace(scan, geometry=Geometry.of(scan.geometry.shape, self.matrix @ scan.geometry.affine), path=None)

    def resample(
        self, scan: Scan, grid: Geometry, interpolation: Interpolation = "linear", outside: float = 0.0
    ) -> Scan:
        """Sample a scan of `moving` on a grid in `fixed`.

        Args:
            scan: The scan, `(X, Y, Z)` or `(X, Y, Z, T)`.
            grid: Where to sample.
            interpolation: "nearest" for labels, which keep their values and type.
            outside: The value of voxels that the scan does not cover.
        """
        data = scan.data if interpolation == "nearest" else np.asarray(scan.data, dtype=np.float32)
        made = resample(data, self.move(scan).geometry, grid, interpolation, outside)  # type: ignore[arg-type]
        return replace(scan, geometry=grid, load=lambda: made, path=None, notes=())

    def save(self, folder: Path, facts: dict[str, Any] | None = None) -> None:
        """Write `<moving>.json`, this matrix and `facts`, and `<moving>.tfm`, which ITK, Slicer and ANTs read."""
        content = {"moving": self.moving, "fixed": self.fixed, "direction": DIRECTION}
        write_json(folder / f"{self.moving}.json", {**content, "matrix": self.matrix.tolist(), **(facts or {})})
        look_up = LPS_TO_RAS @ self.inverse.matrix @ LPS_TO_RAS
        numbers = " ".join(repr(float(n)) for n in [*look_up[:3, :3].ravel(), *look_up[:3, 3]])
        text = f"#Insight Transform File V1.0\n#Transform 0\nTransform: {_MATRICES[1]}\n"
        with atomic_write(folder / f"{self.moving}.tfm") as temporary:
            temporary.write_text(f"{text}Parameters: {numbers}\nFixedParameters: 0 0 0\n", encoding="ascii")

    @classmethod
    def load(cls, path: str | Path) -> RigidTransform:
        """Read what `save` wrote as JSON.

        Raises:
            ScanweaveError: The file is absent or damaged.
        """
        content = read_json(path, _ADVICE)
        try:
            if content["direction"] != DIRECTION:
                raise ValueError(f"its direction is {content['direction']!r}")
            return cls(np.array(content["matrix"], dtype=np.float64), str(content["moving"]), str(content["fixed"]))
        except (KeyError, TypeError, ValueError, ScanweaveError) as error:
            raise ScanweaveError(path, f"not a rigid transform of ours ({error!r})", _ADVICE) from error


def read_itk_matrix(path: str | Path) -> NDArray[np.float64]:
    """Read an ITK text transform of 12 numbers as a matrix `(4, 4)`: fixed points to moving points, RAS mm.

    ITK's `MatrixOffsetTransformBase` maps x to A (x − c) + t + c in LPS, with A and t in `Parameters` and c in
    `FixedParameters`. It may be affine.

    Raises:
        ScanweaveError: The file is absent, or holds another kind of transform.
    """
    advice = "Give an ITK text file with one affine or rigid transform of 12 parameters"
    try:
        fields = {name: value.strip() for name, value in _NUMBERS.findall(Path(path).read_text(encoding="utf-8"))}
        numbers = np.array(fields["Parameters"].split(), dtype=np.float64)
        centre = np.array(fields["FixedParameters"].split(), dtype=np.float64)
    except (OSError, KeyError, ValueError) as error:
        raise ScanweaveError(path, f"not a readable ITK transform ({error})", advice) from error
    if fields.get("Transform") not in _MATRICES or numbers.shape != (12,) or centre.shape != (3,):
        raise ScanweaveError(path, f"holds '{fields.get('Transform')}' of {numbers.size} parameters", advice)
    matrix = np.eye(4)
    matrix[:3, :3] = numbers[:9].reshape(3, 3)
    matrix[:3, 3] = numbers[9:] + centre - matrix[:3, :3] @ centre
    return np.asarray(LPS_TO_RAS @ matrix @ LPS_TO_RAS)


def displacement_mm(one: ArrayLike, other: ArrayLike, points: ArrayLike) -> FloatArray:
    """Return how far apart two maps `(4, 4)` put each of the points `(N, 3)`, `(N,)` [mm]."""
    points = np.asarray(points, dtype=np.float64)
    return np.asarray(
        np.linalg.norm(apply_affine(np.asarray(one), points) - apply_affine(np.asarray(other), points), axis=1)
    )
