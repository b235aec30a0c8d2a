"""Bounds for comparisons of float32 results, from the same evaluation in float64.

A library convolves by an algorithm that it chooses by shape and processor: directly, by matrices, by Winograd's method.
All are right but round differently, so results that are equal on paper are equal within a bound only. The bound is not
guessed: the network is evaluated in float64, exactly and with every layer's output shaken by float32's rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)

ROUNDING = 2.0**-24
"""Largest relative error of one rounding to float32."""

ROUNDINGS_OF_A_LAYER = 20
"""Roundings of its largest value by which a float32 layer may err, whatever its algorithm.

Measured in the Seq2Seq network (two and three dimensions, three seeds): at most 1.1 without oneDNN and with AVX-512, at
most 6.0 by oneDNN's Winograd method with AVX2.
"""

EQUAL_IN_FLOAT64 = 1e-11
"""Results near 1 that are equal on paper and differ by less in float64 are equal; their rounding is about 1e-14."""

DRAWS = 4


def in_float64(network: Network) -> Network:
    """Return a copy of `network` in float64."""
    return copy.deepcopy(network).double()


def float32_bound(network: Network, evaluate: Callable[[Network], Tensor]) -> tuple[Tensor, float]:
    """Return what `evaluate` makes of `network` in float64, and by how much a float32 evaluation may differ from it.

    The bound is `ROUNDINGS_OF_A_LAYER` times the largest change that is seen when every layer's output is changed by
    plus or minus one float32 rounding of its largest value, in `DRAWS` random draws.
    """
    wide = in_float64(network)
    with torch.no_grad():
        exact = evaluate(wide)
        with _shaken(wide):
            spread = max(float((evaluate(wide) - exact).abs().max()) for _ in range(DRAWS))
    return exact, ROUNDINGS_OF_A_LAYER * spread


@contextmanager
def _shaken(network: nn.Module) -> Iterator[None]:
    generator = torch.Generator().manual_seed(0)

    def shake(_layer: nn.Module, _inputs: object, output: object) -> object:
        if not isinstance(output, Tensor) or not output.numel():
            return output
        signs = 2 * torch.randint(0, 2, output.shape, generator=generator) - 1
        return output + ROUNDING * output.abs().amax() * signs

    hooks = [layer.register_forward_hook(shake) for layer in network.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
