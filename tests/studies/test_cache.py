"""The cache of prepared studies belongs to what it was made from, and to everyone who fits."""

from __future__ import annotations

import os
import shutil
import threading

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.preparing import prepared_cache as cache
from scanweave.studies.preparing.plan import Plan, learn_plan
from scanweave.studies.preparing.prepared_cache import PreparedCohort
from scanweave.studies.preparing.settings import PreparationSettings

PATIENCE = 200
"""How long threads wait for each other before a test fails [s]; milliseconds are enough, but on a busy machine."""


def image(folder, name, seed, shape=(12, 13, 14)):
    folder.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(seed).uniform(100, 900, shape).astype(np.float32)
    nib.save(nib.Nifti1Image(data, np.diag([9.0, 9.0, 9.0, 1.0])), folder / f"{name}.nii.gz")


def cohort(folder, root, names=("a", "b")) -> Cohort:
    rows = [{"study": f"s{i}", "patient": f"p{i}", "scan:t1": f"{name}.nii.gz"} for i, name in enumerate(names)]
    return Cohort.create(folder, rows, root=root, name="c", source="x", layout="table")


@pytest.fixture
def made(tmp_path):
    for seed, name in enumerate("abcd"):
        image(tmp_path / "images", name, seed)
    return cohort(tmp_path / "cohort", tmp_path / "images")


def plan(studies) -> Plan:
    return learn_plan(studies, ["t1"], PreparationSettings())


def voxels(studies):
    return {study.id: study.slices("t1", 0, study.frame.shape[2]) for study in studies}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cohort_imported_again_is_prepared_anew(made, workers):
    chosen, folder = plan(made), made.folder
    before = voxels(PreparedCohort(made, chosen).prepare())
    shutil.rmtree(folder)
    again = cohort(folder, made.about["root"], names=("c", "d"))
    after = voxels(PreparedCohort(again, chosen).prepare(workers))
    assert before.keys() == after.keys() == {"s0", "s1"}
    assert not any(np.array_equal(before[name], after[name]) for name in before)


def test_what_is_there_is_used_again_and_what_changed_is_not(made, monkeypatch):
    chosen, prepared = plan(made), []
    before = voxels(PreparedCohort(made, chosen).prepare())
    real = cache.prepare
    monkeypatch.setattr(cache, "prepare", lambda study, plan: prepared.append(study.id) or real(study, plan))
    PreparedCohort(made, chosen).prepare()
    assert prepared == []
    image(made.root, "b", 99)
    after = voxels(PreparedCohort(made, chosen).prepare())
    assert prepared == ["s1"]
    assert np.array_equal(before["s0"], after["s0"])
    assert not np.array_equal(before["s1"], after["s1"])


def rewritten(made, **columns) -> Cohort:
    """The same cohort with other paths in its manifest."""
    rows = [{**row, **columns} for row in made.frame.to_dict("records")]
    for name in ("cohort.json", "manifest.parquet"):
        (made.folder / name).unlink()
    return Cohort.create(made.folder, rows, root=made.root, name="c", source="x", layout="table")


def test_names_that_are_exchanged_in_the_manifest_are_not_served_as_before(made):
    """As the check advises where two names look exchanged; files of one size and time are no exception."""
    for name in "ab":
        nib.save(
            nib.Nifti1Image(nib.load(made.root / f"{name}.nii.gz").get_fdata(), np.eye(4) * 9),
            made.root / f"{name}.nii",
        )
        os.utime(made.root / f"{name}.nii", (1e9, 1e9))
    first, second = ({"scan:t1": f"{a}.nii", "scan:t2": f"{b}.nii"} for a, b in ("ab", "ba"))
    one = rewritten(made, **first)
    chosen = learn_plan(one, ["t1", "t2"], PreparationSettings())
    before = PreparedCohort(one, chosen).prepare()[0]
    after = PreparedCohort(rewritten(made, **second), chosen).prepare()[0]
    depth = before.frame.shape[2]
    np.testing.assert_array_equal(before.slices("t1", 0, depth), after.slices("t2", 0, depth))
    assert not np.array_equal(before.slices("t1", 0, depth), after.slices("t1", 0, depth))


def test_another_channel_of_a_file_is_another_image(made):
    channels = [nib.load(made.root / f"{name}.nii.gz").get_fdata() for name in "ab"]
    nib.save(nib.Nifti1Image(np.stack(channels, axis=-1), np.diag([9.0, 9.0, 9.0, 1.0])), made.root / "both.nii.gz")
    found = []
    for number in range(2):
        one = rewritten(made, **{"scan:t1": f"both.nii.gz#{number}"})
        found.append(voxels(PreparedCohort(one, plan(made)).prepare())["s0"])
    assert not np.array_equal(*found)


def test_nothing_is_opened_where_all_is_prepared(made, monkeypatch):
    chosen = plan(made)
    before = voxels(PreparedCohort(made, chosen).prepare())
    monkeypatch.setattr(
        "scanweave.studies.formats.image_reader.read_scan", lambda path: pytest.fail(f"{path} was opened")
    )
    after = voxels(PreparedCohort(made, chosen).prepare())
    np.testing.assert_equal(before, after)


def test_an_image_that_is_gone_is_told(made):
    chosen = plan(made)
    (made.root / "b.nii.gz").unlink()
    with pytest.raises(ScanweaveError, match=r"b\.nii\.gz: no such file"):
        PreparedCohort(made, chosen).prepare()


def test_what_a_kill_left_is_swept(made):
    whole = PreparedCohort(made, plan(made))
    left = whole.folder / "s1" / ".partial-x"
    left.mkdir(parents=True)
    (left / "t1.b2nd").write_bytes(b"half")
    whole.prepare()
    assert not left.exists()


def test_two_fits_at_once_share_what_the_faster_one_prepared(made, monkeypatch):
    """Both find nothing, both prepare; the slower one comes when the faster one reads already."""
    chosen, real, gate = plan(made), cache.prepare, threading.Barrier(2)
    slow_may_go, found, failed = threading.Event(), {}, []

    def prepare(study, plan):
        done = real(study, plan)
        if study.id == "s0":
            gate.wait(PATIENCE)
            if threading.current_thread().name == "slow":
                assert slow_may_go.wait(PATIENCE)
        return done

    monkeypatch.setattr(cache, "prepare", prepare)

    def run():
        try:
            studies = PreparedCohort(made, chosen).prepare()
            found[threading.current_thread().name] = studies
            if threading.current_thread().name == "fast":
                files = [file.stat().st_mtime_ns for file in sorted(studies[0].folder.iterdir())]
                slow_may_go.set()
                slow.join(PATIENCE)
                assert [file.stat().st_mtime_ns for file in sorted(studies[0].folder.iterdir())] == files
        except BaseException as error:
            failed.append(error)
            slow_may_go.set()

    slow = threading.Thread(target=run, name="slow")
    fast = threading.Thread(target=run, name="fast")
    for thread in (slow, fast):
        thread.start()
    for thread in (fast, slow):
        thread.join(2 * PATIENCE)
    assert failed == []
    for name, values in voxels(found["fast"]).items():
        np.testing.assert_array_equal(values, voxels(found["slow"])[name])
    assert not list(made.folder.rglob(".*"))


def test_another_format_is_prepared_anew(made, monkeypatch):
    chosen = plan(made)
    before = {study.folder for study in PreparedCohort(made, chosen).prepare()}
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    assert before.isdisjoint(study.folder for study in PreparedCohort(made, chosen).prepare())


def test_a_format_always_means_the_same_voxels(made):
    found = voxels(PreparedCohort(made, plan(made)).prepare())["s0"]
    # If this fails because preparation is meant to be another now: raise FORMAT in the module, then mend the values.
    assert (cache.FORMAT, found.shape) == (1, (12, 13, 14))
    np.testing.assert_allclose([found.mean(), found.std(), found[3, 4, 5]], [-0.112555, 0.416089, 0.134291], atol=1e-4)


def test_films_of_two_views_are_cached_each_on_its_grid(tmp_path):
    sizes = {"frontal": (20, 24), "lateral": (16, 30)}
    for name, size in sizes.items():
        pixels = np.random.default_rng(0).integers(1, 255, size[::-1], dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    both = {f"scan:{name}": f"{name}.png" for name in sizes}
    rows = [{"study": "two", "patient": "a", **both}, {"study": "one", "patient": "b", "scan:lateral": "lateral.png"}]
    films = Cohort.create(tmp_path / "c", rows, root=tmp_path, name="c", source="x", layout="table")
    plan = learn_plan(films, list(sizes), PreparationSettings(crop=False, orientation="LPS"), standard=True)
    for _ in range(2):  # prepared, then read
        two, one = PreparedCohort(films, plan).prepare()
        assert {name: two.volume(name).shape[:2] for name in two.names} == sizes
        assert [frame.native.space for frame in two.grids] == ["pixels", "pixels"]
        assert {name: two.frames[name].shape[:2] for name in two.names} == sizes
        with pytest.raises(ScanweaveError, match="lie on grids of their own"):
            assert two.shape
        assert one.shape == (16, 30, 1)
