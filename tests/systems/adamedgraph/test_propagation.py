"""Propagation by prefix sums is that on the dense graph, and that of torch_geometric."""

import numpy as np
import pytest
import torch

from scanweave.systems.adamedgraph.intervals import candidate_thresholds, interval_graph, neighbours
from scanweave.systems.adamedgraph.propagation import GraphBatch, propagate

LEVELS = (0.5, 0.25, 0.125, 0.0625)


def columns(n=60):
    rng = np.random.default_rng(0)
    gaps = rng.normal(size=n)
    gaps[::7] = np.nan
    return {
        "continuous": rng.normal(size=n),
        "rounded": rng.normal(size=n).round(1),
        "zero-inflated": np.where(rng.random(n) < 0.6, 0, rng.exponential(size=n)),
        "categories": rng.integers(0, 3, n).astype(float),
        "gaps": gaps,
    }


def dense(column, threshold, mass):
    """D^-½ A W D^-½, from |f_i - f_j| ≤ θ itself."""
    near = np.abs(column[:, None] - column[None]) <= threshold
    np.fill_diagonal(near, True)
    degree = (near * mass).sum(1)
    return degree[:, None] ** -0.5 * near * mass * degree[None] ** -0.5


@pytest.mark.parametrize("name", columns())
@pytest.mark.parametrize("level", [0.5, 0.0625])
def test_equals_dense_propagation(name, level):
    column, rng = columns()[name], np.random.default_rng(1)
    mass = rng.integers(1, 3, len(column)).astype(float)
    found = candidate_thresholds(column, LEVELS, mass, categorical=name == "categories")
    threshold = found.get(level, min(found.values()))
    start = rng.normal(size=(1, 3, len(column)))
    graphs = GraphBatch.of([interval_graph(column, threshold, mass)])
    made = propagate(torch.from_numpy(start), graphs, torch.tensor([0.1], dtype=torch.float64), 5)[0].numpy().T
    wanted = own = start[0].T
    for _ in range(5):
        wanted = 0.9 * dense(column, threshold, mass) @ wanted + 0.1 * own
    np.testing.assert_allclose(made, wanted, atol=1e-12)


def test_equals_appnp_of_torch_geometric():
    layers = pytest.importorskip("torch_geometric.nn")
    column = columns()["rounded"]
    graph = interval_graph(column, 0.3)
    edges = torch.from_numpy(graph.edges())
    start = torch.from_numpy(np.random.default_rng(1).normal(size=(len(column), 4)))
    wanted = layers.APPNP(K=5, alpha=0.1)(start, edges[:, edges[0] != edges[1]])  # it adds the loops itself
    share = torch.tensor([0.1], dtype=torch.float64)
    made = propagate(start.T[None].contiguous(), GraphBatch.of([graph]), share, 5)[0].T
    assert (made - wanted).abs().max() < 1e-6


def test_gradient_is_that_of_finite_differences():
    column, mass = columns(12)["gaps"], np.arange(1.0, 13.0)
    graphs = GraphBatch.of([interval_graph(column, 0.4, mass), interval_graph(column, None, mass)])
    share = torch.tensor([0.2, 1.0], dtype=torch.float64)
    start = torch.from_numpy(np.random.default_rng(2).normal(size=(2, 2, 12))).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: propagate(values, graphs, share, 3), (start,), fast_mode=True)


def test_candidates_of_a_batch_do_not_touch_each_other():
    table = columns()
    graphs = [interval_graph(column, 0.3) for column in table.values()]
    start = torch.from_numpy(np.random.default_rng(3).normal(size=(len(graphs), 2, 60)))
    share = torch.linspace(0.1, 0.5, len(graphs), dtype=torch.float64)
    together = propagate(start, GraphBatch.of(graphs), share, 4)
    for i, graph in enumerate(graphs):
        alone = propagate(start[i : i + 1], GraphBatch.of([graph]), share[i : i + 1], 4)[0]
        torch.testing.assert_close(together[i], alone, atol=1e-12, rtol=0)


def test_who_is_a_neighbour_is_the_same_from_both_sides():
    values = np.round(np.arange(0, 5, 0.1), 1)  # differences that rounding makes unequal
    for threshold in (0.1, 0.3, 0.30000000000000004):
        low, high = neighbours(values, values, threshold)
        made = np.array(
            [(np.arange(len(values)) >= a) & (np.arange(len(values)) < b) for a, b in zip(low, high, strict=True)]
        )
        np.testing.assert_array_equal(made, np.abs(values[:, None] - values[None]) <= threshold)
        np.testing.assert_array_equal(made, made.T)


def test_patient_without_the_value_has_no_neighbour_but_itself():
    column = columns()["gaps"]
    graph = interval_graph(column, 10.0)
    there = ~np.isnan(column)
    assert set(graph.degree[graph.group[~there]]) == {1.0}
    assert set(graph.degree[graph.group[there]]) == {float(there.sum())}


class TestThresholds:
    """Fault 4 of the released code: a quantile of the values depends on where zero lies."""

    def test_do_not_depend_on_the_origin(self):
        column, mass = columns()["continuous"], np.ones(60)
        here, there = (candidate_thresholds(column + shift, LEVELS, mass) for shift in (0.0, -1000.0))
        np.testing.assert_allclose(list(here.values()), list(there.values()), rtol=1e-6)
        assert min(there.values()) > 0

    def test_published_rule_does_and_leaves_out_what_joins_nobody(self):
        column, mass = columns()["continuous"], np.ones(60)
        assert candidate_thresholds(column - 1000, LEVELS, mass, of_values=True) == {}

    def test_of_a_column_that_is_mostly_zero_join_more_than_equals(self):
        found = candidate_thresholds(columns()["zero-inflated"], LEVELS, np.ones(60))
        assert len(found) == 4
        assert min(found.values()) > 0

    def test_join_equals_in_categories_and_pairs_of_values(self):
        for column in (columns()["categories"], np.tile([0.0, 1.0], 30)):
            found = candidate_thresholds(column, LEVELS, np.ones(60), categorical=True)
            assert found == {0.0: 0.0}

    @pytest.mark.parametrize("column", [np.full(60, 2.0), np.full(60, np.nan)])
    def test_there_are_none_where_nothing_differs(self, column):
        assert candidate_thresholds(column, LEVELS, np.ones(60)) == {}

    def test_are_quantiles_of_differences(self):
        column = columns()["continuous"]
        first, second = np.triu_indices(60, 1)
        wanted = np.quantile(np.abs(column[first] - column[second]), 0.25, method="inverted_cdf")
        assert candidate_thresholds(column, (0.25,), np.ones(60))[0.25] == pytest.approx(wanted)

    def test_large_table_is_sketched_closely(self):
        column = np.random.default_rng(5).normal(size=20_000)
        found = candidate_thresholds(column, (0.5,), np.ones(len(column)))[0.5]
        assert found == pytest.approx(2**0.5 * 0.6745, rel=0.02)  # of the difference of two standard normals

    def test_weight_two_is_two_patients(self):
        column, mass = columns()["rounded"], np.random.default_rng(6).integers(1, 4, 60)
        weighted = candidate_thresholds(column, LEVELS, mass.astype(float))
        repeated = candidate_thresholds(np.repeat(column, mass), LEVELS, np.ones(mass.sum()))
        assert weighted == pytest.approx(repeated)
