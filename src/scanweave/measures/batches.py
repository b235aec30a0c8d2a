"""Norms and errors of batches `(B, C, H, W)` of tensors, a figure a sample: in training, tuning and attacks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from scanweave.errors import ScanweaveError
from scanweave.measures.image import PSNR_CAP


def pieces(values: Tensor, size: int) -> list[Tensor]:
    """Return parts of a batch of at most `size` samples, in order."""
    return [values[start : start + size] for start in range(0, len(values), size)]


def norms(values: Tensor) -> Tensor:
    """Return the Euclidean norm of each sample, `(B,)`."""
    return values.flatten(1).norm(dim=1)


def relative_error(made: Tensor, truth: Tensor) -> Tensor:
    """Return ‖made − truth‖ / ‖truth‖ of each sample, `(B,)`."""
    _check(made, truth)
    return norms(made - truth) / norms(truth).clamp_min(torch.finfo(truth.dtype).tiny)


def psnr(made: Tensor, truth: Tensor, data_range: float) -> Tensor:
    """Return 10 log₁₀(R² / MSE) [dB] of each sample over all channels, `(B,)`, at most `measures.image.PSNR_CAP`.

    Args:
        made: Images.
        truth: What they should be.
        data_range: Span of possible values R, the same for all: never that of a reconstruction.
    """
    _check(made, truth)
    if not (math.isfinite(data_range) and data_range > 0):
        raise ScanweaveError("data_range", f"it is {data_range}", "Give the span of possible values")
    error = (made - truth).square().flatten(1).mean(dim=1)
    return (10 * torch.log10(data_range**2 / error.clamp_min(torch.finfo(error.dtype).tiny))).clamp_max(PSNR_CAP)


def _check(made: Tensor, truth: Tensor) -> None:
    if made.shape != truth.shape:
        raise ScanweaveError("images", f"{tuple(made.shape)} against {tuple(truth.shape)}", "Compare equal shapes")
