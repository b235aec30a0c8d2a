"""LPIPS from local weights; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scanweave.errors import ScanweaveError
from scanweave.external import require

BATCH = 16
"""Slices that pass the network at once."""


def lpips(
    prediction: ArrayLike, reference: ArrayLike, limits: tuple[float, float], backbone: str | Path, heads: str | Path
) -> float:
    """Return the learned perceptual distance (Zhang et al. 2018, AlexNet), mean over axial slices; lower is better.

    The Seq2Seq paper gives the *sum* over its 126 slices: divide its figures by 126 to compare.

    Args:
        prediction: Volume `(X, Y, Z)`, at least 64 voxels along X and Y.
        reference: The real volume on the same grid.
        limits: Lowest and highest possible intensity, mapped to −1 and 1.
        backbone: torchvision's AlexNet ImageNet weights, a `.pth` state dictionary.
        heads: The linear layers of LPIPS, `alex.pth` of the lpips package (`weights/v0.1`).

    Raises:
        ScanweaveError: The lpips library is absent, or a weight file is not there or not of that network.
    """
    network = _network(Path(backbone), Path(heads))
    torch = require("torch", "lpips")
    low, high = limits
    scaled = [(np.asarray(v, np.float64) - low) / (high - low) * 2 - 1 for v in (prediction, reference)]
    slices = [torch.from_numpy(np.moveaxis(v, 2, 0)[:, None].astype(np.float32).repeat(3, axis=1)) for v in scaled]
    with torch.no_grad():
        distances = [network(p, r).flatten() for p, r in zip(*(s.split(BATCH) for s in slices), strict=True)]
    return float(torch.cat(distances).mean())


def _network(backbone: Path, heads: Path) -> Any:
    """Load every layer by name and strictly: the library's own loader passes over a wrong file in silence."""
    network = require("lpips", "lpips").LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    convolutions, linear = _weights(backbone), _weights(heads)
    for stage in range(1, 6):
        for index, layer in getattr(network.net, f"slice{stage}").named_children():
            _fill(layer, convolutions, f"features.{index}.", backbone)
        _fill(getattr(network, f"lin{stage - 1}"), linear, f"lin{stage - 1}.", heads)
    return network.eval()


def _weights(path: Path) -> dict[str, Any]:
    torch = require("torch", "lpips")
    if not path.is_file():
        raise ScanweaveError(path, "this weight file is not there", "Give a local file; nothing is downloaded")
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (UnpicklingError, RuntimeError, EOFError, TypeError, ValueError) as error:
        raise ScanweaveError(path, "it is no dictionary of weights", "Give the .pth file of the network") from error


def _fill(layer: Any, weights: dict[str, Any], prefix: str, path: Path) -> None:
    try:
        layer.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
    except RuntimeError as error:
        raise ScanweaveError(
            path, f"its layer {prefix}* does not fit LPIPS on AlexNet", "Give the right file"
        ) from error
