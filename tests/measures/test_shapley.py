from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.measures.shapley import shapley_shares, shapley_values


def game(players, worth):
    """Return the values of all subsets by bit mask; `worth` takes the set of players."""
    return np.array([worth({i for i in range(players) if mask >> i & 1}) for mask in range(2**players)], float)


def by_orders(values, players):
    """Shapley's definition: the mean of what each adds over all orders of the players who take part."""
    added = np.full(int(np.log2(len(values))), np.nan)
    added[players] = 0
    orders = list(permutations(players))
    for order in orders:
        mask = 0
        for player in order:
            added[player] += (values[mask | 1 << player] - values[mask]) / len(orders)
            mask |= 1 << player
    return added


def test_what_all_orders_give():
    values = np.random.default_rng(0).normal(size=(3, 32))
    assert shapley_values(values) == pytest.approx(np.array([by_orders(row, range(5)) for row in values]), abs=1e-12)


@pytest.mark.parametrize("players", [1, 2, 4, 12])
def test_they_add_up(players):
    values = 10 * np.random.default_rng(players).normal(size=(20, 2**players))
    assert shapley_values(values).sum(axis=1) == pytest.approx(values[:, -1] - values[:, 0], abs=1e-12)


def test_known_games():
    """Of additive games, of the glove game (1 left glove, 2 right ones), of unanimity and of the UN council."""
    own = np.array([3.0, -1.0, 0.5])
    assert shapley_values(game(3, lambda s: own[list(s)].sum() + 7)) == pytest.approx(own)
    gloves = game(3, lambda s: 0 in s and bool(s & {1, 2}))
    assert shapley_values(gloves) == pytest.approx([2 / 3, 1 / 6, 1 / 6])
    assert shapley_values(game(4, lambda s: {0, 2, 3} <= s)) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    council = game(11, lambda s: set(range(5)) <= s and len(s) >= 7)
    found = shapley_values(council)
    assert found[:5].sum() == pytest.approx(0.987, abs=5e-4)  # Shapley & Shubik 1954, of the council of then
    assert found[5:] == pytest.approx(1 / 462)  # seventh, after all five and one other: 5 · 6! · 4! / 11!


def test_who_changes_nothing_has_exactly_nothing_and_equals_get_the_same():
    rng = np.random.default_rng(1)
    without = rng.normal(size=(6, 8))
    values = np.stack([without, without], axis=2).reshape(6, 16)  # player 0 changes nothing
    assert (shapley_values(values)[:, 0] == 0).all()
    assert shapley_values(values)[:, 1:] == pytest.approx(shapley_values(without))
    by_size = rng.normal(size=5)
    assert shapley_values(game(4, lambda s: by_size[len(s)])) == pytest.approx(
        np.full(4, (by_size[4] - by_size[0]) / 4)
    )


def test_the_absent_take_no_part():
    rng = np.random.default_rng(2)
    values, present = (
        rng.normal(size=(5, 16)),
        np.array([[1, 1, 0, 1], [0, 1, 0, 0], [1, 0, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1]]),
    )
    expected = np.array([by_orders(row, np.flatnonzero(there)) for row, there in zip(values, present, strict=True)])
    needed = (np.arange(16) & ~(present << np.arange(4)).sum(axis=1)[:, None]) == 0
    found = shapley_values(np.where(needed, values, np.nan), present)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert np.isnan(found[1]).tolist() == [True, False, True, True]
    np.testing.assert_allclose(shapley_values(values, present[0])[1], by_orders(values[1], [0, 1, 3]), atol=1e-12)
    np.testing.assert_allclose(shapley_values(values[0], present)[4], by_orders(values[0], [2, 3]), atol=1e-12)


def test_a_mapping_says_the_same():
    values = np.random.default_rng(3).normal(size=(5, 8))
    assert (shapley_values(dict(enumerate(values.T))) == shapley_values(values)).all()
    assert (shapley_values(dict(enumerate(values[0]))) == shapley_values(values[0])).all()
    one_prior = {0: -1.0, 1: values[:, 1], 2: values[:, 2], 3: values[:, 3]}
    assert shapley_values(one_prior).sum(axis=1) == pytest.approx(values[:, 3] + 1)
    alone = shapley_values({0: 0.5, 2: 0.8}, [False, True])
    np.testing.assert_allclose(alone, [np.nan, 0.3])


def test_shares_are_of_the_absolute_values_of_who_is_present():
    np.testing.assert_allclose(
        shapley_shares([[1.0, -3.0, np.nan], [0.0, 2.0, 2.0]]), [[0.25, 0.75, np.nan], [0, 0.5, 0.5]]
    )
    assert np.isnan(shapley_shares([0.0, 0.0])).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: shapley_values(np.zeros(6)), "of shape"),
        (lambda: shapley_values([1.0]), "of shape"),
        (lambda: shapley_values([0, 1, np.nan, 2]), "subset 2 is not finite"),
        (lambda: shapley_values({0: 0, 3: 1, 1: 2}), "subset 2 is not finite"),
        (lambda: shapley_values({0: 0, 9: 1}, [1, 1]), "outside 0 to 3"),
        (lambda: shapley_values({}), "of shape"),
        (lambda: shapley_values({0: [0, 1], 1: [0, 1, 2]}), "differ in length"),
        (lambda: shapley_values(np.zeros((2, 4)), [[1, 1], [0, 0]]), "nobody takes part"),
        (lambda: shapley_values(np.zeros((2, 4)), [1, 1, 1]), "present: of shape"),
        (lambda: shapley_values(np.zeros((2, 4)), np.ones((3, 2))), "present: of shape"),
        (lambda: shapley_values(np.zeros(4), [1, 0.5]), "true or false"),
    ],
)
def test_faults(call, words):
    with pytest.raises(ScanweaveError, match=words):
        call()
