"""Convolutional LSTM (Shi et al. 2015, arXiv 1506.04214) over the frames of a series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvLSTMCell(nn.Module):
    """One layer: all four gates from one convolution of the input and the hidden state.

    i, f, o = σ(W * [x, h] + b), g = tanh(W * [x, h] + b), c' = f c + i g, h' = o tanh(c').

    Args:
        channels: Channels of input and hidden state alike.
        dimensions: 2 or 3 spatial axes.
        gate_bias: What the biases of the gates i and o start from.
    """

    def __init__(self, channels: int, dimensions: int, gate_bias: float = 0.0) -> None:
        super().__init__()
        conv = nn.Conv2d if dimensions == 2 else nn.Conv3d
        self.channels = channels
        self.conv = conv(2 * channels, 4 * channels, kernel_size=3, padding=1)
        nn.init.kaiming_normal_(self.conv.weight)
        i, f, o, g = cast(Tensor, self.conv.bias).detach().chunk(4)
        for bias, start in ((i, gate_bias), (f, 0.0), (o, gate_bias), (g, 0.0)):
            nn.init.constant_(bias, start)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """Advance by one frame `(B, C, [D,] H, W)`; returns the hidden and the cell state."""
        if state is None:
            return self._first(x)
        hidden, cell = state
        i, f, o, g = self._gates(torch.cat([x, hidden], dim=1), (0, 1, 2, 3))
        cell = f.sigmoid_() * cell + i.sigmoid_() * torch.tanh(g)
        return o.sigmoid_() * torch.tanh(cell), cell

    def _first(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Advance from a zero state: neither the hidden half of the kernel nor the forget gate has any effect."""
        i, o, g = self._gates(x, (0, 2, 3))
        cell = i.sigmoid_() * torch.tanh(g)
        return o.sigmoid_() * torch.tanh(cell), cell

    def _gates(self, x: Tensor, numbers: Sequence[int]) -> list[Tensor]:
        """Return some of the gates i, f, o, g before their activation.

        A convolution each: with channels last, a part of the channels of a common result would lie in pieces.
        """
        weights, biases = self.conv.weight[:, : x.shape[1]].chunk(4), cast(Tensor, self.conv.bias).chunk(4)
        convolve = F.conv2d if x.ndim == 4 else F.conv3d
        return [convolve(x, weights[number], biases[number], padding=1) for number in numbers]


class ConvLSTM(nn.Module):
    """A stack of `ConvLSTMCell`s from a zero state; returns the last layer's hidden state at every frame."""

    def __init__(self, channels: int, layers: int, dimensions: int, gate_bias: float = 0.0) -> None:
        super().__init__()
        self.cells = nn.ModuleList(ConvLSTMCell(channels, dimensions, gate_bias) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        """Map frames `(B, T, C, [D,] H, W)` to the same shape."""
        for cell in self.cells:
            state, frames = None, []
            for frame in x.unbind(dim=1):
                state = cell(frame, state)
                frames.append(state[0])
            x = frames[0].unsqueeze(1) if len(frames) == 1 else torch.stack(frames, dim=1)
        return x
