"""Heads: what turns features into answers."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.errors import ScanweaveError
from scanweave.nets.layers import convolution

Pooling = Literal["mean", "max", "both"]


class SegmentationHead(nn.Module):
    """Map features to a logit a class and voxel.

    Args:
        dimensions: 2 or 3.
        channels_in: Channels of the features.
        classes: Classes K, the background included where they exclude each other.
    """

    def __init__(self, dimensions: int, channels_in: int, classes: int) -> None:
        super().__init__()
        if classes < 1:
            raise ScanweaveError("segmentation head", f"{classes} classes", "Give at least 1")
        self.convolution = convolution(dimensions, channels_in, classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, [D,] H, W)` to logits `(B, K, [D,] H, W)`."""
        made: Tensor = self.convolution(x)
        return made


class ClassificationHead(nn.Module):
    """Pool a feature over all voxels, drop some of it in training, and map it to logits.

    Args:
        channels_in: Channels C of the feature.
        classes: Logits K.
        dropout: Rate at which pooled features are dropped in training.
        pooling: `mean`, `max`, or `both`, one after the other.
    """

    def __init__(self, channels_in: int, classes: int, dropout: float = 0.0, pooling: Pooling = "mean") -> None:
        super().__init__()
        if classes < 1 or not 0 <= dropout < 1 or pooling not in ("mean", "max", "both"):
            raise ScanweaveError(
                "classification head",
                f"{classes} classes, dropout {dropout}, pooling {pooling}",
                "Give at least 1 class, a rate from 0 to below 1, and mean, max or both",
            )
        self.pooling = pooling
        self.width = channels_in * (2 if pooling == "both" else 1)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(self.width, classes)

    def pool(self, feature: Tensor) -> Tensor:
        """Map `(B, C, [D,] H, W)` to `(B, width)`."""
        voxels = feature.flatten(2)
        pooled = {"mean": [voxels.mean(2)], "max": [voxels.amax(2)], "both": [voxels.mean(2), voxels.amax(2)]}
        return torch.cat(pooled[self.pooling], dim=1)

    def answer(self, pooled: Tensor) -> Tensor:
        """Map pooled features `(B, width)` to logits `(B, K)`."""
        made: Tensor = self.linear(self.dropout(pooled))
        return made

    def forward(self, feature: Tensor) -> Tensor:
        """Map `(B, C, [D,] H, W)` to logits `(B, K)`."""
        return self.answer(self.pool(feature))


class ProjectionHead(nn.Module):
    """Map embeddings to the space of a contrastive loss by linear layers, norms and rectifiers (Chen et al. 2020).

    Args:
        channels_in: Length of the embeddings.
        channels_out: Length of the projections.
        width: Length in between; None: `channels_in`.
        layers: Linear layers.
        norm: `batch`, `layer` or `none`, before each rectifier. A batch norm makes a sample depend on its batch.
        unit_length: Whether projections have length 1.
        norm_out: Whether a batch norm without scale and shift follows the last layer.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        width: int | None = None,
        layers: int = 2,
        norm: Literal["batch", "layer", "none"] = "batch",
        unit_length: bool = True,
        norm_out: bool = False,
    ) -> None:
        super().__init__()
        if layers < 1 or norm not in ("batch", "layer", "none"):
            raise ScanweaveError(
                "projection head", f"{layers} layers, norm {norm}", "Give 1 or more; batch, layer or none"
            )
        width, stack = width or channels_in, list[nn.Module]()
        for number in range(layers - 1):
            stack.append(nn.Linear(width if number else channels_in, width, bias=norm == "none"))
            if norm != "none":
                stack.append(nn.BatchNorm1d(width) if norm == "batch" else nn.LayerNorm(width))
            stack.append(nn.ReLU(inplace=True))
        stack.append(nn.Linear(width if layers > 1 else channels_in, channels_out))
        stack += [nn.BatchNorm1d(channels_out, affine=False)] if norm_out else []
        self.layers = nn.Sequential(*stack)
        self.unit_length = unit_length

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, channels_in)` to `(B, channels_out)`."""
        made: Tensor = self.layers(x)
        return F.normalize(made, dim=-1) if self.unit_length else made
