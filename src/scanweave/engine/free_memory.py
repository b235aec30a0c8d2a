"""Memory that nobody uses, and the refusal of what does not fit into it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
import torch

from scanweave.errors import ScanweaveError

CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""File in which Linux tells a container its limit of memory [bytes]."""


def free_bytes(device: torch.device | str = "cpu") -> int:
    """Return the memory of a device that nobody uses [bytes]; mps shares that of the machine."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # no container, or "max"
        free = min(free, int(CONTAINER_LIMIT.read_text(encoding="ascii")))
    return free


def refuse_beyond_memory(
    size: float, where: str | Path, what: str, step: str, device: torch.device | str = "cpu"
) -> None:
    """Refuse what does not fit into the memory of a device.

    Args:
        size: What is held [bytes].
        where: The setting or file that asks for it.
        what: What is held, as in "a batch of 4 samples takes".
        step: What to do about it.
        device: Where it is held.

    Raises:
        ScanweaveError: Less memory is free.
    """
    free = free_bytes(device)
    if size > free:
        there = f"{_gibibytes(free)} of {torch.device(device).type} memory are free"
        raise ScanweaveError(where, f"{what} {_gibibytes(size)}, where {there}", step)


def _gibibytes(size: float) -> str:
    return f"{size / 2**30:,.1f} GiB"
