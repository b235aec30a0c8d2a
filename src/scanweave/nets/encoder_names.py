"""Names of encoders. Imports no torch."""

from __future__ import annotations

NAMES = {
    "plain": "plain",
    "hybrid": "hybrid",
    "segresnet": "segresnet",
    "swin": "swin",
    **{f"resnet{depth}": "resnet" for depth in (10, 18, 34, 50, 101, 152)},
    **{f"densenet{depth}": "densenet" for depth in (121, 169, 201)},
}
"""Names in two and three dimensions, and the maker of each."""
LIBRARIES = ("torchvision/", "timm/")
"""Beginnings of names of films' encoders."""


def is_encoder(name: str) -> bool:
    """Tell whether a name is that of an encoder, whatever files there are."""
    return name in NAMES or name.startswith(LIBRARIES)
