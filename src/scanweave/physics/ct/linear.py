"""Linear maps written in numpy as differentiable functions of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanweave.errors import ScanweaveError

Map = Callable[[NDArray[Any]], NDArray[Any]]
PRECISIONS = (torch.float32, torch.float64)


def apply_linear(value: Tensor, apply: Map, transpose: Map) -> Tensor:
    """Return `apply(value)`, differentiable any number of times.

    Args:
        value: Any shape; on another device than the CPU it is copied there and back.
        apply: A linear map of arrays that keeps their dtype.
        transpose: Its transpose.
    """
    result: Tensor = _Linear.apply(value, apply, transpose)
    return result


class _Linear(torch.autograd.Function):
    """A linear map, whose derivative is its transpose, whose derivative is the map."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, apply: Map, transpose: Map) -> Tensor:
        ctx.maps = transpose, apply
        array = np.ascontiguousarray(value.detach().cpu().numpy())
        return torch.from_numpy(apply(array)).to(value.device)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return apply_linear(gradients[0], *ctx.maps), None, None


def check_values(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse a tensor that does not end in `shape`, is not of float32 or float64, or is not finite.

    Raises:
        ScanweaveError: It is refused, and why.
    """
    if tuple(value.shape[-len(shape) :]) != shape:
        raise ScanweaveError(
            name, f"shape {tuple(value.shape)}", f"The geometry wants (…, {', '.join(map(str, shape))})"
        )
    if value.dtype not in PRECISIONS:
        raise ScanweaveError(name, f"values of type {value.dtype}", "Convert to float32 or float64")
    if not torch.isfinite(value).all():
        raise ScanweaveError(name, "holds NaN or infinite values", "Repair or mask them before projecting")
