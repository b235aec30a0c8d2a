"""One simulated breast: its sequences show what physics says, and its truth is true."""

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.measures.enhancement_curves import curve_type, mean_curve, wash_in, wash_out
from scanweave.simulate.breast import BreastSettings, simulate_subject
from scanweave.simulate.breast.anatomy import TISSUES, draw_anatomy
from scanweave.simulate.breast.lesions import add_lesions
from scanweave.simulate.breast.maps import CLIPPED, diffusion_map
from scanweave.simulate.breast.settings import SEQUENCES
from scanweave.simulate.breast.tissue import draw_bolus
from scanweave.simulate.breast.traits import check_times, draw_traits

SURE = {"spacing": 3.0, "lesion_share": 1.0, "diameters": (14.0, 28.0)}
CLEAN = {"noise": 0.0, "bias": 0.0, "texture": 0.0, "uptake": 0.0}


@pytest.fixture(scope="module")
def noisy():
    return simulate_subject(2, 1, BreastSettings(**SURE))


@pytest.fixture(scope="module")
def clean():
    return simulate_subject(2, 1, BreastSettings(**SURE, **CLEAN, suppression=0.0))


def _where(subject, tissue):
    """Voxels of a tissue alone, away from lesions; those of the edge of the body count out."""
    return (subject["masks"]["tissue"] == TISSUES.index(tissue) + 1) & (subject["masks"]["lesion"] == 0)


def _median(subject, name, tissue, frame=0):
    scan = subject["scans"][name]
    return float(np.median((scan if scan.ndim == 3 else scan[..., frame])[_where(subject, tissue)]))


def test_contrasts_of_the_sequences(noisy):
    for name in ("t1", "dce"):
        assert _median(noisy, name, "fat") > 1.5 * _median(noisy, name, "gland")
    for name in ("fst1", "fsdce", "dwi"):
        assert _median(noisy, name, "fat") < 0.6 * _median(noisy, name, "gland")
    assert _median(noisy, "t2", "fat") > 1.3 * _median(noisy, "t2", "gland")
    assert _median(noisy, "t2", "muscle") < _median(noisy, "t2", "gland")
    assert _median(noisy, "t1", "lung") < 0.3 * _median(noisy, "t1", "gland")


def test_fat_suppression_leaves_the_share_that_was_asked_for(clean):
    left = simulate_subject(2, 1, BreastSettings(**SURE, **CLEAN, suppression=1.0, sequences=("t1", "fst1")))
    t1, fst1 = (left["scans"][name][_where(left, "fat")].astype(float) for name in ("t1", "fst1"))
    assert np.median(fst1 / fst1.mean()) == pytest.approx(np.median(t1 / t1.mean()), rel=0.1)
    ratio = _median(clean, "fst1", "fat") / _median(clean, "fst1", "gland")
    assert ratio < 0.35  # the water of fat is what is left of it


@pytest.mark.parametrize("index", range(6))
def test_curves_of_lesions_are_of_the_planted_type(index):
    settings = BreastSettings(**(SURE | CLEAN), another_share=0.6, sequences=("dce", "fsdce"))
    subject = simulate_subject(4, index, settings)
    for lesion in subject["truth"]["lesions"]:
        region = subject["masks"]["lesion"] == lesion["number"]
        for name in ("dce", "fsdce"):
            phases = settings.phases(f"{name}_times")
            curve = mean_curve(subject["scans"][name], region)
            assert curve_type(curve, phases) == lesion["curve_type"]
            assert wash_in(curve, phases) > 0.5 * lesion["noiseless"][name]["wash_in"]


def test_every_type_is_planted():
    settings = BreastSettings(lesion_share=1.0, another_share=0.8)
    rng = np.random.default_rng(0)
    drawn = [lesion for _ in range(12) for lesion in draw_traits(rng, settings, draw_bolus(rng, 30.0))]
    assert {int(lesion.curve) for lesion in drawn} == {1, 2, 3}
    assert {lesion.border for lesion in drawn} == {"smooth", "irregular", "spiculated"}


def test_inner_curve_is_that_of_the_truth(clean):
    lesion = clean["truth"]["lesions"][0]
    core = clean["scans"]["dce"].astype(float)[clean["masks"]["lesion"] == lesion["number"]]
    changes = wash_out(core, BreastSettings().phases("dce_times"))
    deepest = changes[np.argsort(core[:, 0])][: len(changes) // 3]  # no fat within: the darkest before the agent
    assert np.median(deepest) == pytest.approx(lesion["noiseless"]["dce"]["wash_out"], abs=0.03)


def test_diffusion_of_lesion_and_gland_is_that_of_the_truth(clean):
    b = np.array([0.0, 50.0, 400.0, 800.0])
    lesion = clean["truth"]["lesions"][0]
    wanted = {"lesion": lesion["adc_mm2_per_s"], "muscle": clean["truth"]["tissue"]["muscle"]["adc_mm2_per_s"]}
    regions = {"lesion": clean["masks"]["lesion"] == lesion["number"], "muscle": _where(clean, "muscle")}
    for name, region in regions.items():
        signal = np.median(clean["scans"]["dwi"][region].astype(float), axis=0)
        assert -np.polyfit(b, np.log(signal), 1)[0] == pytest.approx(wanted[name], rel=0.05)


def test_maps_are_those_of_the_acquired_series(noisy):
    phases = BreastSettings().phases("dce_times")
    body = noisy["masks"]["tissue"] > 0
    series = noisy["scans"]["dce"][body]
    for name, measure in (("washin", wash_in), ("washout", wash_out)):
        values = noisy["scans"][name][body]
        told = values != 0
        assert told.mean() > 0.6
        np.testing.assert_allclose(values[told], np.clip(measure(series, phases), *CLIPPED)[told], rtol=1e-5)
        lung = noisy["scans"][name][_where(noisy, "lung")]
        assert (lung == 0).mean() > 0.9  # hardly a signal before the agent


def test_adc_is_the_map_of_the_acquired_series(clean):
    subject = simulate_subject(2, 1, BreastSettings(**SURE, **CLEAN, suppression=0.0, sequences=("adc",)))
    assert list(subject["scans"]) == ["adc"]
    adc, body = subject["scans"]["adc"], clean["masks"]["tissue"] > 0
    np.testing.assert_array_equal(adc, diffusion_map(clean["scans"]["dwi"], body, BreastSettings().b_values))
    truth = clean["truth"]
    lesion = clean["masks"]["lesion"] == 1
    assert np.median(adc[lesion]) == pytest.approx(1000 * truth["lesions"][0]["adc_mm2_per_s"], rel=0.05)
    muscle = 1000 * truth["tissue"]["muscle"]["adc_mm2_per_s"]
    assert np.median(adc[_where(clean, "muscle")]) == pytest.approx(muscle, rel=0.05)


def test_enhancement_shows_lesions_and_vessels_but_hardly_fat(clean):
    rise = {tissue: _median(clean, "washin", tissue) for tissue in ("fat", "gland", "vessel")}
    lesion = np.median(clean["scans"]["washin"][clean["masks"]["lesion"] > 0])
    assert rise["fat"] < 0.1
    assert rise["fat"] < rise["gland"] < lesion
    assert rise["vessel"] > 3 * rise["gland"]


@pytest.mark.parametrize("both", [False, True])
def test_fractions_add_up(both):
    rng = np.random.default_rng(1)
    settings = BreastSettings(spacing=4.0, both=both, lesion_share=1, another_share=1)
    anatomy = draw_anatomy(rng, settings)
    lesions = draw_traits(rng, settings, draw_bolus(rng, 30.0))
    fractions, seats = add_lesions(rng, anatomy, lesions, settings.field)
    assert len(seats) == len(lesions) == 3
    assert fractions.min() >= -1e-6
    np.testing.assert_allclose(fractions.sum(axis=0), anatomy.fractions.sum(axis=0), atol=1e-4)
    assert fractions.sum(axis=0).max() <= 1 + 1e-4
    assert ((fractions > 0.05) & (fractions < 0.95)).any(axis=0).mean() > 0.15  # partial volume


def test_lesions_are_of_their_size_and_lie_in_the_breast():
    found, nominal = [], []
    for index in range(8):
        subject = simulate_subject(6, index, BreastSettings(spacing=2.0, lesion_share=1.0, sequences=("t2",)))
        lesion, breast = subject["masks"]["lesion"], subject["masks"]["breast"]
        facts = subject["truth"]["lesions"]
        assert set(np.unique(lesion)) == {0, *(one["number"] for one in facts)}
        assert (breast[lesion > 0] > 0).mean() > 0.97
        found += subject["truth"]["volume_ml"]["of_each_lesion"]
        nominal += [np.pi / 6 * one["diameter_mm"] ** 3 / 1000 for one in facts]
    ratio = np.array(found) / nominal
    assert np.median(ratio) == pytest.approx(1.0, abs=0.15)
    assert (ratio > 0.5).all()
    assert (ratio < 1.8).all()


def test_breasts_are_of_human_size_and_differ():
    volumes = [
        simulate_subject(0, index, BreastSettings(spacing=4.0, sequences=("t1",)))["truth"]["volume_ml"]
        for index in range(8)
    ]
    assert all(180 < volume["breast"] < 450 for volume in volumes)
    shares = [volume["gland"] / volume["breast"] for volume in volumes]
    assert max(shares) > 1.7 * min(shares)


def test_two_breasts_in_one_scan_differ():
    one, two = (
        simulate_subject(1, 0, BreastSettings(spacing=4.0, both=both, sequences=("t1",))) for both in (False, True)
    )
    assert two["scans"]["t1"].shape[0] > 2 * one["scans"]["t1"].shape[0]
    assert two["truth"]["volume_ml"]["breast"] > 1.7 * one["truth"]["volume_ml"]["breast"]
    tissue = two["masks"]["tissue"]
    assert (tissue == tissue[::-1]).mean() < 0.98


def test_subject_depends_on_seed_and_index_only():
    settings = BreastSettings(spacing=5.0)
    again = [simulate_subject(7, 2, settings) for _ in range(2)]
    assert list(again[0]["scans"]) == list(SEQUENCES)
    for name, scan in again[0]["scans"].items():
        np.testing.assert_array_equal(scan, again[1]["scans"][name])
    assert not np.array_equal(again[0]["masks"]["tissue"], simulate_subject(8, 2, settings)["masks"]["tissue"])


@pytest.mark.parametrize("name", ["fst1", "fsdce", "washout", "dwi"])
def test_a_scan_does_not_depend_on_the_others_asked_for(name):
    alone = simulate_subject(7, 2, BreastSettings(spacing=5.0, sequences=(name,)))
    everything = simulate_subject(7, 2, BreastSettings(spacing=5.0))
    assert list(alone["scans"]) == [name]
    np.testing.assert_array_equal(alone["scans"][name], everything["scans"][name])


def test_anatomy_does_not_depend_on_spacing():
    fine, coarse = (
        simulate_subject(7, 2, BreastSettings(spacing=spacing, lesion_share=1.0, sequences=("t1",)))
        for spacing in (2.0, 4.0)
    )
    assert fine["truth"]["lesions"] == coarse["truth"]["lesions"]
    assert fine["truth"]["tissue"] == coarse["truth"]["tissue"]
    for name in ("breast", "gland"):
        assert fine["truth"]["volume_ml"][name] == pytest.approx(coarse["truth"]["volume_ml"][name], rel=0.08)


def test_air_is_zero_and_the_breast_is_not(noisy):
    air = noisy["masks"]["tissue"] == 0
    for name, scan in noisy["scans"].items():
        assert not scan[air].any()
        if scan.dtype == np.int16:
            assert (scan[noisy["masks"]["breast"] > 0] > 0).mean() > 0.99, name


def test_series_have_the_frames_that_were_asked_for():
    times = {"dce_times": (0.0, 20.0, 70.0, 130.0, 280.0, 290.0, 310.0), "fsdce_times": (0.0, 90.0, 290.0)}
    subject = simulate_subject(1, 0, BreastSettings(spacing=6.0, **times, b_values=(0.0, 1000.0)))
    assert subject["scans"]["dce"].shape[3] == 7
    assert subject["scans"]["fsdce"].shape[3] == 3
    assert subject["scans"]["dwi"].shape[3] == 2
    assert tuple(subject["times"]["dce"]) == times["dce_times"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"dce_times": (0, 60, 120)}, "dce_times: no frame lies later than 120 s"),
        ({"fsdce_times": (40, 60, 300)}, "fsdce_times: no frame lies before the injection"),
    ],
)
def test_times_without_a_phase_are_refused(settings, reason):
    with pytest.raises(ScanweaveError, match=reason):
        BreastSettings(**settings)


def test_times_at_which_a_type_cannot_be_seen_are_refused():
    with pytest.raises(ScanweaveError, match="no kinetics give a curve of type"):
        check_times(BreastSettings(dce_times=(0.0, 100.0, 110.0, 160.0)))
