"""The Seq2Seq generator: shared encoder, latent that forgets the number of frames, decoder driven by a target code.

Layers as in the spec a.2 and a.3 (Han et al. 2024, arXiv 2302.00517, and the released code).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from scanweave.nets.layers import InstanceNorm2d, InstanceNorm3d, channels_last
from scanweave.systems.seq2seq.config import NetworkSettings
from scanweave.systems.seq2seq.convlstm import ConvLSTM
from scanweave.systems.seq2seq.frame_values import FrameEmbedding, SomeFrames
from scanweave.systems.seq2seq.hyperconv import HyperConv, Kernel

SLOPE = 0.2
Step = Callable[[Tensor, Iterator[Kernel]], Tensor]
"""The work of a part of a network on features, with the kernels of that part."""


def normalisation(settings: NetworkSettings, channels: int) -> nn.Module:
    """Return what follows a convolution."""
    if settings.norm == "none":
        return nn.Identity()
    return InstanceNorm2d(channels) if settings.dimensions == 2 else InstanceNorm3d(channels)


def plain_convolution(
    settings: NetworkSettings, channels_in: int, channels_out: int, kernel_size: int = 3, stride: int = 1
) -> nn.Module:
    """Return a convolution with kernels of its own, reflect-padded."""
    make = nn.Conv2d if settings.dimensions == 2 else nn.Conv3d
    padding = (kernel_size - 1) // 2
    conv = make(channels_in, channels_out, kernel_size, stride=stride, padding=padding, padding_mode="reflect")
    nn.init.kaiming_normal_(conv.weight)
    nn.init.zeros_(cast(Tensor, conv.bias))
    return conv


def hyper_convolution(
    settings: NetworkSettings, channels_in: int, channels_out: int, kernel_size: int = 3, stride: int = 1
) -> nn.Module:
    """Return a convolution whose kernels are made from a code."""
    return HyperConv(
        settings.code_length,
        channels_in,
        channels_out,
        kernel_size=kernel_size,
        rank=settings.rank,
        dimensions=settings.dimensions,
        stride=stride,
        shared_start=settings.shared_start,
    )


def convolved(layer: nn.Module, x: Tensor, kernels: Iterator[Kernel]) -> Tensor:
    """Return the convolution of x; a `HyperConv` takes the next kernel."""
    return layer(x, next(kernels)) if isinstance(layer, HyperConv) else layer(x)


def stage(part: nn.Module, x: Tensor, kernels: Iterator[Kernel], step: Step, *, lean: bool) -> Tensor:
    """Return `step(x, kernels)`, the work of a part of a network.

    Args:
        part: Its layers; each `HyperConv` among them takes a kernel.
        x: What goes in.
        kernels: Those of this part come next.
        step: The work.
        lean: Whether what it computes on the way is computed anew in the backward pass, in place of being kept.
    """
    if not (lean and torch.is_grad_enabled()):
        return step(x, kernels)
    own = [next(kernels) for layer in part.modules() if isinstance(layer, HyperConv)]
    made: Tensor = checkpoint(lambda given: step(given, iter(own)), x, use_reentrant=False, preserve_rng_state=False)
    return made


def activated(layer: nn.Module, norm: nn.Module, x: Tensor, kernels: Iterator[Kernel]) -> Tensor:
    """Return the convolution of x, normalised and rectified."""
    return F.leaky_relu_(norm(convolved(layer, x, kernels)), SLOPE)


class ResidualBlock(nn.Module):
    """x + norm(conv(activation(norm(conv(x))))), reflect padding, no activation after the sum."""

    def __init__(self, settings: NetworkSettings, convolution: Callable[..., nn.Module]) -> None:
        super().__init__()
        channels = settings.channels[-1]
        self.first = convolution(settings, channels, channels)
        self.second = convolution(settings, channels, channels)
        self.norm = normalisation(settings, channels)
        self.lean = settings.recompute

    def forward(self, x: Tensor, kernels: Iterator[Kernel]) -> Tensor:
        """Map `(B, C, [D,] H, W)` to the same shape."""
        return stage(self, x, kernels, self._mapped, lean=self.lean)

    def _mapped(self, x: Tensor, kernels: Iterator[Kernel]) -> Tensor:
        y = F.leaky_relu_(self.norm(convolved(self.first, x, kernels)), SLOPE)
        return self.norm(convolved(self.second, y, kernels)).add_(x)


class Encoder(nn.Module):
    """Strided convolutions and residual blocks on one frame; `HyperConv`s where the source code is known."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        convolution = hyper_convolution if settings.source_code else plain_convolution
        widths, halvings = [settings.image_channels, *settings.channels], len(settings.channels) - 1
        kernel_sizes, strides = [settings.kernel_size] + [3] * halvings, [1] + [2] * halvings
        self.down = nn.ModuleList(
            convolution(settings, a, b, k, stride)
            for a, b, k, stride in zip(widths, widths[1:], kernel_sizes, strides, strict=False)
        )
        self.norms = nn.ModuleList(normalisation(settings, width) for width in settings.channels)
        self.blocks = nn.ModuleList(ResidualBlock(settings, convolution) for _ in range(settings.blocks))
        self.lean = settings.recompute

    def forward(self, x: Tensor, kernels: Sequence[Kernel]) -> list[Tensor]:
        """Map `(B, C, [D,] H, W)` to features of each size, fine to coarse; the last, `(B, F, [d,] h, w)`, go on."""
        own, x = iter(kernels), channels_last(x)
        levels = []
        for layer, norm in zip(self.down, self.norms, strict=True):
            x = stage(layer, x, own, partial(activated, layer, norm), lean=self.lean)
            levels.append(x)
        for block in self.blocks:
            x = block(x, own)
        return [*levels[:-1], x]


class HyperDecoder(nn.Module):
    """Residual blocks, up-samplings and a last layer, every convolution a `HyperConv`."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        widths = settings.channels[::-1]
        self.mode = "bilinear" if settings.dimensions == 2 else "trilinear"
        self.blocks = nn.ModuleList(ResidualBlock(settings, hyper_convolution) for _ in range(settings.blocks))
        self.up = nn.ModuleList(hyper_convolution(settings, a, b) for a, b in pairwise(widths))
        self.up_norms = nn.ModuleList(normalisation(settings, width) for width in widths[1:])
        self.last = hyper_convolution(settings, widths[-1], settings.image_channels, settings.kernel_size)
        self.lean = settings.recompute

    def forward(self, x: Tensor, kernels: Sequence[Kernel]) -> Tensor:
        """Map a latent `(B, F, [d,] h, w)` to images `(B, C, [D,] H, W)` in (-1, 1)."""
        own = iter(kernels)
        for block in self.blocks:
            x = block(x, own)
        for layer, norm in zip(self.up, self.up_norms, strict=True):
            x = stage(layer, x, own, partial(self._enlarged, layer, norm), lean=self.lean)
        return torch.tanh(stage(self.last, x, own, partial(convolved, self.last), lean=self.lean))

    def _enlarged(self, layer: nn.Module, norm: nn.Module, x: Tensor, kernels: Iterator[Kernel]) -> Tensor:
        return activated(layer, norm, F.interpolate(x, scale_factor=2, mode=self.mode), kernels)


class Seq2SeqNetwork(nn.Module):
    """Any sequence to any sequence: `decode(encode(x, source(j)), target(k))`.

    Args:
        settings: Sizes; see `NetworkSettings`.
    """

    encoder_class: ClassVar[type[nn.Module]] = Encoder
    decoder_class: ClassVar[type[nn.Module]] = HyperDecoder

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        wide, dimensions = settings.channels[-1], settings.dimensions
        self.encoder = self.encoder_class(settings)
        self.encoder_lstm = ConvLSTM(wide, settings.lstm_layers, dimensions, settings.gate_bias)
        self.decoder_lstm = ConvLSTM(wide, settings.lstm_layers, dimensions, settings.gate_bias)
        self.code = nn.Linear(settings.code_length, settings.code_length)
        self.decoder = self.decoder_class(settings)
        nn.init.zeros_(self.code.bias)
        told = settings.frame_values
        with torch.random.fork_rng(devices=[]):  # all other weights begin as without them
            self.told_in = FrameEmbedding(settings.code_length, wide) if told else None
            self.told_out = FrameEmbedding(settings.code_length, wide) if told else None

    def source(self, sequence: Tensor) -> list[Kernel]:
        """Make the encoder's kernels for sequence numbers `(N,)`, N = 1 or the batch size; none without source code."""
        return self._kernels(self.encoder, sequence)

    def target(self, sequence: Tensor) -> list[Kernel]:
        """Make the decoder's kernels for sequence numbers `(N,)`, N = 1 (all samples) or the batch size."""
        return self._kernels(self.decoder, sequence)

    def encode(self, x: Tensor, kernels: Sequence[Kernel], shifts: Tensor | None = None) -> Tensor:
        """Map frames `(B, T, C, [D,] H, W)` to one latent `(B, F, [d,] h, w)`, whatever T (mean over frames).

        Args:
            x: The frames.
            kernels: Of the source.
            shifts: What `shifts_in` says of these frames.
        """
        return self.encode_levels(x, kernels, shifts, first=-1)[-1]

    def encode_levels(
        self, x: Tensor, kernels: Sequence[Kernel], shifts: Tensor | None = None, first: int = 0
    ) -> list[Tensor]:
        """Map frames to features of each size from `first` on, means over the frames; the last is the latent."""
        return self._means(self._frame_levels(x, kernels, first), shifts)

    def _means(self, levels: Sequence[Tensor], shifts: Tensor | None) -> list[Tensor]:
        """Return the means over frames of features `(B, T, F_l, …)` by size; the last go through the LSTM first."""
        latent = self.encoder_lstm(levels[-1] if shifts is None else levels[-1] + _placed(shifts, levels[-1]))
        return [level[:, 0] if level.shape[1] == 1 else level.mean(dim=1) for level in (*levels[:-1], latent)]

    def _frame_levels(self, x: Tensor, kernels: Sequence[Kernel], first: int) -> list[Tensor]:
        """Encode each frame; out of training one by one, so that memory does not grow with their number."""
        if x.shape[1] == 1 or self.training:
            own = [repeated(kernel, x.shape[1]) for kernel in kernels]
            return [level.unflatten(0, x.shape[:2]) for level in self.encoder(x.flatten(0, 1), own)[first:]]
        frames = [self.encoder(frame, kernels)[first:] for frame in x.unbind(1)]
        return [torch.stack(level, dim=1) for level in zip(*frames, strict=True)]

    def shifts_in(self, sequence: Tensor, values: Tensor | None) -> Tensor | None:
        """Return what the values `(B, K)` of frames of `sequence` `(N,)` add to their latents, `(B, K, F)`."""
        return self._shifts(self.told_in, sequence, values)

    def _shifts(self, told: FrameEmbedding | None, sequence: Tensor, values: Tensor | None) -> Tensor | None:
        return None if told is None or values is None or not values.numel() else told(self.code_of(sequence), values)

    def decode(self, latent: Tensor, kernels: Sequence[Kernel], frames: int = 1) -> Tensor:
        """Map a latent to `frames` frames `(B, frames, C, [D,] H, W)` of the sequence whose kernels are given."""
        return self.decode_frames(self.unroll(latent, frames), kernels)

    def unroll(self, latent: Tensor, frames: int = 1, shifts: Tensor | None = None) -> Tensor:
        """Map a latent to latents of frames `(B, frames, F, [d,] h, w)`: of all targets that are no series the same."""
        copies = latent.unsqueeze(1).expand(-1, frames, *[-1] * (latent.ndim - 1))
        series: Tensor = self.decoder_lstm(copies if shifts is None else copies + _placed(shifts, copies))
        return series

    def unroll_some(self, latent: Tensor, sequence: Tensor, frames: int, some: SomeFrames) -> Tensor:
        """Map a latent to latents of some frames of `sequence`, `(B, K, F, [d,] h, w)`; else of the first `frames`.

        Earlier frames than the last of them are gone through, since one leads to the next; later ones are not.
        """
        if some.places is None:
            return self.unroll(latent, frames)
        count = int(some.places.max()) + 1
        values = None if some.values is None else some.values[:, :count]
        series = self.unroll(latent, count, self._shifts(self.told_out, sequence, values))
        if some.places.shape[1] == count:
            return series
        places = some.places.expand(len(series), -1)
        return torch.stack([own[chosen] for own, chosen in zip(series, places, strict=True)])

    def decode_frames(self, series: Tensor, kernels: Sequence[Kernel]) -> Tensor:
        """Map latents of frames to frames `(B, frames, C, [D,] H, W)` of the sequence whose kernels are given."""
        if series.shape[1] > 1 and not self.training:  # one by one: memory does not grow with their number
            return torch.stack([self.decoder(frame, kernels) for frame in series.unbind(1)], dim=1)
        own = [repeated(kernel, series.shape[1]) for kernel in kernels]
        return self.decoder(series.flatten(0, 1), own).unflatten(0, series.shape[:2])

    def forward(self, x: Tensor, source: Tensor, target: Tensor, frames: int = 1) -> Tensor:
        """Synthesise sequences `target` from `(B, T, C, [D,] H, W)` of sequences `source`, numbers `(1,)` or `(B,)`."""
        return self.decode(self.encode(x, self.source(source)), self.target(target), frames)

    def code_of(self, sequence: Tensor) -> Tensor:
        """Return the codes `(N, code_length)` of sequence numbers `(N,)`."""
        one_hot = F.one_hot(sequence, self.settings.code_length).to(self.code.weight.dtype)
        return F.leaky_relu(self.code(one_hot), SLOPE)

    def _kernels(self, part: nn.Module, sequence: Tensor) -> list[Kernel]:
        code = self.code_of(sequence)
        return [layer.kernel(code) for layer in part.modules() if isinstance(layer, HyperConv)]


def _placed(shifts: Tensor, frames: Tensor) -> Tensor:
    """Return `(B, T, F)` as something to add to `(B, T, F, [d,] h, w)`."""
    return shifts.view(*shifts.shape, *[1] * (frames.ndim - 3)).to(frames.dtype)


def repeated(kernel: Kernel, frames: int) -> Kernel:
    """Return a kernel for each frame where there is one for each sample."""
    if frames == 1 or len(kernel.weight) == 1:
        return kernel
    return Kernel(*(part.repeat_interleave(frames, 0) for part in kernel))
