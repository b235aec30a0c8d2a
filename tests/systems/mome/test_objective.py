"""The loss: the joint answer, and what each modality answers by itself from a head of its own."""

import pytest
import torch
from tiny_network import answers, make_network, make_plan, make_study
from torch.nn import functional as F

from scanweave.framework.classification.settings import LossSettings
from scanweave.systems.mome.config import PAPER, SMALL, InputSettings
from scanweave.systems.mome.inputs import batch_of
from scanweave.systems.mome.objective import MomeObjective

SHOWN = (("dce", "t2", "film", "table"), ("t2",), ("dce", "table"))


def batch(plan, shown=SHOWN):
    studies = [make_study(n, plan).only(names) for n, names in enumerate(shown)]
    truth = torch.tensor([[0.0], [1.0], [2.0]])[: len(studies)]
    return {**batch_of(studies, plan, InputSettings()), "answer": truth, "known": torch.ones_like(truth).bool()}


def objective(network):
    return MomeObjective(network, "classes", network.plan.shares, LossSettings())


def test_small_has_helpers_and_paper_has_none():
    assert SMALL.network.helpers > 0
    assert PAPER.network.helpers == 0
    plan = make_plan()
    assert len(make_network(plan).helpers) == 0
    assert len(make_network(plan, helpers=0.5).helpers) == len(plan.modalities)


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_the_loss_adds_what_each_modality_of_each_sample_answers_by_itself(weight):
    plan = make_plan()
    network = make_network(plan, helpers=weight)

    def helped(number, names):
        """What the helpers of some modalities add to the loss of one sample, over the weight."""
        one = make_study(number, plan).only(names)
        truth = torch.tensor([[float(number)]])
        told = objective(network)({**batch_of([one], plan, InputSettings()), "answer": truth, "known": truth > -1})
        return (told["loss"] - told["joint"]).item() / weight

    whole = batch(plan)
    found = objective(network)(whole)
    plain = F.cross_entropy(network(whole), whole["answer"][:, 0].long())
    assert found["joint"].item() == pytest.approx(plain.item(), abs=1e-5)
    alone = [[helped(number, (name,)) for name in names] for number, names in enumerate(SHOWN)]
    assert min(map(min, alone)) > 0
    assert helped(0, SHOWN[0]) == pytest.approx(sum(alone[0]), abs=1e-5)  # whatever else the sample shows
    added = (found["loss"] - found["joint"]).item()
    assert added == pytest.approx(weight * sum(map(sum, alone)) / len(SHOWN), abs=1e-5)


def test_every_helper_of_a_modality_that_is_shown_learns_and_none_changes_an_answer():
    plan = make_plan()
    network = make_network(plan, helpers=0.5)
    objective(network)(batch(plan, [("t2", "table")]))["loss"].backward()
    learning = {plan.modalities[int(name)] for name, one in network.helpers.items() if one[1].weight.grad is not None}
    assert learning == {"t2", "table"}
    study = make_study(0, plan)
    before = answers(network, [study])
    with torch.no_grad():
        for parameter in network.helpers.parameters():
            parameter.add_(1.0)
    assert torch.equal(answers(network, [study]), before)
