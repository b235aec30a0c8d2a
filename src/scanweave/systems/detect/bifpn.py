"""The weighted bidirectional feature pyramid (BiFPN) of M. Tan et al., EfficientDet, CVPR 2020, section 3."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-4
"""In the sum of weights that a fusion divides by (section 3.3)."""
NORM_EPSILON = 1e-3
"""Of the batch norms, as in EfficientDet. Their momentum is torch's 0.1, not its 0.01: after the few hundred steps of a
small fit the running means would still be those of the first ones."""


def norm(width: int) -> nn.BatchNorm2d:
    """Return a batch norm."""
    return nn.BatchNorm2d(width, eps=NORM_EPSILON)


class Fusion(nn.Module):
    """Add features of one size by learnt weights at least 0 of sum 1, then a depthwise separable convolution.

    Fast normalised fusion: `Σ wᵢ xᵢ / (ε + Σ wⱼ)` with `w = ReLU(w)` (equation 2 of section 3.3).

    Args:
        inputs: How many features are added.
        width: Their channels.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(inputs))
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.pointwise = nn.Conv2d(width, width, 1)
        self.norm = norm(width)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map features `(B, W, H, W)` each to one."""
        weights = F.relu(self.weights)
        weights = weights / (EPSILON + weights.sum())
        added = sum(weight * feature for weight, feature in zip(weights, features, strict=True))
        made: Tensor = self.norm(self.pointwise(self.depthwise(F.silu(added))))
        return made


class BiFPNLayer(nn.Module):
    """Pass features down and up once (figure 3 and equation of section 3.3); levels in between see three inputs.

    Args:
        levels: How many there are.
        width: Their channels.
    """

    def __init__(self, levels: int, width: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(Fusion(2, width) for _ in range(levels - 1))
        self.up = nn.ModuleList(Fusion(3 if level < levels - 1 else 2, width) for level in range(1, levels))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map features `(B, W, Hₗ, Wₗ)`, fine to coarse, to the same sizes."""
        passed = list(features)
        for level in range(len(features) - 2, -1, -1):
            above = F.interpolate(passed[level + 1], size=features[level].shape[2:], mode="nearest")
            passed[level] = self.down[level]([features[level], above])
        made = [passed[0]]
        for level in range(1, len(features)):
            below = halved(made[-1])
            between = [passed[level]] if level < len(features) - 1 else []
            made.append(self.up[level - 1]([features[level], *between, below]))
        return made


class BiFPN(nn.Module):
    """Bring features of an encoder to one width, add a coarser level, and pass them down and up several times.

    Args:
        channels: Of each feature, fine to coarse.
        width: Channels of each level.
        layers: How often they pass.
    """

    def __init__(self, channels: Sequence[int], width: int, layers: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Sequential(nn.Conv2d(count, width, 1), norm(width)) for count in channels)
        self.coarsest = nn.Sequential(nn.Conv2d(channels[-1], width, 1), norm(width))
        self.layers = nn.ModuleList(BiFPNLayer(len(channels) + 1, width) for _ in range(layers))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map features to levels `(B, width, Hₗ, Wₗ)`, fine to coarse, one more than features."""
        levels = [lateral(feature) for lateral, feature in zip(self.lateral, features, strict=True)]
        levels.append(halved(self.coarsest(features[-1])))
        for layer in self.layers:
            levels = layer(levels)
        return levels


def halved(feature: Tensor) -> Tensor:
    """Return a feature at half its size, the largest of each 3 × 3 (EfficientDet's way down)."""
    return F.max_pool2d(feature, 3, stride=2, padding=1)
