from __future__ import annotations

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.measures.perceptual import lpips
from scanweave.measures.separation import voxelwise_auroc


def test_auroc_is_the_share_of_pairs_in_order():
    values = np.array([[[3.0, 1.0], [2.0, 2.0]]])
    region = np.array([[[True, False], [True, False]]])
    assert voxelwise_auroc(values, region) == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert voxelwise_auroc(-values, region) == pytest.approx(0.5 / 4)


def test_background_does_not_count_within_the_brain():
    values, region, brain = np.zeros((4, 4, 4)), np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    brain[1:3] = True
    region[1] = True
    values[1:3] = 1.0  # the map shows the brain, not the lesion
    assert voxelwise_auroc(values, region) > 0.8
    assert voxelwise_auroc(values, region, brain) == 0.5


def test_a_region_without_a_rest_is_refused():
    with pytest.raises(ScanweaveError, match="outside"):
        voxelwise_auroc(np.zeros((2, 2, 2)), np.ones((2, 2, 2)))


def test_lpips_downloads_nothing(tmp_path):
    """Without the library it names the group; with it, it names the missing local file."""
    volume = np.zeros((64, 64, 2))
    try:
        require("lpips", "lpips")
        words = "nothing is downloaded"
    except ScanweaveError:
        words = r"scanweave\[lpips\]"
    with pytest.raises(ScanweaveError, match=words):
        lpips(volume, volume, (0.0, 1.0), tmp_path / "alexnet.pth", tmp_path / "alex.pth")
