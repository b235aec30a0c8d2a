"""Exchanged names are found by comparison with all other studies, in time that grows with their number."""

from __future__ import annotations

import time

import numpy as np

from scanweave.studies.checks.swapped_names import Profile, _Others, swapped

NAMES = ("t1", "t2", "flair")
CENTRES = {"t1": 0.2, "t2": 0.5, "flair": 0.8}


def profiles(count, seed=0):
    draw = np.random.default_rng(seed)
    pairs = {"t1|t2": -0.5, "flair|t1": 0.3, "flair|t2": 0.6}
    return [
        Profile(
            {n: [float(CENTRES[n] + 0.03 * i + draw.normal(0, 0.02)) for i in range(5)] for n in NAMES},
            {pair: float(value + draw.normal(0, 0.03)) for pair, value in pairs.items()},
        )
        for _ in range(count)
    ]


def exchanged(own):
    rename = {"t1": "t2", "t2": "t1", "flair": "flair"}
    return Profile(
        {rename[n]: q for n, q in own.quantiles.items()},
        {"t1|t2": own.pairs["t1|t2"], "flair|t1": own.pairs["flair|t2"], "flair|t2": own.pairs["flair|t1"]},
    )


def test_each_study_is_compared_with_all_but_itself():
    """The quick way gives the median and the spread that leaving the study out gives."""
    draw = np.random.default_rng(1)
    for count in (5, 6, 9, 10):
        values = np.round(draw.normal(size=count), 1)  # with ties
        for i, own in enumerate(values):
            others = np.delete(values, i)
            middle = np.median(others)
            spread = 1.4826 * np.median(np.abs(others - middle))
            np.testing.assert_allclose(_Others(list(values)).but(float(own)), (middle, spread), rtol=1e-12)


def test_the_exchanged_one_of_many_is_found_soon():
    many = profiles(3000)
    many[1234] = exchanged(many[1234])
    started = time.process_time()  # of this process: what else the machine does is no fault
    found = swapped(many)
    assert time.process_time() - started < 60  # comparing each with each took ten minutes
    assert [i for i, finding in enumerate(found) if finding] == [1234]
    assert found[1234].words == "t1 and t2 look exchanged"
