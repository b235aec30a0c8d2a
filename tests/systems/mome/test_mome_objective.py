"""The answer and its loss: what each modality tells by itself, and what all tell together."""

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


def test_small_begins_from_evidence_and_paper_does_not():
    assert SMALL.network.evidence > 0
    assert PAPER.network.evidence == 0
    plan = make_plan()
    assert len(make_network(plan).evidence) == 0
    assert len(make_network(plan, evidence=0.5).evidence) == len(plan.modalities)


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_the_loss_adds_what_each_modality_of_each_sample_answers_by_itself(weight):
    plan = make_plan()
    network = make_network(plan, evidence=weight)

    def added_by(number, names):
        """Return the share of some modalities by themselves in the loss of one sample, over the weight."""
        one = make_study(number, plan).only(names)
        truth = torch.tensor([[float(number)]])
        told = objective(network)({**batch_of([one], plan, InputSettings()), "answer": truth, "known": truth > -1})
        return (told["loss"] - told["joint"]).item() / weight

    whole = batch(plan)
    found = objective(network)(whole)
    plain = F.cross_entropy(network(whole), whole["answer"][:, 0].long())
    assert found["joint"].item() == pytest.approx(plain.item(), abs=1e-5)
    alone = [[added_by(number, (name,)) for name in names] for number, names in enumerate(SHOWN)]
    assert min(map(min, alone)) > 0
    assert added_by(0, SHOWN[0]) == pytest.approx(sum(alone[0]), abs=1e-5)  # whatever else the sample shows
    added = (found["loss"] - found["joint"]).item()
    assert added == pytest.approx(weight * sum(map(sum, alone)) / len(SHOWN), abs=1e-5)


def test_the_answer_is_the_prevalence_what_each_modality_tells_and_what_all_tell_together():
    plan = make_plan()
    network = make_network(plan, evidence=0.5)
    study = make_study(0, plan)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.zero_()
        prior = torch.tensor(plan.shares).log()
        each = [answers(network, [study.only([name])]) - prior for name in plan.modalities]
        torch.testing.assert_close(answers(network, [study]), prior + sum(each), rtol=0, atol=1e-5)
        for parameter in network.evidence.parameters():
            parameter.zero_()
        torch.testing.assert_close(answers(network, [study])[0], prior, rtol=0, atol=1e-6)


def test_the_evidence_of_what_is_shown_learns_and_no_other():
    plan = make_plan()
    network = make_network(plan, evidence=0.5)
    objective(network)(batch(plan, [("t2", "table")]))["loss"].backward()
    learning = {plan.modalities[int(name)] for name, one in network.evidence.items() if one[1].weight.grad is not None}
    assert learning == {"t2", "table"}
