"""Valid input on which a common library errs or means something else, and what ours says there."""

from __future__ import annotations

import numpy as np
import pytest
import surface_distance
import torch
from medpy.metric import binary
from monai.metrics import compute_dice, compute_surface_dice
from torchmetrics.functional.classification import binary_auroc
from torchmetrics.functional.image import structural_similarity_index_measure
from torchmetrics.functional.segmentation import mean_iou

from scanweave.measures.classification import auroc
from scanweave.measures.image import ssim
from scanweave.measures.segmentation import measure_structures, overlap
from scanweave.measures.surfaces import surface_distances

EMPTY = np.zeros((4, 4, 4), dtype=bool)


@pytest.mark.parametrize("thresholds", [None, 100])
def test_auroc_of_perfect_logits_is_1(thresholds):
    positive = np.arange(18, 41) > 29
    logits = np.arange(18, 41, dtype=np.float32)
    theirs = binary_auroc(torch.from_numpy(logits), torch.from_numpy(positive.astype(int)), thresholds=thresholds)
    assert theirs < 0.75  # their sigmoid rounds to 1
    assert auroc(positive, logits) == 1


def test_two_empty_masks_have_no_dice_elsewhere():
    tensors = [torch.from_numpy(EMPTY[None, None]).float()] * 2
    assert torch.isnan(compute_dice(*tensors)).all()
    assert np.isnan(binary.dc(EMPTY, EMPTY))
    assert overlap(EMPTY, EMPTY, (1, 1, 1)).dice == 1


def test_an_absent_class_has_no_iou_of_minus_1():
    index = torch.zeros((1, 4, 4, 4), dtype=torch.long)
    theirs = mean_iou(index, index, num_classes=2, per_class=True, input_format="index")
    assert theirs[0, 1] == -1
    row = measure_structures({"lesion": EMPTY}, {"lesion": EMPTY}, (1, 1, 1)).iloc[0]
    assert (row["IoU"], row["case"]) == (1, "neither")


def test_surface_distance_fails_on_an_empty_mask_and_ours_says_worst(monkeypatch):
    monkeypatch.delattr(np, "Inf", raising=False)  # torchmetrics brings it back to NumPy 2 when it is imported
    full = EMPTY.copy()
    full[1:3, 1:3, 1:3] = True
    with pytest.raises(AttributeError, match="Inf"):
        surface_distance.compute_surface_distances(full, EMPTY, (1, 1, 1))
    found = surface_distances(full, EMPTY, (1, 1, 1))
    assert (found.hausdorff(95), found.dice(1)) == (pytest.approx(np.sqrt(48)), 0)


def test_surface_dice_counts_areas_not_voxels():
    truth, predicted = (np.zeros((20, 20, 8), dtype=bool) for _ in range(2))
    truth[4:14, 4:14, 2:6] = predicted[4:14, 4:14, 2:7] = True
    predicted[14:17, 8:10, 3:5] = True
    tensors = [torch.from_numpy(mask[None, None]) for mask in (predicted, truth)]
    options = {"class_thresholds": [1.0], "include_background": True, "spacing": (1.0, 1.0, 4.0)}
    voxels, areas = (compute_surface_dice(*tensors, use_subvoxels=fine, **options).item() for fine in (False, True))
    assert abs(voxels - areas) > 0.02
    assert surface_distances(truth, predicted, (1.0, 1.0, 4.0)).dice(1.0) == pytest.approx(areas)


def test_ssim_has_no_mirrored_border():
    rng = np.random.default_rng(0)
    real = rng.random((24, 24, 24)).astype(np.float32)
    made = real.copy()
    made[:2], made[-2:] = rng.random((2, 24, 24)), rng.random((2, 24, 24))  # wrong at the border alone
    theirs = structural_similarity_index_measure(
        *(torch.from_numpy(v)[None, None] for v in (made, real)), data_range=1.0
    )
    ours = ssim(made, real, 1.0)
    assert ours > theirs.item() + 0.02
