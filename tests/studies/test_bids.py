"""BIDS: entities that make another picture are in its name, doubt about some files does not stop the others."""

from __future__ import annotations

import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.layouts import import_cohort, list_studies
from scanweave.studies.layouts.bids_names import BidsName, meaning
from scanweave.studies.layouts.names import Names


def tree(folder, *files):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def subject(folder, *files, number="01"):
    """Files such as `anat/T1w` of one subject."""
    parts = [file.rpartition("/") for file in files]
    return tree(folder, *(f"sub-{number}/{kind}/sub-{number}_{name}.nii.gz" for kind, _, name in parts))


def rows(src, **options):
    found = list_studies(src, **options).rows()
    return {row["study"]: {k: v for k, v in row.items() if v is not None} for row in found}


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("T1w", "scan:t1"),
        ("acq-mprage_T1w", "scan:t1"),
        ("ce-gadolinium_T1w", "scan:t1c"),
        ("ce-none_T1w", "scan:t1"),
        ("acq-postGd_T1w", "scan:t1c"),
        ("acq-mprageGD_T1w", "scan:t1c"),
        ("acq-preGd_T1w", "scan:t1"),
        ("ce-gad_T2w", "scan:t2_c"),
        ("acq-FLAIR_T2w", "scan:flair"),
        ("rec-ADC_dwi", "scan:adc"),
        ("part-mag_T2starw", "scan:t2s"),
        ("part-phase_T2starw", "scan:t2s_phase"),
        ("part-real_bold", "scan:bold_real"),
        ("trc-18FFDG_pet", "scan:pet_fdg"),
        ("trc-18FDG_pet", "scan:pet_fdg"),
        ("trc-FDG_pet", "scan:pet_fdg"),
        ("trc-11CPIB_pet", "scan:pet_pib"),
        ("trc-18FFlorbetapir_pet", "scan:pet_florbetapir"),
        ("pet", "scan:pet"),
        ("task-rest_run-1_bold", "scan:bold_rest"),
        ("task-nback_bold", "scan:bold_nback"),
        ("inv-1_MP2RAGE", "scan:mp2rage_inv-1"),
        ("echo-02_MEGRE", "scan:megre_echo-02"),
        ("UNIT1", "scan:unit1"),
        ("T1map", "scan:t1map"),
        ("space-MNI152_desc-preproc_T1w", "scan:t1_space-mni152"),
        ("desc-preproc_T1w", "scan:t1"),
        ("desc-brain_mask", "mask:brain"),
        ("label-lesion_mask", "mask:lesion"),
        ("space-T1w_label-lesion_roi", "mask:lesion"),
        ("space-MNI152_desc-brain_mask", "mask:brain_space-mni152"),
        ("dseg", "mask:seg"),
    ],
)
def test_a_name_says_what_is_seen(name, column):
    assert meaning(BidsName.of(f"sub-01_ses-2_{name}"), Names()).column == column


@pytest.mark.parametrize(
    "name",
    [
        "acq-FLAIR_T1w",
        "acq-map_T1w",
        "task-rest_sbref",
        "label-GM_probseg",
        "task-rest_bold.dtseries",
        "scout",
        "foo",
    ],
)
def test_what_is_no_picture_of_its_own_is_left_out(name):
    assert isinstance(meaning(BidsName.of(f"sub-01_{name}"), Names()), str)


def test_long_names_stay_apart():
    names = [f"task-{'averylongnameofatask' * 4}{end}_bold" for end in ("one", "two")]
    columns = {meaning(BidsName.of(name), Names()).column for name in names}
    assert len(columns) == 2
    assert all(len(column) <= len("scan:") + 64 for column in columns)


def test_runs_are_left_out_and_the_rest_is_taken(tmp_path):
    subject(tmp_path, "anat/T1w", "func/task-go_run-1_bold", "func/task-go_run-2_bold", "func/task-go_run-3_bold")
    assert set(rows(tmp_path)["sub-01"]) == {"study", "patient", "scan:t1"}
    told = "\n".join(list_studies(tmp_path).report())
    assert "several of one study are bold_go: sub-01 has sub-01_task-go_run-1_bold.nii.gz" in told
    found = rows(tmp_path, rename={"run-2_bold": "bold", "bold": "-"})
    assert found["sub-01"]["scan:bold"].endswith("run-2_bold.nii.gz")


def test_runs_alone_are_told_apart_by_their_numbers(tmp_path):
    subject(tmp_path, "func/task-go_run-1_bold", "func/task-go_run-2_bold")
    assert set(rows(tmp_path)["sub-01"]) == {"study", "patient", "scan:bold_go_run-1", "scan:bold_go_run-2"}


def test_entities_that_a_data_set_uses_to_tell_images_apart_are_in_all_names(tmp_path):
    for number in ("01", "02"):
        subject(tmp_path, "anat/acq-high_T1w", "anat/acq-low_T1w", "anat/acq-high_T2w", number=number)
    subject(tmp_path, "anat/acq-low_T1w", number="03")
    found = rows(tmp_path)
    assert set(found["sub-01"]) == {"study", "patient", "scan:t1_acq-high", "scan:t1_acq-low", "scan:t2"}
    assert "scan:t1_acq-low" in found["sub-03"]


def test_an_exception_renames_nothing(tmp_path):
    subject(tmp_path, "anat/acq-high_T1w", "anat/acq-low_T1w", "anat/run-1_T1w", number="01")
    for number in ("02", "03"):
        subject(tmp_path, "anat/acq-high_run-1_T1w", "anat/acq-high_run-2_T1w", "anat/T2w", number=number)
    subject(tmp_path, "anat/acq-high_T1w", number="04")
    found = rows(tmp_path)
    assert found["sub-04"]["scan:t1"].endswith("acq-high_T1w.nii.gz")
    assert "sub-01" not in found


def test_pages_beside_the_subjects(tmp_path):
    subject(tmp_path, "anat/desc-preproc_T1w")
    (tmp_path / "sub-01.html").write_text("<html></html>")
    assert set(rows(tmp_path)) == {"sub-01"}


def test_templates_and_field_maps(tmp_path):
    tree(tmp_path / "atlas", "tpl-A/anat/tpl-A_res-1_T1w.nii.gz", "tpl-B/cohort-2/anat/tpl-B_cohort-2_T2w.nii.gz")
    assert set(rows(tmp_path / "atlas")) == {"tpl-A", "tpl-B_cohort-2"}
    subject(tmp_path / "one", "anat/T1w", "fmap/acq-anat_TB1TFL", "fmap/phasediff")
    assert set(rows(tmp_path / "one")["sub-01"]) == {"study", "patient", "scan:t1"}
    assert "fmap" in "\n".join(list_studies(tmp_path / "one").report())
    assert "scan:b1" in rows(tmp_path / "one", rename={"acq-anat_TB1TFL": "b1"})["sub-01"]
    subject(tmp_path / "two", "fmap/acq-anat_TB1TFL", "fmap/acq-famp_TB1TFL", "fmap/phasediff")
    assert set(rows(tmp_path / "two")["sub-01"]) == {"study", "patient", "scan:tb1tfl_acq-anat", "scan:tb1tfl_acq-famp"}


def test_derivatives_are_named(tmp_path):
    subject(tmp_path / "src", "anat/T1w")
    tree(tmp_path / "src", "derivatives/x/sub-01/anat/sub-01_T1w.nii.gz", "sourcedata/a.mgz")
    told = []
    import_cohort(tmp_path / "src", tmp_path / "out", say=told.append)
    assert any("does not read: derivatives/ (1)" in line for line in told)


def test_nothing_that_is_seen_is_told(tmp_path):
    subject(tmp_path / "src", "anat/foo")
    with pytest.raises(ScanweaveError, match=r"not understood: sub-01/anat/sub-01_foo\.nii\.gz"):
        import_cohort(tmp_path / "src", tmp_path / "out")
