"""The network of a run: an encoder by name, pooled, and one linear layer, on any subset of the scans."""

from __future__ import annotations

from scanweave.framework.whole_images.encoder import encoder_of
from scanweave.nets.classification_network import ClassificationNetwork
from scanweave.systems.classify.config import NetworkSettings
from scanweave.systems.classify.planning import ClassifyPlan


def make_network(plan: ClassifyPlan, settings: NetworkSettings) -> ClassificationNetwork:
    """Return the network `(B, C, [Z,] Y, X) → (B, K)` with random weights.

    Args:
        plan: Scans C, dimensions, outputs K.
        settings: Encoder and head.

    Raises:
        ScanweaveError: There is no such encoder, or not in so many dimensions.
    """
    encoder = encoder_of(plan, settings, 1 if plan.views else len(plan.scans))
    return ClassificationNetwork(encoder, len(plan.outputs), settings.dropout, settings.pooling, plan.views)
