import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.simulate import BrainSettings, simulate_brain, simulate_subject, writing
from scanweave.simulate import cohort as module
from scanweave.studies.cohort import Cohort

pytest.importorskip("nilearn.datasets")
QUICK = {"seed": 4, "spacing": 6.0, "sequences": ("t1", "t1c", "t2", "flair")}


def _settings():
    return {name: value for name, value in QUICK.items() if name != "seed"}


def _bytes(folder):
    files = sorted(path for path in Path(folder).rglob("*.nii.gz"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_folder_is_a_cohort(tmp_path):
    simulate_brain(tmp_path / "c", subjects=3, **QUICK)
    cohort = Cohort.open(tmp_path / "c")
    assert cohort.studies == ["sub-000000", "sub-000001", "sub-000002"]
    assert cohort.names("scan") == ["t1", "t1c", "t2", "flair"]
    study, subject = cohort["sub-000001"], simulate_subject(4, 1, BrainSettings(**_settings()))
    np.testing.assert_array_equal(study["t2"].data, subject["scans"]["t2"])
    np.testing.assert_array_equal(study.masks["lesion"].data, subject["masks"]["lesion"])
    np.testing.assert_allclose(study["t2"].geometry.affine, subject["affine"])


def test_workers_and_number_change_nothing(tmp_path):
    simulate_brain(tmp_path / "one", subjects=2, **QUICK)
    simulate_brain(tmp_path / "two", subjects=3, workers=2, **QUICK)
    one, two = _bytes(tmp_path / "one"), _bytes(tmp_path / "two")
    assert len(two) == 3 * 7
    assert all(two[name] == content for name, content in one.items())


def test_absent_scans_have_no_file_and_are_held_out(tmp_path):
    cohort = simulate_brain(tmp_path / "c", subjects=4, protocol="brats14", keep_removed=True, **QUICK)
    held_out = Cohort.open(tmp_path / "c" / "held_out")
    truth = json.loads((tmp_path / "c" / "truth.json").read_text())["subjects"]
    for study in cohort:
        assert set(study.scans) == set(truth[study.id]["present"])
        assert set(held_out[study.id].scans) == set(truth[study.id]["absent"])
        assert len(list((tmp_path / "c" / "studies" / study.id).glob("*.nii.gz"))) == len(study.scans) + 3


def test_dynamic_series_has_its_times(tmp_path):
    cohort = simulate_brain(tmp_path / "c", subjects=1, seed=1, spacing=8.0, sequences=("t1",), dce_frames=4)
    np.testing.assert_allclose(cohort["sub-000000"]["dce"].times, [0, 10, 20, 30])


def test_subjects_are_written_one_by_one(tmp_path):
    simulate = partial(simulate_subject, 1, settings=BrainSettings(spacing=8.0))
    stream = writing.write_subjects(tmp_path, range(10**6), simulate, keep_removed=False)
    assert next(stream) == 0
    assert [path.name for path in (tmp_path / "studies").iterdir()] == ["sub-000000"]


def test_interrupted_cohort_is_taken_up(tmp_path, monkeypatch):
    whole = module.simulate_subject
    asked = []

    def failing(seed, index, settings):
        asked.append(index)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return whole(seed, index, settings)

    monkeypatch.setattr(module, "simulate_subject", failing)
    with pytest.raises(KeyboardInterrupt):
        simulate_brain(tmp_path / "c", subjects=4, **QUICK)
    assert not (tmp_path / "c" / "cohort.json").exists()
    (tmp_path / "c" / "studies" / ".partial-killed").mkdir()
    assert len(simulate_brain(tmp_path / "c", subjects=4, **QUICK)) == 4
    assert asked == [0, 1, 2, 2, 3]
    simulate_brain(tmp_path / "d", subjects=4, **QUICK)
    assert _bytes(tmp_path / "c") == _bytes(tmp_path / "d")


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_write_images", full)
    with pytest.raises(ScanweaveError, match=r"sub-000000: cannot be written \(No space left on device\)\. Make room"):
        simulate_brain(tmp_path / "c", subjects=1, **QUICK)
    assert list((tmp_path / "c" / "studies").iterdir()) == []


def test_another_request_is_refused(tmp_path):
    simulate_brain(tmp_path / "c", subjects=1, **QUICK)
    with pytest.raises(ScanweaveError, match="another seed"):
        simulate_brain(tmp_path / "c", subjects=1, **(QUICK | {"seed": 5}))


def test_foreign_folder_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ScanweaveError, match="not empty"):
        simulate_brain(tmp_path, subjects=1, **QUICK)


@pytest.mark.parametrize("wrong", [{"subjects": 0}, {"spacing": -1}, {"colour": "red"}, {"sequences": ("t9",)}])
def test_wrong_settings_name_the_field(tmp_path, wrong):
    with pytest.raises(ScanweaveError, match=next(iter(wrong))):
        simulate_brain(tmp_path / "c", **({"subjects": 1, "seed": 0} | wrong))
    assert not (tmp_path / "c").exists()


def test_truth_names_what_was_planted(tmp_path):
    simulate_brain(tmp_path / "c", subjects=1, seed=0, spacing=8.0)
    truth = json.loads((tmp_path / "c" / "truth.json").read_text())
    assert truth["planted"]["c_d_lowest"] == "t2r"
    assert truth["planted"]["c_d_highest"] == "t1c"
    assert truth["planted"]["roles"]["mix"]["of"] == ["t1", "t2"]
    assert truth["subjects"]["sub-000000"]["volume_ml"]["brain"] > 1000
