"""Simulated breasts on disk: a cohort with times and b-values, made the same way however it is made."""

import json
from collections import Counter

import nibabel as nib
import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.simulate.breast import BreastSettings, simulate_breast, simulate_subject
from scanweave.simulate.breast import cohort as module
from scanweave.simulate.breast.settings import SEQUENCES
from scanweave.simulate.missing import absent_at_random
from scanweave.studies.cohort import Cohort

QUICK = {"seed": 4, "spacing": 6.0}


def _bytes(folder):
    kept = (".gz", ".bval", ".bvec")
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.suffix in kept}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("breasts") / "c"
    simulate_breast(folder, subjects=3, **QUICK)
    return folder


def test_folder_is_a_cohort(made):
    cohort = Cohort.open(made)
    assert cohort.studies == ["sub-000000", "sub-000001", "sub-000002"]
    assert cohort.names("scan") == list(SEQUENCES)
    assert cohort.names("mask") == ["breast", "tissue", "lesion"]
    study, subject = cohort["sub-000001"], simulate_subject(4, 1, BreastSettings(spacing=6.0))
    for name in ("t2", "fsdce", "washout"):
        np.testing.assert_array_equal(study[name].data, subject["scans"][name])
    np.testing.assert_array_equal(study.masks["lesion"].data, subject["masks"]["lesion"])
    np.testing.assert_allclose(study["t2"].geometry.affine, subject["affine"])


def test_series_say_when_and_how_strongly_weighted(made):
    study = Cohort.open(made)["sub-000000"]
    np.testing.assert_allclose(study["dce"].times, [0, 60, 120, 180, 240, 300])
    np.testing.assert_allclose(study["fsdce"].times, [0, 75, 150, 225, 300])
    folder = made / "studies" / "sub-000000"
    assert (folder / "dwi.bval").read_text() == "0 50 400 800\n"
    assert (folder / "dwi.bvec").read_text() == "0 0 0 0\n" * 3
    assert not (folder / "dce.json").exists()


def test_uneven_times_stand_beside_the_series(tmp_path):
    times = (0.0, 50.0, 110.0, 200.0, 330.0)
    simulate_breast(tmp_path / "c", subjects=1, dce_times=times, sequences=("dce", "fsdce"), **QUICK)
    folder = tmp_path / "c" / "studies" / "sub-000000"
    assert json.loads((folder / "dce.json").read_text()) == {"VolumeTiming": list(times)}
    assert nib.load(folder / "dce.nii.gz").header["pixdim"][4] == 0
    assert not (folder / "fsdce.json").exists()
    assert not list(folder.glob("*.bval"))


def test_workers_and_number_change_nothing(made, tmp_path):
    simulate_breast(tmp_path / "two", subjects=2, workers=2, **QUICK)
    one, two = _bytes(made), _bytes(tmp_path / "two")
    assert len(two) == 2 * 13
    assert all(one[name] == content for name, content in two.items())


def test_absent_scans_have_no_file_and_are_held_out(tmp_path):
    folder = tmp_path / "c"
    cohort = simulate_breast(folder, subjects=4, protocol="random", missing=0.5, keep_removed=True, **QUICK)
    held_out = Cohort.open(folder / "held_out")
    truth = json.loads((folder / "truth.json").read_text())["subjects"]
    for study in cohort:
        assert set(study.scans) == set(truth[study.id]["present"])
        assert set(held_out[study.id].scans) == set(truth[study.id]["absent"])
        assert set(study.scans).isdisjoint(held_out[study.id].scans)
        assert (folder / "held_out" / study.id / "dwi.bval").exists() == ("dwi" in held_out[study.id].scans)


def test_random_share_is_met_and_one_scan_is_kept():
    removed = [absent_at_random(SEQUENCES, 0.4, 1, index) for index in range(1000)]
    assert sum(map(len, removed)) / (1000 * len(SEQUENCES)) == pytest.approx(0.4, abs=0.03)
    kept = Counter(set(SEQUENCES).difference(absent_at_random(SEQUENCES, 1.0, 1, index)).pop() for index in range(300))
    assert set(kept) == set(SEQUENCES)


def test_interrupted_cohort_is_taken_up(made, tmp_path, monkeypatch):
    whole, asked = module.simulate_subject, []

    def failing(seed, index, settings):
        asked.append(index)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return whole(seed, index, settings)

    monkeypatch.setattr(module, "simulate_subject", failing)
    with pytest.raises(KeyboardInterrupt):
        simulate_breast(tmp_path / "c", subjects=3, **QUICK)
    assert not (tmp_path / "c" / "cohort.json").exists()
    assert len(simulate_breast(tmp_path / "c", subjects=3, **QUICK)) == 3
    assert asked == [0, 1, 1, 2]
    assert _bytes(tmp_path / "c") == _bytes(made)


def test_truth_names_what_was_planted(made):
    truth = json.loads((made / "truth.json").read_text())
    assert truth["planted"]["roles"]["washin"]["of"] == ["dce"]
    assert "acquired" in truth["sequences"]["washin"]["of"]
    assert truth["curve_types"]["numbers"] == {"1": "persistent", "2": "plateau", "3": "washout"}
    lesions = [lesion for facts in truth["subjects"].values() for lesion in facts["lesions"]]
    assert lesions
    for lesion in lesions:
        change = lesion["noiseless"]["dce"]["wash_out"]
        assert (change > 0.1, abs(change) <= 0.1, change < -0.1)[lesion["curve_type"] - 1]
    labels = [study.labels["lesion"] for study in Cohort.open(made)]
    assert labels == [int(bool(facts["lesions"])) for facts in truth["subjects"].values()]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"subjects": 0}, "subjects: 0 is too small"),
        ({"seed": 5}, "another seed"),
        ({"spacing": -1}, "spacing"),
        ({"colour": "red"}, "colour"),
        ({"sequences": ("t9",)}, "sequences"),
        ({"field": (10.0, 96.0, 64.0)}, "field: must be from 32 to 512 mm"),
        ({"diameters": (9.0, 3.0)}, "diameters: must be"),
        ({"b_values": ()}, "b_values: must be"),
        ({"b_values": (800,), "sequences": ("adc",)}, "b_values must be two different ones"),
        ({"dce_times": (0, 60, 120)}, "dce_times: no frame lies later"),
        ({"dce_times": (0, 100, 110, 160)}, "dce_times: no kinetics"),
        ({"missing": 0.3}, "missing: has no effect"),
        ({"keep_removed": True}, "keep_removed: has no effect"),
    ],
)
def test_bad_request_is_one_line_and_writes_nothing(made, wrong, reason):
    before = _bytes(made)
    with pytest.raises(ScanweaveError, match=reason) as caught:
        simulate_breast(made, **({"subjects": 4} | QUICK | wrong))
    assert "\n" not in str(caught.value)
    assert _bytes(made) == before
