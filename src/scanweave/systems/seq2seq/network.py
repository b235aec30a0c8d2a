"""The Seq2Seq generator: shared encoder, latent that forgets the number of frames, decoder driven by a target code.

Layers as in the spec a.2 and a.3 (Han et al. 2024, arXiv 2302.00517, and the released code).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.systems.seq2seq.config import NetworkSettings
from scanweave.systems.seq2seq.convlstm import ConvLSTM
from scanweave.systems.seq2seq.hyperconv import HyperConv, Kernel

SLOPE = 0.2


def _norm(settings: NetworkSettings, channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels) if settings.dimensions == 2 else nn.InstanceNorm3d(channels)


def _hyper(settings: NetworkSettings, channels_in: int, channels_out: int, kernel_size: int = 3) -> HyperConv:
    return HyperConv(
        settings.code_length, channels_in, channels_out,
        kernel_size=kernel_size, rank=settings.rank, dimensions=settings.dimensions,
    )  # fmt: skip


class ResidualBlock(nn.Module):
    """x + norm(conv(activation(norm(conv(x))))), reflect padding, no activation after the sum."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        channels = settings.channels[-1]
        conv = nn.Conv2d if settings.dimensions == 2 else nn.Conv3d
        self.first = conv(channels, channels, 3, padding=1, padding_mode="reflect")
        self.second = conv(channels, channels, 3, padding=1, padding_mode="reflect")
        self.norm = _norm(settings, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, [D,] H, W)` to the same shape."""
        y = F.leaky_relu(self.norm(self.first(x)), SLOPE)
        return x + self.norm(self.second(y))


class Encoder(nn.Module):
    """Strided convolutions and residual blocks on one frame."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        dimensions = settings.dimensions
        conv = nn.Conv2d if dimensions == 2 else nn.Conv3d
        widths, halvings = [settings.slices, *settings.channels], len(settings.channels) - 1
        kernel_sizes, strides = [settings.kernel_size] + [3] * halvings, [1] + [2] * halvings
        self.down = nn.ModuleList(
            conv(a, b, k, stride=s, padding=(k - 1) // 2, padding_mode="reflect")
            for a, b, k, s in zip(widths, widths[1:], kernel_sizes, strides, strict=False)
        )
        self.norms = nn.ModuleList(_norm(settings, width) for width in settings.channels)
        self.blocks = nn.Sequential(*[ResidualBlock(settings) for _ in range(settings.blocks)])

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, [D,] H, W)` to `(B, F, [d,] h, w)`, smaller by the stride."""
        for conv, norm in zip(self.down, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), SLOPE)
        return self.blocks(x)


class HyperDecoder(nn.Module):
    """Residual blocks, up-samplings and a last layer, every convolution a `HyperConv`."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        widths = settings.channels[::-1]
        wide = widths[0]
        self.mode = "bilinear" if settings.dimensions == 2 else "trilinear"

        self.blocks = nn.ModuleList(_hyper(settings, wide, wide) for _ in range(2 * settings.blocks))
        self.up = nn.ModuleList(_hyper(settings, a, b) for a, b in pairwise(widths))
        self.up_norms = nn.ModuleList(_norm(settings, width) for width in widths[1:])
        self.last = _hyper(settings, widths[-1], settings.slices, settings.kernel_size)
        self.norm = _norm(settings, wide)

    @property
    def layers(self) -> list[HyperConv]:
        """All convolutions in the order in which `kernels` are given."""
        return [layer for layer in (*self.blocks, *self.up, self.last) if isinstance(layer, HyperConv)]

    def forward(self, x: Tensor, kernels: Sequence[Kernel]) -> Tensor:
        """Map a latent `(B, F, [d,] h, w)` to images `(B, C, [D,] H, W)` in (-1, 1)."""
        own = iter(kernels)
        for first, second in zip(self.blocks[::2], self.blocks[1::2], strict=True):
            y = F.leaky_relu(self.norm(first(x, next(own))), SLOPE)
            x = x + self.norm(second(y, next(own)))
        for layer, norm in zip(self.up, self.up_norms, strict=True):
            x = F.interpolate(x, scale_factor=2, mode=self.mode)
            x = F.leaky_relu(norm(layer(x, next(own))), SLOPE)
        return torch.tanh(self.last(x, next(own)))


class Seq2SeqNetwork(nn.Module):
    """Any sequence to any sequence: `decode(encode(x), target(k))`.

    Args:
        settings: Sizes; see `NetworkSettings`.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        wide, dimensions = settings.channels[-1], settings.dimensions
        self.encoder = Encoder(settings)
        self.encoder_lstm = ConvLSTM(wide, settings.lstm_layers, dimensions)
        self.decoder_lstm = ConvLSTM(wide, settings.lstm_layers, dimensions)
        self.code = nn.Linear(settings.code_length, settings.code_length)
        self.decoder = HyperDecoder(settings)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, a=0, mode="fan_in")
            if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
                nn.init.zeros_(module.bias) if module.bias is not None else None

    def encode(self, x: Tensor) -> Tensor:
        """Map frames `(B, T, C, [D,] H, W)` to one latent `(B, F, [d,] h, w)`, whatever T (mean over frames)."""
        latent = self.encoder(x.flatten(0, 1))
        return self.encoder_lstm(latent.unflatten(0, x.shape[:2])).mean(dim=1)

    def target(self, sequence: Tensor) -> list[Kernel]:
        """Make the decoder's kernels for sequence numbers `(N,)`, N = 1 (all samples) or the batch size."""
        one_hot = F.one_hot(sequence, self.settings.code_length).to(self.code.weight.dtype)
        code = F.leaky_relu(self.code(one_hot), SLOPE)
        return [layer.kernel(code) for layer in self.decoder.layers]

    def decode(self, latent: Tensor, kernels: Sequence[Kernel], frames: int = 1) -> Tensor:
        """Map a latent to `frames` frames `(B, frames, C, [D,] H, W)` of the sequence whose kernels are given."""
        copies = latent.unsqueeze(1).expand(-1, frames, *[-1] * (latent.ndim - 1))
        series = self.decoder_lstm(copies)
        own = [_repeated(kernel, frames) for kernel in kernels]
        return self.decoder(series.flatten(0, 1), own).unflatten(0, series.shape[:2])

    def forward(self, x: Tensor, sequence: Tensor, frames: int = 1) -> Tensor:
        """Synthesise sequences `(N,)` from `(B, T, C, [D,] H, W)`."""
        return self.decode(self.encode(x), self.target(sequence), frames)


def _repeated(kernel: Kernel, frames: int) -> Kernel:
    """A kernel for each frame where there is one for each sample."""
    if frames == 1 or len(kernel.weight) == 1:
        return kernel
    return Kernel(*(part.repeat_interleave(frames, 0) for part in kernel))
