"""A classification network: encoder, pooling, head."""

from __future__ import annotations

from torch import Tensor, nn

from scanweave.errors import ScanweaveError
from scanweave.nets.encoders import Encoder
from scanweave.nets.heads import ClassificationHead, Pooling
from scanweave.nets.present_stem import present_only


class ClassificationNetwork(nn.Module):
    """Join any encoder and a classification head on its coarsest feature.

    Start weights address the parts by name: `encoder`, `head`.

    Args:
        encoder: Maps images to features.
        classes: Logits K.
        dropout: Rate at which pooled features are dropped in training.
        pooling: How the feature is pooled over voxels.

    Raises:
        ScanweaveError: The encoder is no module.
    """

    def __init__(self, encoder: Encoder, classes: int, dropout: float = 0.0, pooling: Pooling = "mean") -> None:
        super().__init__()
        if not isinstance(encoder, nn.Module):
            raise ScanweaveError(type(encoder).__name__, "is no torch module", "Give an encoder that is one")
        self.encoder = encoder
        self.head = ClassificationHead(encoder.channels[-1], classes, dropout, pooling)

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Map `(B, C, [D,] H, W)` to logits `(B, K)`; `present` `(B, C)` is True where a channel was acquired."""
        made: Tensor = self.head(self.encoder(present_only(x, present))[-1])
        return made

    def embed(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Map `(B, C, [D,] H, W)` to the pooled feature `(B, width of the head)`."""
        return self.head.pool(self.encoder(present_only(x, present))[-1])
