"""Preparation of studies whose scans cover different places, and of images with their own background."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.preparing.plan import IntensityRule, Plan, grid_groups, learn_plan
from scanweave.studies.preparing.preparation import background, prepare, restore, to_grid
from scanweave.studies.preparing.settings import PreparationSettings
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

GRID = np.diag([3.0, 3.0, 3.0, 1.0])
SHAPE = (24, 26, 22)


def radius(shape=SHAPE):
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    return np.sqrt((place**2).sum(axis=0))


def noise(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def brain(seed=0):
    """A magnitude image: 0 outside of a ball."""
    return np.where(radius() < 0.8, 500 + 50 * noise(seed), 0).astype(np.float32)


def normalised(seed=0):
    """A z-scored, skull-stripped image: exactly 0 outside, values of both signs inside."""
    return np.where(radius() < 0.8, noise(seed), 0).astype(np.float32)


def computed(seed=0):
    """A CT: air, and soft tissue around 0."""
    return np.where(radius() < 0.8, 40 * noise(seed), -1000 + noise(seed)).astype(np.float32)


def shifted(slices):
    affine = GRID.copy()
    affine[2, 3] = 3.0 * slices
    return affine


def learnt(*studies, **settings) -> Plan:
    names = list(dict.fromkeys(name for study in studies for name in study.scans))
    return learn_plan(studies, names, PreparationSettings(**settings))


def test_axes_in_another_order_are_turned_exactly():
    """The header of a turned copy rounds in float32; not one voxel may change for it."""
    affine = GRID.copy()
    affine[:3, 3] = [-33.3, 47.1, 11.7]
    turned = affine @ np.array([[-1.0, 0, 0, SHAPE[0] - 1], [0, 0, -1, SHAPE[1] - 1], [0, 1, 0, 0], [0, 0, 0, 1]])
    data = noise()
    flipped = data[::-1, ::-1].transpose(0, 2, 1)
    study = Study("s", "p", {"t1": Scan.of(data, affine), "t2": Scan.of(flipped, turned.astype(np.float32))})
    made = to_grid(study["t2"], study["t1"].geometry.oriented())
    np.testing.assert_array_equal(made, data)


@pytest.mark.parametrize("spacing", [None, (2.0, 2.0, 2.0), (5.0, 5.0, 5.0)])
def test_what_a_scan_does_not_cover_is_absent_and_its_own_border_is_not(spacing):
    study = Study("s", "p", {"t1": Scan.of(brain(), GRID), "ct": Scan.of(computed(1)[:, :, :12], GRID)})
    plan = learnt(study, reference="t1", spacing=spacing, crop=False)
    working = prepare(study, plan).frame.working
    whole, part = (to_grid(study[name], working) for name in ("t1", "ct"))
    assert np.isfinite(whole).all()
    share = np.isnan(part).mean(axis=(0, 1))
    assert set(share) == {0.0, 1.0}
    assert share.mean() == pytest.approx(10 / 22, abs=0.5 / len(share) + 1e-6)


def test_uncovered_voxels_are_absent_and_move_no_scale():
    alone = Study("s", "p", {"ct": Scan.of(computed(), GRID), "t1": Scan.of(brain(), GRID)})
    plan = learnt(alone, reference="ct", crop=False)
    wide = replace(alone, scans={**alone.scans, "t1": Scan.of(brain()[:, :, 8:], shifted(8))})
    slab = replace(alone, scans={**alone.scans, "ct": Scan.of(computed()[:, :, 8:], shifted(8))})
    plan_t1 = plan.model_copy(update={"settings": plan.settings.model_copy(update={"reference": "t1"})})
    whole = prepare(alone, plan)
    for made in (prepare(slab, plan_t1).volumes["ct"], prepare(wide, plan).volumes["t1"]):
        np.testing.assert_array_equal(np.isnan(made), np.arange(made.shape[2]) < 8 + np.zeros(made.shape))
    cut = Study("s", "p", {"t1": Scan.of(brain()[:, :, 8:], GRID)})
    assert prepare(wide, plan).frame.scales["t1"] == pytest.approx(prepare(cut, plan).frame.scales["t1"])
    assert whole.volumes["ct"].min() == -1


def test_a_scan_beside_its_study_is_refused():
    study = Study("s", "p", {"t1": Scan.of(brain(), GRID), "t2": Scan.of(brain(), shifted(100))})
    plan = learnt(study, reference="t1")
    with pytest.raises(ScanweaveError, match="s: t2: covers nothing of the grid of the study"):
        prepare(study, plan)


def test_normalised_images_keep_their_background_outside_the_crop():
    study = Study("s", "p", {"t1": Scan.of(normalised(), GRID)})
    plan = learnt(study, margin=0)
    assert plan.rule("t1").kind == "window"
    assert plan.rule("t1").background == 0
    prepared = prepare(study, plan)
    assert min(np.subtract(SHAPE, prepared.frame.shape)) > 0
    back = restore(prepared.volumes["t1"], prepared.frame, plan, "t1")
    outside = radius() >= 0.8
    np.testing.assert_allclose(back[outside], 0, atol=1e-6)
    assert (back == 0).mean() > 0.2
    assert np.unique(prepared.volumes["t1"][0, 0, 0]) == np.float32(background(plan, "t1"))
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_the_background_of_ct_is_its_lowest_and_of_magnitudes_zero():
    study = Study("s", "p", {"ct": Scan.of(computed(), GRID), "t1": Scan.of(brain(), GRID)})
    plan = learnt(study)
    assert plan.rule("ct").background == plan.rule("ct").low
    assert background(plan, "ct") == background(plan, "t1") == -1


def test_a_sequence_that_shows_nothing_is_told():
    empty = np.full(SHAPE, -5.0, dtype=np.float32)
    with pytest.raises(ScanweaveError, match="t1: shows nothing in the training studies"):
        learnt(Study("s", "p", {"t1": Scan.of(empty, GRID)}))


def test_a_window_must_say_its_background():
    with pytest.raises(ValueError, match="does not say its background"):
        IntensityRule(kind="window", low=-150, high=250)


def test_the_spacing_is_learnt_from_the_scans_of_the_plan_only():
    """A finer scan that is not asked for must not set the grid, since it is not there when studies are prepared."""
    fine = Scan.of(noise(1, (48, 52, 44)), np.diag([1.5, 1.5, 1.5, 1.0]))
    wide = Scan.of(brain(2), np.diag([6.0, 6.0, 6.0, 1.0]))
    studies = [Study("a", "a", {"t1": Scan.of(brain(), GRID), "swi": fine}), Study("b", "b", {"t1": wide})]
    plan = learn_plan(studies, ["t1"], PreparationSettings())
    assert plan.spacing == (4.5, 4.5, 4.5)


def film(shape, seed=0, space="pixels", spacing=1.0):
    """A film as its reader gives it: columns from the left, rows from the top, in no place of the patient."""
    affine = np.diag([-spacing, -spacing, 1.0, 1.0])
    return Scan.of(np.random.default_rng(seed).uniform(1, 100, (*shape, 1)), affine, space=space)


FLAT = PreparationSettings(crop=False, orientation="LPS")


def test_plan_of_an_earlier_run_loads(tmp_path):
    """As runs of 0.1.0 wrote it, before masks and grids of scans' own were in it."""
    settings = {"orientation": "RAS", "spacing": None, "reference": "finest", "crop": True, "margin": 4}
    rule = {"kind": "magnitude", "low": 0.0, "high": 900.0}
    window = {"kind": "window", "low": -1000.0, "high": 600.0, "background": -1000.0}
    old = {
        "settings": settings,
        "spacing": [1.0, 1.0, 3.0],
        "rules": {"t1": rule, "ct": window},
        "reasons": ["no crop"],
    }
    (tmp_path / "plan.json").write_text(json.dumps(old))
    plan = Plan.load(tmp_path / "plan.json")
    assert plan.scans == ["t1", "ct"]
    assert plan.sources == ("scan:t1", "scan:ct")
    plan.save(tmp_path / "again.json")
    assert Plan.load(tmp_path / "again.json") == plan


def test_films_of_different_views_lie_on_grids_of_their_own():
    two = Study("s", "p", {"frontal": film((20, 24), 1), "lateral": film((16, 30), 2)})
    plan = learn_plan([two], ["frontal", "lateral"], FLAT, standard=True)
    prepared = prepare(two, plan)
    assert {name: volume.shape for name, volume in prepared.volumes.items()} == {
        "frontal": (20, 24, 1),
        "lateral": (16, 30, 1),
    }
    assert all(np.isfinite(volume).all() for volume in prepared.volumes.values())  # nothing is cut by the other
    with pytest.raises(ScanweaveError, match=r"s: its scans \(frontal, lateral\) lie on grids of their own"):
        assert prepared.frame
    assert "grid: each scan on its own" in "\n".join(plan.reasons)


def test_films_of_one_size_share_a_grid_as_channels_do():
    one = Study("s", "p", {"blue": film((20, 24), 1), "red": film((20, 24), 2)})
    prepared = prepare(one, learn_plan([one], ["blue", "red"], FLAT))
    assert prepared.frame is prepared.frames["red"]
    other = Study("s", "p", {"blue": film((20, 24), 1, "film", 0.1), "red": film((20, 24), 2, "film", 0.2)})
    assert [*map(len, grid_groups(other))] == [1, 1]  # one size, but another scale


def test_scans_keep_grids_of_their_own_where_that_is_asked():
    ct, pet = np.ones((40, 40, 20)), np.ones((10, 10, 10))
    ct[5:30, 5:30], pet[2:8, 2:8] = 9, 9
    scans = {"ct": Scan.of(ct, np.diag([1.0, 1.0, 2.0, 1.0])), "pet": Scan.of(pet, np.diag([4.0, 4.0, 4.0, 1.0]))}
    study = Study("s", "p", scans)
    plan = learn_plan([study], ["ct", "pet"], PreparationSettings(crop=False, grid="own", suv=["pet"]), standard=True)
    shapes = {name: volume.shape for name, volume in prepare(study, plan).volumes.items()}
    assert shapes == {"ct": (40, 40, 20), "pet": (10, 10, 10)}
    finer = plan.model_copy(update={"spacings": {"ct": (2.0, 2.0, 2.0), "pet": None}})
    assert prepare(study, finer).volumes["ct"].shape == (20, 20, 20)
    assert prepare(study, finer).volumes["pet"].shape == (10, 10, 10)
    together = PreparationSettings(crop=False, suv="pet")
    shared = prepare(study, learn_plan([study], ["ct", "pet"], together, standard=True))
    assert {volume.shape for volume in shared.volumes.values()} == {(40, 40, 20)}


def test_mask_of_one_of_two_films_lies_on_that_film():
    drawn = np.zeros((16, 30, 1), np.uint8)
    drawn[2, 5] = 3
    mask = Scan.of(drawn, np.diag([-1.0, -1.0, 1.0, 1.0]))  # as a NIfTI file of it says
    scans = {"frontal": film((20, 24), 1, "film", 0.1), "lateral": film((16, 30), 2, "film", 0.1)}
    study = Study("s", "p", scans, {"lesion": mask})
    plan = learn_plan([study], ["frontal", "lateral"], FLAT, masks=["lesion"], standard=True)
    np.testing.assert_array_equal(prepare(study, plan).masks["lesion"], drawn)
    coarse = plan.model_copy(update={"spacings": {"frontal": None, "lateral": (0.2, 0.2, 1.0)}})
    assert prepare(study, coarse).masks["lesion"].shape == (8, 15, 1)
    wrong = replace(study, masks={"lesion": Scan.of(drawn[:9], mask.geometry.affine)})
    with pytest.raises(ScanweaveError, match="mask:lesion: does not lie on the grid of its film"):
        prepare(wrong, plan)
