"""Networks whose layers lost channels: what is left of each, and the same network made as wide again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from scanweave.errors import ScanweaveError

WIDTHS = ("in_channels", "out_channels", "groups", "in_features", "out_features", "num_features", "num_channels")
"""Attributes of layers that say how many channels they have."""
Widths = dict[str, dict[str, int]]
"""By the name of a layer, its `WIDTHS`."""


def widths_of(network: nn.Module) -> Widths:
    """Return how wide every layer of a network is."""
    found = {}
    for name, module in network.named_modules():
        own = {key: getattr(module, key) for key in WIDTHS if isinstance(getattr(module, key, None), int)}
        if own and not list(module.children()):
            found[name] = own
    return found


def narrow(network: nn.Module, widths: Mapping[str, Mapping[str, int]], shapes: Mapping[str, Sequence[int]]) -> None:
    """Make a network as narrow as another one was left; its weights are then to be loaded.

    Args:
        network: As it was before anything was pruned; changed in place.
        widths: Of each layer that is left, see `widths_of`.
        shapes: Of each tensor of its weights.

    Raises:
        ScanweaveError: It is another network.
    """
    modules = dict(network.named_modules())
    for name, own in widths.items():
        if name not in modules or not own.keys() <= vars(modules[name]).keys():
            raise ScanweaveError("pruned widths", f"the network has no layer {name}", "Prune its parent again")
        for key, value in own.items():
            setattr(modules[name], key, value)
    for name, module in modules.items():
        for key, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            full = f"{name}.{key}".lstrip(".")
            shape = shapes.get(full)
            if shape is not None and tuple(tensor.shape) != tuple(shape):
                _replace(module, key, tensor, shape)


def _replace(module: nn.Module, key: str, tensor: Tensor, shape: Sequence[int]) -> None:
    made = torch.zeros(tuple(shape), dtype=tensor.dtype, device=tensor.device)
    if isinstance(tensor, nn.Parameter):
        setattr(module, key, nn.Parameter(made, requires_grad=tensor.requires_grad))
    else:
        module.register_buffer(key, made, persistent=key not in module._non_persistent_buffers_set)
