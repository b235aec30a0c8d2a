"""Absent inputs, exactly: channels that were not acquired reach no number of the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scanweave.errors import ScanweaveError
from scanweave.nets.layers import Size, convolution


def present_only(x: Tensor, present: Tensor | None) -> Tensor:
    """Return the channels that are present, scaled by C / number present, and zeros elsewhere.

    The first convolution of a network then is, but for its bias, the sum over the present channels of each channel's
    own convolution, times C / number present, whatever the absent channels hold (NaN included); with every channel
    present it is the ordinary convolution, bit for bit. Holds for every network that begins with a convolution.

    Args:
        x: Inputs `(B, C, [D,] H, W)`.
        present: True where a channel was acquired `(B, C)`; None: all were.

    Raises:
        ScanweaveError: The shapes differ, or a sample has no channel.
    """
    if present is None:
        return x
    if present.dtype != torch.bool or present.shape != x.shape[:2]:
        raise ScanweaveError(
            "present", f"{present.dtype} {tuple(present.shape)} for inputs {tuple(x.shape)}", "Give booleans (B, C)"
        )
    counts = present.sum(dim=1, keepdim=True)
    if not torch.compiler.is_exporting() and not bool(counts.all()):
        raise ScanweaveError(
            "present", "a sample has no channel at all", "Leave out studies in which every scan is absent"
        )
    shape = (*present.shape, *[1] * (x.ndim - 2))
    scale = (x.shape[1] / counts.to(x.dtype)).expand(present.shape).reshape(shape)
    return torch.where(present.reshape(shape), x * scale, torch.zeros((), dtype=x.dtype, device=x.device))


class PresentStem(nn.Module):
    """Sum a first convolution over the present channels only, for networks that have none of their own.

    Args:
        channels_in: Channels C of the input, one a scan.
        channels_out: Channels of the output.
        dimensions: 2 or 3.
        kernel: Voxels of the kernel, one number or one an axis.
        stride: Likewise.
        bias: Whether a bias is added at the end, unscaled.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        dimensions: int,
        kernel: Size = 3,
        stride: Size = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.convolution = convolution(dimensions, channels_in, channels_out, kernel, stride, bias)

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Map `(B, C, [D,] H, W)` and booleans `(B, C)` to `(B, C_out, …)`."""
        made: Tensor = self.convolution(present_only(x, present))
        return made
