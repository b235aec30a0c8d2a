from __future__ import annotations

import numpy as np
import pytest
from box_samples import Found, boxes

from scanweave.errors import ScanweaveError
from scanweave.measures.detection import detection_table
from scanweave.measures.detection_comparison import compare_detections
from scanweave.measures.froc import mark_lesions
from scanweave.measures.jafroc import compare_figures

PATIENTS = [number // 2 for number in range(40)]
CLASSES = ("nodule", "mass")


def joined(*parts):
    scores = None if parts[0].scores is None else np.concatenate([part.scores for part in parts])
    return Found(np.concatenate([part.corners for part in parts]), sum((part.labels for part in parts), ()), scores)


def truth_of(number):
    nodule = boxes(*[(0, 0, 10, 10)] * (number % 2), name="nodule")
    return joined(nodule, boxes(*[(20, 20, 30, 30)] * (number % 3 == 0), name="mass"))


TRUTHS = [truth_of(number) for number in range(40)]


def detector(skill, seed):
    """Mark every film at every lesion's place, more surely where it is the more the skill."""
    rng, found = np.random.default_rng(seed), []
    for number in range(40):
        scores = rng.random(2) + skill * np.array([number % 2, number % 3 == 0])
        nodule = boxes((0, 0, 10, 9), scores=scores[:1], name="nodule")
        found.append(joined(nodule, boxes((20, 20, 30, 29), scores=scores[1:], name="mass")))
    return found


def test_differences_are_those_of_the_single_measures():
    first, second = detector(1, 1), detector(0, 2)
    table = compare_detections(TRUTHS, first, second, PATIENTS, CLASSES, repeats=300).set_index("class")
    for name in CLASSES:
        row = table.loc[name]
        for side, found in (("first", first), ("second", second)):
            one = detection_table(TRUTHS, found, PATIENTS, repeats=2).set_index(["class", "measure"])
            assert row[f"{side} AP50"] == pytest.approx(one.loc[(name, "AP50"), "value"])
        assert row["AP50 difference"] == pytest.approx(row["first AP50"] - row["second AP50"])
        assert row["AP50 difference low"] < row["AP50 difference"] < row["AP50 difference high"]
        figures = compare_figures(*(mark_lesions(TRUTHS, found, name) for found in (first, second)), PATIENTS)
        assert row["JAFROC difference"] == pytest.approx(figures.difference.value)
        assert row["JAFROC p"] == pytest.approx(figures.p)
        assert row["JAFROC p"] < 0.05
    assert table["lesions"].tolist() == [20, 14]
    for kind in ("AP50", "JAFROC"):  # Holm by hand, of two
        low, high = sorted(table[f"{kind} p"])
        expected = [min(1, 2 * low), max(min(1, 2 * low), high)]
        assert sorted(table[f"{kind} p Holm"]) == pytest.approx(expected)


def test_a_detector_does_not_differ_from_itself():
    found = detector(1, 3)
    table = compare_detections(TRUTHS, found, found, PATIENTS, CLASSES, repeats=100)
    assert table["AP50 difference"].tolist() == table["JAFROC difference"].tolist() == [0, 0]
    assert table["AP50 p"].tolist() == table["JAFROC p"].tolist() == [1, 1]


def test_chance_seldom_looks_like_a_difference():
    pairs = [(detector(0.5, 2 * seed), detector(0.5, 2 * seed + 1)) for seed in range(100, 110)]
    tables = [compare_detections(TRUTHS, *pair, PATIENTS, ["nodule"], repeats=100) for pair in pairs]
    for kind in ("AP50", "JAFROC"):
        assert sum(table[f"{kind} p"].item() < 0.05 for table in tables) <= 3  # of 10; chance allows more once in 1000


def test_classes_that_cannot_be_compared():
    ill, found = [boxes((0, 0, 10, 10))] * 4, [boxes((0, 0, 10, 10), scores=[0.5])] * 4
    [row] = compare_detections(ill, found, found, "abcd", CLASSES, repeats=50).to_dict("records")
    assert row["class"] == "nodule"
    assert np.isnan([row["JAFROC difference"], row["JAFROC p"], row["JAFROC p Holm"]]).all()
    assert row["AP50 p"] == 1
    with pytest.raises(ScanweaveError, match="none of them has a true box"):
        compare_detections([boxes()], [boxes(scores=[])], [boxes(scores=[])], "a", CLASSES)
