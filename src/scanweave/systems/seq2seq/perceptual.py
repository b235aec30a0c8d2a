"""VGG-19 feature distance (spec a.5), from local ImageNet weights."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import vgg19

from scanweave.errors import ScanweaveError, reason_of

LAYERS = 30
"""The first layers of VGG-19's features, up to the ReLU after conv5_1."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PerceptualDistance(nn.Module):
    """Sum over the ReLUs among the first 30 layers of the mean squared difference of features.

    Max-pools are replaced by average pools; every slice is an image of its own, broadcast to three channels.

    Args:
        weights: torchvision's VGG-19 ImageNet weights as safetensors.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: Path) -> None:
        super().__init__()
        network = vgg19(weights=None)
        try:
            network.load_state_dict(load_file(weights))
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = f"not VGG-19 weights ({reason_of(error)})"
            raise ScanweaveError(weights, reason, "Give torchvision's vgg19 as safetensors") from error
        layers = [nn.AvgPool2d(2) if isinstance(m, nn.MaxPool2d) else m for m in network.features[:LAYERS]]
        self.layers = nn.ModuleList(nn.ReLU() if isinstance(m, nn.ReLU) else m for m in layers)
        self.requires_grad_(False)
        self.register_buffer("mean", _row(_MEAN))
        self.register_buffer("std", _row(_STD))

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """Return the distance of images `(B, T, C, [D,] H, W)` in [-1, 1]."""
        a, b = (self._colour(x) for x in (made, real))
        distance = a.new_zeros(())
        for layer in self.layers:
            a, b = layer(a), layer(b)
            if isinstance(layer, nn.ReLU):
                distance = distance + F.mse_loss(a, b)
        return distance

    def _colour(self, x: Tensor) -> Tensor:
        slices = x.reshape(-1, 1, *x.shape[-2:]).expand(-1, 3, -1, -1)
        return ((slices + 1) / 2 - self.mean) / self.std


def _row(values: tuple[float, ...]) -> Tensor:
    return Tensor(values).view(1, -1, 1, 1)
