"""Parameters that no step changes, kept once in a run and not in every checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from scanweave.engine.checkpoint import write_weights
from scanweave.errors import ScanweaveError


class FrozenWeights:
    """The parameters of an objective that require no gradient, as they were when the run began.

    A parameter that a hook moves, such as a teacher's, differs from its start and so is not frozen: it is told by its
    bits, not by a word of the task.

    Args:
        objective: The objective.
        path: The run's start file; appears when there is something to keep.
    """

    def __init__(self, objective: nn.Module, path: Path) -> None:
        self._objective, self._path = objective, path
        self.digests: dict[str, str] = {}
        """SHA-256 of each parameter at the start, by its name in the objective."""

    def begin(self) -> None:
        """Take the parameters as they are for the start, and write them down.

        Raises:
            ScanweaveError: The disk is full or fails.
        """
        named = self._objective.named_parameters(remove_duplicate=False)
        frozen = {name: on_cpu(weight) for name, weight in named if not weight.requires_grad}
        self.digests = {name: digest(weight) for name, weight in frozen.items()}
        if frozen:
            write_weights(self._path, frozen, {"weights": "start"})

    def resume(self, digests: Mapping[str, str], known: Collection[str] = ()) -> dict[str, Tensor]:
        """Return the start of each parameter that a checkpoint leaves out, from the objective itself or from the file.

        Args:
            digests: SHA-256 of each parameter at the start of the run.
            known: Those of them that are not needed.

        Raises:
            ScanweaveError: The file is damaged or gone, and the objective began anew from other weights.
        """
        self.digests = dict(digests)
        wanted = {name: bits for name, bits in digests.items() if name not in known}
        found: dict[str, Tensor] = {}
        for source in (self._of_objective, self._of_file):
            if wanted.keys() - found.keys():
                found |= {name: value for name, value in source().items() if digest(value) == wanted.get(name)}
        lost = sorted(wanted.keys() - found.keys())
        if lost:
            reason = f"is absent or damaged: {lost[0]}, which the run keeps frozen, lies there alone"
            raise ScanweaveError(self._path, reason, "Restore the file, or fit into another folder")
        return found

    def left_out(self, tensors: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
        """Return the tensors without those that are still as at the start.

        Args:
            tensors: By name, on the CPU.
            prefix: What stands before these names in the objective.
        """
        return {
            name: value
            for name, value in tensors.items()
            if (wanted := self.digests.get(prefix + name)) is None or digest(value) != wanted
        }

    def _of_objective(self) -> dict[str, Tensor]:
        state = self._objective.state_dict()
        return {name: on_cpu(state[name]) for name in self.digests if name in state}

    def _of_file(self) -> dict[str, Tensor]:
        try:
            return dict(load_file(self._path))
        except (OSError, SafetensorError):
            return {}


def on_cpu(tensor: Tensor) -> Tensor:
    """Return a copy of its own on the CPU: safetensors refuses tensors that share memory, as tied weights do."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def digest(tensor: Tensor) -> str:
    """Return the SHA-256 of the bits, the shape and the type of a tensor on the CPU."""
    found = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
