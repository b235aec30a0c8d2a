"""The network of a run: an encoder by name, pooled, and one linear layer, on any subset of the scans."""

from __future__ import annotations

from scanweave.nets.axis_order import reverse_axes
from scanweave.nets.classification_network import ClassificationNetwork
from scanweave.nets.encoders import make_encoder
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
    channels = 1 if plan.views else len(plan.scans)
    if plan.encoder is not None:
        encoder = make_encoder(plan.encoder.name, channels, plan.dimensions, **plan.encoder.options)
        if plan.encoder.axes == "XYZ":
            reverse_axes(encoder)
        return ClassificationNetwork(encoder, len(plan.outputs), settings.dropout, settings.pooling, plan.views)
    is_resnet = settings.encoder.startswith("resnet")
    options = {"small_images": plan.small_images, "width": settings.width} if is_resnet else {}
    encoder = make_encoder(settings.encoder, channels, plan.dimensions, **options)
    return ClassificationNetwork(encoder, len(plan.outputs), settings.dropout, settings.pooling, plan.views)
