"""Encoders: what every one offers, and how to make one by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from scanweave.errors import ScanweaveError
from scanweave.nets.encoder_names import NAMES
from scanweave.nets.layers import check_dimensions
from scanweave.wording import nearest


@runtime_checkable
class Encoder(Protocol):
    """Map images or volumes to features from fine to coarse.

    Decoders, heads, pre-training and detection ask for nothing else. Feature k of an input of `size` has about
    `size / strides[k]` voxels an axis: exactly so where the stride divides the size.

    Attributes:
        channels: Channels of each feature.
        strides: Voxels of the input for one of the feature, along each axis, for each feature.
        dimensions: 2 for images `(B, C, H, W)`, 3 for volumes `(B, C, D, H, W)`.
    """

    channels: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    dimensions: int

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map `(B, C, [D,] H, W)` to features `(B, channels[k], …)`, fine to coarse."""
        ...

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Do what `forward` does."""
        ...


MAKERS = {
    "plain": "plain_encoder:PlainEncoder",
    "hybrid": "hybrid_encoder:HybridEncoder",
    "resnet": "monai_encoders:ResNetEncoder",
    "densenet": "monai_encoders:DenseNetEncoder",
    "segresnet": "monai_encoders:SegResNetEncoder",
    "swin": "monai_encoders:SwinEncoder",
    "torchvision/": "torchvision_encoders:TorchvisionEncoder",
    "timm/": "timm_encoders:TimmEncoder",
}


def make_encoder(name: str, channels_in: int, dimensions: int, **options: Any) -> Encoder:
    """Return a new encoder with random weights; nothing is ever downloaded.

    Args:
        name: `plain` (nnU-Net's), `hybrid` (MiM's), `resnet10` to `resnet152`, `densenet121` to `densenet201`,
            `segresnet`, `swin` (Swin UNETR's), all in two and three dimensions; `torchvision/NAME` or `timm/NAME` in
            two.
        channels_in: Channels C of its input.
        dimensions: 2 or 3.
        options: What the encoder of that name takes beside these.

    Raises:
        ScanweaveError: There is no such encoder, or not in so many dimensions, or it has no such option.
    """
    check_dimensions(dimensions, f"encoder {name}")
    if channels_in < 1:
        raise ScanweaveError(f"encoder {name}", f"{channels_in} input channels", "Give at least 1")
    maker, model = _maker(name)
    accepted = [one for one in inspect.signature(maker).parameters if one not in ("model", "channels_in", "dimensions")]
    for option in options:
        if option not in accepted:
            raise ScanweaveError(f"encoder {name}", f"has no option {option}", f"Give one of: {', '.join(accepted)}")
    given = {"model": model} if "model" in inspect.signature(maker).parameters else {}
    return maker(channels_in=channels_in, dimensions=dimensions, **given, **options)


def _maker(name: str) -> tuple[Callable[..., Encoder], str]:
    library, slash, model = name.partition("/")
    key = f"{library}/" if slash else NAMES.get(name, "")
    if key not in MAKERS:
        known = [*NAMES, "torchvision/NAME", "timm/NAME"]
        raise ScanweaveError(f"encoder {name}", "there is none of this name", nearest(name, known))
    module, _, kind = MAKERS[key].partition(":")
    return getattr(import_module(f"scanweave.nets.{module}"), kind), model or name
