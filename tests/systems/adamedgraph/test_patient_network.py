"""Pictures of who is like whom use their room: groups stand beside each other, and one stray value squeezes nobody."""

from collections import Counter

import numpy as np
from matplotlib.collections import PathCollection

from scanweave.systems.adamedgraph.figures import patient_graph, patient_network


def groups(sizes):
    group = np.repeat(np.arange(len(sizes)), sizes)
    return group, (group[:, None] == group[None]).astype(float)


def test_groups_that_nothing_joins_stand_beside_each_other_and_fill_the_picture():
    group, likeness = groups([30, 30, 30, 1, 2])
    [axes] = patient_network(likeness, np.zeros(len(group), dtype=int), ["all"]).axes
    [places] = [np.asarray(one.get_offsets()) for one in axes.collections if isinstance(one, PathCollection)]
    boxes = [(places[group == one].min(0), places[group == one].max(0)) for one in range(5)]
    for number, (low, high) in enumerate(boxes):
        assert all((high < other[0]).any() or (other[1] < low).any() for other in boxes[:number])
    covered = sum(np.prod(high - low) for low, high in boxes)
    assert covered > 0.35 * np.prod(np.ptp(places, axis=0))


def test_patients_who_are_all_alike_are_not_all_joined_to_the_first():
    group, likeness = groups([60])
    [axes] = patient_network(likeness, group, ["all"]).axes
    lines = axes.collections[0].get_segments()
    ends = Counter(tuple(end) for line in lines for end in line.tolist())
    assert 3 <= np.mean(list(ends.values())) <= 6
    assert max(ends.values()) < 15


def test_a_stray_value_does_not_squeeze_the_others_and_is_told():
    values = np.append(np.random.default_rng(0).normal(4, 1, 200), 900.0)
    [axes] = patient_graph(values - 4, np.zeros(201, dtype=int), ["all"], "albumin", 0.1).axes
    low, high = axes.get_xlim()
    assert -10 < low < -2 < 2 < high < 10
    assert axes.get_xlabel() == "albumin (1 patient beyond)"
    [axes] = patient_graph(values[:-1] - 4, np.zeros(200, dtype=int), ["all"], "albumin", 0.1).axes
    assert axes.get_xlabel() == "albumin"
