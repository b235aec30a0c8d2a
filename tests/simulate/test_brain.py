import numpy as np
import pytest

from scanweave.simulate import BrainSettings, simulate_subject
from scanweave.simulate.anatomy import draw_anatomy
from scanweave.simulate.lesions import add_lesions

pytest.importorskip("nilearn.datasets")
SURE = {"spacing": 3.0, "lesion_share": 1.0, "enhancing_share": 1.0}


@pytest.fixture(scope="module")
def clean():
    return simulate_subject(5, 3, BrainSettings(**SURE, noise=0.0, bias=0.0, texture=0.0, vessels=0.0))


@pytest.fixture(scope="module")
def noisy():
    return simulate_subject(5, 3, BrainSettings(**SURE))


def _mean(subject, name, tissue):
    where = (subject["masks"]["tissue"] == tissue) & (subject["masks"]["lesion"] == 0)
    return float(subject["scans"][name][where].mean())


def _contrast_to_noise(subject, name, first, second):
    scan, lesion, tissue = subject["scans"][name].astype(float), subject["masks"]["lesion"], subject["masks"]["tissue"]
    spread = scan[(tissue == 3) & (lesion == 0)].std()
    return abs(np.median(scan[lesion == first]) - np.median(scan[lesion == second])) / spread


def test_contrasts_of_the_sequences(noisy):
    csf, gm, wm = ([_mean(noisy, name, tissue) for name in ("t1", "t2", "flair", "pd")] for tissue in (1, 2, 3))
    assert wm[0] > gm[0] > csf[0]
    assert wm[1] < gm[1] < csf[1]
    assert csf[2] < 0.6 * wm[2] < 0.6 * gm[2]
    assert wm[3] < gm[3]


def test_rim_shows_in_t1c_only(noisy):
    seen = _contrast_to_noise(noisy, "t1c", 2, 3)
    assert seen > 5
    for name in ("t1", "t2", "flair", "pd", "t2r", "mix"):  # the rest is grey matter in the oedema
        assert _contrast_to_noise(noisy, name, 2, 3) < seen / 3


def test_rim_changes_nothing_before_contrast_agent():
    enhancing = BrainSettings(**SURE)
    silent = BrainSettings(**(SURE | {"enhancing_share": 0.0}))
    with_rim, without = (simulate_subject(5, 3, settings) for settings in (enhancing, silent))
    assert (with_rim["masks"]["lesion"] == 2).any()
    assert not (without["masks"]["lesion"] == 2).any()
    for name in ("t1", "t2", "flair", "pd", "t2r", "mix"):
        difference = with_rim["scans"][name].astype(int) - without["scans"][name]
        assert np.abs(difference).max() <= 1  # of some 400 units: rounding
    assert np.abs(with_rim["scans"]["t1c"].astype(int) - without["scans"]["t1c"]).max() > 100


def test_oedema_and_core_show_where_they_should(clean):
    scans, lesion = clean["scans"], clean["masks"]["lesion"]
    for name in ("t2", "flair"):
        assert np.median(scans[name][lesion == 3]) > 1.2 * _mean(clean, name, 3)
    assert np.median(scans["t1"][lesion == 1]) < 0.8 * _mean(clean, "t1", 3)


def test_t2r_is_a_saturating_function_of_t2(clean):
    brain = clean["masks"]["brain"] > 0
    t2, t2r = clean["scans"]["t2"][brain].astype(float), clean["scans"]["t2r"][brain].astype(float)
    levels = np.unique(t2)
    means = np.array([t2r[t2 == level].mean() for level in levels])
    assert (np.diff(means) >= -1e-9).all()
    assert max(np.ptp(t2r[t2 == level]) for level in levels) <= 3  # rounding of t2 alone
    half = len(levels) // 2
    assert means[half] - means[0] > 3 * (means[-1] - means[half])


def test_mix_is_the_ratio_of_t1_and_t2_and_of_neither_alone():
    subject = simulate_subject(5, 3, BrainSettings(**SURE, noise=0.0))
    brain = subject["masks"]["brain"] > 0
    t1, t2, mix = (subject["scans"][name][brain].astype(float) for name in ("t1", "t2", "mix"))
    t1, t2, mix = t1 / t1.mean(), t2 / t2.mean(), mix / mix.mean()
    ratio = t1 / (t1 + t2)
    left_by_both = mix - ratio / ratio.mean()
    assert np.abs(left_by_both).max() < 0.02
    for alone in (t1, t2):
        order = np.argsort(alone)
        left_by_one = np.mean([part.std() for part in np.array_split(mix[order], 200)])
        assert left_by_one > 10 * left_by_both.std()


def test_tissue_under_a_lesion_is_that_before_it():
    subject = simulate_subject(11, 0, BrainSettings(spacing=4.0))  # of a core so large that nothing is left in it
    healthy = simulate_subject(11, 0, BrainSettings(spacing=4.0, lesion_share=0.0))
    assert (subject["masks"]["lesion"] == 1).sum() > 100
    np.testing.assert_array_equal(subject["masks"]["tissue"], healthy["masks"]["tissue"])


@pytest.mark.parametrize("index", [0, 1])
def test_fractions_add_up(index):
    rng = np.random.default_rng(index)
    anatomy = draw_anatomy(rng, 4.0)
    np.testing.assert_allclose(anatomy.fractions.sum(axis=0), 1, atol=1e-5)
    fractions, lesions = add_lesions(rng, anatomy, BrainSettings(lesion_share=1, second_lesion_share=1))
    assert len(lesions) == 2
    assert fractions.min() >= -1e-6
    np.testing.assert_allclose(fractions.sum(axis=0), 1, atol=1e-4)
    assert ((fractions > 0.05) & (fractions < 0.95)).any(axis=0).mean() > 0.2  # partial volume


def test_brains_are_of_human_size_and_differ():
    subjects = [simulate_subject(0, index, BrainSettings(spacing=4.0)) for index in range(5)]
    volumes = [subject["truth"]["volume_ml"]["brain"] for subject in subjects]
    assert all(1200 < volume < 2400 for volume in volumes)
    assert len(set(volumes)) == 5


def test_subject_depends_on_seed_and_index_only():
    settings = BrainSettings(spacing=5.0)
    again = [simulate_subject(7, 2, settings) for _ in range(2)]
    for name, scan in again[0]["scans"].items():
        np.testing.assert_array_equal(scan, again[1]["scans"][name])
    assert not np.array_equal(again[0]["scans"]["t1"], simulate_subject(8, 2, settings)["scans"]["t1"])


def test_a_scan_does_not_depend_on_the_others_asked_for():
    alone = simulate_subject(7, 2, BrainSettings(spacing=5.0, sequences=("flair",)))
    everything = simulate_subject(7, 2, BrainSettings(spacing=5.0, dce_frames=2))
    assert list(alone["scans"]) == ["flair"]
    np.testing.assert_array_equal(alone["scans"]["flair"], everything["scans"]["flair"])


def test_anatomy_does_not_depend_on_spacing():
    fine, coarse = (simulate_subject(7, 2, BrainSettings(spacing=spacing)) for spacing in (3.0, 6.0))
    assert fine["truth"]["lesions"] == coarse["truth"]["lesions"]
    assert fine["truth"]["volume_ml"]["brain"] == pytest.approx(coarse["truth"]["volume_ml"]["brain"], rel=0.03)


def test_background_is_zero_and_brain_is_not(noisy):
    brain = noisy["masks"]["brain"] > 0
    for scan in noisy["scans"].values():
        assert not scan[~brain].any()
        assert (scan[brain] > 0).mean() > 0.99


def test_dynamic_series_rises_in_the_order_of_the_truth():
    settings = BrainSettings(**SURE, dce_frames=16, noise=0.0, sequences=("t1c",))
    subject = simulate_subject(5, 3, settings)
    series, lesion = subject["scans"]["dce"].astype(float), subject["masks"]["lesion"]
    assert series.shape == (*lesion.shape, 16)
    rim, core = (series[lesion == part].mean(axis=0) for part in (2, 1))
    assert rim[:3] == pytest.approx(rim[0], rel=0.01)  # before the agent arrives
    assert rim[-1] > 1.3 * rim[0]
    assert rim[-1] / rim[0] > core[-1] / core[0]
