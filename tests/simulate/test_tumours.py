"""Simulated livers with tumours: what is drawn is what is there."""

import hashlib

import nibabel as nib
import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.files import read_json
from scanweave.simulate.tumours import TumoursSettings, simulate_tumour_scan, simulate_tumours

COARSE = TumoursSettings(spacing=4.0, noise=0.0)


def test_tumours_are_darker_than_the_liver_and_have_their_volume():
    seen = 0
    for index in range(8):
        made = simulate_tumour_scan(1, index, COARSE)
        tumours, liver = made["masks"]["tumours"], made["masks"]["organs"] == 1
        ct = made["scans"]["ct"].astype(float)
        drawn = [one for one in made["truth"]["growths"] if not one["cyst"]]
        assert tumours.max() == len(drawn)
        assert not (tumours > 0)[~liver].any()
        for number, one in enumerate(drawn, start=1):
            volume = (tumours == number).sum() * 4.0**3 / 1000
            assert volume == pytest.approx(one["volume_ml"], abs=1e-3)
            if one["diameter"] > 20:
                assert 0.6 < volume / (np.pi / 6 * one["diameter"] ** 3 / 1000) < 1.3
                assert ct[tumours == number].mean() < np.median(ct[liver & (tumours == 0)]) - 5
                seen += 1
    assert seen > 1


def test_cysts_hold_water_and_are_no_tumours():
    settings = TumoursSettings(spacing=3.0, noise=0.0, tumours=0.0, cysts=4)
    made = simulate_tumour_scan(0, 1, settings)
    assert not made["masks"]["tumours"].any()
    cysts = made["truth"]["growths"]
    assert cysts
    assert all(one["cyst"] for one in cysts)
    largest = max(cysts, key=lambda one: one["diameter"])
    voxel = np.rint(np.linalg.solve(made["affine"], [*largest["middle_mm"], 1.0])[:3]).astype(int)
    assert made["scans"]["ct"][tuple(voxel)] == pytest.approx(6, abs=25)


def test_the_same_seed_gives_the_same_files_on_any_number_of_processes(tmp_path):
    digests = []
    for name, workers in (("a", 1), ("b", 2)):
        cohort = simulate_tumours(tmp_path / name, subjects=3, seed=4, workers=workers, spacing=6.0)
        files = sorted(cohort.folder.rglob("*.nii.gz"))
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert digests[0] == digests[1]


def test_where_nobody_looked_there_is_no_mask_in_the_manifest(tmp_path):
    cohort = simulate_tumours(tmp_path / "c", subjects=10, seed=0, spacing=8.0, tumours=0.4, unlabelled=1.0)
    truth = read_json(cohort.folder / "truth.json", "")["subjects"]
    frame = cohort.frame.set_index("study")
    for name, facts in truth.items():
        has = any(not one["cyst"] for one in facts["growths"])
        assert facts["looked"] == has
        assert frame["mask:tumours"].notna()[name] == has
        mask = nib.load(cohort.folder / "studies" / name / "tumours.nii.gz")
        assert bool(np.asarray(mask.dataobj).any()) == has
    assert 0 < frame["mask:tumours"].notna().sum() < 10


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"diameter": (40.0, 8.0)}, "smaller first"),
        ({"tumours": 2.0}, "tumours"),
        ({"diameter": (8.0, 200.0)}, "80 mm"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, settings, field):
    with pytest.raises(ScanweaveError, match=field):
        simulate_tumours(tmp_path / "c", subjects=1, seed=0, **settings)
    assert not (tmp_path / "c").exists()
