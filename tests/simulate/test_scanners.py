"""Scanners drawn at random: plausible, told, the same every time; and nothing of them without the option."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from scanweave.cli.main import main
from scanweave.errors import ScanweaveError
from scanweave.simulate import BrainSettings, simulate_brain, simulate_subject
from scanweave.simulate.acquisition import acquired, moved
from scanweave.simulate.scanners import Acquisition, draw_session
from scanweave.simulate.settings import MAIN

pytest.importorskip("nilearn.datasets")
DRAWN = BrainSettings(scanners=True, sequences=MAIN, spacing=4.0)
STILL = Acquisition(protocol={}, voxel=(1.0, 1.0, 1.0), fat=1.0, bias=0.0, phase=1, moves=(), noise=1.0, units=1.0)


@pytest.fixture(scope="module")
def subjects():
    return [simulate_subject(1, index, DRAWN) for index in range(6)]


def mean_of(subject, name, tissue):
    masks = subject["masks"]
    return float(subject["scans"][name][(masks["tissue"] == tissue) & (masks["lesion"] == 0)].mean())


def test_the_same_seed_and_index_give_the_same_subject(subjects):
    again = simulate_subject(1, 3, DRAWN)
    for name in MAIN:
        assert np.array_equal(again["scans"][name], subjects[3]["scans"][name])
    assert again["truth"] == subjects[3]["truth"]
    few = simulate_subject(1, 3, DRAWN.model_copy(update={"sequences": ("t2", "flair")}))
    assert np.array_equal(few["scans"]["flair"], again["scans"]["flair"])


def test_contrasts_differ_and_stay_those_of_the_sequences(subjects):
    ratios = [mean_of(one, "t1", 2) / mean_of(one, "t1", 3) for one in subjects]
    assert max(ratios) - min(ratios) > 0.1
    for one in subjects:
        assert mean_of(one, "t1", 3) > mean_of(one, "t1", 1)
        assert mean_of(one, "t2", 1) > mean_of(one, "t2", 3)
        assert mean_of(one, "flair", 1) < mean_of(one, "flair", 2)
    levels = [mean_of(one, "t1", 3) for one in subjects]
    assert max(levels) > 3 * min(levels)


def test_some_have_skull_and_scalp_and_the_others_the_brain_alone(subjects):
    heads = [one["truth"]["head"] for one in subjects]
    assert set(heads) == {True, False}
    for one in subjects:
        outside = one["masks"]["brain"] == 0
        shown = (one["scans"]["t1"][outside] > 0).mean()
        assert (shown > 0.5) == one["truth"]["head"]
        edge = np.concatenate([one["masks"]["brain"][0].ravel(), one["masks"]["brain"][-1].ravel()])
        assert not edge.any()


def test_the_truth_tells_what_was_drawn(subjects):
    told = json.loads(json.dumps(subjects[0]["truth"]["scanner"]))
    assert set(told["scans"]) == set(MAIN)
    assert told["scans"]["flair"]["protocol"]["equation"] == "inversion_recovery"
    assert 0.7 <= told["t1_factor"] <= 1.05


def test_a_sequence_does_not_depend_on_which_others_are_drawn():
    whole, part = (draw_session(np.random.default_rng(5), names) for names in (MAIN, ("flair",)))
    assert whole.scans["flair"] == part.scans["flair"]


def test_thick_slices_blur_along_their_axis_alone():
    image = np.zeros((24, 24, 24), np.float32)
    image[12, 12, 12] = 1.0
    thick = acquired(np.random.default_rng(0), image, replace(STILL, voxel=(1.0, 1.0, 5.0)), 1.0, mean=0.01, noise=0.0)
    assert {axis for axis in range(3) if np.unique(np.argwhere(thick)[:, axis]).size > 1} == {2}


def test_motion_rings_along_the_phase_axis_and_keeps_a_still_head_as_it_is():
    image = np.zeros((32, 32, 4), np.float32)
    image[10:22, 10:22] = 1.0
    assert moved(image, STILL, 1.0) is image
    late = replace(STILL, voxel=(1.0, 1.0, 4.0), moves=((0.7, 3.0, 0.0),))
    found = moved(image, late, 1.0)
    assert found[15, :6].max() > 0.01  # beyond the edges along the phase
    assert found[:6, 15].max() < 1e-3
    assert abs(float(found.sum() / image.sum()) - 1) < 0.3
    same = replace(late, moves=((0.0, 3.0, 1.0),))  # before the first line: the head lay there all the time
    np.testing.assert_allclose(moved(image, same, 1.0), image, atol=1e-5)


def test_without_the_option_nothing_of_it_is_told(tmp_path):
    simulate_brain(tmp_path / "plain", subjects=1, seed=0, spacing=8.0)
    for file in ("simulation.json", "truth.json"):
        assert "scanners" not in (tmp_path / "plain" / file).read_text()
    truth = json.loads((tmp_path / "plain" / "studies" / "sub-000000" / "truth.json").read_text())
    assert not {"scanner", "head", "plaques"} & set(truth)


def test_the_command_makes_a_cohort_that_is_told_from_a_plain_one(tmp_path, capsys):
    command = ["simulate", "brain", "--subjects", "2", "--out", str(tmp_path / "sim"), "--spacing", "8"]
    assert main([*command, "--randomise"]) == 0
    assert "t1 2 · t1c 2 · t2 2 · flair 2" in capsys.readouterr().out
    assert main(command) == 2
    assert "other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"dce_frames": 3}, "dce_frames do not go with scanners"), ({"sequences": ("t1", "mix")}, "acquire t1, t1c")],
)
def test_what_scanners_do_not_acquire_is_refused(tmp_path, settings, words):
    with pytest.raises(ScanweaveError, match=words):
        simulate_brain(tmp_path / "sim", subjects=1, seed=0, scanners=True, **{"sequences": MAIN, **settings})
    assert not (tmp_path / "sim").exists()
