"""Words beside that of a sequence are heeded: they change its name, or leave the file out; whole names are shown."""

from __future__ import annotations

import pytest

from scanweave.studies.layouts import import_cohort, list_studies
from scanweave.studies.layouts.names import Named, Names


def tree(folder, *files):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def rows(src, **options):
    found = list_studies(src, **options).rows()
    return {row["study"]: {k: v for k, v in row.items() if v is not None} for row in found}


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("T1_TRA_TSE_GADO", "t1c"),
        ("gd_T1_vibe", "t1c"),
        ("T1_SAG_+C", "t1c"),
        ("3D_T1_mit_KM", "t1c"),
        ("t1_space_postcontrast", "t1c"),
        ("T1_post_gd_tra", "t1c"),
        ("t1_pre_contrast", "t1"),
        ("t1_tra_without_contrast", "t1"),
        ("T1_ohne_KM", "t1"),
        ("non_contrast_T1", "t1"),
        ("pre_ce_t1w", "t1"),
        ("T1_post_op", "t1"),
        ("FLAIR_sag_Gd", "flair_c"),
        ("ct_thorax_contrast", "ct_c"),
        ("dsc_gd_perfusion", "dsc"),
        ("t2_space_dark_fluid", "flair"),
        ("T2_3D_FLAIR", "flair"),
        ("t2_tse_STIR", "t2_stir"),
        ("t1_vibe_dixon_water", "t1_water"),
        ("ct_portal_venous", "ct_portalvenous"),
        ("ct_arterial_phase", "ct_arterial"),
        ("t2star_echo_2", "t2s_echo2"),
        ("dwi_b1000", "dwi_b1000"),
        ("florbetapir_PET", "pet_florbetapir"),
        ("FDG_PET", "pet_fdg"),
        ("ep2d_dwi_ADC", "adc"),
        ("ep2d_diff_tra_ADC", "adc"),
        ("t1_mprage_tra_iso", "t1"),
        ("T1_brain_n4_warped", "t1"),
    ],
)
def test_a_word_that_changes_the_picture_changes_the_name(name, column):
    found = Names().of(name)
    assert isinstance(found, Named)
    assert found.column == f"scan:{column}"
    assert found.spelling == name


@pytest.mark.parametrize(
    "name",
    [
        "t2_map",
        "T1_mapping",
        "dwi_MD",
        "perf_dsc_rCBF",
        "flair_to_mni_0Warp",
        "t1_biasfield",
        "T1_pve_gm",
        "t1_dark_fluid",
        "bold_mean",
        "sub_bold.dtseries",
        "t2_localizer",
        "t1_synthetic",
        "post_t1_tra",
        "flair_post",
        "t1_se_fs_c",
        "t1post_op",
        "adc_contrast",
        "pet_mip",
    ],
)
def test_a_derived_or_doubtful_picture_is_left_out_with_a_reason(name):
    found = Names().of(name)
    assert isinstance(found, str)
    assert "beside" in found


def test_a_reason_names_the_word(tmp_path):
    tree(tmp_path, "P1/t1.nii.gz", "P1/t1_map.nii.gz", "P1/dwi_FA.nii.gz")
    listing = list_studies(tmp_path)
    assert {k: v for k, v in listing.rows()[0].items() if k.startswith("scan:")} == {"scan:t1": "P1/t1.nii.gz"}
    told = "\n".join(listing.report())
    assert "left out, 'map' beside t1 may be another picture than t1: P1/t1_map.nii.gz" in told
    assert "'fa' beside dwi" in told
    assert "take such files in by --rename" in told


def test_your_own_words_come_before_all(tmp_path):
    tree(tmp_path, "P1/t1_map.nii.gz", "P1/T1_gd.nii.gz")
    found = rows(tmp_path, rename={"t1_map": "t1map", "T1_gd": "late"})
    assert set(found["P1"]) == {"study", "patient", "scan:t1map", "scan:late"}


def test_whole_names_are_shown(tmp_path):
    tree(
        tmp_path,
        "P1/t1_tse_tra_odd.nii.gz",
        "P2/t1_tse_tra.nii.gz",
        "P3/IM_20190304_t1.nii.gz",
        "P4/IM_20190305_t1.nii",
    )
    told = "\n".join(list_studies(tmp_path).report())
    assert "scan:t1 ← IM_…_t1, t1_tse_tra_odd, t1_tse_tra" in told


def test_many_names_are_counted(tmp_path):
    tree(tmp_path, *(f"P{i}/t1_{letter}.nii.gz" for i, letter in enumerate("qrstuvwxyzabde")))
    told = "\n".join(list_studies(tmp_path).report())
    assert "and 2 more names" in told


def test_folders_say_what_is_in_them_too(tmp_path):
    tree(
        tmp_path,
        "P1/t1.nii.gz",
        "P1/post_contrast/t1.nii.gz",
        "P1/phase/swi.nii.gz",
        "P1/maps/t2.nii.gz",
        "P1/T1_FLAIR_GD/IM1.nii.gz",
        "P2/T1_GD/series.nii.gz",
        "P2/flair/phase.nii.gz",
    )
    found = rows(tmp_path)
    assert found["P1"] == {
        "study": "P1",
        "patient": "P1",
        "scan:t1": "P1/t1.nii.gz",
        "scan:t1c": "P1/post_contrast/t1.nii.gz",
        "scan:swi_phase": "P1/phase/swi.nii.gz",
    }
    assert found["P2"]["scan:t1c"] == "P2/T1_GD/series.nii.gz"
    assert found["P2"]["scan:flair_phase"] == "P2/flair/phase.nii.gz"


def test_in_one_folder_such_words_are_no_part_of_the_subject(tmp_path):
    tree(
        tmp_path,
        "A_1_t1.nii.gz",
        "A_1_CE_T1.nii.gz",
        "A_1_phase_swi.nii.gz",
        "A_1_dark_fluid_t2.nii.gz",
        "B_2_pre_gd_t1.nii.gz",
        "B_2_post_t1.nii.gz",
        "B_2_t2_Eq_1.nii.gz",
        "C_e1_t1.nii.gz",
        "C_post_op_t2.nii.gz",
    )
    found = rows(tmp_path)
    assert set(found) == {"A_1", "B_2", "C_e1", "C_post_op"}
    assert set(found["A_1"]) == {"study", "patient", "scan:t1", "scan:t1c", "scan:flair", "scan:swi_phase"}
    assert found["B_2"]["scan:t1"] == "B_2_pre_gd_t1.nii.gz"
    assert "scan:t1c" not in found["B_2"]
    assert found["B_2"]["scan:t2"] == "B_2_t2_Eq_1.nii.gz"


def test_endings_of_dcm2niix(tmp_path):
    tree(
        tmp_path,
        "P1/ct.nii.gz",
        "P1/ct_Tilt_1.nii.gz",
        "P1/ct_Tilt_Eq_1.nii.gz",
        "P1/t1_Crop_1.nii.gz",
        "P1/t1.nii.gz",
        "P1/gre_t2star_e1.nii.gz",
        "P1/gre_t2star_e2.nii.gz",
        "P1/gre_t2star_e1_ph.nii.gz",
        "P2/t2.nii.gz",
        "P2/t2_Eq_1.nii.gz",
        "P2/again_t2.nii.gz",
        "P2/flair.nii.gz",
    )
    found = rows(tmp_path)
    assert found["P1"] == {
        "study": "P1",
        "patient": "P1",
        "scan:ct": "P1/ct_Tilt_Eq_1.nii.gz",
        "scan:t1": "P1/t1.nii.gz",
        "scan:t2s_e1": "P1/gre_t2star_e1.nii.gz",
        "scan:t2s_e2": "P1/gre_t2star_e2.nii.gz",
        "scan:t2s_e1_phase": "P1/gre_t2star_e1_ph.nii.gz",
    }
    assert found["P2"]["scan:t2"] == "P2/t2_Eq_1.nii.gz"
    told = "\n".join(list_studies(tmp_path).report())
    assert "P1/ct.nii.gz" in told
    assert "dcm2niix" in told


def test_variants_stand_beside_their_sequence(tmp_path):
    tree(tmp_path, "P1/flair.nii.gz", "P1/flair_gd.nii.gz", "P1/t1.nii.gz", "P1/scan_ct.nii.gz")
    cohort = import_cohort(tmp_path, tmp_path / "out", say=str)
    assert cohort.names() == ["t1", "flair", "flair_c", "ct"]
