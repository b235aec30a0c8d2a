"""Images that are not read, or whose content was not fetched, are told by name and with the next step."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.checks.cohort_check import check_cohort
from scanweave.studies.formats.image_reader import read_mask, read_scan
from scanweave.studies.layouts import import_cohort

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
VOXELS = np.random.default_rng([13, 4]).normal(size=(12, 12, 12)).astype(np.float32)


def image(path: Path, form=nib.Nifti1Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(form(VOXELS, AFFINE), path)


UNREAD = {
    "flair.mnc": "MINC",
    "flair.nii.bz2": "packed as .bz2",
    "flair.BRIK": "AFNI",
    "flair.nii.zst": "packed as .zst",
}


@pytest.mark.parametrize("name", UNREAD)
def test_an_image_that_is_not_read_is_named_by_its_format(tmp_path, name):
    (tmp_path / name).write_bytes(b"no matter")
    with pytest.raises(ScanweaveError, match=rf"{UNREAD[name]}.* is not read. Convert it to NIfTI"):
        read_scan(tmp_path / name)


def test_a_table_that_names_an_unread_image_is_no_clinical_one(tmp_path):
    (tmp_path / "a.mnc").write_bytes(b"no matter")
    (tmp_path / "studies.csv").write_text("study,t1\na,a.mnc\n")
    cohort = import_cohort(tmp_path / "studies.csv", tmp_path / "cohort", say=print)
    assert cohort.names("scan") == ["t1"]
    assert "MINC" in str(check_cohort(cohort)[0].findings[0])


def test_images_of_other_tools_are_studies_like_others(tmp_path):
    image(tmp_path / "src/p1/t1.nii.gz"), image(tmp_path / "src/p1/flair.mgz", nib.MGHImage)
    image(tmp_path / "src/p2/t1.img", nib.Nifti1Pair), image(tmp_path / "src/p2/flair.nii")
    lines: list[str] = []
    cohort = import_cohort(tmp_path / "src", tmp_path / "cohort", say=lines.append)
    assert cohort.names("scan") == ["t1", "flair"]
    assert not any("left out" in line or "not read" in line for line in lines)
    for study in ("p1", "p2"):
        for name in ("t1", "flair"):
            np.testing.assert_array_equal(cohort[study].scans[name].data, VOXELS)


POINTERS = {
    "annex": (b"/annex/objects/MD5E-s12--0123.nii.gz\n", "git annex get"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 99\n", "git lfs pull"),
}


@pytest.mark.parametrize("read", [read_scan, read_mask])
def test_content_that_was_not_fetched_is_told_with_the_way_to_fetch_it(tmp_path, read):
    for name in ("t1.nii.gz", "t1.mha", "t1.png"):
        path = tmp_path / name
        for content, advice in POINTERS.values():
            path.write_bytes(content)
            with pytest.raises(ScanweaveError, match=f"not fetched.*{advice}"):
                read(path)
        path.unlink()
        path.symlink_to("../.git/annex/objects/aa/bb/MD5E-s1--c/MD5E-s1--c")
        with pytest.raises(ScanweaveError, match=r"git-annex.*not fetched.*git annex get"):
            read(path)
        path.unlink()
        path.symlink_to("elsewhere/scan")
        with pytest.raises(ScanweaveError, match="a link to 'elsewhere/scan', which is not there"):
            read(path)
