"""Images whose axes stand in another order than an encoder was trained with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from scanweave.errors import ScanweaveError
from scanweave.nets.encoders import make_encoder


def ordered_encoder(
    name: str, channels_in: int, dimensions: int, options: Mapping[str, Any], trained: str, order: str
) -> Any:
    """Return a new encoder that takes images in one order of axes, though it was trained in another.

    Args:
        name: As in `make_encoder`.
        channels_in: Likewise.
        dimensions: Likewise.
        options: Likewise.
        trained: Order of the axes that its weights are for: `XYZ`, `ZYX` or, of films, `YX`.
        order: Of the axes that it is given, of volumes.

    Raises:
        ScanweaveError: There is no such encoder.
    """
    made = make_encoder(name, channels_in, dimensions, **options)
    if dimensions == len(order) and trained != order:
        reverse_axes(made)
    return made


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
    own: Any = encoder  # its strides are no tensor
    own.strides = tuple(steps[::-1] for steps in own.strides)
    encoder.register_forward_pre_hook(_before)
    encoder.register_forward_hook(_after)


def _before(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (given[0].transpose(2, 4), *given[1:])


def _after(module: nn.Module, given: tuple[Tensor, ...], made: list[Tensor]) -> list[Tensor]:
    return [feature.transpose(2, 4) for feature in made]
