"""One simulated film: findings, masks and boxes agree, marks follow rho, and nothing else does."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage, stats

from scanweave.simulate.films import FilmSettings, simulate_film
from scanweave.simulate.films.chest import draw_chest
from scanweave.simulate.films.film import Draws, Stream
from scanweave.simulate.films.findings import Findings, Fracture, Nodule
from scanweave.simulate.films.marks import drawn_marks
from scanweave.simulate.films.plane import FilmPlane
from scanweave.simulate.films.settings import FINDINGS
from scanweave.simulate.films.sites import BRIGHT, DARK, QUANTA, SITES
from scanweave.simulate.films.skeleton import skeleton
from scanweave.simulate.films.thickness import LUNG, SOFT, shadow

SMALL = {"size": 128}
ALL = {"prevalence": 1.0}
NONE = {"prevalence": 0.0}


def film(index, **settings):
    return simulate_film(11, index, FilmSettings(**SMALL | settings))


@pytest.fixture(scope="module")
def films():
    return [film(index, prevalence=0.5, sites=["A=0.5", "B=0.5"]) for index in range(40)]


@pytest.fixture(scope="module")
def ill():
    return [film(index, **ALL) for index in range(20)]


def attenuation(chest, findings, size=128):
    return shadow(np.random.default_rng(0), chest, FilmPlane.square(size), findings)


def test_the_same_numbers_give_the_same_film(films):
    again = film(3, prevalence=0.5, sites=["A=0.5", "B=0.5"])
    np.testing.assert_array_equal(again.pixels, films[3].pixels)
    assert again.truth == films[3].truth
    assert not np.array_equal(films[3].pixels, films[4].pixels)


def test_labels_masks_and_boxes_name_the_same_findings(films):
    for one in films:
        there = {name for name, label in one.labels.items() if label}
        assert set(one.labels) == set(FINDINGS)
        assert there == set(one.masks) == set(one.truth["findings"])
        assert set(one.boxes.labels) == there | set(one.truth["marks"])
        assert len(set(one.boxes.labels)) == len(one.boxes)


def test_boxes_lie_tight_around_masks(ill):
    for one in ill:
        for corners, name in zip(one.boxes.corners.astype(int), one.boxes.labels, strict=True):
            if name in one.masks:
                (left, top), (right, bottom) = corners
                mask = one.masks[name]
                inside = mask[top:bottom, left:right]
                assert inside.sum() == mask.sum() > 0
                assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
        assert one.boxes.faults() == ()


@pytest.mark.parametrize("conspicuity", [0.25, 3.0])
def test_every_finding_covers_pixels_however_it_shows(conspicuity):
    for index in range(25):
        one = film(index, **ALL, conspicuity=conspicuity)
        assert set(one.masks) == set(FINDINGS)
        assert all(0 < mask.sum() < 0.35 * mask.size for mask in one.masks.values())


def test_prevalence_is_met_by_each_finding_apart():
    draws = [Draws(5, index, FilmSettings(prevalence=["nodule=0.7", "fracture=0.1"])) for index in range(800)]
    chest = draw_chest(np.random.default_rng(0))
    there = np.array([[name in one.findings(chest).present for name in FINDINGS] for one in draws])
    for share, chance in zip(there.mean(axis=0), (0.7, 0.3, 0.3, 0.1, 0.3), strict=True):
        assert share == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / 800))
    correlations = np.corrcoef(there.T) - np.eye(len(FINDINGS))
    assert np.abs(correlations).max() < 4 / np.sqrt(800)


@pytest.mark.parametrize("rho", [0.05, 0.5, 0.95])
def test_marks_agree_with_their_findings_as_often_as_rho_says(rho):
    settings = FilmSettings(rho=rho)
    rng = np.random.default_rng(1)
    agree = {"marker": 0, "tube": 0}
    for index in range(1000):
        found = {name for name in FINDINGS if rng.random() < 0.3}
        marks = drawn_marks(Draws(2, index, settings).rng(Stream.AGREEMENT), settings, SITES["A"], found)
        for mark, name in settings.shortcuts.items():
            agree[mark] += (mark in marks) == (name in found)
    for count in agree.values():
        assert stats.binomtest(count, 1000, rho).pvalue > 1e-4


def test_marks_without_a_finding_come_by_the_chance_of_the_site():
    settings = FilmSettings(shortcuts="none")
    for site in SITES.values():
        marks = [drawn_marks(np.random.default_rng(index), settings, site, set()) for index in range(600)]
        for mark, chance in zip(("marker", "tube", "device"), site.chances, strict=True):
            assert stats.binomtest(sum(mark in one for one in marks), 600, chance).pvalue > 1e-4


def test_another_rho_changes_pixels_where_marks_are_and_nothing_else():
    changed = 0
    for index in range(12):
        first, second = film(index, rho=0.05), film(index, rho=0.95)
        assert first.labels == second.labels
        assert first.truth["findings"] == second.truth["findings"]
        assert first.truth["anatomy"] == second.truth["anatomy"]
        for name, mask in first.masks.items():
            np.testing.assert_array_equal(mask, second.masks[name])
        near = np.zeros(first.pixels.shape, bool)
        for one in (first, second):
            for name, (left, right) in one.truth["boxes"].items():
                if name in one.truth["marks"]:
                    near[max(left[1] - 4, 0) : right[1] + 4, max(left[0] - 4, 0) : right[0] + 4] = True
        np.testing.assert_array_equal(first.pixels[~near], second.pixels[~near])
        changed += not np.array_equal(first.pixels, second.pixels)
    assert changed > 6


def test_sites_see_the_same_patients_with_other_noise_and_gain():
    for index in range(4):
        one, other = (film(index, sites=name, shortcuts="none") for name in "AB")
        assert one.truth["findings"] == other.truth["findings"]
        assert one.truth["anatomy"] == other.truth["anatomy"]
        assert other.pixels[100:].max() < one.pixels[100:].max()
        clean = [film(index, sites=name, shortcuts="none", noise=0.0) for name in "AB"]
        grain = [seen.pixels.astype(float) - plain.pixels for seen, plain in zip((one, other), clean, strict=True)]
        noise = [np.std(part[100:, 32:96]) for part in grain]
        expected = SITES["B"].noise * SITES["B"].gain * SITES["B"].gamma / (SITES["A"].noise * SITES["A"].gain)
        assert noise[1] / noise[0] == pytest.approx(expected, rel=0.1)  # gamma bends a bright value by about itself


@pytest.mark.parametrize(("site", "letter", "left"), [("A", "R", range(32)), ("B", "L", range(90, 128))])
def test_a_marker_lies_in_the_upper_corner_of_its_side(site, letter, left):
    one = film(0, sites=site, rho=0.0, **NONE)  # absent findings and no agreement: all marks are there
    start, stop = one.truth["boxes"]["marker"]
    assert one.truth["marks"]["marker"]["letter"] == letter
    assert stop[1] < 32
    assert start[0] in left
    assert stop[0] - 1 in left


def test_noise_follows_the_number_of_quanta():
    flat = np.full((200, 200), 3.0, np.float32)
    site = replace(SITES["A"], blur=0.0)
    taken = site.taken(np.random.default_rng(0), flat, 1.0, 1.0) / 60000 * (BRIGHT - DARK) + DARK
    assert taken.mean() == pytest.approx(3.0, abs=0.002)
    assert taken.std() == pytest.approx(np.exp(1.5) / np.sqrt(QUANTA), rel=0.02)
    coarse = site.taken(np.random.default_rng(0), flat, 2.0, 1.0) / 60000 * (BRIGHT - DARK)
    assert coarse.std() == pytest.approx(taken.std() / 2, rel=0.02)


def test_a_nodule_absorbs_as_the_sphere_that_replaces_lung():
    chest = draw_chest(np.random.default_rng(3))
    nodule = Nodule(-60.0, 0.0, 12.0, 1.0)
    plain, planted = (attenuation(chest, one, 512).attenuation for one in (Findings(), Findings(nodule=nodule)))
    added = (planted - plain).sum() * FilmPlane.square(512).spacing ** 2
    assert added == pytest.approx((SOFT - LUNG) * 4 / 3 * np.pi * 12**3, rel=0.01)


def test_fluid_whitens_and_free_air_darkens_where_they_are(ill):
    for index in range(8):
        chest = draw_chest(np.random.default_rng(index))
        found = Draws(1, index, FilmSettings(prevalence=1.0)).findings(chest)
        plain = attenuation(chest, Findings()).attenuation
        for name, sign in (("effusion", 1), ("pneumothorax", -1)):
            seen = attenuation(chest, Findings(**{name: getattr(found, name)}))
            change = (seen.attenuation - plain)[ndimage.binary_erosion(seen.masks[name])]
            assert sign * np.median(change) > 0.1


def test_a_broken_rib_changes_near_the_break_most():
    chest, plane = draw_chest(np.random.default_rng(5)), FilmPlane.square(256)
    broken = Fracture(side=1, rib=4, share=0.6, step=5.0, gap=2.5)
    change = np.abs(skeleton(chest, plane, broken) - skeleton(chest, plane, None))
    mask = attenuation(chest, Findings(fracture=broken), 256).masks["fracture"]
    assert change[mask].mean() > 20 * change[~mask].mean()
    assert not change[:, :128].any()


def test_the_heart_is_as_wide_as_the_truth_says(ill):
    well = [film(index, **NONE) for index in range(20)]
    assert max(one.truth["heart_ratio"] for one in well) < 0.5
    for one in ill:
        columns = np.flatnonzero(one.masks["cardiomegaly"].any(axis=0))
        thorax = 2 * one.truth["anatomy"]["half_width"] / one.truth["spacing_mm"]
        assert len(columns) / thorax == pytest.approx(one.truth["heart_ratio"], abs=2 / thorax)
        assert len(columns) / thorax > 0.5


def test_lungs_are_dark_and_the_middle_is_bright():
    for index in range(10):
        one = film(index, **NONE, shortcuts="none")
        row = int(64 + one.truth["anatomy"]["hilum"] / one.truth["spacing_mm"])
        line = ndimage.uniform_filter(one.pixels.astype(float), 5)[row]
        assert max(line[64 - 26], line[64 + 26]) < 0.85 * line[64]


def test_anatomy_does_not_depend_on_the_size():
    coarse, fine = film(2, noise=0.0), film(2, noise=0.0, size=256)
    shrunk = fine.pixels.reshape(128, 2, 128, 2).mean(axis=(1, 3))
    assert np.corrcoef(shrunk.ravel(), coarse.pixels.ravel())[0, 1] > 0.99
    assert coarse.truth["anatomy"] == fine.truth["anatomy"]


def test_truth_is_plain(films):
    assert json.loads(json.dumps(films[0].truth))["site"] in "AB"


def test_an_annotated_share_is_drawn():
    drawn = [Draws(4, index, FilmSettings()).rng(Stream.ANNOTATED).random() < 0.25 for index in range(1000)]
    assert stats.binomtest(int(np.sum(drawn)), 1000, 0.25).pvalue > 1e-4
    assert not film(0, annotated=0.0).annotated
    assert film(0).annotated
