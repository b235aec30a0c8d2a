"""Breasts with planted outcomes: each factor shows in one modality alone, and the folder tells the best answers."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit

from scanweave.cli.main import main
from scanweave.errors import ScanweaveError
from scanweave.measures.enhancement_curves import mean_curve, wash_out
from scanweave.simulate.breast import BreastSettings, simulate_breast, simulate_subject
from scanweave.simulate.breast import subject as module
from scanweave.simulate.breast.outcomes import FACTORS, MODALITIES, VARIABLES, draw_patient
from scanweave.simulate.breast.settings import SEQUENCES
from scanweave.simulate.breast.sites import PLAIN, SITES
from scanweave.studies.cohort import Cohort

FEW = ("fst1", "t2", "dce", "dwi")
SMALL = {"spacing": 3.0, "crop": 48.0, "outcomes": True, "diameters": (14.0, 28.0)}
QUICK = {"seed": 4, "protocol": "random", "missing": 0.3, "sequences": FEW} | SMALL
BEFORE = {
    "t1": 200.651108,
    "fst1": 199.012361,
    "t2": 320.326726,
    "dce": 262.68219,
    "fsdce": 146.259122,
    "washin": 0.118413,
    "washout": 0.029978,
    "dwi": 249.724318,
}
"""Means of the scans of subject 0 of seed 4 at 6 mm, as they were before outcomes could be planted."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outcomes") / "c"
    simulate_breast(folder, subjects=24, **QUICK)
    return folder


@pytest.fixture(scope="module")
def best(made):
    return json.loads((made / "outcomes.json").read_text())


@pytest.fixture(scope="module")
def subjects():
    return [simulate_subject(2, index, BreastSettings(**SMALL, sequences=FEW)) for index in range(40)]


def test_without_outcomes_a_subject_is_what_it_was():
    subject = simulate_subject(4, 0, BreastSettings(spacing=6.0, lesion_share=1.0))
    means = {name: float(scan.mean(dtype=np.float64)) for name, scan in subject["scans"].items()}
    assert means == pytest.approx(BEFORE, rel=2e-5)  # another processor rounds some voxels otherwise
    assert {name: int(mask.sum(dtype=int)) for name, mask in subject["masks"].items()} == pytest.approx(
        {"breast": 1479, "tissue": 9681, "lesion": 10}, abs=2
    )
    assert "outcomes" not in subject["truth"]


@pytest.mark.parametrize(("number", "modality"), [*enumerate(("dce", "dwi", "t2", "table"))])
def test_a_factor_shows_in_one_modality_alone(monkeypatch, number, modality):
    settings = BreastSettings(spacing=6.0, outcomes=True, sequences=(*SEQUENCES, "adc"))

    def shifted(rng, chosen):
        patient = draw_patient(rng, chosen)
        return replace(patient, factors=patient.factors + 0.7 * (np.arange(len(FACTORS)) == number))

    plain = simulate_subject(3, 1, settings)["scans"]
    monkeypatch.setattr(module, "draw_patient", shifted)
    moved = simulate_subject(3, 1, settings)["scans"]
    changed = {name for name in plain if not np.array_equal(plain[name], moved[name])}
    assert changed == set(MODALITIES[modality])


def test_means_of_a_lesion_tell_the_factors(subjects):
    phases, b = BreastSettings().phases("dce_times"), np.array(BreastSettings().b_values)
    read = []
    for subject in subjects:
        scans, lesion = subject["scans"], subject["masks"]["lesion"] > 0
        fat = (subject["masks"]["tissue"] == 2) & ~lesion
        decay = np.log(mean_curve(scans["dwi"], lesion))
        bright = np.log(scans["t2"][lesion].mean() / np.median(scans["t2"][fat]))
        read.append([-wash_out(mean_curve(scans["dce"], lesion), phases), np.polyfit(b, decay, 1)[0], bright])
    shown = [list(subject["truth"]["outcomes"]["factors"].values())[:3] for subject in subjects]
    found = np.corrcoef(np.array(read).T, np.array(shown).T)[:3, 3:]
    assert (np.diag(found) > 0.9).all()
    assert np.abs(found - np.diag(np.diag(found))).max() < 0.45  # 40 patients: 0.16 is one deviation


def test_the_marker_is_its_factor_and_height_is_none(subjects):
    planted = [subject["truth"]["outcomes"] for subject in subjects]
    markers = np.log([one["variables"]["marker_u_per_ml"] / 20 for one in planted]) / 0.5
    assert markers == pytest.approx([one["factors"]["marker"] for one in planted], abs=1e-4)
    heights = [one["variables"]["height_cm"] for one in planted]
    assert np.mean(heights) == pytest.approx(164, abs=5)


def test_every_subject_has_one_lesion_within_what_is_kept(subjects):
    for subject in subjects:
        assert subject["scans"]["t2"].shape == (16, 16, 16)
        [lesion] = subject["truth"]["lesions"]
        nominal = np.pi / 6 * lesion["diameter_mm"] ** 3 / 1000
        assert 0.5 < subject["truth"]["volume_ml"]["lesion"] / nominal < 1.8


def test_what_is_kept_is_a_part_of_the_whole():
    clean = {"spacing": 3.0, "lesion_share": 1.0, "noise": 0.0, "sequences": ("t2",)}
    whole, part = (simulate_subject(5, 2, BreastSettings(**clean, crop=crop)) for crop in (0.0, 48.0))
    first = np.rint((part["affine"] - whole["affine"])[:3, 3] / 3).astype(int)
    window = tuple(slice(start, start + 16) for start in first)
    for name, mask in part["masks"].items():
        assert (mask == whole["masks"][name][window]).mean() > 0.999
    seen = part["scans"]["t2"] > 50
    ratio = part["scans"]["t2"][seen] / whole["scans"]["t2"][window][seen]
    assert ratio.std() < 0.02 * ratio.mean()  # one gain, and rounding to whole numbers


def test_sites_differ_in_units_noise_and_resolution():
    mask = np.ones((12, 12, 12), bool)
    edge = np.zeros((12, 12, 12), np.float32)
    edge[6:] = 100
    blurred = [site.blurred(edge[mask], mask, 2.0).reshape(mask.shape) for site in SITES]
    np.testing.assert_array_equal(blurred[0], edge)
    steepest = [np.diff(one, axis=0).max() for one in blurred]
    assert steepest[0] > steepest[1] > steepest[2]
    assert [float(one.mean()) for one in blurred] == pytest.approx([50] * 3, rel=1e-4)
    flat = np.full((int(mask.sum()), 2), 7, np.float32)
    np.testing.assert_allclose(SITES[2].blurred(flat, mask, 2.0), flat, rtol=1e-6)


def test_units_of_a_site_scale_its_scans(monkeypatch):
    def at(site):
        monkeypatch.setattr(module, "draw_patient", lambda rng, chosen: replace(draw_patient(rng, chosen), site=site))
        return simulate_subject(1, 0, BreastSettings(**SMALL, sequences=("t2",)))["scans"]["t2"].astype(float)

    plain, louder = at(PLAIN), at(replace(PLAIN, units=2.5))
    assert louder.mean() == pytest.approx(2.5 * plain.mean(), rel=1e-3)
    noisier = at(replace(PLAIN, noise=3.0))
    assert np.abs(np.diff(noisier, axis=0)).mean() > 1.05 * np.abs(np.diff(plain, axis=0)).mean()


def test_labels_and_variables_are_those_of_the_truth(made):
    cohort, truth = Cohort.open(made), json.loads((made / "truth.json").read_text())["subjects"]
    assert cohort.names("label") == ["malignancy", "subtype", "response"]
    for study in cohort:
        planted = truth[study.id]["outcomes"]
        assert study.labels == planted["labels"]
        assert study.table["site"] == planted["site"]
        kept = [name for name in VARIABLES if name not in planted["absent_variables"]]
        assert {name: study.table[name] for name in VARIABLES if name in study.table} == {
            name: planted["variables"][name] for name in kept
        }
    absent = [name for facts in truth.values() for name in facts["outcomes"]["absent_variables"]]
    assert {*absent} == {*VARIABLES}
    assert 4 <= len(absent) <= 25  # of 48, with a chance of 0.3


def test_outcomes_tell_the_best_answers(best, made):
    assert best["studies"] == Cohort.open(made).studies
    for outcome, classes in best["best"].items():
        for name, told in classes.items():
            assert len(told["probability"]) == 33, (outcome, name)
            odds = {subset: logit(values) for subset, values in told["probability"].items()}
            total = np.sum(list(told["shapley"].values()), axis=0)
            np.testing.assert_allclose(total, odds["dce+dwi+t2+table+sham"] - odds["none"], atol=1e-9)
            assert told["probability"]["dce+sham"] == told["probability"]["dce"]
            assert told["auroc"]["none"] == 0.5
    classes = [
        best["best"]["subtype"][name]["probability"]["dwi+t2"] for name in ("luminal", "her2", "triple-negative")
    ]
    np.testing.assert_allclose(np.sum(classes, axis=0), 1, atol=1e-8)


def test_what_a_study_lacks_does_not_count_as_acquired(best, made):
    told = best["best"]["malignancy"]["1"]["probability"]
    for number, study in enumerate(Cohort.open(made)):
        has = [name for name, scans in MODALITIES.items() if {*scans} & {*study.scans}]
        has = sorted(has + (["table"] if "marker_u_per_ml" in study.table else []), key=list(MODALITIES).index)
        assert best["acquired"][number] == "+".join(has)
        assert told["acquired"][number] == told["+".join(has)][number]
    assert len(set(best["acquired"])) > 4


def test_a_larger_cohort_goes_on_from_a_smaller_one(made, best, tmp_path):
    simulate_breast(tmp_path / "c", subjects=2, **QUICK)
    simulate_breast(tmp_path / "c", subjects=3, **QUICK)
    few = json.loads((tmp_path / "c" / "outcomes.json").read_text())
    for name in ("sub-000000", "sub-000002"):
        for file in (made / "studies" / name).iterdir():
            assert file.read_bytes() == (tmp_path / "c" / "studies" / name / file.name).read_bytes()
    for subset, values in few["best"]["response"]["1"]["probability"].items():
        assert values == pytest.approx(best["best"]["response"]["1"]["probability"][subset][:3], rel=1e-12)


def test_the_command_plants_outcomes(tmp_path, capsys):
    words = ["simulate", "breast", "--subjects", "2", "--out", str(tmp_path / "c"), "--outcomes", "--spacing", "4"]
    assert main([*words, "--crop", "40", "--sequences", "t2", "dwi"]) == 0
    assert "t2 2 · dwi 2" in capsys.readouterr().out
    told = json.loads((tmp_path / "c" / "outcomes.json").read_text())
    assert told["modalities"] == {
        "dwi": {"scans": ["dwi"], "shows": "diffusion"},
        "t2": {"scans": ["t2"], "shows": "relaxation"},
        "table": {"scans": [], "shows": "marker"},
    }


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"outcomes": True, "lesion_share": 0.5}, "lesion_share has no effect with outcomes"),
        ({"outcomes": True, "another_share": 0.5}, "another_share has no effect with outcomes"),
        ({"crop": 40.0}, "crop needs a lesion in every subject"),
        ({"outcomes": True, "crop": 8.0}, "crop must be from 16 mm to the least side of field, 64 mm"),
        ({"outcomes": True, "crop": 65.0}, "crop must be from 16 mm"),
    ],
)
def test_settings_that_go_together_badly_are_refused(tmp_path, wrong, reason):
    with pytest.raises(ScanweaveError, match=reason):
        simulate_breast(tmp_path / "c", subjects=1, seed=0, **wrong)
    assert not (tmp_path / "c").exists()
