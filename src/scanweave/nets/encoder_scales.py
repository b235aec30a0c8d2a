"""Channels and strides of an encoder's features, found by running it on tensors without data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.func import functional_call

from scanweave.errors import ScanweaveError

PROBE_SIZE_VOXELS = 64
"""Edge of the probe, a multiple of every stride in use: 2 to 32."""

Strides = tuple[tuple[int, ...], ...]


def feature_scales(
    encoder: nn.Module, channels_in: int, dimensions: int, size: int = PROBE_SIZE_VOXELS
) -> tuple[tuple[int, ...], Strides]:
    """Return the channels of each feature of `encoder`, and its strides along each axis against the input.

    Runs on the meta device: nothing is computed, and no weight or running mean changes.

    Args:
        encoder: Maps `(B, C, [D,] H, W)` to a list of features.
        channels_in: Channels C of its input.
        dimensions: 2 or 3.
        size: Edge of the probe [voxels], a multiple of all strides.

    Raises:
        ScanweaveError: The features do not go from fine to coarse by whole numbers.
    """
    state = {name: value.to("meta") for name, value in encoder.state_dict(keep_vars=True).items()}
    buffers = {name: value.to("meta") for name, value in encoder.named_buffers()}
    probe = torch.empty(2, channels_in, *[size] * dimensions, device="meta")
    with torch.no_grad():
        features = functional_call(encoder, {**buffers, **state}, (probe,))
    strides = tuple(tuple(size // edge for edge in feature.shape[2:]) for feature in features)
    _check(strides, type(encoder).__name__)
    return tuple(int(feature.shape[1]) for feature in features), strides


def feature_grids(encoder: nn.Module, channels_in: int, size: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return how many places along each axis each feature of `encoder` has for an input of a size.

    Args:
        encoder: As in `feature_scales`; nothing is computed, and nothing of it changes.
        channels_in: Channels C of its input.
        size: Of the input along each axis [voxels].
    """
    state = {name: value.to("meta") for name, value in encoder.state_dict(keep_vars=True).items()}
    probe = torch.empty(2, channels_in, *size, device="meta")
    with torch.no_grad():
        features = functional_call(encoder, state, (probe,))
    return tuple(tuple(feature.shape[2:]) for feature in features)


def ratios(strides: Strides) -> Strides:
    """Return by how much each feature is coarser than the one before it, along each axis."""
    return tuple(tuple(b // a for a, b in zip(fine, coarse, strict=True)) for fine, coarse in pairwise(strides))


def _check(strides: Strides, where: str) -> None:
    for fine, coarse in pairwise(strides):
        if any(b % a for a, b in zip(fine, coarse, strict=True)):
            raise ScanweaveError(
                where, f"features with strides {fine} and then {coarse}", "Give features fine to coarse"
            )
