"""Runs whose network lost channels: what is left of it is told by a file in the run."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import read_json
from scanweave.nets.pruned_widths import narrow

FILE = "pruned.json"
"""What is left of the network of a run, and how it came about."""


def narrow_as(network: nn.Module, run: Run) -> None:
    """Make a network as narrow as that of a run was left; nothing where it was not pruned.

    Raises:
        ScanweaveError: The run's file is damaged.
    """
    path = Path(run.folder) / FILE
    if path.is_file():
        as_pruned(network, path)


def as_pruned(network: nn.Module, path: Path) -> None:
    """Make a network as narrow as a file says.

    Raises:
        ScanweaveError: It is damaged.
    """
    step = "Restore it, or prune its parent again"
    found = read_json(path, step)
    if not isinstance(found, dict) or not isinstance(found.get("widths"), dict) or "shapes" not in found:
        raise ScanweaveError(path, "does not say what is left of the network", step)
    narrow(network, found["widths"], found["shapes"])
