"""Not a bit of an answer depends on what a study lacks, on the order of its modalities, or on others in the batch."""

import itertools

import numpy as np
import pytest
import torch
from float_bounds import float32_bound
from tiny_network import answers, make_network, make_plan, make_study

from scanweave.errors import ScanweaveError
from scanweave.systems.mome.config import InputSettings
from scanweave.systems.mome.inputs import StudyInput, batch_of

FORMS = {
    "experts": {},
    "one adapter": {"experts": 0},
    "sparse layers alone but one": {"sparse_layers": 3, "soft_layers": 1},
    "joint layers alone": {"sparse_layers": 0},
    "evidence": {"evidence": 0.5},
    "instance norm": {"stem_norm": "instance", "stride": 16},
    "learned": {"absent": "learned"},
    "zeros": {"absent": "zeros"},
    "mean": {"absent": "mean"},
}


def spoiled(study, names):
    """The same study with other numbers in some modalities."""
    images = {n: torch.full_like(x, 1e3) if n in names else x for n, x in study.images.items()}
    values = torch.full_like(study.values, 7.0) if "table" in names else study.values
    return StudyInput(images, study.times, values, study.place)


def alone(study, fit="resize"):
    """A function that answers for one study by a network of any precision."""

    def evaluate(network):
        batch = batch_of([study], network.plan, InputSettings(fit=fit))
        return network({n: x.to(network.answer) if x.is_floating_point() else x for n, x in batch.items()})

    return evaluate


@pytest.mark.parametrize("form", FORMS)
def test_not_a_bit_depends_on_what_is_absent(form):
    plan = make_plan()
    network, study = make_network(plan, **FORMS[form]), make_study(0, plan)
    for count in range(1, len(plan.modalities)):
        for there in itertools.combinations(plan.modalities, count):
            lacking = set(plan.modalities) - set(there)
            made, other = (answers(network, [one.only(there)]) for one in (study, spoiled(study, lacking)))
            assert torch.equal(made, other)
    assert not torch.equal(answers(network, [study]), answers(network, [spoiled(study, {"t2"})]))


@pytest.mark.parametrize("form", FORMS)
def test_nor_in_a_batch_whose_other_studies_have_it(form):
    plan = make_plan()
    network, full, lean = make_network(plan, **FORMS[form]), make_study(0, plan), make_study(1, plan)
    there = ("t2", "table")
    others = set(plan.modalities) - set(there)
    made, other = (answers(network, [full, one.only(there)])[1] for one in (lean, spoiled(lean, others)))
    assert torch.equal(made, other)
    of_the_other = answers(network, [spoiled(full, {"dce"}), lean.only(there)])[1]
    assert torch.equal(made, of_the_other)  # what another patient of the batch shows is nobody else's


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("frames_as", ["channels", "time"])
def test_a_study_alone_is_the_study_in_a_mixed_batch(form, frames_as):
    plan = make_plan(frames_as)
    network = make_network(plan, **FORMS[form])
    subsets = [plan.modalities, ("t2",), ("table",), ("film", "dce")]
    studies = [make_study(n, plan, frames=2 + n).only(names) for n, names in enumerate(subsets)]
    if frames_as == "time" and FORMS[form].get("absent") in ("zeros", "mean"):
        return  # the settings refuse it
    together = answers(network, studies)
    for number, study in enumerate(studies):
        exact, bound = float32_bound(network, alone(study))
        np.testing.assert_allclose(together[number].numpy(), exact[0].numpy(), rtol=0, atol=bound)


def test_the_order_of_modalities_changes_no_bit():
    plan = make_plan()
    network, study = make_network(plan), make_study(0, plan)
    turned = StudyInput(dict(reversed(study.images.items())), study.times, study.values)
    assert torch.equal(answers(network, [study]), answers(network, [turned]))


def test_a_study_without_any_modality_is_refused():
    plan = make_plan()
    with pytest.raises(ScanweaveError, match="has none of those of the run"):
        answers(make_network(plan), [make_study(0, plan), make_study(1, plan).only(())])


def test_what_lies_beside_a_pasted_image_changes_no_bit():
    plan = make_plan()
    small = {"dce": (9, 11, 16), "t2": (8, 7, 13), "film": (24, 9)}
    for form in ("experts", "instance norm"):
        network = make_network(plan, **FORMS[form])
        study, large = make_study(0, plan, small), make_study(1, plan)
        batch = batch_of([study, large], plan, InputSettings(fit="paste"))
        with torch.no_grad():
            made = network(batch)
            for name, size in small.items():
                beyond = torch.ones_like(batch[f"image/{name}"][0], dtype=torch.bool)
                beyond[(slice(None), *map(slice, size))] = False
                batch[f"image/{name}"][0][beyond] = 1e3
            assert torch.equal(made, network(batch))
        exact, bound = float32_bound(network, alone(study, "paste"))
        np.testing.assert_allclose(made[0].numpy(), exact[0].numpy(), rtol=0, atol=bound)


def test_an_absent_variable_has_no_token():
    plan = make_plan()
    network, study = make_network(plan), make_study(0, plan)
    nan = float("nan")
    bare = StudyInput(study.images, study.times, torch.tensor([0.5, nan]))
    batch = batch_of([bare], plan, InputSettings())
    with torch.no_grad():
        made = network(batch)
        assert torch.equal(made, network({**batch, "values": torch.tensor([[0.5, 1.0]])}))
        assert not torch.equal(made, network({**batch, "values": torch.tensor([[0.9, 0.0]])}))
