"""Series are prepared as volumes are, on one intensity scale, cached frame by frame, and brought back as series."""

from __future__ import annotations

import numpy as np
import pytest

from scanweave.augment.crops import Crop
from scanweave.errors import ScanweaveError
from scanweave.framework.scan_preparation import native_scan, read_crop
from scanweave.studies.cohort import Cohort
from scanweave.studies.preparing.cohort_preparation import prepare_cohort
from scanweave.studies.preparing.plan import Plan, learn_plan
from scanweave.studies.preparing.preparation import normalise, prepare, restore, to_grid
from scanweave.studies.preparing.prepared_cache import PreparedCohort
from scanweave.studies.preparing.settings import PreparationSettings
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

AFFINE = np.diag([-4.0, -4.0, 5.0, 1.0])
COARSE = np.diag([-6.0, -6.0, 5.0, 1.0])
SHAPE = (18, 16, 14)
UPTAKE = (1.0, 2.5, 4.0, 3.0, 2.0)
"""Enhancement of the frames over the first."""


def head(seed, shape=SHAPE):
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    inside = np.sqrt((place**2).sum(axis=0)) < 0.85
    return np.where(inside, np.random.default_rng(seed).uniform(80, 120, shape), 0).astype(np.float32)


def dynamic(seed, frames=3, shape=(12, 11, 14), affine=COARSE, **told):
    return Scan.of(head(seed, shape)[..., None] * np.array(UPTAKE[:frames], np.float32), affine, **told)


def study(seed, frames=3, **told):
    return Study(f"s{seed}", f"p{seed}", {"t1": Scan.of(head(seed), AFFINE), "dce": dynamic(seed, frames, **told)})


def learnt(studies, **settings) -> Plan:
    return learn_plan(studies, ["t1", "dce"], PreparationSettings(**settings), series=["dce"])


def test_a_plan_knows_typical_frames_times_and_b_values():
    studies = [
        study(0, 3, times=[0, 10, 20]),
        study(1, 3, times=[0, 12, 30], b_values=[0, 50, 800]),
        study(2, 3, times=[0, 14, 22]),
        study(3, 5, times=[0, 1, 2, 3, 4]),
        study(4, 2),
    ]
    plan = learnt(studies)
    assert plan.series["dce"].frames == 3
    assert plan.series["dce"].times == (0, 12, 22)
    assert plan.series["dce"].b_values == (0, 50, 800)
    assert any("dce: a series, 2 to 5 frames" in reason for reason in plan.reasons)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_the_peak_of_a_small_lesion_is_not_clipped_in_a_cohort_with_a_series():
    """A lesion of few voxels does not move the percentile, and is the brightest of all after a contrast agent."""
    curve = (1.0, 9.0, 7.5, 6.0)
    one = study(0, 4)
    bright = np.asarray(one.scans["dce"].data).copy()
    bright[5:7, 5:7, 6] = 100 * np.array(curve, np.float32)
    one = Study(one.id, one.patient, {**one.scans, "dce": Scan.of(bright, COARSE)})
    kept, clipped = learnt([one]), learnt([one], series_headroom=None)
    assert (kept.settings.headroom, clipped.settings.headroom) == (3.0, 1.25)
    for plan, whole in ((kept, True), (clipped, False)):
        prepared = prepare(one, plan)
        again = restore(prepared.volumes["dce"], prepared.frame, plan, "dce")
        lesion = to_grid(Scan.of(again, one.scans["t1"].geometry.affine), one.scans["dce"].geometry)[5:7, 5:7, 6]
        found = lesion.mean(axis=(0, 1))
        assert bool(abs(found[3] / found[1] - curve[3] / curve[1]) < 0.05) is whole


def test_the_window_of_a_signed_map_is_wider_beside_a_series():
    """A map of wash-out has its lowest values in the lesions, which the percentiles do not know either."""
    one = study(0, 4)
    map_ = np.random.default_rng(0).uniform(-0.1, 0.1, SHAPE).astype(np.float32)
    map_[5:7, 5:7, 6] = -0.25
    one = Study(one.id, one.patient, {**one.scans, "washout": Scan.of(map_, AFFINE)})
    names = ["t1", "dce", "washout"]
    plan = learn_plan([one], names, PreparationSettings(), series=["dce"])
    narrow = learn_plan([one.only(["t1", "washout"])], ["t1", "washout"], PreparationSettings())
    rule, usual = plan.rules["washout"], narrow.rules["washout"]
    assert rule.high - rule.low == pytest.approx(3 * (usual.high - usual.low))
    assert rule.low < -0.25 < usual.low
    assert prepare(one, plan).volumes["washout"].min() > -1


def test_headroom_of_series_is_refused_where_there_is_none():
    settings = PreparationSettings(series_headroom=2.0)
    with pytest.raises(ScanweaveError, match=r"preparation\.series_headroom: has no effect: no scan is a series"):
        learn_plan([study(0).only(["t1"])], ["t1"], settings)


def test_one_scale_for_all_frames_keeps_the_curve():
    one = study(0, 4)
    prepared = prepare(one, learnt([one, study(1)]))
    made = prepared.volumes["dce"]
    assert made.shape == (*prepared.frame.shape, 4)
    assert made.dtype == np.float32
    assert prepared.volumes["t1"].shape == prepared.frame.shape
    inside = (prepared.volumes["t1"] > -0.9) & (made > -0.9).all(axis=-1) & (made < 1).all(axis=-1)
    curve = (made[inside] + 1).mean(axis=0)
    np.testing.assert_allclose(curve / curve[0], UPTAKE[:4], rtol=1e-3)


def test_each_frame_is_resampled_as_a_volume():
    one = study(0, 3)
    plan = learnt([one])
    prepared = prepare(one, plan)
    for number in range(3):
        frame = to_grid(one["dce"].channel(number), prepared.frame.working)[prepared.frame.box]
        alone = normalise(frame, plan, "dce", prepared.frame.scales["dce"])
        np.testing.assert_array_equal(prepared.volumes["dce"][..., number], alone)


@pytest.mark.parametrize("rule", ["zscore", "suv"])
def test_other_rules_have_one_level_for_all_frames_too(rule):
    one = study(0, 3)
    settings = PreparationSettings(**({"suv": ("dce",), "suv_high": 600.0} if rule == "suv" else {}))
    plan = learn_plan([one], ["dce"], settings, standard=rule == "zscore", series=["dce"])
    assert plan.rule("dce").kind == rule
    made = prepare(one.only(["dce"]), plan).volumes["dce"]
    assert made.shape[3] == 3
    means = np.nanmean(made, axis=(0, 1, 2))
    assert means[0] < means[1] < means[2]


def test_any_number_of_frames_is_prepared_and_a_volume_is_a_series_of_one():
    plan = learnt([study(0, 3)])
    for frames in (2, 5):
        prepared = prepare(study(1, frames), plan)
        assert prepared.volumes["dce"].shape[3] == prepared.series["dce"].frames == frames
    still = Study("s", "p", {"dce": Scan.of(head(2), AFFINE)})
    prepared = prepare(still, plan)
    assert prepared.volumes["dce"].shape == (*prepared.frame.shape, 1)
    assert prepared.series["dce"].frames == 1


def test_a_series_where_the_plan_has_a_volume_is_refused_as_before():
    plan = learn_plan([study(0)], ["t1"], PreparationSettings())
    assert plan.series == {}
    moving = Study("s", "p", {"t1": dynamic(0, 3)})
    with pytest.raises(ScanweaveError, match="s: t1: a series of 3 frames where one volume is needed"):
        prepare(moving, plan)
    with pytest.raises(ScanweaveError, match="in none of the training studies as a volume"):
        learn_plan([moving], ["t1"], PreparationSettings())


def test_a_plan_without_series_is_the_same_as_before():
    """A cache that was made before there were series is found again."""
    plan = learn_plan([study(0)], ["t1"], PreparationSettings())
    told = plan.model_dump()
    told.pop("series")
    assert Plan.model_validate(told).digest == plan.digest
    assert learnt([study(0)]).model_copy(update={"series": {}}).digest != learnt([study(0)]).digest


def test_a_bad_frame_is_refused_and_a_bad_voxel_repaired():
    plan = learnt([study(0)])
    data = np.array(study(1, 3)["dce"].data)
    data[..., 1] = np.nan
    with pytest.raises(ScanweaveError, match="of the voxels of frame 1"):
        prepare(Study("s", "p", {"dce": Scan.of(data, COARSE)}), plan)
    data = np.array(study(1, 3)["dce"].data)
    data[5, 5, 5, 1] = np.inf
    prepared = prepare(Study("s", "p", {"dce": Scan.of(data, COARSE)}), plan)
    assert np.isfinite(prepared.volumes["dce"]).all()


@pytest.mark.parametrize("frames", [1, 3, 4])
def test_what_is_made_comes_back_as_a_series_on_the_native_grid(frames):
    one = study(0, 3, times=[0, 11, 30], b_values=[0, 50, 800])
    plan = learnt([one], margin=0)
    prepared = prepare(one, plan)
    made = np.full((*prepared.frame.shape, frames), -1, np.float32)
    made[4:9, 4:9, 4:9] = np.linspace(0, 0.5, frames)
    back = native_scan(made, prepared, plan, "dce")
    assert back.frames == frames
    assert back.geometry.matches(one["t1"].geometry)
    for number in range(frames):
        alone = restore(made[..., number], prepared.frame, plan, "dce")
        np.testing.assert_array_equal(back.data[..., number], alone)
    if frames == 3:
        assert (back.times.tolist(), back.b_values.tolist()) == ([0, 11, 30], [0, 50, 800])
    else:
        assert (back.times, back.b_values) == (None, None)
    assert native_scan(made[..., 0], prepared, plan, "t1").frames is None


def test_a_series_that_a_study_lacks_has_the_typical_times():
    plan = learnt([study(0, 3, times=[0, 11, 30])])
    prepared = prepare(study(1).without("dce"), plan)
    back = native_scan(np.zeros((*prepared.frame.shape, 3), np.float32), prepared, plan, "dce")
    assert back.times.tolist() == [0, 11, 30]
    assert back.synthetic


@pytest.fixture
def cohort(tmp_path) -> Cohort:
    rows = []
    for seed, frames in enumerate((3, 5)):
        for name, scan in study(seed, frames, times=10.0 * np.arange(frames) ** 2).scans.items():
            scan.save(tmp_path / f"s{seed}_{name}.nii.gz")
        rows.append(
            {"study": f"s{seed}", "patient": f"p{seed}", **{f"scan:{n}": f"s{seed}_{n}.nii.gz" for n in ("t1", "dce")}}
        )
    return Cohort.create(tmp_path / "c", rows, root=tmp_path, name="c", source="x", layout="table")


@pytest.mark.parametrize("cubes", [False, True])
def test_the_cache_gives_what_was_prepared_whole_by_slices_and_by_frames(cohort, cubes):
    plan = learnt(cohort)
    for cached, original in zip(PreparedCohort(cohort, plan, cubes=cubes).prepare(), cohort, strict=True):
        prepared = prepare(original, plan)
        assert cached.series == prepared.series
        assert cached.series["dce"].times == pytest.approx(original["dce"].times)
        whole = prepared.volumes["dce"]
        assert cached.volume("dce").shape == whole.shape
        np.testing.assert_array_equal(cached.slices("dce", 2, 5), whole[:, :, 2:5])
        np.testing.assert_array_equal(cached.slices("dce", 2, 5, frames=[2, 0]), whole[:, :, 2:5, [2, 0]])
        np.testing.assert_array_equal(cached.slices("t1", 2, 5), prepared.volumes["t1"][:, :, 2:5])
        assert cached.volume("dce").chunks[3] == 1  # a crop of some frames unpacks no others


def test_a_crop_of_a_series_has_its_background_beyond_the_grid(cohort):
    plan = learnt(cohort)
    cached = PreparedCohort(cohort, plan).prepare()[0]
    crop = Crop((-2, 1, 3), (6, 5, 4))
    made = read_crop(cached, "dce", crop)
    assert made.shape == (6, 5, 4, 3)
    assert (made[:2] == cached.backgrounds["dce"]).all()
    inside = cached.volume("dce")[0:4, 1:6, 3:7]
    np.testing.assert_array_equal(made[2:], np.nan_to_num(inside, nan=cached.backgrounds["dce"]))
    np.testing.assert_array_equal(read_crop(cached, "dce", crop, frames=[1]), made[..., [1]])
    assert read_crop(cached, "t1", crop).shape == (6, 5, 4)


def test_other_times_beside_a_series_are_cached_anew(cohort, tmp_path):
    plan = learnt(cohort)
    before = PreparedCohort(cohort, plan).prepare()
    (tmp_path / "s1_dce.json").write_text('{"VolumeTiming": [0, 1, 2, 3, 4]}')
    after = PreparedCohort(cohort, plan).prepare()
    assert after[0].folder == before[0].folder
    assert after[1].series["dce"].times == (0, 1, 2, 3, 4)


def test_a_file_a_frame_is_prepared_as_the_same_series_in_one_file(cohort, tmp_path):
    files = []
    for number in range(3):
        path = tmp_path / f"frame_{number}.nii.gz"
        cohort["s0"]["dce"].channel(number).save(path)
        files.append(path.name)
    rows = [{"study": "s0", "patient": "p0", "scan:t1": "s0_t1.nii.gz", "scan:dce": ";".join(files)}]
    apart = Cohort.create(tmp_path / "apart", rows, root=tmp_path, name="c", source="x", layout="table")
    plan = learnt(cohort)
    (one,), whole = PreparedCohort(apart, plan).prepare(), PreparedCohort(cohort, plan).prepare()[0]
    np.testing.assert_array_equal(one.volume("dce")[:], whole.volume("dce")[:])


def test_a_registered_series_keeps_its_times(cohort, tmp_path):
    pytest.importorskip("SimpleITK")
    done = prepare_cohort(cohort, tmp_path / "new", register_scans=True, say=str)
    assert not done.failed
    again = Cohort.open(tmp_path / "new")["s1"]["dce"]
    assert again.frames == 5
    np.testing.assert_allclose(again.times, 10.0 * np.arange(5) ** 2)
