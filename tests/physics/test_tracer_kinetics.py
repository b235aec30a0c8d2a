"""Contrast agent in blood and tissue: against published points, a closed form and a numerical quadrature."""

import numpy as np
import pytest
from scipy.integrate import quad

from scanweave.physics.tracer_kinetics import (
    HEMATOCRIT,
    extended_tofts,
    parker_blood,
    parker_plasma,
    weinmann_plasma,
)

TIMES = np.array([0.0, 4.0, 11.0, 30.0, 60.0, 133.3, 300.0])
TISSUES = [(0.02, 0.3, 0.003), (0.3, 0.2, 0.0), (1.5, 0.4, 0.1)]


def test_parker_by_hand():
    # at 5 min only the slow part is left: 1.050 exp(−0.1685 · 5), its sigmoid at 1
    assert parker_blood(300.0) == pytest.approx(1.050 * np.exp(-0.8425), rel=1e-9)
    # at the middle of the first pass: A / (σ √2π) of it, and what the second pass and the slow part add
    first = 0.809 / (0.0563 * np.sqrt(2 * np.pi))
    second = 0.330 / (0.132 * np.sqrt(2 * np.pi)) * np.exp(-(((0.17046 - 0.365) / 0.132) ** 2) / 2)
    slow = 1.050 * np.exp(-0.1685 * 0.17046) / (1 + np.exp(-38.078 * (0.17046 - 0.483)))
    assert parker_blood(0.17046 * 60) == pytest.approx(first + second + slow)
    assert parker_plasma(300.0) == pytest.approx(parker_blood(300.0) / (1 - HEMATOCRIT))


def test_the_first_pass_is_the_peak():
    seconds = np.arange(0.0, 300.0, 0.5)
    assert seconds[parker_blood(seconds).argmax()] == pytest.approx(0.17046 * 60, abs=1.0)


def test_nothing_is_there_before_arrival():
    early = np.array([-30.0, -0.1])
    assert not parker_blood(early).any()
    assert not weinmann_plasma(early).any()
    assert not extended_tofts(early, parker_plasma, ktrans=0.3, ve=0.3, vp=0.1).any()


@pytest.mark.parametrize(("ktrans", "ve", "vp"), TISSUES)
def test_convolution_is_that_of_quadrature(ktrans, ve, vp):
    def integral(end):
        kept = lambda u: float(parker_plasma(u)) * np.exp(-ktrans / ve / 60 * (end - u))  # noqa: E731
        corners = [corner for corner in (5.0, 10.0, 15.0, 22.0, 29.0) if corner < end]
        return quad(kept, 0, end, points=corners or None, limit=500, epsabs=1e-11, epsrel=1e-10)[0]

    expected = [vp * float(parker_plasma(end)) + ktrans / 60 * integral(end) for end in TIMES]
    found = extended_tofts(TIMES, parker_plasma, ktrans=ktrans, ve=ve, vp=vp)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * max(expected))


@pytest.mark.parametrize(("ktrans", "ve", "vp"), TISSUES)
def test_two_exponentials_have_a_closed_form(ktrans, ve, vp):
    minutes, rate = TIMES / 60, ktrans / ve
    parts = [
        0.1 * a * (vp * np.exp(-m * minutes) + ktrans * (np.exp(-m * minutes) - np.exp(-rate * minutes)) / (rate - m))
        for a, m in ((3.99, 0.144), (4.78, 0.0111))
    ]
    found = extended_tofts(TIMES, weinmann_plasma, ktrans=ktrans, ve=ve, vp=vp)
    np.testing.assert_allclose(found, sum(parts), rtol=1e-6)


def test_error_falls_with_the_square_of_the_step():
    def at(step):
        return extended_tofts(TIMES, parker_plasma, ktrans=0.5, ve=0.3, vp=0.0, step=step)

    exact = at(0.02)
    coarse, fine = (np.abs(at(step) - exact).max() for step in (1.0, 0.25))
    assert coarse > 8 * fine


def test_all_tissues_at_once_are_each_alone():
    ktrans, ve, vp = np.array(TISSUES).T
    together = extended_tofts(TIMES, parker_plasma, ktrans=ktrans, ve=ve, vp=vp)
    assert together.shape == (3, TIMES.size)
    for row, tissue in zip(together, TISSUES, strict=True):
        alone = extended_tofts(TIMES, parker_plasma, ktrans=tissue[0], ve=tissue[1], vp=tissue[2])
        np.testing.assert_allclose(row, alone, rtol=1e-12)


def test_plasma_alone_is_a_vessel():
    found = extended_tofts(TIMES, parker_plasma, ktrans=0.0, ve=1.0, vp=1 - HEMATOCRIT)
    np.testing.assert_allclose(found, parker_blood(TIMES), rtol=1e-3)
