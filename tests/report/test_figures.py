from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.text import Text

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.report.availability import availability_plot
from scanweave.report.curves import MAX_POINTS, learning_curve
from scanweave.report.grids import synthesis_grid
from scanweave.report.maps import map_overlay
from scanweave.report.pictures import picture
from scanweave.report.ranking import RankedMeasure, ranking_plot
from scanweave.report.slices import aspect, foreground_box, grey_range, plane, telling_slice
from scanweave.report.tables import metric_table

SPACING = (1.0, 1.0, 3.0)


def words(figure):
    return [text.get_text() for text in figure.findobj(Text)]


@pytest.fixture
def volume():
    real = np.zeros((20, 24, 10))
    real[4:16, 4:20, 2:8] = np.random.default_rng(0).random((12, 16, 6)) + 0.5
    return real


@pytest.mark.parametrize("name", ["axial", "coronal"])
def test_the_patients_right_is_shown_on_the_left(name):
    marked = np.zeros((4, 5, 6))
    marked[-1] = 1  # furthest along X = the patient's right
    assert (plane(marked, name, 2)[:, 0] == 1).all()


def test_front_and_head_are_shown_on_top():
    marked = np.zeros((4, 5, 6))
    marked[:, -1, :] = 1
    marked[..., -1] += 2
    assert (plane(marked, "axial", 0)[0] == 1).all()
    assert (plane(marked, "coronal", 0)[0] == 2).all()
    sagittal = plane(marked, "sagittal", 0)
    assert (sagittal[0] >= 2).all()
    assert (sagittal[1:, 0] == 1).all()  # front to the left


def test_voxels_keep_their_shape():
    assert aspect(SPACING, "axial") == 1
    assert aspect(SPACING, "coronal") == 3
    assert aspect(SPACING, "sagittal") == 3


def test_slices_follow_the_lesion():
    lesion = np.zeros((6, 7, 8))
    lesion[1:3, 4, 5] = 1
    assert [telling_slice(lesion, name) for name in ("axial", "coronal")] == [5, 4]
    assert foreground_box([lesion], margin=0) == (slice(1, 3), slice(4, 5), slice(5, 6))


def test_a_removed_background_is_black_though_few_voxels_are_below_it(volume):
    undershot = volume.copy()
    undershot[4, 4, 2] = -0.3
    assert grey_range(undershot)[0] == 0
    assert foreground_box([undershot], margin=0) == (slice(4, 16), slice(4, 20), slice(2, 8))
    brain = np.where(volume > 0, volume - 1, 0)  # as of z-scores: background amid the intensities
    assert grey_range(brain)[0] == brain.min()


def test_grid_marks_what_is_absent(volume):
    figure = synthesis_grid(
        {"t1": volume, "flair": volume},
        {("t1", "t2"): volume, ("t1", "flair"): volume * 0.9},
        SPACING,
        5,
        psnr={("t1", "flair"): 27.31},
        targets=["t1", "t2", "flair"],
    )
    found = words(figure)
    assert "27.3 dB" in found
    assert "not acquired" in found  # t2 was predicted but never acquired
    assert "no real scan" in found
    assert {"R", "L", "from t1", "absolute error"} <= set(found)
    with pytest.raises(ScanweaveError, match="predictions"):
        synthesis_grid({"t1": volume}, {}, SPACING, 5)


def test_grid_shares_scales(volume):
    figure = synthesis_grid({"t1": volume}, {("a", "t1"): volume * 2, ("b", "t1"): volume / 2}, SPACING, 5)
    limits = [axes.images[0].get_clim() for axes in figure.axes if axes.images]
    greys, errors = [limits[0], limits[1], limits[3]], [limits[2], limits[4]]
    assert len(set(greys)) == 1
    assert len(set(errors)) == 1


def test_map_has_the_papers_scale_and_the_lesion(volume):
    lesion = np.zeros(volume.shape, bool)
    lesion[8:12, 8:12, 4:6] = True
    figure = map_overlay(volume, volume * 0.1, SPACING, lesion=lesion)
    maps = [axes.images[0] for axes in figure.axes if axes.images and axes.images[0].get_clim() == (0, 0.5)]
    assert len(maps) == 3
    assert {"axial", "coronal", "sagittal", "A", "P", "R", "L"} <= set(words(figure))


def test_learning_curve_thins_and_names_the_best():
    rows = [{"step": s, "split": "train", "loss": 1 / (s + 1)} for s in range(5000)]
    rows += [{"step": s, "split": "validation", "loss": abs(s - 3000) / 3000 + 0.2} for s in range(0, 5000, 1000)]
    figure = learning_curve(rows, {"loss": "lower", "never": "higher"})
    assert len(figure.axes) == 1
    assert "best 0.2 at 3k" in words(figure)
    assert max(len(line.get_xdata()) for line in figure.axes[0].lines) <= MAX_POINTS
    with pytest.raises(ScanweaveError, match="never"):
        learning_curve(rows, {"never": "lower"})


def test_a_single_point_is_seen():
    figure = learning_curve([{"step": 5, "split": "train", "loss": 1.0}], {"loss": "lower"})
    (line,) = figure.axes[0].lines
    assert line.get_marker() == "o"


def test_ranking_is_drawn_best_first():
    scores = {"t1": Interval(-1, -1.2, -0.8, 9), "t2": Interval(1, 0.8, 1.2, 9)}
    figure = ranking_plot([RankedMeasure("C", scores, np.array([[0, 1.0], [1.0, 0]]))])
    dots, heat = figure.axes
    assert [label.get_text() for label in dots.get_yticklabels()] == ["t2", "t1"]
    np.testing.assert_array_equal(heat.images[0].get_array(), np.eye(2))


def test_ranking_of_one_patient_shows_no_probabilities():
    unknown = {"a": Interval(1, np.nan, np.nan, 1), "b": Interval(0, np.nan, np.nan, 1)}
    figure = ranking_plot([RankedMeasure("C", unknown, np.full((2, 2), np.nan), "harder to make")])
    assert len(figure.axes) == 1
    assert "score (higher is harder to make)" in words(figure)
    assert picture(figure, vector=True).data.startswith(b"<?xml")


def test_availability_counts_combinations():
    found = words(availability_plot([(["t1", "t2"], 5), (["t1"], 1), (["t1", "x"], 1), ([], 1)], ["t1", "t2"]))
    assert {"5", "2", "1", "7 (88%)", "5 (62%)"} <= set(found)
    with pytest.raises(ScanweaveError, match="studies"):
        availability_plot([], ["t1"])


def test_a_name_is_no_formula():
    costs = {"$5^$ a day": "higher"}
    picture(learning_curve([{"step": n, "split": "train", "$5^$ a day": n} for n in (1, 2)], costs), vector=True)


def test_metric_table_names_units_and_patients():
    rows = {
        ("t1",): {"psnr": Interval(28, 27, 29, 12)},
        ("t2",): {"psnr": Interval(27, 26, 28, 9), "x": Interval(1, 0, 2, 9)},
    }
    table = metric_table(rows, ("target",), "caption")
    assert list(table.rows[0]) == ["target", "PSNR [dB] ↑", "x", "patients"]
    assert [row["patients"] for row in table.rows] == [12, 9]
    assert table.rows[0]["x"] is None


def test_drawing_leaves_the_users_settings_alone(volume):
    with mpl.rc_context({"font.size": 31, "axes.facecolor": "red"}):
        figure = map_overlay(volume, volume, SPACING)
        assert mpl.rcParams["font.size"] == 31
        assert all(text.get_fontsize() < 20 for text in figure.findobj(Text))
