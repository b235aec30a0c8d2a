"""Training samples: boxes stay on their findings, whatever is varied; and the truth of a film."""

import numpy as np
import pytest
from boxed_films import SIZE, make_cohort

from scanweave.augment.affine import draw_affine
from scanweave.augment.crops import Crop
from scanweave.errors import ScanweaveError
from scanweave.studies.boxes import Boxes
from scanweave.systems.detect.config import BOXED_FILM
from scanweave.systems.detect.samples import FilmSamples, film_image, input_boxes, moved_boxes
from scanweave.systems.detect.truth import chosen_classes, film_boxes, film_truth, read_truths, study_truth

NONE = np.array([np.nan, np.nan])
IGNORED = Boxes(np.array([[[1.0, 2.0], [5.0, 8.0]]]), ("a",), "pixel", ignored=[True], size=(20, 10))
BOX = Boxes(np.array([[[1.0, 2.0], [5.0, 8.0]]]), ("a",), "pixel", size=(20, 10))


def test_boxes_move_with_the_image():
    """A flip of X mirrors the box at the middle of the film; edges are edges, not centres of pixels."""
    flip = np.array([[1.0, 0, 0], [0, -1.0, 95.0], [0, 0, 1]])
    made, shown = moved_boxes(np.array([[10.0, 20, 30, 40]]), flip, (64, 96))
    assert shown.all()
    assert made.tolist() == [[66.0, 20, 86, 40]]


def test_boxes_follow_their_findings_through_every_variation(boxed, fitted):
    """A bright square stays the brightest part of its sample, and its box lies around it."""
    part = boxed.part("train")
    truths = read_truths(part, fitted.plan.outputs)
    squares = part.where(part.frame["study"].isin([n for n, t in truths.items() if t.boxes.labels == ("square",)]))
    from scanweave.studies.preparing.prepared_cache import PreparedCohort

    films = PreparedCohort(squares, fitted.preparation).prepare(1, lambda done, total: None)
    samples = FilmSamples(films, [truths[film.id] for film in films], fitted.plan, fitted.config.sampling, seed=0)
    number, checked = fitted.plan.outputs.index("square"), 0
    for index in range(24):
        sample = samples[index]
        own = sample["boxes"][sample["classes"] == number]
        if not len(own):
            continue
        x, y, right, below = own[0].round().int().tolist()
        image = sample["image"][0]
        inside = image[y + 2 : below - 2, x + 2 : right - 2].mean()
        around = image.mean()
        assert inside > around + 2 * image.std() * 0.5
        checked += 1
    assert checked > 12


def test_a_box_that_a_sample_hardly_shows_is_left_out():
    shift = np.array([[1.0, 0, 0], [0, 1.0, 18.0], [0, 0, 1]])
    made, shown = moved_boxes(np.array([[0.0, 0, 20, 10], [10.0, 0, 30, 10]]), shift, (64, 96))
    assert shown.tolist() == [False, True]
    assert made.tolist() == [[0, 0, 12, 10]]


def test_nothing_turns():
    rng = np.random.default_rng(0)
    for _ in range(20):
        matrix = draw_affine(rng, Crop((0, 0), (64, 96)), BOXED_FILM)
        assert matrix[0, 1] == matrix[1, 0] == 0


def test_input_boxes_are_shares_of_the_film(fitted):
    height, width = fitted.plan.size
    whole = Boxes(np.array([[[0.0, 0.0], SIZE]]), ("a",), "pixel", size=SIZE)
    assert input_boxes(whole, (*SIZE, 1), fitted.plan).tolist() == [[0, 0, width, height]]


def test_a_film_is_shown_with_rows_down(fitted):
    volume = np.zeros((*SIZE, 1), np.float32)
    volume[:, 0] = 1  # the top row
    image = film_image(volume, fitted.plan)
    assert image.shape == (1, *fitted.plan.size)
    assert image[0, 0].mean() > image[0, -1].mean()
    with pytest.raises(ScanweaveError, match="grey films"):
        film_image(np.zeros((8, 8, 3), np.float32), fitted.plan)


@pytest.mark.parametrize(
    ("boxes", "labels", "looked", "answers"),
    [
        (BOX, NONE, [True, True], [1, 0]),
        (BOX, np.array([0.0, np.nan]), [True, True], [1, 0]),
        (BOX, np.array([1.0, 1.0]), [True, False], [1, 1]),
        (IGNORED, NONE, [False, True], [np.nan, 0]),
        (IGNORED, np.array([1.0, np.nan]), [False, True], [1, 0]),
        (Boxes(), NONE, [True, True], [0, 0]),
        (None, np.array([1.0, 0.0]), [False, True], [1, 0]),
        (None, NONE, [False, False], [np.nan, np.nan]),
    ],
    ids=[
        "box",
        "box outweighs label",
        "label without box",
        "ignored box",
        "ignored box and label",
        "none found",
        "labels alone",
        "nothing",
    ],
)
def test_what_is_known_of_a_film(boxes, labels, looked, answers):
    found = film_truth(boxes, labels, ("a", "b"))
    assert found.looked.tolist() == looked
    np.testing.assert_array_equal(found.answers, answers)
    assert found.is_known == (boxes is not None or not np.isnan(labels).all())


def test_boxes_must_be_in_pixels_of_the_film():
    over = Boxes(np.array([[[10.0, 2.0], [25.0, 8.0]]]), ("a",), "pixel")
    assert film_boxes(over, (20, 10), "s").corners.tolist() == [[[10, 2], [20, 8]]]
    assert film_boxes(Boxes(), (20, 10), "s").size == (20, 10)
    with pytest.raises(ScanweaveError, match="of an image of 20×10, and the film has 30×10"):
        film_boxes(BOX, (30, 10), "s")
    with pytest.raises(ScanweaveError, match="boxes in mm, where pixels"):
        film_boxes(Boxes(np.zeros((1, 2, 3)), ("a",), "mm"), (20, 10), "s")


def test_ignored_boxes_travel_apart(boxed, fitted, tmp_path):
    cohort = make_cohort(tmp_path / "c", films=12)
    path = cohort.root / "boxes" / "f00.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"start"', '"ignored": true, "start"', 1), encoding="utf-8"
    )
    truth = read_truths(type(cohort).open(cohort.folder), ("square", "bar"))["f00"]
    assert truth.ignored.labels == ("square",)
    assert truth.findings.labels == ("bar",)
    assert truth.looked.tolist() == [False, True]


def test_a_study_is_known_as_its_row_is(boxed):
    for name, known in read_truths(boxed, ("square", "bar")).items():
        study = boxed[name]
        told = study_truth(study.boxes, study.labels, ("square", "bar"))
        assert told.looked.tolist() == known.looked.tolist()
        assert told.answers.tolist() == known.answers.tolist()


def test_uncertain_labels_are_not_known():
    assert np.isnan(study_truth(None, {"a": -1, "b": 1}, ("a", "b")).answers[0])


def test_classes_are_told_with_their_counts(boxed):
    classes, why = chosen_classes(boxed, ())
    assert classes == ("bar", "square")
    assert "bar 24" in why


def test_a_cohort_of_empty_boxes_is_refused(tmp_path):
    cohort = make_cohort(tmp_path / "c", films=12)
    for path in (cohort.root / "boxes").glob("*.json"):
        path.write_text('{"unit": "pixel", "size": [96, 64], "boxes": []}', encoding="utf-8")
    with pytest.raises(ScanweaveError, match="has no box in its training films"):
        chosen_classes(type(cohort).open(cohort.folder), ())
