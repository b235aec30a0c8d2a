from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Text

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.calibration import reliability
from scanweave.measures.decision_curve import decision_curve
from scanweave.report.calibration_plot import reliability_diagram
from scanweave.report.confusion import confusion_plot
from scanweave.report.decision_plot import decision_plot
from scanweave.report.froc_plot import froc_plot
from scanweave.report.roc import roc_plot

POSITIVE = np.array([0, 0, 1, 1, 0, 1], dtype=bool)
SCORES = np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.9])


def words(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_reliability_shows_shares_and_counts():
    bins = reliability(POSITIVE, SCORES, 2)
    above, below = reliability_diagram({"effusion": bins}).axes
    line = above.containers[0].lines[0]
    assert line.get_xydata() == pytest.approx(np.array([[1.05 / 4, 1 / 4], [0.85, 1.0]]))
    assert [bar.get_height() for bar in below.patches] == [4, 2]


def test_roc_says_areas_and_marks_thresholds():
    area = Interval(0.8889, 0.5, 0.98, 6)
    figure = roc_plot({"effusion": (POSITIVE, SCORES)}, {"effusion": area}, {"effusion": 0.35})
    assert "effusion: 0.889 [0.500, 0.980]" in words(figure)
    ring = figure.axes[0].lines[-1]
    assert ring.get_xydata() == pytest.approx(np.array([[1 / 3, 1.0]]))  # 0.4 is called too
    with pytest.raises(ScanweaveError, match="one class"):
        roc_plot({"effusion": (POSITIVE | True, SCORES)})


def test_confusion_has_numbers_shares_and_names():
    found = words(confusion_plot([[30, 10], [0, 5]], ["normal", "a very long name of a class, 2"]))
    assert {"30\n75%", "10\n25%", "0", "5\n100%", "normal\n(n = 40)"} <= set(found)
    assert "a very l…class, 2" in found  # the end tells such names apart
    with pytest.raises(ScanweaveError, match="2 classes"):
        confusion_plot([[1]], ["a", "b"])


def test_confusion_of_an_absent_class():
    assert "absent\n(n = 0)" in words(confusion_plot([[3, 0], [0, 0]], ["normal", "absent"]))


def test_froc_is_drawn_over_the_rates_that_are_read():
    rates, found = np.array([0, 0, 0.5, 20]), np.array([0, 0.2, 0.6, 1.0])
    figure = froc_plot({"detector": (rates, found)}, {"detector": [(0.5, Interval(0.6, 0.4, 0.7, 9))]})
    line = figure.axes[0].lines[0].get_xydata()
    assert (line[0, 0], line[-1, 0]) == (0.125, 8)
    assert line[line[:, 0] == 0.5, 1] == pytest.approx([0.6])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()][::3] == ["1/8", "1", "8"]


def test_decision_curve_has_its_three_ways():
    shares = np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.9])
    points = decision_curve(POSITIVE, shares, list(range(6)), [0.1, 0.3, 0.5], seed=0, repeats=20)
    assert {"by the model", "all", "nobody", "Acting on 'effusion'"} <= set(words(decision_plot(points, "effusion")))
