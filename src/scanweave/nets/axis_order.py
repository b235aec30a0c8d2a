"""Images whose axes stand in another order than an encoder was trained with."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from scanweave.errors import ScanweaveError


def reverse_axes(encoder: Any) -> None:
    """Let an encoder of volumes take `(B, C, Z, Y, X)` and give features likewise, though it works on `(X, Y, Z)`.

    Its weights and their names stay as they are.

    Args:
        encoder: Changed in place.

    Raises:
        ScanweaveError: It is no module.
    """
    if not isinstance(encoder, nn.Module):
        raise ScanweaveError(type(encoder).__name__, "is no torch module", "Give an encoder that is one")
    encoder.register_forward_pre_hook(_before)
    encoder.register_forward_hook(_after)


def _before(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (given[0].transpose(2, 4), *given[1:])


def _after(module: nn.Module, given: tuple[Tensor, ...], made: list[Tensor]) -> list[Tensor]:
    return [feature.transpose(2, 4) for feature in made]
