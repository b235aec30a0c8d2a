"""HyperConv: convolutions whose kernels are made from a code (spec a.3, factorised hyper-network)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Kernel(NamedTuple):
    """A kernel made for codes: weight `(N, out, in, k, k[, k])` and bias `(N, out)`, N = 1 or one for each sample."""

    weight: Tensor
    bias: Tensor


class HyperConv(nn.Module):
    """K = Σ_j w_j P_j with w = Linear(s) of rank r, and the bias likewise from a bank of its own.

    Making the kernel is apart from applying it, so that a target's kernels are made once however many slices follow.

    Args:
        code_length: Length of the code s.
        channels_in: Input channels.
        channels_out: Output channels.
        kernel_size: k; the input is reflect-padded by (k - 1) / 2.
        stride: Of the convolution.
        rank: r, kernels in the bank.
        shared_start: Start all codes from nearly the same kernel, a random mixture of the bank; else w starts as a
            random function of the code alone, as in the paper.
        dimensions: 2 or 3 spatial axes.
    """

    def __init__(
        self,
        code_length: int,
        channels_in: int,
        channels_out: int,
        *,
        kernel_size: int,
        rank: int,
        dimensions: int,
        stride: int = 1,
        shared_start: bool = False,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.padding = [(kernel_size - 1) // 2] * (2 * dimensions)
        self.convolve = F.conv2d if dimensions == 2 else F.conv3d
        self.bank = nn.Parameter(torch.empty(channels_out, channels_in, *[kernel_size] * dimensions, rank))
        self.bias_bank = nn.Parameter(torch.zeros(channels_out, rank))
        self.mix = nn.Linear(code_length, rank)
        self.bias_mix = nn.Linear(code_length, rank)
        nn.init.kaiming_normal_(self.bank)
        nn.init.zeros_(self.mix.bias)
        nn.init.zeros_(self.bias_mix.bias)
        if shared_start:
            nn.init.normal_(self.mix.bias, std=rank**-0.5)
            with torch.no_grad():
                self.mix.weight *= 0.5

    def kernel(self, code: Tensor) -> Kernel:
        """Make the kernels of codes `(N, code_length)`."""
        weight = self.mix(code) @ self.bank.flatten(0, -2).T
        bias = self.bias_mix(code) @ self.bias_bank.T
        return Kernel(weight.view(len(code), *self.bank.shape[:-1]), bias)

    def forward(self, x: Tensor, kernel: Kernel) -> Tensor:
        """Convolve `(B, in, [D,] H, W)` with one kernel for all samples (N = 1) or one each (N = B)."""
        x = F.pad(x, self.padding, mode="reflect")
        weight, bias = kernel
        if len(weight) == 1:
            return self.convolve(x, weight[0], bias[0], self.stride)
        return torch.cat(
            [self.convolve(*one, self.stride) for one in zip(torch.split(x, 1), weight, bias, strict=True)]
        )
