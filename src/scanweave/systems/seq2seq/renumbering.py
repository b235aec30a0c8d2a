"""Weights of one list of sequences as those of another: all that is kept by the number of a sequence, moved by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

CODE = "code.weight"
PRIOR = "fusion.prior."
REGRESSION = "regression."
"""Beginning of the names of what is learnt from the patients at hand, whatever the weights began as."""
Weights = Mapping[str, Tensor]


def renumbered(weights: Weights, before: Sequence[str], after: Sequence[str], own: Weights) -> dict[str, Tensor]:
    """Return the weights of a network for the sequences `before` as weights of one for the sequences `after`.

    A network does with a sequence what it did before, whatever its number is now. One that was not there before keeps
    what the new network began with; what only concerns sequences that are gone is dropped.

    Two parts go by number: the columns of the one-hot code, and of the prior of the fusion what is given and asked
    (columns) and what is weighted (rows). The regression does too, but is never taken over.

    Args:
        weights: Tensors by name.
        before: Names of the sequences in the order of their numbers.
        after: Those of the new network.
        own: Tensors of the new network as it was made.
    """
    places = {after.index(name): before.index(name) for name in after if name in before}
    made = dict(weights)
    for name, value in weights.items():
        if name not in own or value.shape != own[name].shape:
            continue  # another architecture, which the account of the start weights tells
        if name == CODE:
            made[name] = _moved(value, own[name], 1, places)
        elif name.startswith(PRIOR):
            made[name] = _prior(value, own[name], places)
    return made


def _moved(value: Tensor, own: Tensor, axis: int, places: Mapping[int, int], first: int = 0) -> Tensor:
    """Return `own` with the slices of `value` along an axis whose numbers, from `first` on, are known."""
    made = own.clone().to(value)
    for now, then in places.items():
        made.select(axis, first + now).copy_(value.select(axis, first + then))
    return made


def _prior(value: Tensor, own: Tensor, places: Mapping[int, int]) -> Tensor:
    """Return a weight `(L, 2L)` or bias `(L,)` of the prior: rows by source, columns by what is given, then asked."""
    if value.ndim > 1:
        columns = _moved(value, own, 1, places)
        value = _moved(value, columns, 1, places, first=value.shape[0])
    return _moved(value, own, 0, places)
