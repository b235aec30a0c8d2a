from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from medpy.metric import binary
from monai.metrics import DiceMetric, compute_iou

from scanweave.errors import ScanweaveError
from scanweave.measures.segmentation import (
    PRESENT,
    measure_structures,
    overlap,
    structure_masks,
    summarise_structures,
)

SPACING = (1.0, 1.0, 2.0)
EMPTY = np.zeros((6, 6, 6), dtype=bool)


def block(start, stop, shape=(6, 6, 6)):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return mask


def measured(truth, predicted):
    return measure_structures({"liver": truth}, {"liver": predicted}, SPACING).iloc[0]


def test_overlap_is_what_hands_count():
    found = overlap(block((0, 0, 0), (2, 2, 2)), block((1, 0, 0), (4, 2, 2)), SPACING)  # 8 and 12 voxels, 4 in both
    assert (found.common, found.missed, found.false) == (4, 4, 8)
    assert found.dice == pytest.approx(8 / 20)
    assert found.iou == pytest.approx(4 / 16)
    assert (found.sensitivity, found.precision) == pytest.approx((4 / 8, 4 / 12))
    assert found.volume_error_ml == pytest.approx(4 * 2 / 1000)
    assert found.relative_volume_error == pytest.approx(0.5)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_overlap_equals_medpy_and_monai(data):
    shape = data.draw(array_shapes(min_dims=3, max_dims=3, max_side=5))
    truth, predicted = (data.draw(arrays(bool, shape)) for _ in range(2))
    truth.flat[0] = predicted.flat[-1] = True  # the rule for empty masks is ours: tested below
    found = overlap(truth, predicted, (1, 1, 1))
    assert found.dice == pytest.approx(binary.dc(predicted, truth))
    assert found.iou == pytest.approx(binary.jc(predicted, truth))
    assert found.sensitivity == pytest.approx(binary.sensitivity(predicted, truth))
    assert found.precision == pytest.approx(binary.precision(predicted, truth))
    assert found.relative_volume_error == pytest.approx(binary.ravd(predicted, truth))
    tensors = (torch.from_numpy(mask[None, None]).float() for mask in (predicted, truth))
    assert found.iou == pytest.approx(compute_iou(*tensors).item(), abs=1e-6)


def test_both_empty_is_right():
    row = measured(EMPTY, EMPTY)
    assert row["case"] == "neither"
    assert (row["Dice"], row["IoU"], row["surface Dice"]) == (1, 1, 1)
    assert (row["HD95 [mm]"], row["mean surface distance [mm]"], row["volume error [ml]"]) == (0, 0, 0)
    assert row[["sensitivity", "precision", "relative volume error"]].isna().all()


@pytest.mark.parametrize(("case", "empty"), [("missed", "predicted"), ("invented", "truth")])
def test_one_empty_is_as_wrong_as_can_be(case, empty):
    full = block((1, 1, 1), (3, 3, 3))
    row = measured(full, EMPTY) if empty == "predicted" else measured(EMPTY, full)
    assert row["case"] == case
    assert (row["Dice"], row["IoU"], row["surface Dice"]) == (0, 0, 0)
    diagonal = np.sqrt(6**2 + 6**2 + 12**2)
    assert row["HD95 [mm]"] == row["mean surface distance [mm]"] == pytest.approx(diagonal)


def test_a_missed_structure_makes_the_mean_worse_where_monai_drops_it():
    full = block((1, 1, 1), (3, 3, 3))
    rows = [measured(full, full), measured(full, EMPTY), measured(EMPTY, EMPTY)]
    table = pd.DataFrame(rows).assign(study=["a", "b", "c"], patient=["a", "b", "c"])
    summary = summarise_structures(table, ["Dice", "HD95 [mm]", "precision"]).set_index(["studies of", "measure"])
    diagonal = np.sqrt(216)
    assert summary.loc[("all", "HD95 [mm]"), "mean"] == pytest.approx(diagonal / 3)
    assert summary.loc[(PRESENT, "HD95 [mm]"), "mean"] == pytest.approx(diagonal / 2)
    assert summary.loc[("all", "Dice"), "mean"] == pytest.approx(2 / 3)
    assert summary.loc[(PRESENT, "Dice"), "mean"] == pytest.approx(1 / 2)
    told = ["both", "missed", "invented", "neither", "undefined", "studies"]
    assert summary.loc[("all", "precision"), told].tolist() == [1, 1, 0, 1, 2, 1]
    assert summary.loc[(PRESENT, "Dice"), told].tolist() == [1, 1, 0, 0, 0, 2]
    tensors = [torch.from_numpy(mask[None, None]).float() for mask in (EMPTY, EMPTY)]
    assert torch.isnan(DiceMetric()(*tensors)).all()  # MONAI has no Dice of two empty masks; ours is 1


def test_a_structure_of_several_labels_is_their_union():
    labels = np.array([[0, 1, 2, 4]])
    found = structure_masks(labels, {"whole": (1, 2, 4), "core": [1, 4], "necrosis": 1, "absent": 7})
    assert {name: int(mask.sum()) for name, mask in found.items()} == {
        "whole": 3,
        "core": 2,
        "necrosis": 1,
        "absent": 0,
    }
    with pytest.raises(ScanweaveError, match="whole numbers"):
        structure_masks(labels + 0.5, {"whole": 1})


@pytest.mark.parametrize(
    ("truth", "predicted", "spacing", "words"),
    [
        (EMPTY, EMPTY[:3], SPACING, "same grid"),
        (EMPTY + 2, EMPTY, SPACING, "0 and 1"),
        (EMPTY, EMPTY, (1, 1), "each axis"),
        (EMPTY, EMPTY, (1, 1, 0), "above 0 mm"),
    ],
)
def test_what_cannot_be_compared_is_refused(truth, predicted, spacing, words):
    with pytest.raises(ScanweaveError, match=words):
        measure_structures({"a": truth}, {"a": predicted}, spacing)
    with pytest.raises(ScanweaveError, match="one mask only"):
        measure_structures({"a": truth}, {}, spacing)
