"""An encoder that is a chain of layers, some of whose outputs are its features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from scanweave.nets.encoder_scales import feature_scales


class StagedEncoder(nn.Module):
    """Run layers one after the other and hand out what the tapped ones make.

    The layers keep the names that they have in their library's network, so that its weights fit without renaming.

    Args:
        layers: Names and layers in the order in which they run.
        taps: Names of the layers whose outputs are features, fine to coarse; layers after the last are left out.
        channels_in: Channels of the input.
        dimensions: 2 or 3.
    """

    def __init__(
        self, layers: Iterable[tuple[str, nn.Module]], taps: Sequence[str], channels_in: int, dimensions: int
    ) -> None:
        super().__init__()
        self._order: list[str] = []
        self._taps = frozenset(taps)
        for name, layer in layers:
            self.add_module(name, layer)
            self._order.append(name)
            if name == taps[-1]:
                break
        self.dimensions = dimensions
        self.channels, self.strides = feature_scales(self, channels_in, dimensions)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map `(B, C, [D,] H, W)` to features, fine to coarse."""
        features = []
        for name in self._order:
            x = self.get_submodule(name)(x)
            if name in self._taps:
                features.append(x)
        return features
