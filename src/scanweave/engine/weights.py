"""Fitted weights into a network."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from scanweave.errors import ScanweaveError

N = TypeVar("N", bound=nn.Module)


def with_weights(network: N, path: Path) -> N:
    """Return the network with the weights of a file.

    Raises:
        ScanweaveError: The file is absent, damaged, of another network, or holds NaN.
    """
    advice = "Finish the fit with the same command, or fit again"
    other = "Its network is another one: use the version of scanweave in the run's run.json, or fit again"
    try:
        weights = load_file(path)
        fits = weights.keys() == network.state_dict().keys()
        advice = advice if fits else other
        network.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ScanweaveError(path, f"cannot be loaded ({' '.join(str(error).split())[:200]})", advice) from error
    broken = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
    if broken:
        raise ScanweaveError(path, f"{broken[0]} holds NaN or infinite weights", advice)
    return network
