"""Marks filled, moved and pasted: what changes on a film, and what stays."""

from dataclasses import replace

import numpy as np
import pytest
from marked_cohort import SIZE, Toy, ToyPlan, looks_at_marker, make_marked

from scanweave.audit.evidence_maps import EvidenceMap, covered, occlusion_windows
from scanweave.audit.film_changes import carried, filled, moved_box, place_of, touches, transplanted
from scanweave.audit.mark_trials import REMOVAL, MarkTrials, TriedRun
from scanweave.audit.marked_films import FilmPool
from scanweave.audit.site_probe import probe, probed_films, site_values
from scanweave.audit.told_findings import told_findings
from scanweave.measures.operating_points import OperatingPoint

BOX = np.array([[20.0, 30.0], [30.0, 44.0]])


@pytest.fixture(scope="module")
def ramp():
    x, y = np.meshgrid(np.arange(80.0), np.arange(100.0), indexing="ij")
    return 10 + 2 * x + y


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return FilmPool(make_marked(tmp_path_factory.mktemp("marked") / "c", patients=24), ["film"], 0)


@pytest.mark.parametrize("box", [BOX, np.array([[0.0, 0.0], [9.0, 12.0]]), np.array([[8.0, 20.0], [38.0, 70.0]])])
def test_a_fill_goes_on_as_its_surroundings_do(ramp, box):
    marked = ramp.copy()
    marked[place_of(box, (80, 100))] = 900
    made = filled(marked, [box])
    inside = place_of(box, (80, 100), 10)
    assert np.abs(made - ramp).max() < 0.12 * np.ptp(ramp)
    changed = made != marked
    changed[inside] = False
    assert not changed.any()


def test_a_fill_of_a_ramp_away_from_the_edge_is_the_ramp(ramp):
    marked = ramp.copy()
    marked[place_of(BOX, (80, 100))] = 900
    np.testing.assert_allclose(filled(marked, [BOX]), ramp, atol=1)


def test_a_film_with_its_own_patch_is_itself(ramp):
    film = ramp + np.random.default_rng(0).normal(0, 5, ramp.shape)
    np.testing.assert_allclose(transplanted(film, film, BOX[None]), film, atol=1e-9)


@pytest.mark.parametrize("size", [(80, 100), (160, 200)])
def test_a_mark_keeps_its_contrast_on_a_darker_film_of_another_size(ramp, size):
    donor = np.full(size, 500.0)
    box = carried(BOX, (80, 100), size)
    donor[place_of(box, size)] += 100
    made = transplanted(ramp, donor, box[None])
    np.testing.assert_allclose((made - ramp)[place_of(BOX, (80, 100), -1)], 100, atol=2)
    outside = np.ones(ramp.shape, bool)
    outside[place_of(BOX, (80, 100), 2)] = False
    assert (made == ramp)[outside].all()


def test_a_mark_of_a_film_of_another_bit_depth_keeps_its_share_of_the_range(ramp):
    """Of 16 bits on 8 bits: a mark that spans a tenth of its film's range spans a tenth here too."""
    donor = 257 * ramp
    box = place_of(BOX, (80, 100))
    donor[box] += 0.1 * np.ptp(ramp) * 257
    made = transplanted(ramp, donor, BOX[None])
    np.testing.assert_allclose((made - ramp)[place_of(BOX, (80, 100), -1)], 0.1 * np.ptp(ramp), rtol=0.1)


def test_a_moved_box_is_free_and_of_the_same_size():
    taken = np.array([[[0.0, 0.0], [40.0, 100.0]], [[40.0, 0.0], [80.0, 50.0]]])
    for seed in range(5):
        moved = moved_box(np.random.default_rng(seed), BOX, taken, (80, 100))
        assert not touches(moved, taken)
        np.testing.assert_allclose(moved[1] - moved[0], BOX[1] - BOX[0])
        assert (moved >= 0).all()
        assert (moved[1] <= (80, 100)).all()
    full = np.array([[[0.0, 0.0], [80.0, 100.0]]])
    assert moved_box(np.random.default_rng(0), BOX, full, (80, 100)) is None


def test_a_changed_film_keeps_type_shape_and_the_rest_of_its_study(pool):
    film = pool.film(next(iter(pool.classes)))
    study = film.with_image((film.image() - 100) * 100)
    before, after = film.study["film"].data, study["film"].data
    assert after.dtype == before.dtype == np.uint8
    assert after.shape == (*SIZE, 1)
    assert (after.min(), after.max()) == (0, 255)
    assert study.labels == film.study.labels
    np.testing.assert_array_equal(film.with_image(film.image())["film"].data, before)


def test_masking_covers_every_mark_and_touches_no_box_in_the_control(pool):
    toy = Toy(looks_at_marker)
    trials = MarkTrials(pool, {"toy": TriedRun(toy, told_findings(toy), {"nodule": {}})}, ["marker", "tube"], 8, 0)
    for name in pool.having(["tube"])[:6]:
        film = pool.film(name)
        pair = trials.pair(film, "tube", REMOVAL)
        changed = pair.changed != film.image()
        assert changed[place_of(film.corners(["tube"])[0], film.size)].mean() > 0.99
        everything = film.corners(["nodule", "marker", "tube"])
        assert not any(touches(corners, everything) for corners in pair.control_boxes)


def test_windows_tile_a_film_and_overlap_by_half():
    windows = occlusion_windows((64, 48))
    assert len(windows) == 15 * 15
    times = np.zeros((64, 48))
    for (a, b), (c, d) in windows.astype(int):
        times[a:c, b:d] += 1
    assert (times > 0).all()
    assert times[4:-4, 3:-3].min() == times.max() == 4
    image = np.random.default_rng(0).normal(0, 1, (64, 48))
    made = covered(image, windows[16])
    assert np.ptp(made[4:12, 3:9]) == 0
    assert (made != image).sum() == 8 * 6


def test_evidence_is_shared_by_what_windows_touch():
    windows = occlusion_windows((16, 16))
    drops = np.zeros(len(windows))
    drops[0], drops[-1], drops[7] = 3.0, 1.0, -5.0
    corner = EvidenceMap(windows, drops).share(np.array([[[0.0, 0.0], [1.0, 1.0]]]))
    assert corner == (0.75, 1 / 225)
    assert np.isnan(EvidenceMap(windows, -np.ones(225)).share(BOX[None])[0])


def test_features_without_the_site_do_not_tell_it():
    rng = np.random.default_rng(1)
    patients = [f"p{number // 2}" for number in range(160)]
    sites = ["AB"[number // 2 % 2] for number in range(160)]
    of_site = np.array([site == "B" for site in sites])[:, None] + rng.normal(0, 0.1, (160, 2))
    found = probe(rng.normal(size=(160, 4)), of_site, sites, patients, 0)
    assert found.features.low < 0.5 < found.features.high
    assert found.statistics.value > 0.99
    assert found.excess.high < -0.2


def test_sites_of_too_few_patients_are_left_out(pool):
    sites = site_values(pool.cohort, "")
    assert set(sites.values()) == {"A", "B"}
    assert len(probed_films(pool, sites, 100)) == 24
    assert probed_films(pool, dict.fromkeys(sites, "A"), 100) == []
    few = {name: "B" if name in list(sites)[:3] else "A" for name in sites}
    assert probed_films(pool, few, 100) == []
    assert site_values(replace(pool.cohort, frame=pool.cohort.frame.drop(columns="table:site")), "") == {}


def test_a_class_is_told_as_a_finding():
    def told(outputs, points):
        toy = Toy(looks_at_marker)
        asked = {"kind": "classes", "labels": ("grade",), "outputs": outputs, "uncertain": "ignore"}
        toy.plan, toy.points = ToyPlan(**asked, shares=(0.5,) * len(outputs), reasons=()), points
        return told_findings(toy)

    point = OperatingPoint(0.3, "x", 1)
    (yes,) = told(("0", "1"), {"1": point})
    assert (yes.name, yes.number) == ("grade", 1)
    assert yes.called(np.array([0.65, 0.35]))
    (ill,) = told(("healthy", "ill"), {"ill": point})
    assert ill.name == "ill"
    low, high, middle = told(("low", "high", "middle"), {})
    shares = np.array([0.3, 0.5, 0.2])
    assert [one.called(shares) for one in (low, high, middle)] == [False, True, False]
    assert high.log_odds(shares) == 0
    assert low.log_odds(np.array([1.0, 0, 0])) == pytest.approx(-middle.log_odds(np.array([1.0, 0, 0])))
