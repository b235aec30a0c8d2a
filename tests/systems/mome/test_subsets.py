"""Contributions of modalities to the AUROC: by hand, and their intervals against the spread over samples."""

from itertools import permutations

import numpy as np
import pytest
from tiny_network import make_plan

from scanweave.framework.classification.tried import Tried
from scanweave.measures.classification import auroc
from scanweave.systems.mome.subsets import area_contributions, mask_of

NAMES = ("first", "second", "sham")


def plan():
    return make_plan().model_copy(update={"outputs": ("0", "1"), "shares": (0.5, 0.5)})


def drawn(rng, patients=80, lacking=0):
    """Log-odds from every subset of three modalities, of which the last tells nothing; some patients lack one."""
    truth = np.arange(patients) % 2
    signals = rng.standard_normal((patients, 3)) + np.array([1.2, 0.6, 0.0]) * truth[:, None]
    values = np.full((patients, 8, 2), np.nan)
    for mask in range(1, 8):
        there = np.array([mask >> n & 1 for n in range(2)])
        values[:, mask, 1] = signals[:, :2] @ there if there.any() else 0.01 * signals[:, 2]
    values[:lacking, [mask for mask in range(8) if mask & 1]] = np.nan
    names = [f"p{n}" for n in range(patients)]
    return values, Tried(names, names, truth[:, None].astype(float), np.zeros((patients, 2)), [])


def test_contributions_are_the_means_over_all_orders():
    values, tried = drawn(np.random.default_rng(0), lacking=7)
    found = area_contributions(values, tried, NAMES, plan()).set_index("modality")
    positive, complete = tried.answers[7:, 0] > 0, values[7:, :, 1]
    area = {mask: auroc(positive, complete[:, mask]) for mask in range(1, 8)} | {0: 0.5}
    one, two, sham = (mask_of((name,), NAMES) for name in NAMES)
    orders = list(permutations((one, two, sham)))
    for name, player in zip(NAMES, (one, two, sham), strict=True):
        before = [sum(order[: order.index(player)]) for order in orders]
        by_hand = np.mean([area[mask | player] - area[mask] for mask in before])
        assert found.loc[name, "contribution"] == pytest.approx(by_hand, abs=1e-12)
    assert found["contribution"].sum() == pytest.approx(area[7] - 0.5, abs=1e-12)
    assert (found["patients"] == 73).all()
    assert (found["output"] == "1").all()


def test_intervals_are_as_wide_as_contributions_spread_over_samples():
    rng = np.random.default_rng(1)
    tables = [area_contributions(*drawn(rng), NAMES, plan()) for _ in range(200)]
    spread = np.std([table["contribution"] for table in tables], axis=0)
    told = np.mean([table["high"] - table["low"] for table in tables], axis=0) / (2 * 1.96)
    np.testing.assert_allclose(told, spread, rtol=0.15)


def test_an_output_of_which_one_side_is_one_patient_is_left_out():
    values, tried = drawn(np.random.default_rng(2))
    tried.answers[:] = 0
    tried.answers[0] = 1
    assert area_contributions(values, tried, NAMES, plan()).empty
