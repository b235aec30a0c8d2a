"""Batches of samples whose numbers of frames differ: samples of equal shapes together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

GROUPS = "groups"
"""Where a batch of several shapes has its parts, each a batch."""
Batch = dict[str, Any]


def grouped(samples: list[Batch]) -> Batch:
    """Join samples to one batch, or, where their shapes differ, to a batch for each shape, in order of appearance."""
    groups: dict[Any, list[Batch]] = {}
    for sample in samples:
        groups.setdefault(_shapes(sample), []).append(sample)
    batches = [default_collate(group) for group in groups.values()]
    return batches[0] if len(batches) == 1 else {GROUPS: batches}


def mean_over_groups(losses: Callable[[Batch], dict[str, Tensor]], batch: Batch) -> dict[str, Tensor]:
    """Return the terms of a batch, each the mean over all its samples.

    Args:
        losses: Returns the terms of samples of one shape, each a mean over them.
        batch: As `grouped` makes it.
    """
    if GROUPS not in batch:
        return losses(batch)
    counts = [len(group["number"]) for group in batch[GROUPS]]
    found = [losses(group) for group in batch[GROUPS]]
    shares = [count / sum(counts) for count in counts]
    return {
        name: torch.stack([share * terms[name] for share, terms in zip(shares, found, strict=True)]).sum()
        for name in found[0]
    }


def _shapes(sample: Batch) -> tuple[Any, ...]:
    """Return the shapes of all tensors of a sample, by name."""
    return tuple(
        (name, tuple(part.shape for part in value)) if isinstance(value, list) else (name, getattr(value, "shape", ()))
        for name, value in sample.items()
    )
