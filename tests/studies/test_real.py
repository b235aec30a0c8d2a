"""Real scans are taken in and judged in words, by the commands of the documentation."""

from __future__ import annotations

import pytest

from scanweave.studies.checks.cohort_check import check_cohort
from scanweave.studies.layouts import import_cohort

pytestmark = pytest.mark.real


def test_brain_tumour_and_sclerosis_as_one_cohort(real_data, tmp_path):
    cohort = import_cohort([real_data / "mri_multiseq", real_data / "mri_ms"], tmp_path)
    assert cohort.counts() == {"t1": 5, "t1c": 5, "t2": 5, "flair": 5}
    assert cohort["patient19"].masks.keys() == {"lesion"}
    found = {verdict.study: verdict for verdict in check_cohort(cohort)}
    assert {name for name, verdict in found.items() if verdict.status == "ok"} == {
        "BraTS-GLI-00001-000",
        "TCGA-FG-6692",
        "patient19",
        "patient26",
    }
    native = found["TCGA-FG-6692_native"]
    assert native.status == "repaired"
    assert {f.scan for f in native.findings if f.kind == "grid"} == {"t2", "flair"}
    assert all("resampled to the grid of t1" in f.step for f in native.findings if f.kind == "grid")


def test_mixed_orientation_of_one_patient(real_data, tmp_path):
    """A t1 as LPS and a t2 of the same patient turned to LAS: said, and exact."""
    import nibabel as nib

    folder = tmp_path / "src" / "p"
    folder.mkdir(parents=True)
    source = real_data / "mri_multiseq" / "TCGA-FG-6692"
    (folder / "t1.nii.gz").symlink_to(source / "t1.nii.gz")
    turned = nib.load(source / "t2.nii.gz").as_reoriented([[0, 1], [1, -1], [2, 1]])
    nib.save(turned, folder / "t2.nii.gz")
    verdict = check_cohort(import_cohort(tmp_path / "src", tmp_path / "out"))[0]
    assert verdict.status == "repaired"
    assert "t1 LPS, t2 LAS" in verdict.findings[0].words


def test_two_visits_are_two_studies_of_one_patient(real_data, tmp_path):
    cohort = import_cohort(real_data / "mri_ms_longitudinal", tmp_path)
    assert cohort.studies == ["patient12_study1", "patient12_study2"]
    assert cohort.patients == ["patient12"]
    assert {verdict.status for verdict in check_cohort(cohort)} == {"repaired"}


def test_ct_pet_and_mr_keep_their_own_grids(real_data, tmp_path):
    cohort = import_cohort(real_data / "ct_sarcoma", tmp_path, rename={"MR_T1_mask": "mask:t1"})
    study = cohort["STS_019"]
    assert {scan.geometry.shape for scan in study.scans.values()} == {(136, 134, 47), (28, 28, 47), (112, 110, 47)}
    assert all(study.masks[name].geometry.matches(study.scans[name].geometry) for name in ("ct", "pet", "t1"))
    assert {verdict.status for verdict in check_cohort(cohort)} == {"repaired"}


def test_swapped_names_of_real_scans_are_suspected(real_data, tmp_path):
    import nibabel as nib

    folder = tmp_path / "src"
    for source in [*(real_data / "mri_multiseq").iterdir(), *(real_data / "mri_ms").glob("patient*")]:
        for file in source.glob("*.nii.gz") if source.is_dir() else ():
            target = folder / source.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file)
    swapped = folder / "patient26"
    for name, shown in (("T1", "T2"), ("T2", "T1")):
        (swapped / f"{name}.nii.gz").unlink()
        (swapped / f"{name}.nii.gz").symlink_to(real_data / "mri_ms" / "patient26" / f"{shown}.nii.gz")
    found = {verdict.study: verdict for verdict in check_cohort(import_cohort(folder, tmp_path / "out"))}
    assert nib.load(swapped / "T1.nii.gz").shape == (182, 218, 182)
    assert [f.words for f in found["patient26"].findings if f.kind == "swapped"] == ["t1 and t2 look exchanged"]
    assert not [
        v.study for v in found.values() if v.study != "patient26" and any(f.kind == "swapped" for f in v.findings)
    ]
