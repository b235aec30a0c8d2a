"""An explanation agrees with the answer: what it names adds up to it, and what decides is shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from scanweave.systems.adamedgraph import explanation
from scanweave.systems.adamedgraph.attribution import Effects, joined, pull, value_effects, voices
from scanweave.systems.adamedgraph.classifier import AdaMedGraphClassifier
from scanweave.systems.adamedgraph.page_choice import choose_pages
from scanweave.systems.adamedgraph.similar import Neighbour, Similar, most_similar


def patients(n=160, seed=0):
    """Age decides who dies; half are treated, which changes nothing."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(30, 90, n).round(1)
    table = pd.DataFrame({"age": age, "treated": rng.choice(["no", "yes"], n), "noise": rng.normal(size=n).round(2)})
    table.loc[::11, "noise"] = np.nan
    return table, np.where(age + rng.normal(0, 6, n) > 60, "dead", "alive")


@pytest.fixture(scope="module")
def ensemble():
    options = {"rounds": 3, "hidden": 8, "epochs": 60, "finalists": 4, "random_state": 0}
    return AdaMedGraphClassifier(**options).fit(*patients()).ensemble_


@pytest.fixture(scope="module")
def rows(ensemble):
    return ensemble.columns.matrix(patients(12, seed=1)[0])


def nobody(ensemble):
    return np.zeros(len(ensemble.nodes.mass), bool)


def test_values_add_up_to_the_answer(ensemble, rows):
    for row in rows[:3]:
        answer = ensemble.probabilities(row[None])[0, 1]
        found = value_effects(ensemble, row, 1, draws=8)
        assert found.end == pytest.approx(answer, abs=1e-9)
        assert found.start + found.of.sum() == pytest.approx(answer, abs=1e-9)
        assert 0.2 < found.start < 0.8


def test_what_decides_has_the_largest_effect(ensemble, rows):
    """And it has the sign that it should: the old die."""
    age = ensemble.columns.names.index("age")
    for row in rows:
        if abs(row[age] - 60) > 15:
            effects = value_effects(ensemble, row, 1).of
            assert np.abs(effects).argmax() == age
            assert (effects[age] > 0) == (row[age] > 60)


def test_a_column_that_nothing_reads_has_no_effect(ensemble, rows):
    wide = replace(
        ensemble.columns, names=(*ensemble.columns.names, "unread"), categories=(*ensemble.columns.categories, None)
    )
    more = replace(
        ensemble, columns=wide, nodes=replace(ensemble.nodes, matrix=np.c_[ensemble.nodes.matrix, ensemble.nodes.mass])
    )
    found = value_effects(more, np.append(rows[0], 5.0), 1, draws=4)
    assert found.of[-1] == 0
    assert np.abs(found.of[:-1]).max() > 0.01


def test_what_graphs_say_adds_up_to_the_answer(ensemble, rows):
    for row in rows[:3]:
        heard = voices(ensemble, row, nobody(ensemble))
        joint = sum(one.share * one.says for one in heard)
        assert sum(one.share for one in heard) == pytest.approx(1)
        cooled = softmax(np.log(joint) / ensemble.temperature)
        np.testing.assert_allclose(cooled, ensemble.probabilities(row[None])[0], atol=1e-9)


def test_shares_of_a_running_mean_are_what_it_leaves(ensemble):
    votes = ensemble.votes
    running = replace(ensemble, settings=ensemble.settings.model_copy(update={"voting": "running"}))
    value, kept = np.zeros(len(votes)), np.cumsum(votes)
    for number, one in enumerate(np.eye(len(votes))):
        for step, vote in enumerate(votes):
            value[number] = (value[number] + vote * one[step]) / kept[step]
    np.testing.assert_allclose(running.vote_shares, value / value.sum())
    np.testing.assert_allclose(ensemble.vote_shares, votes / votes.sum())


def test_pull_is_what_the_propagation_multiplies_by(ensemble, rows):
    """With every state at 1 a new patient receives the sum of the factors; with those of the others at 0, its own."""
    nodes = ensemble.nodes
    for learner in ensemble.learners:
        if learner.choice.feature is None:
            continue
        graph = learner.choice.graph(nodes.matrix, nodes.mass)
        scaled = np.bincount(graph.group, nodes.mass * graph.degree[graph.group] ** -0.5)[: len(graph.values)]
        carried = np.broadcast_to(np.append(0, np.cumsum(scaled)), (1, learner.steps, len(graph.values) + 1))
        ones = replace(learner, carried=carried, weights=lambda inputs: torch.ones(1, 1, inputs.shape[1]).double())
        alone = replace(ones, carried=np.zeros_like(carried))
        for row in rows[:4]:
            whole, own = (float(one.new_logits(row[None], np.zeros((1, 1)))[0, 0]) for one in (ones, alone))
            found, weights = pull(learner, nodes, joined(learner.choice, nodes, row))
            assert found == pytest.approx(own / whole)
            assert found + weights.sum() == pytest.approx(1)


def test_weights_are_of_all_graphs_and_leave_out_the_patient_itself(ensemble):
    row = ensemble.nodes.matrix[3]
    itself = np.arange(len(ensemble.nodes.mass)) == 3
    found = most_similar(ensemble, row, voices(ensemble, row, itself), 400)
    assert 3 not in {one.node for one in found.listed}
    assert len(found.listed) == found.neighbours
    assert sum(one.weight for one in found.listed) + found.own == pytest.approx(1)
    assert found.by_class.sum() == pytest.approx(1)
    weights = [one.weight for one in found.listed]
    assert weights == sorted(weights, reverse=True) or np.diff(weights).max() < 1e-12
    stranger = most_similar(ensemble, row, voices(ensemble, row, nobody(ensemble)), 400)
    assert stranger.own < found.own


def test_ties_are_counted(ensemble):
    """In a graph of a binary column all who are alike have one weight."""
    place = ensemble.columns.names.index("treated")
    learner = replace(ensemble.learners[0], choice=replace(ensemble.learners[0].choice, feature=place, threshold=0.0))
    graph = learner.choice.graph(ensemble.nodes.matrix, ensemble.nodes.mass)
    learner = replace(
        learner,
        values=graph.values,
        mass_before=np.append(0, np.cumsum(graph.group_mass)),
        carried=np.zeros((2, learner.steps, len(graph.values) + 1)),
        vote=1.0,
    )
    one = replace(ensemble, learners=(learner,))
    row = one.nodes.matrix[0]
    alike = int((one.nodes.matrix[:, place] == row[place]).sum())
    found = most_similar(one, row, voices(one, row, nobody(one)), 15)
    assert (found.neighbours, found.tied) == (alike, alike - 15)
    assert explanation.ties_of(found, 8) == alike - 8
    nearest = np.sqrt(((one.nodes.inputs - one.nodes.inputs[0]) ** 2).mean(1))
    assert nearest[found.listed[0].node] == 0  # of equal weight those whose variables are nearest come first


def test_ties_below_what_is_drawn_are_counted_from_there():
    listed = tuple(Neighbour(i, weight, 1.0, (), 0) for i, weight in enumerate([0.3, 0.1, 0.1, 0.05]))
    found = Similar(listed, 7, 11, np.array([1.0, 0.0]), 0.45)
    assert [explanation.ties_of(found, shown) for shown in (1, 2, 3, 4, 0, 9)] == [0, 1, 0, 7, 0, 0]


@pytest.mark.parametrize("dead", [0.15, 0.6])
def test_neighbours_who_had_another_outcome_are_told(dead):
    listed = (Neighbour(0, 0.2, 1.0, ("treated",), 0),)
    found = Similar(listed, 7, 8, np.array([1 - dead, dead]), 0.4)
    lines = explanation.weight_words(["alive", "dead"], found, "dead", Effects(0.41, np.array([0.41]), 0.82))
    shares = "alive 85%, dead 15%" if dead < 0.5 else "dead 60%, alive 40%"
    assert lines[0] == f"Weight: own values 40%, 8 neighbours 60%; by their weight: {shares}."
    disagree = [line for line in lines if line.startswith("Most of that weight had alive")]
    assert [line.endswith("take dead from 0.41 to 0.82.") for line in disagree] == [True] * (dead < 0.5)
    assert lines[-1] == "7 more patients have the weight of the last one below."
    alone = Similar((), 0, 0, np.zeros(2), 1.0)
    assert (
        "own values alone" in explanation.weight_words(["alive", "dead"], alone, "dead", Effects(0.4, np.ones(1), 1))[0]
    )


def test_typical_and_extreme_patients_get_pages():
    dead = np.array([0.55, 0.7, 0.8, 0.9, 0.99, 0.45, 0.3, 0.1, 0.02, 0.51])
    shares, truths = np.stack([1 - dead, dead], axis=1), np.array([1, 1, 1, 1, 1, 0, 0, 1, 0, -1])
    chosen = choose_pages(shares, truths, ["alive", "dead"], 5)
    assert list(chosen.items()) == [
        (1, "typical of the 6 answered dead"),
        (4, "the surest answer"),
        (6, "typical of the 4 answered alive"),
        (7, "the answer furthest from what became of it"),
        (9, "the answer most in doubt"),
    ]
    assert len(choose_pages(shares, truths, ["alive", "dead"], 99)) == len(dead)
    assert choose_pages(shares, truths, ["alive", "dead"], 0) == {}
    assert choose_pages(shares[:0], truths[:0], ["alive", "dead"], 4) == {}
    unknown = choose_pages(shares, np.full(10, -1), ["alive", "dead"], 10)
    assert not any("became" in why for why in unknown.values())
