"""A batch that is spread over processes, as one, with gradients to where each sample is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def gather_with_gradient(tensor: Tensor) -> Tensor:
    """Return the tensors of all processes one after another, in the order of the processes.

    A loss that is the mean over the gathered batch, computed by every process, then trains as one process with the
    whole batch would: the backward pass sums what the losses of all processes say of a sample, and the mean over the
    processes, which the engine takes of every gradient, undoes the sum. The same holds for a loss over the own
    samples against the gathered ones.

    Args:
        tensor: Of shape `(B, …)`, the same on every process. Without processes it is returned as it is.

    Returns:
        Of shape `(processes × B, …)`.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return tensor
    gathered: Tensor = _Gather.apply(tensor)
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        context.length = len(tensor)
        parts = [torch.empty_like(tensor) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        first = distributed.get_rank() * context.length
        return total[first : first + context.length]
