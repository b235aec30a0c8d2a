"""The loss of a target without a source is measured by leaving that source out."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch

from scanweave.framework.scan_preparation import native_scan
from scanweave.measures.image import psnr
from scanweave.systems.seq2seq.config import NetworkSettings, SamplingSettings, SynthesisSettings
from scanweave.systems.seq2seq.contributions import CONTRIBUTIONS, MATRIX, save_contributions, study_contributions
from scanweave.systems.seq2seq.fusion_network import FusionNetwork
from scanweave.systems.seq2seq.native_grid import native_study
from scanweave.systems.seq2seq.synthesis import ready_synthesizer


class Knowing:
    """Makes every target as it is where `teller` is among the sources, else half as bright; weighs all alike."""

    def __init__(self, volumes, teller):
        self.volumes, self.teller = volumes, teller

    def from_subsets(self, volumes, wanted):
        dim = {name: (volume - 1) / 2 for name, volume in self.volumes.items()}
        return {target: (self.volumes if self.teller in names else dim)[target] for names, target in wanted}

    def fuse(self, volumes, targets):
        others = {target: tuple(name for name in volumes if name != target) for target in targets}
        return self.from_subsets(volumes, [(others[target], target) for target in targets])

    def contributions(self, volumes, target):
        others = [name for name in volumes if name != target]
        share = np.full(volumes[target].shape, 1 / len(others), np.float32)
        return dict.fromkeys(others, share), np.zeros_like(share)


@pytest.fixture
def rows(fitted, tmp_path):
    study = next(iter(fitted.cohort))
    prepared = fitted.system.prepare(study)
    native = native_study(study, prepared, fitted.system.plan)
    knowing = Knowing(prepared.volumes, "t2")
    return study_contributions(knowing, prepared, native, fitted.system.plan, tmp_path)


def test_only_the_source_that_tells_is_missed(rows):
    for row in rows:
        if row["target"] == "t2":
            assert row["lost"] == 0  # nobody tells of it, so nobody is missed
        elif row["source"] == "t2":
            assert row["lost"] > 10
        else:
            assert row["lost"] == 0


def test_weights_in_the_brain_are_one_together(rows):
    table = pd.DataFrame(rows)
    np.testing.assert_allclose(table.groupby("target")["weight"].sum(), 1, atol=0.02)


def test_table_figure_and_means_are_saved(rows, tmp_path):
    order = list(dict.fromkeys(row["target"] for row in rows))
    summary = save_contributions(rows, tmp_path, order)
    assert {"lost", "weight", "attention"} == {row["measure"] for row in summary}
    assert (tmp_path / MATRIX).is_file()
    assert len(pd.read_csv(tmp_path / CONTRIBUTIONS)) == len(rows)


def test_nothing_is_drawn_where_nothing_could_be_left_out(tmp_path):
    rows = [
        {"study": "s", "patient": "s", "source": a, "target": b, "lost": np.nan, "weight": 1.0, "attention": 0.0}
        for a, b in (("t1", "t2"), ("t2", "t1"))
    ]
    save_contributions(rows, tmp_path, ["t1", "t2"])
    assert (tmp_path / CONTRIBUTIONS).is_file()
    assert not (tmp_path / MATRIX).exists()


def test_a_network_is_measured_on_complete_and_on_incomplete_studies(fitted, tmp_path):
    settings = NetworkSettings(
        channels=(2, 2, 2), blocks=1, lstm_layers=1, rank=1, kernel_size=3, code_length=4, fusion="latent"
    )
    torch.manual_seed(0)
    network, plan = FusionNetwork(settings, 3).eval(), fitted.system.plan
    fusing = ready_synthesizer(network, plan.scans, SynthesisSettings(), SamplingSettings(crop=(16, 16)), {})
    studies = {frozenset(study.scans): study for study in fitted.cohort if len(study.scans) > 1}
    assert {len(names) for names in studies} == {2, 3}
    for names, study in studies.items():
        prepared = fitted.system.prepare(study)
        native = native_study(study, prepared, plan)
        found = study_contributions(fusing, prepared, native, plan, tmp_path)
        assert {(row["source"], row["target"]) for row in found} == set(permutations(names, 2))
        made = fusing.fuse(prepared.volumes, list(names))
        for row in found:
            rest = [name for name in names if name not in (row["source"], row["target"])]
            if not rest:
                assert np.isnan(row["lost"])  # nothing is left to make the target from
                continue
            without = fusing.translate(rest[0], prepared.volumes[rest[0]], [row["target"]])[row["target"]]
            full, less = (
                psnr(
                    np.asarray(native_scan(volume, prepared, plan, row["target"]).data),
                    native.real[row["target"]],
                    native.span(row["target"]),
                    native.brain,
                )
                for volume in (made[row["target"]], without)
            )
            assert row["lost"] == pytest.approx(full - less, abs=1e-3)
