"""The network of a run: nnU-Net's plain U-Net, or a U-Net's decoder on another encoder, on any subset of the scans."""

from __future__ import annotations

from scanweave.framework.segmentation.planning import NetworkPlan
from scanweave.nets.axis_order import ordered_encoder
from scanweave.nets.segmentation_network import SegmentationNetwork, plain_unet


def make_network(plan: NetworkPlan, scans: int, classes: int, first_channels: int) -> SegmentationNetwork:
    """Return the network `(B, C, [X,] Y, Z) → (B, K, …)`.

    Args:
        plan: Strides and kernels, or another encoder.
        scans: Channels C, one a scan.
        classes: Classes K, background among them.
        first_channels: Channels of the first stage of the plain encoder.
    """
    if plan.encoder is not None:
        own = plan.encoder
        encoder = ordered_encoder(own.name, scans, plan.dimensions, own.options, own.axes, "XYZ")
        return SegmentationNetwork(encoder, scans, classes)
    return plain_unet(scans, classes, plan.dimensions, plan.strides, plan.kernels, first_channels)
