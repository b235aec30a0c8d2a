"""The Joseph projector: line integrals of images, and their exact adjoint.

Below a memory bound the weights are kept as a sparse matrix and its transpose; above it they are computed as the
rays are walked. Both are the same linear map.
"""

from __future__ import annotations

import math
from typing import Any, Protocol
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from scanweave.physics.ct import kernels
from scanweave.physics.ct.geometry import CtGeometry
from scanweave.physics.ct.linear import apply_linear, check_values
from scanweave.physics.ct.lines import Lines, joseph_lines

Array = NDArray[Any]
MEMORY_LIMIT = 3 * 2**29
"""Largest matrix and transpose that are kept [bytes]: 1.5 GiB, some 256² × 800 views or 512² × 200."""


class Projector:
    """Line integrals along the rays of a geometry.

    Images are attenuations [1/mm], sinograms dimensionless line integrals; leading axes (batch, energy bins) are
    free. Differentiable any number of times; float32 and float64. Loops run on the CPU: tensors of another device are
    copied there and back.

    Args:
        geometry: Grid, views and detector.
        memory_limit: Largest matrix with transpose that is built [bytes]; 0 never builds one.

    Example:
        >>> from scanweave.physics.ct.geometry import ParallelGeometry, even_angles
        >>> projector = Projector(ParallelGeometry.covering((64, 64), 1.0, even_angles(90)))
        >>> sinogram = projector.forward(torch.ones(1, 1, 64, 64))  # (1, 1, 90, 92)
    """

    def __init__(self, geometry: CtGeometry, *, memory_limit: int = MEMORY_LIMIT) -> None:
        self.geometry = geometry
        self.memory_limit = memory_limit
        self._lines = joseph_lines(geometry)
        self._operators: dict[np.dtype[Any], _Operator] = {}

    def forward(self, image: Tensor) -> Tensor:
        """Return the line integrals `(…, views, detectors)` of `image` `(…, H, W)` [1/mm].

        Raises:
            ScanweaveError: The shape is not the geometry's, or the values are not finite floating-point numbers.
        """
        check_values("image", image, self.geometry.shape)
        return apply_linear(image, self._forward, self._adjoint)

    def adjoint(self, sinogram: Tensor) -> Tensor:
        """Return Aᵀ of `sinogram` `(…, views, detectors)` as `(…, H, W)`: the exact transpose of `forward`.

        Raises:
            ScanweaveError: The shape is not the geometry's, or the values are not finite floating-point numbers.
        """
        check_values("sinogram", sinogram, self.geometry.sinogram_shape)
        return apply_linear(sinogram, self._adjoint, self._forward)

    def matrix_bytes(self, dtype: np.dtype[Any]) -> int:
        """Return the memory of matrix and transpose, from the rays alone: at most a few per cent too much."""
        weights = 2 * sum(lines.crossings() for lines in self._lines)
        pointers = math.prod(self.geometry.shape) + math.prod(self.geometry.sinogram_shape) + 2
        index = _index_type(weights).itemsize
        return 2 * weights * (dtype.itemsize + index) + pointers * index

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_operators": {}}  # copies find or rebuild the matrix, and never carry it

    def _forward(self, image: Array) -> Array:
        flat = image.reshape(-1, math.prod(self.geometry.shape))
        leading = image.shape[:-2]
        return self._operator(image.dtype).forward(flat).reshape(*leading, *self.geometry.sinogram_shape)

    def _adjoint(self, sinogram: Array) -> Array:
        flat = sinogram.reshape(-1, math.prod(self.geometry.sinogram_shape))
        leading = sinogram.shape[:-2]
        return self._operator(sinogram.dtype).adjoint(flat).reshape(*leading, *self.geometry.shape)

    def _operator(self, dtype: np.dtype[Any]) -> _Operator:
        if dtype not in self._operators:
            fits = self.matrix_bytes(dtype) <= self.memory_limit
            walk = _Walk(self.geometry, self._lines)
            self._operators[dtype] = _matrix(self.geometry, self._lines, dtype) if fits else walk
        return self._operators[dtype]


class _Operator(Protocol):
    def forward(self, images: Array) -> Array:
        """Return `(N, rays)` of `(N, pixels)`."""

    def adjoint(self, sinograms: Array) -> Array:
        """Return `(N, pixels)` of `(N, rays)`."""


class _Matrix:
    """Joseph's weights as a sparse matrix and its transpose."""

    def __init__(self, geometry: CtGeometry, lines: tuple[Lines, Lines], dtype: np.dtype[Any]) -> None:
        rays, pixels = math.prod(geometry.sinogram_shape), math.prod(geometry.shape)
        counts = np.zeros(rays, np.int64)
        for one in lines:
            kernels.count_weights(one.grid[1], one.grid[0], one.index, one.start, one.slope, counts)
        index = _index_type(int(counts.sum()))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(index)
        columns, weights = np.empty(offsets[-1], index), np.empty(offsets[-1], dtype)
        for one, (by_row, by_column) in zip(lines, ((geometry.shape[1], 1), (1, geometry.shape[1])), strict=True):
            rows_first = (one.grid[1], one.grid[0], by_row, by_column, one.index, one.start, one.slope, one.length)
            kernels.fill_weights(*rows_first, offsets, columns, weights)
        self.matrix = csr_array((weights, columns, offsets), shape=(rays, pixels))
        self.transpose = self.matrix.T.tocsr()

    def forward(self, images: Array) -> Array:
        return _product(self.matrix, images)

    def adjoint(self, sinograms: Array) -> Array:
        return _product(self.transpose, sinograms)


def _index_type(weights: int) -> np.dtype[Any]:
    return np.dtype(np.int32 if weights <= np.iinfo(np.int32).max else np.int64)


def _product(matrix: csr_array, vectors: Array) -> Array:
    """Return `matrix` times each row of `vectors` `(N, n)`."""
    parts = matrix.indptr, matrix.indices, matrix.data
    out = np.empty((len(vectors), matrix.shape[0]), vectors.dtype)
    if len(vectors) == 1:
        kernels.multiply(*parts, vectors[0], out[0])
        return out
    fours = -(-len(vectors) // 4) * 4
    values = np.zeros((vectors.shape[1], fours), vectors.dtype)
    values[:, : len(vectors)] = vectors.T
    result = np.empty((matrix.shape[0], fours), vectors.dtype)
    kernels.multiply_fours(*parts, values, result)
    out[:] = result[:, : len(vectors)].T
    return out


class _Walk:
    """Joseph's weights computed on the way."""

    def __init__(self, geometry: CtGeometry, lines: tuple[Lines, Lines]) -> None:
        self.shape, self.rays, self.lines = geometry.shape, math.prod(geometry.sinogram_shape), lines

    def forward(self, images: Array) -> Array:
        out = np.zeros((len(images), self.rays), images.dtype)
        for image, sinogram in zip(images.reshape(-1, *self.shape), out, strict=True):
            for one, oriented in zip(self.lines, (image, image.T), strict=True):
                padded = np.pad(oriented, ((0, 0), (1, 2)))
                kernels.project(padded, one.index, one.start, one.slope, one.length, sinogram)
        return out

    def adjoint(self, sinograms: Array) -> Array:
        out = np.zeros((len(sinograms), *self.shape), sinograms.dtype)
        for sinogram, image in zip(sinograms, out, strict=True):
            for one, oriented in zip(self.lines, (image, image.T), strict=True):
                padded = np.zeros((one.grid[0], one.grid[1] + 3), sinograms.dtype)
                kernels.smear(sinogram, one.index, one.start, one.slope, one.length, padded)
                oriented += padded[:, 1:-2]
        return out.reshape(len(sinograms), -1)


_matrices: WeakValueDictionary[tuple[CtGeometry, np.dtype[Any]], _Matrix] = WeakValueDictionary()
"""Matrices in use: projectors of equal geometry share one, and the last to go frees it."""


def _matrix(geometry: CtGeometry, lines: tuple[Lines, Lines], dtype: np.dtype[Any]) -> _Matrix:
    matrix = _matrices.get((geometry, dtype))
    if matrix is None:
        matrix = _matrices[geometry, dtype] = _Matrix(geometry, lines, dtype)
    return matrix
