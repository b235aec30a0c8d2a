from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
from box_samples import Found, boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.apps.detection.metrics.coco import COCOMetric
from monai.apps.detection.metrics.matching import matching_batch
from monai.data.box_utils import box_iou
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from scanweave.errors import ScanweaveError
from scanweave.measures.detection import COCO_IOU, MEAN, average_precision, detection_table, match_boxes, pair_iou


def precision(truths, predictions, threshold=0.5):
    (found,) = match_boxes(truths, predictions, [threshold]).values()
    return average_precision(found)[0]


def drawn(seed, images=6, axes=2, crowds=True):
    """Random boxes of three classes, many of which overlap the truth, with equal scores among them."""
    rng = np.random.default_rng(seed)
    truths, predictions = [], []
    for _ in range(images):
        start = rng.integers(0, 60, size=(rng.integers(0, 6), axes))
        true = np.stack([start, start + rng.integers(5, 30, size=start.shape)], axis=1).astype(float)
        copies = true[rng.integers(0, len(true), size=8)] if len(true) else np.zeros((0, 2, axes))
        found = copies + rng.normal(0, 2, size=copies.shape)
        found.sort(axis=1)
        names = rng.choice(["mass", "node", "bone"], size=len(true))
        guesses = rng.choice(["mass", "node", "bone"], size=len(found))
        ignored = rng.random(len(true)) < 0.2 * crowds
        truths.append(Found(true, tuple(names), None, ignored))
        predictions.append(Found(found, tuple(guesses), rng.integers(1, 20, size=len(found)) / 20))
    return truths, predictions


def coco_precision(truths, predictions, thresholds, first_id=1):
    """pycocotools' AP `(classes, T)`, −1 where there is no truth."""
    names = sorted({name for one in (*truths, *predictions) for name in one.labels})
    annotations, detections = [], []
    for image, (true, found) in enumerate(zip(truths, predictions, strict=True)):
        for number, (start, stop) in enumerate(true.corners):
            crowd = 0 if true.ignored is None else int(true.ignored[number])
            box, area = [*start, *(stop - start)], float(np.prod(stop - start))
            label = names.index(true.labels[number]) + 1
            annotations.append({"image_id": image, "category_id": label, "bbox": box, "area": area, "iscrowd": crowd})
        for number, (start, stop) in enumerate(found.corners):
            label, score = names.index(found.labels[number]) + 1, float(found.scores[number])
            box = [*start, *(stop - start)]
            detections.append({"image_id": image, "category_id": label, "bbox": box, "score": score})
    coco = COCO()
    for number, annotation in enumerate(annotations):
        annotation["id"] = number + first_id
    categories = [{"id": number + 1, "name": name} for number, name in enumerate(names)]
    images = [{"id": number} for number in range(len(truths))]
    coco.dataset = {"images": images, "categories": categories, "annotations": annotations}
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(detections), "bbox")
        evaluation.params.iouThrs = np.array(thresholds)
        evaluation.evaluate()
        evaluation.accumulate()
    found = evaluation.eval["precision"][:, :, :, 0, -1].mean(axis=1).T  # (T, R, K, areas, most)
    return dict(zip(names, found, strict=True))


TRUE = [boxes((0, 0, 10, 10), (20, 20, 30, 30)), boxes()]
FALSE_ONE = boxes((50, 50, 60, 60), scores=[0.8])


def test_average_precision_by_hand():
    found = [boxes((0, 0, 10, 10), (20, 20, 30, 30), scores=[0.9, 0.7]), FALSE_ONE]
    # right, wrong, right: precision 1 up to recall 0.5 (51 levels), then 2/3 (50 levels)
    assert precision(TRUE, found) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_second_box_on_a_lesion_is_false():
    twice = [boxes((0, 0, 10, 10), (0, 0, 10, 10), (20, 20, 30, 30), scores=[0.9, 0.8, 0.7]), boxes(scores=[])]
    assert precision(TRUE, twice) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_what_is_never_found_has_precision_0():
    assert precision(TRUE, [boxes((0, 0, 10, 10), scores=[0.9]), boxes(scores=[])]) == pytest.approx(51 / 101)


def test_ignored_boxes_are_neither_missed_nor_false():
    true = [boxes((0, 0, 10, 10), (20, 20, 40, 40), ignored=[False, True])]
    found = [boxes((21, 21, 25, 25), (30, 30, 35, 35), (0, 0, 10, 10), scores=[0.9, 0.8, 0.7])]
    assert precision(true, found) == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100_000))
def test_films_equal_pycocotools(seed):
    truths, predictions = drawn(seed)
    if not any(len(one.labels) for one in predictions):
        return
    thresholds = (0.3, *COCO_IOU)
    theirs = coco_precision(truths, predictions, thresholds)
    ours = {name: average_precision(one) for name, one in match_boxes(truths, predictions, thresholds).items()}
    assert set(ours) == set(theirs)
    for name, values in ours.items():
        assert np.where(np.isnan(values), -1, values) == pytest.approx(theirs[name], abs=1e-6)


def test_pycocotools_loses_a_match_with_the_id_0():
    found = [boxes((0, 0, 10, 10), (20, 20, 30, 30), scores=[0.9, 0.7]), FALSE_ONE]
    assert coco_precision(TRUE, found, [0.5], first_id=1)["nodule"] == pytest.approx(precision(TRUE, found))
    assert coco_precision(TRUE, found, [0.5], first_id=0)["nodule"] < precision(TRUE, found) - 0.1


def test_without_truth_there_is_no_precision():
    assert np.isnan(precision([boxes()], [FALSE_ONE]))
    assert coco_precision([boxes()], [FALSE_ONE], [0.5])["nodule"] == -1
    table = detection_table([boxes()], [FALSE_ONE], ["a"], repeats=10)
    assert table["value"].isna().all()


def test_volumes_equal_monai():
    truths, predictions = drawn(3, images=12, axes=3, crowds=False)
    names = ["bone", "mass", "node"]

    def arrays(items):
        corners = [one.corners.reshape(len(one.corners), 6) for one in items]
        return corners, [np.array([names.index(name) for name in one.labels], dtype=int) for one in items]

    (found, found_classes), (true, true_classes) = arrays(predictions), arrays(truths)
    metric = COCOMetric(classes=names, iou_list=[0.3, 0.5], max_detection=[100])
    scores = [one.scores for one in predictions]
    results = matching_batch(box_iou, metric.get_iou_thresholds(), found, found_classes, scores, true, true_classes)
    theirs = metric(results)[0]
    ours = match_boxes(truths, predictions, [0.3, 0.5])
    for name in names:
        for number, level in enumerate(("0.30", "0.50")):
            value = average_precision(ours[name])[number]
            assert value == pytest.approx(theirs[f"{name}_AP_IoU_{level}_MaxDet_100"], abs=1e-6)
    assert 0 < average_precision(ours["mass"])[0] < 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100_000))
def test_volumes_of_one_slab_are_films(seed):
    truths, predictions = drawn(seed)

    def thick(items):
        slab = np.array([[0.0], [7.0]])
        return [
            replace(one, corners=np.dstack([one.corners, np.repeat(slab[None], len(one.corners), 0)])) for one in items
        ]

    flat, deep = match_boxes(truths, predictions), match_boxes(thick(truths), thick(predictions))
    for name, one in flat.items():
        assert average_precision(deep[name]) == pytest.approx(average_precision(one), nan_ok=True)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100_000))
def test_weights_are_copies(seed):
    truths, predictions = drawn(seed, images=4)
    # All scores differ, so that only copies tie: they come in one after another, and precision rises or falls through.
    offsets = [k / 1000 + np.arange(len(one.scores)) / 1e6 for k, one in enumerate(predictions)]
    predictions = [replace(one, scores=one.scores + more) for one, more in zip(predictions, offsets, strict=True)]
    times = np.random.default_rng(seed).integers(0, 3, size=4)
    copies = [k for k, number in enumerate(times) for _ in range(number)]
    many = match_boxes([truths[k] for k in copies], [predictions[k] for k in copies])
    for name, one in match_boxes(truths, predictions).items():
        whole = average_precision(many[name]) if name in many else np.full(10, np.nan)
        weighted = average_precision(one, times)
        assert np.isnan(weighted).all() == np.isnan(whole).all()
        assert weighted == pytest.approx(whole, nan_ok=True)


def test_table_is_by_class_and_patient():
    truths, predictions = drawn(1, images=20)
    patients = [number // 2 for number in range(20)]
    table = detection_table(truths, predictions, patients, repeats=50).set_index(["class", "measure"])
    assert set(table.index.get_level_values("class")) == {"mass", "node", "bone", MEAN}
    assert (table["patients"] == 10).all()
    for name, one in match_boxes(truths, predictions, [0.5]).items():
        assert table.loc[(name, "AP50"), "value"] == pytest.approx(average_precision(one)[0])
    each = table.drop(MEAN).xs("AP", level="measure")["value"]
    assert table.loc[(MEAN, "AP"), "value"] == pytest.approx(each.mean())
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    assert (table.xs("AP30", level="measure")["value"] >= table.xs("AP", level="measure")["value"]).all()


def test_iou_by_hand():
    one = np.array([[[0.0, 0.0], [10.0, 10.0]]])
    others = np.array([[[5.0, 0.0], [15.0, 10.0]], [[20.0, 20.0], [30.0, 30.0]], [[3.0, 3.0], [3.0, 3.0]]])
    assert pair_iou(one, others)[0] == pytest.approx([50 / 150, 0, 0])
    assert pair_iou(one, others, np.array([True, True, True]))[0] == pytest.approx([50 / 100, 0, 0])


@pytest.mark.parametrize(
    ("truths", "predictions", "options", "words"),
    [
        ([boxes()], [], {}, "where nothing was found"),
        ([boxes()], [boxes((0, 0, 1, 1))], {}, "a score for each box"),
        ([boxes()], [boxes((0, 0, 1, 1), scores=[np.nan])], {}, "a score for each box"),
        ([boxes((0, 0, 0, 1, 1, 1))], [FALSE_ONE], {}, "of one kind"),
        ([boxes()], [FALSE_ONE], {"thresholds": [0]}, "above 0"),
    ],
)
def test_what_cannot_be_matched_is_refused(truths, predictions, options, words):
    with pytest.raises(ScanweaveError, match=words):
        match_boxes(truths, predictions, **options)
