"""The number of windows that progress is told by is that of MONAI's sliding window."""

from __future__ import annotations

import pytest
import torch
from monai.inferers import sliding_window_inference

from scanweave.nets.sizes import window_count


@pytest.mark.parametrize("shape", [(32, 32), (33, 70), (10, 64), (64, 9), (20, 33, 41), (8, 8, 8)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_windows_are_counted_as_monai_lays_them(shape: tuple[int, ...], overlap: float) -> None:
    seen = 0

    def count(patches: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen += len(patches)
        return patches

    window = (16,) * len(shape)
    sliding_window_inference(torch.zeros(1, 1, *shape), window, 3, count, overlap=overlap)
    assert window_count(shape, window, overlap) == seen
