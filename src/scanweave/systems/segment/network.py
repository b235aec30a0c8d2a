"""The network of a run: nnU-Net's plain U-Net, on any subset of the scans."""

from __future__ import annotations

from scanweave.nets.segmentation_network import SegmentationNetwork, plain_unet
from scanweave.systems.segment.planning import NetworkPlan


def make_network(plan: NetworkPlan, scans: int, classes: int, first_channels: int) -> SegmentationNetwork:
    """Return the network `(B, C, [X,] Y, Z) → (B, K, …)`.

    Args:
        plan: Strides and kernels.
        scans: Channels C, one a scan.
        classes: Classes K, background among them.
        first_channels: Channels of the first stage.
    """
    return plain_unet(scans, classes, plan.dimensions, plan.strides, plan.kernels, first_channels)
