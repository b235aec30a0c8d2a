"""Encoders of torchvision, in two dimensions, with torchvision's names of their parts."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torchvision import models

from scanweave.errors import ScanweaveError
from scanweave.nets.staged_encoder import StagedEncoder
from scanweave.wording import nearest

RESNET = ("relu", "layer1", "layer2", "layer3", "layer4")
DENSENET = ("relu0", "denseblock1", "denseblock2", "denseblock3", "relu5")
EFFICIENTNET = ("1", "2", "3", "5", "8")
CONVNEXT = ("1", "3", "5", "7")
TAPS = {
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnext50_32x4d", "wide_resnet50_2"), RESNET),
    **dict.fromkeys(("densenet121", "densenet169", "densenet201"), DENSENET),
    **dict.fromkeys((f"efficientnet_b{k}" for k in range(8)), EFFICIENTNET),
    "efficientnet_v2_s": ("1", "2", "3", "5", "7"),
    "efficientnet_v2_m": ("1", "2", "3", "5", "8"),
    "mobilenet_v3_large": ("1", "3", "6", "12", "16"),
    **dict.fromkeys(("convnext_tiny", "convnext_small", "convnext_base"), CONVNEXT),
}
"""Models, and the layers after which their features are taken: the last at each stride."""


class TorchvisionEncoder(StagedEncoder):
    """Run a classifier of torchvision without its head.

    Args:
        model: A name of `TAPS`.
        channels_in: Channels of the input; for other than three the first convolution is a new one.
        dimensions: 2.

    Raises:
        ScanweaveError: There is no such model here, or it is asked for in three dimensions.
    """

    def __init__(self, model: str, channels_in: int, dimensions: int = 2) -> None:
        where = f"encoder torchvision/{model}"
        if model not in TAPS:
            raise ScanweaveError(where, "there is none of this name", nearest(model, TAPS))
        if dimensions != 2:
            raise ScanweaveError(
                where,
                f"torchvision's networks have 2 dimensions, not {dimensions}",
                "Give resnet18 or another of MONAI's names",
            )
        network = models.get_model(model, weights=None)
        if channels_in != 3:
            take_channels(network, channels_in)
        super().__init__(_layers(network), TAPS[model], channels_in, 2)


def take_channels(network: nn.Module, channels_in: int) -> None:
    """Put a new first convolution with `channels_in` input channels in place of the network's own."""
    name, first = next((name, one) for name, one in network.named_modules() if isinstance(one, nn.Conv2d))
    layer = nn.Conv2d(
        channels_in,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, layer)


def _layers(network: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """Return the layers before the pooling, which torchvision keeps in one sequence except in residual networks."""
    features = getattr(network, "features", None)
    if features is None:
        return network.named_children()
    # torchvision's densely connected networks call their last rectifier as a function
    return [*features.named_children(), ("relu5", nn.ReLU(inplace=True))]
