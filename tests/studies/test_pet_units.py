"""PET is taken in SUV on one scale, made from activity where the file says how; a unit is never guessed."""

import json

import nibabel as nib
import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.formats.pet_units import is_pet, suv_factor
from scanweave.studies.preparing.plan import learn_plan
from scanweave.studies.preparing.preparation import prepare, restore
from scanweave.studies.preparing.prepared_cache import PreparedCohort
from scanweave.studies.preparing.settings import PreparationSettings

FACTS = {
    "Units": "Bq/mL",
    "PatientWeight": 70,
    "InjectedRadioactivity": 350,
    "InjectedRadioactivityUnits": "MBq",
    "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 3600,
    "InjectionStart": 0,
    "TracerRadionuclide": "F18",
}
LEFT = 2 ** (-3600 / 6586.2)
"""Of fluorine-18 an hour later: 68 %."""
FACTOR = 70_000 / (350e6 * LEFT)
SUV = np.random.default_rng(0).uniform(0, 12, (16, 16, 16)).astype(np.float32)


def write(folder, name="pet", data=SUV, **facts):
    path = folder / f"{name}.nii.gz"
    nib.save(nib.Nifti1Image(np.asarray(data, np.float32), np.diag([4.0, 4.0, 4.0, 1.0])), path)
    if facts:
        (folder / f"{name}.json").write_text(json.dumps(facts))
    return read_scan(path)


def cohort(folder, *names, at="c"):
    rows = [{"study": name, "patient": name, "scan:pet": f"{name}.nii.gz"} for name in names]
    return Cohort.create(folder / at, rows, root=folder, name="c", source="x", layout="table")


PLAIN = PreparationSettings(crop=False)


def test_activity_becomes_suv_by_weight_and_the_dose_that_is_left(tmp_path):
    assert suv_factor(write(tmp_path, "a", **FACTS)) == pytest.approx(FACTOR)
    at_injection = {**FACTS, "ImageDecayCorrectionTime": 0, "TracerRadionuclide": "unheard of"}
    assert suv_factor(write(tmp_path, "b", **at_injection)) == pytest.approx(70_000 / 350e6)
    other_words = {**FACTS, "Units": "kBq/ml", "TracerRadionuclide": "18F"}
    assert suv_factor(write(tmp_path, "c", **other_words)) == pytest.approx(1000 * FACTOR)


def test_what_holds_suv_stays_and_what_says_nothing_is_unknown(tmp_path):
    assert suv_factor(write(tmp_path, "a", Units="g/mL")) == 1
    assert suv_factor(write(tmp_path, "SUV")) == 1
    assert suv_factor(write(tmp_path, "b")) is None
    assert suv_factor(write(tmp_path, "d", Manufacturer="x")) is None
    assert [is_pet(name) for name in ("pet", "fdg_pet", "PET-CT", "petra", "t1")] == [True, True, True, False, False]


@pytest.mark.parametrize(
    "named", ["F18", "18F", "F-18", "18-F", "^18^Fluorine", "18Fluorine", "Fluorine-18", "FLUORINE 18", "[18F]"]
)
def test_a_nuclide_is_known_however_it_is_written(tmp_path, named):
    assert suv_factor(write(tmp_path, **FACTS | {"TracerRadionuclide": named})) == pytest.approx(FACTOR)


def test_the_half_life_that_the_file_states_goes_first(tmp_path):
    carbon = {"TracerRadionuclide": "11Carbon", "RadionuclideHalfLife": 1220.04}  # of a Philips scanner
    left = 2 ** (-3600 / 1220.04)
    assert suv_factor(write(tmp_path, "a", **FACTS | carbon)) == pytest.approx(70_000 / 350e6 / left, rel=1e-6)
    unknown = {"TracerRadionuclide": "Yttrium-86", "RadionuclideHalfLife": 53064}
    left = 2 ** (-3600 / 53064)
    assert suv_factor(write(tmp_path, "b", **FACTS | unknown)) == pytest.approx(70_000 / 350e6 / left)
    unnamed = {"TracerRadionuclide": "n/a", "RadionuclideHalfLife": 6586.2}
    assert suv_factor(write(tmp_path, "c", **FACTS | unnamed)) == pytest.approx(FACTOR)


def test_what_dcm2niix_leaves_out_is_named_with_where_to_take_it_from(tmp_path):
    written = {name: FACTS[name] for name in FACTS if name not in ("PatientWeight", "InjectionStart")}
    with pytest.raises(ScanweaveError) as told:
        suv_factor(write(tmp_path, **written | {"TracerRadionuclide": "18Fluorine", "ImageDecayCorrectionTime": 0}))
    assert "pet.json: PatientWeight and InjectionStart are absent. Write into it PatientWeight [kg]" in str(told.value)
    assert "dcm2niix -ba n" in told.value.next_step
    assert "RadiopharmaceuticalStartTime in DICOM" in told.value.next_step
    assert "--preparation.suv NAME" in told.value.next_step


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"PatientWeight": None}, "PatientWeight is absent"),
        ({"PatientWeight": 70_000}, "PatientWeight is 70000"),
        ({"PatientWeight": 10**400}, "PatientWeight is 1000"),
        ({"InjectionStart": "n/a"}, "InjectionStart is absent"),
        ({"InjectionStart": [0]}, r"InjectionStart is \[0\]"),
        ({"InjectionStart": -1e9}, "InjectionStart and ImageDecayCorrectionTime lie 1.52e\\+05 half-lives apart"),
        ({"InjectedRadioactivity": 350e6}, r"InjectedRadioactivity is 3.5e\+14 Bq"),
        ({"RadionuclideHalfLife": 109.77}, "RadionuclideHalfLife is 109.77 s, that of 'F18' 6586.2 s"),
        ({"RadionuclideHalfLife": 0}, "RadionuclideHalfLife is 0"),
        ({"TracerRadionuclide": "[18F]FDG"}, r"TracerRadionuclide is '\[18F\]FDG', whose half-life is not known"),
        ({"TracerRadionuclide": "x" * 999}, f"TracerRadionuclide is '{'x' * 39}…, whose"),
        ({"PatientWeight": "70"}, "PatientWeight is '70'"),
        ({"InjectedRadioactivity": 0}, "InjectedRadioactivity is 0"),
        ({"InjectedRadioactivityUnits": "mCi"}, "InjectedRadioactivityUnits is 'mCi'"),
        ({"ImageDecayCorrected": False}, "ImageDecayCorrected is not true"),
        ({"TracerRadionuclide": "Xx1"}, "TracerRadionuclide is 'Xx1', whose half-life is not known"),
        ({"Units": "counts"}, "its unit is 'counts'"),
    ],
)
def test_activity_that_cannot_be_made_suv_is_refused_by_its_field(tmp_path, change, words):
    with pytest.raises(ScanweaveError, match=f"pet.json: {words}"):
        suv_factor(write(tmp_path, **(FACTS | change)))


@pytest.mark.parametrize("standard", [True, False])
def test_equal_suv_is_equal_in_every_study_whatever_the_unit(tmp_path, standard):
    write(tmp_path, "activity", SUV / FACTOR, **FACTS)
    write(tmp_path, "suv")
    write(tmp_path, "suv-hot", np.where(SUV > 11, 19, SUV))  # a z-score would darken all the rest
    made = cohort(tmp_path, "activity", "suv", "suv-hot")
    plan = learn_plan(made, ["pet"], PLAIN, standard=standard)
    assert any("made of Bq/mL, weight and dose in 1 of 3 images; 0 to 20" in reason for reason in plan.reasons)
    seen = [prepare(study, plan) for study in made]
    np.testing.assert_allclose(seen[0].volumes["pet"], SUV / 10 - 1, atol=1e-5)
    np.testing.assert_allclose(seen[1].volumes["pet"], SUV / 10 - 1, atol=1e-5)
    np.testing.assert_array_equal(seen[2].volumes["pet"][SUV < 11], seen[1].volumes["pet"][SUV < 11])
    back = restore(seen[0].volumes["pet"], seen[0].frame, plan, "pet")
    np.testing.assert_allclose(back, SUV / FACTOR, rtol=1e-3, atol=1e-3 / FACTOR)


def test_unit_that_nobody_says_is_asked_for(tmp_path):
    write(tmp_path, "a")
    made = cohort(tmp_path, "a")
    with pytest.raises(ScanweaveError, match=r"pet: is called PET, and nothing says its unit.*--preparation.suv NAME"):
        learn_plan(made, ["pet"], PLAIN, standard=True)
    said = learn_plan(made, ["pet"], PreparationSettings(suv="pet"), standard=True)
    assert said.rule("pet").kind == "suv"
    other = learn_plan(made, ["pet"], PreparationSettings(suv="none"), standard=True)
    assert other.rule("pet").kind == "zscore"
    with pytest.raises(ScanweaveError, match=r"preparation\.suv: 'pett' is not one of the scans"):
        learn_plan(made, ["pet"], PreparationSettings(suv="pett"))
    write(tmp_path, "b", **FACTS)
    known = learn_plan(cohort(tmp_path, "b", at="d"), ["pet"], PLAIN)
    with pytest.raises(ScanweaveError, match="a: pet: is called PET, and nothing says its unit"):
        prepare(made["a"], known)


def test_a_mended_unit_is_prepared_anew(tmp_path):
    write(tmp_path, "a", SUV / FACTOR, **FACTS)
    made = cohort(tmp_path, "a")
    plan = learn_plan(made, ["pet"], PLAIN)
    [before] = PreparedCohort(made, plan).prepare()
    (tmp_path / "a.json").write_text(json.dumps(FACTS | {"PatientWeight": 140.5}))
    [after] = PreparedCohort(made, plan).prepare()
    assert after.volume("pet")[:].mean() > before.volume("pet")[:].mean() + 0.1
