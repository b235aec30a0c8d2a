"""The benchmark of MOME: what its baselines make of absent modalities, and how AUROCs are compared over seeds."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scanweave.errors import ScanweaveError
from scanweave.systems.mome.config import SMALL, InputSettings
from scanweave.systems.mome.inputs import StudyInput, batch_of
from scanweave.systems.mome.network import MomeNetwork
from scanweave.systems.mome.planning import ImagePlan, MomePlan, VariablePlan

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
KINDS = ["EarlyFusion", "LateFusion", "SharedSpecific", "IntraInter"]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    import mome
    import mome_baselines
    import mome_fits

    yield SimpleNamespace(mome=mome, nets=mome_baselines, fits=mome_fits)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


def make_plan(images, variables):
    size = (16, 16, 16)
    return MomePlan(
        kind="classes", labels=("ill",), outputs=("0", "1"), uncertain="ignore", shares=(0.6, 0.4), reasons=(),
        images=tuple(ImagePlan(name=n, size=size, thin=None, frames=t, in_plane=False) for n, t in images.items()),
        variables=tuple(VariablePlan(name=n, categories=None, centre=0.0, spread=1.0) for n in variables),
        frames_as="channels",
    )  # fmt: skip


@pytest.fixture
def plan():
    return make_plan({"dce": 3, "t2": None}, ["age"])


def study(seed):
    rng = np.random.default_rng(seed)
    images = {
        name: torch.from_numpy(rng.normal(size=(frames, 16, 16, 16)).astype(np.float32))
        for name, frames in (("dce", 3), ("t2", 1))
    }
    return StudyInput(images, {}, torch.tensor([0.5]))


def answers(network, plan, *studies):
    with torch.no_grad():
        return network(batch_of(studies, plan, InputSettings()))


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_depends_on_the_study_alone(bench, plan, kind):
    torch.manual_seed(0)
    network = getattr(bench.nets, kind)(plan).eval()
    whole, other = study(0), study(1)
    for names in (["dce"], ["t2"], ["table"], ["dce", "table"]):
        one = whole.only(names)
        together = answers(network, plan, other, one)[1]
        assert torch.allclose(together, answers(network, plan, one)[0], atol=1e-6)
        assert not torch.allclose(together, answers(network, plan, whole)[0], atol=1e-4)


def test_late_fusion_is_the_mean_of_what_each_modality_says(bench, plan):
    torch.manual_seed(0)
    network, one = bench.nets.LateFusion(plan).eval(), study(0)
    each = [answers(network, plan, one.only([name])) for name in ("dce", "table")]
    assert torch.allclose(answers(network, plan, one.only(["dce", "table"])), sum(each) / 2, atol=1e-6)


def test_auxiliary_answers_belong_to_the_modalities_that_are_there(bench, plan):
    torch.manual_seed(0)
    network = bench.nets.IntraInter(plan)
    made = network.trained(batch_of([study(0).only(["t2"]), study(1)], plan, InputSettings()))
    assert made.helpers[1].tolist() == [0, 1, 1, 1]
    assert len(made.helpers[0]) == 4


def test_all_networks_are_of_about_equal_size(bench):
    plan = make_plan({"dce": 6, "dwi": 4, "t2": None, "fst1": None}, bench.fits.VARIABLES)
    joint = {name.removeprefix("network."): value for name, value in bench.fits.SETTINGS[bench.fits.JOINT].items()}
    networks = [MomeNetwork(plan, SMALL.network), MomeNetwork(plan, SMALL.network.model_copy(update=joint))]
    networks += [kind(plan) for kind in bench.nets.BASELINES.values()]
    sizes = [sum(one.numel() for one in network.parameters()) for network in networks]
    assert max(sizes) < 1.15 * min(sizes)


def test_values_keep_their_subset_in_another_order(bench, plan):
    from scanweave.systems.mome.subsets import mask_of

    order = SimpleNamespace(modalities=("t2", "table", "dwi", "fst1", "dce"))
    found = bench.fits.reordered(np.arange(32.0)[None], order)[0]
    for names in (("dce",), ("t2", "table"), ("dwi", "fst1", "dce")):
        assert found[mask_of(names, bench.fits.MODALITIES)] == mask_of(names, order.modalities)


def told(bench, seed, strength, truth_seed=None):
    rng = np.random.default_rng(seed if truth_seed is None else truth_seed)
    positive = np.arange(60) % 2 == 0
    noise = rng.normal(size=60)
    values = np.tile((strength * positive + noise)[:, None], (1, 32))
    return bench.fits.Answers("arm", seed, values, positive, 1)


def test_a_difference_is_the_mean_over_the_seeds_of_both(bench):
    better, worse = [told(bench, seed, 2.0) for seed in (1, 2, 3)], [told(bench, seed, 0.5) for seed in (1, 2)]
    found = bench.mome.difference(better, worse, 31)
    areas = [bench.mome.areas(one, [31])[0][:, 0] for one in (better[:2], worse)]
    assert found.value == pytest.approx((areas[0] - areas[1]).mean())
    assert found.n == 120
    assert found.low < found.value < found.high
    one = bench.mome.difference(better[:1], worse[:1], 31)
    assert found.high - found.low < 0.9 * (one.high - one.low)


def test_other_patients_are_refused(bench):
    one, other = told(bench, 1, 2.0), told(bench, 1, 0.5)
    with pytest.raises(ScanweaveError, match="different patients"):
        bench.mome.difference([one], [other._replace(positive=~other.positive)], 31)


def test_the_sham_holds_where_the_interval_over_the_seeds_has_0(bench):
    def with_sham(seed, size):
        values = np.zeros((4, 32))
        values[:, [mask for mask in range(32) if mask & 8]] = size
        return bench.fits.Answers("MOME", seed, values, np.array([True, False, True, False]), 1)

    assert bench.mome.sham_claim([with_sham(n, size) for n, size in enumerate((0.3, -0.2, 0.1))]).holds
    claim = bench.mome.sham_claim([with_sham(n, size) for n, size in enumerate((0.30, 0.31, 0.32))])
    assert not claim.holds
    assert claim.value == pytest.approx(0.31 - 4.3027 * 0.01 / 3**0.5, abs=1e-4)
