import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.physics.spectral.logarithm import Fault, line_integrals

AIR = np.array([1000.0, 500.0])


@pytest.fixture
def counts():
    """Two bins, three views, five elements, all with the line integral 1."""
    return AIR[:, None, None] * np.exp(-1) * np.ones((2, 3, 5))


@pytest.mark.parametrize("air", [AIR, np.tile(AIR[:, None], 5), np.tile(AIR[:, None, None], (1, 3, 5))])
def test_logarithm_undoes_the_exponential(counts, air):
    logged = line_integrals(counts, air)
    np.testing.assert_allclose(logged.values, 1, rtol=1e-6)
    assert not logged.faults.any()


def test_zero_counts_are_taken_as_the_floor_and_flagged(counts):
    counts[0, 1, 2] = 0
    counts[1, 2, 3] = -7
    logged = line_integrals(counts, AIR, floor=0.5)
    assert logged.values[0, 1, 2] == pytest.approx(np.log(1000 / 0.5))
    assert logged.values[1, 2, 3] == pytest.approx(np.log(500 / 0.5))
    assert (logged.faults == Fault.DARK).sum() == 2
    np.testing.assert_allclose(logged.share(Fault.DARK), 1 / 15)


def test_dead_elements_are_refused_or_interpolated(counts):
    counts *= np.exp(-np.arange(5.0))
    counts[1, 0, 2] = counts[1, 0, 4] = np.nan
    with pytest.raises(ScanweaveError, match="first at bin 1, view 0, detector 2"):
        line_integrals(counts, AIR)
    logged = line_integrals(counts, AIR, dead="interpolate")
    np.testing.assert_allclose(logged.values[1, 0], [1, 2, 3, 4, 4], rtol=1e-6)
    assert np.argwhere(logged.faults == Fault.DEAD).tolist() == [[1, 0, 2], [1, 0, 4]]


def test_saturation_is_told_for_each_bin(counts):
    counts[0, 0, 0] = 950
    counts[1, 0, 0] = 450
    flags = line_integrals(counts, AIR, limit=[900, 460]).faults
    assert np.argwhere(flags == Fault.SATURATED).tolist() == [[0, 0, 0]]


def _with(counts, place, value):
    counts[place] = value
    return counts


@pytest.mark.parametrize(
    ("break_counts", "air", "says"),
    [
        (lambda c: _with(c, (0, 1, 1), np.inf), AIR, "infinite"),
        (lambda c: _with(c, (1,), 0), AIR, "bin 1 saw no photon"),
        (lambda c: _with(c, (slice(None), 2), 0), AIR, "view 2 saw no photon"),
        (lambda c: c[0], AIR, r"shape \(3, 5\)"),
        (lambda c: c, AIR[:1], "fit counts"),
        (lambda c: c, np.ones((2, 4)), "fit counts"),
        (lambda c: c, [1000, 0], "bin 1 has none"),
        (lambda c: c, [1000, np.nan], "bin 1 has none"),
    ],
)
def test_bad_readings_are_one_line(counts, break_counts, air, says):
    with pytest.raises(ScanweaveError, match=says) as caught:
        line_integrals(break_counts(counts), air)
    assert "\n" not in str(caught.value)


def test_a_view_that_is_dead_as_a_whole_is_refused(counts):
    counts[1, 2] = np.nan
    with pytest.raises(ScanweaveError, match="view 2 of bin 1"):
        line_integrals(counts, AIR, dead="interpolate")
