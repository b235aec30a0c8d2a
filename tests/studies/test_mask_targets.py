"""Masks as targets: by name, as one label map or as planes, absent or empty."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.checks.cohort_check import check_cohort
from scanweave.studies.cohort import Cohort
from scanweave.studies.geometry import Geometry
from scanweave.studies.layouts import import_cohort
from scanweave.studies.mask_targets import Structure, label_map, parse_structures, structure_planes, structures_of
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

GRID = Geometry.of((8, 8, 8), np.diag([2.0, 2.0, 2.0, 1.0]))
ORGANS = np.zeros((8, 8, 8), dtype=np.uint8)
ORGANS[:4], ORGANS[4:6] = 1, 2


def study(**masks):
    return Study("s", "p", masks={name: Scan.of(data, GRID.affine) for name, data in masks.items()})


def test_a_label_map_by_the_names_of_its_numbers():
    structures = (Structure("b", "organ", (2,)), Structure("both", "organ", (1, 2)))
    planes, known = structure_planes(study(organ=ORGANS), structures, GRID)
    np.testing.assert_array_equal(planes, [ORGANS == 2, ORGANS > 0])
    assert known.all()
    with pytest.raises(ScanweaveError, match="both and b share voxels"):
        label_map(study(organ=ORGANS), structures, GRID)


def test_binary_files_and_one_hot_files_give_the_same_label_map():
    structures = (Structure("a", "a"), Structure("b", "b"))
    wanted = label_map(study(a=(ORGANS == 1) * 255, b=(ORGANS == 2).astype(int)), structures, GRID)
    np.testing.assert_array_equal(wanted, ORGANS)
    for first in (0, 1):  # with a channel of the background and without
        hot = np.stack([value == ORGANS for value in range(first, 3)], axis=-1).astype(np.uint8)
        named = (Structure("a", "hot", channel=1 - first), Structure("b", "hot", channel=2 - first))
        np.testing.assert_array_equal(label_map(study(hot=hot), named, GRID), ORGANS)
    with pytest.raises(ScanweaveError, match="mask:hot: has 1 channels where channel 1 is wanted"):
        label_map(study(hot=np.zeros((8, 8, 8, 1))), named[1:], GRID)
    with pytest.raises(ScanweaveError, match="has 16 channels, more than 15"):
        label_map(study(hot=np.zeros((8, 8, 8, 16))), named, GRID)


def test_absent_is_not_empty():
    structures = (Structure("a", "a"), Structure("b", "b"))
    planes, known = structure_planes(study(a=np.zeros((8, 8, 8))), structures, GRID)
    assert (known.tolist(), planes.any()) == ([True, False], False)
    with pytest.raises(ScanweaveError, match="mask:b is absent"):
        label_map(study(a=np.zeros((8, 8, 8))), structures, GRID)


def test_other_grids_are_sampled_at_the_nearest_voxel():
    fine = GRID.with_spacing((1.0, 1.0, 1.0))
    found = label_map(study(organ=ORGANS), (Structure("a", "organ", (1,)), Structure("b", "organ", (2,))), fine)
    np.testing.assert_array_equal(found, ORGANS.repeat(2, 0).repeat(2, 1).repeat(2, 2))


def test_names_of_labels_of_either_dataset_json():
    assert parse_structures({"0": "background", "1": "Anterior", "2": "Posterior"}) == {
        "Anterior": [1],
        "Posterior": [2],
    }
    assert parse_structures({"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}) == {
        "whole": [1, 2],
        "core": [2],
    }
    assert parse_structures(None) == parse_structures({"x": {}, "y": "liver"}) == {}


def pairs(folder, about=None):
    for name in ("a", "b"):
        for kind, data in (("images", np.random.default_rng(1).normal(size=(8, 8, 8))), ("labels", ORGANS)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(data, np.diag([9, 9, 9, 1])), folder / kind / f"{name}.nii.gz")
    if about:
        (folder / "dataset.json").write_text(json.dumps(about))


def test_structures_are_named_by_the_source_or_numbered_by_the_check(tmp_path):
    pairs(tmp_path / "named", {"labels": {"background": 0, "front": 1, "back": 2}})
    named = import_cohort(tmp_path / "named", tmp_path / "n", say=lambda line: None)
    assert structures_of(named) == (Structure("front", "label", (1,)), Structure("back", "label", (2,)))
    pairs(tmp_path / "bare")
    bare = import_cohort(tmp_path / "bare", tmp_path / "b", say=lambda line: None)
    with pytest.raises(ScanweaveError, match="nothing says what its numbers are"):
        structures_of(bare)
    check_cohort(bare)
    assert structures_of(Cohort.open(tmp_path / "b")) == (
        Structure("label-1", "label", (1,)),
        Structure("label-2", "label", (2,)),
    )


def test_a_one_hot_mask_by_its_channels_or_by_the_names_of_its_source(tmp_path):
    hot = np.stack([value == ORGANS for value in range(3)], axis=-1).astype(np.uint8)
    nib.save(nib.Nifti1Image(hot, GRID.affine), tmp_path / "hot.nii")
    nib.save(nib.Nifti1Image(hot[..., 1:], GRID.affine), tmp_path / "some.nii")
    nib.save(nib.Nifti1Image(ORGANS, GRID.affine), tmp_path / "t1.nii")
    row = {"study": "s", "patient": "s", "scan:t1": "t1.nii", "mask:hot": "hot.nii", "mask:some": "some.nii"}

    def cohort(name, **structures):
        about = {"root": tmp_path, "name": name, "source": "x", "layout": "table", "structures": structures}
        return Cohort.create(tmp_path / name, [row], **about)

    assert structures_of(cohort("bare"), ["hot", "some"]) == (
        Structure("hot-1", "hot", channel=1),  # the first channel is the background: all of space has one
        Structure("hot-2", "hot", channel=2),
        Structure("some-1", "some", channel=0),
        Structure("some-2", "some", channel=1),
    )
    named = cohort("named", hot={"liver": [1], "spleen": [2]})
    assert structures_of(named, ["hot"]) == (
        Structure("liver", "hot", channel=1),
        Structure("spleen", "hot", channel=2),
    )
    with pytest.raises(ScanweaveError, match="has 3 channels for 1 structures"):
        structures_of(cohort("wrong", hot={"liver": [1]}), ["hot"])


def test_structures_of_one_name_in_two_masks_are_told_apart(tmp_path):
    nib.save(nib.Nifti1Image(ORGANS, GRID.affine), tmp_path / "m.nii")
    row = {"study": "s", "patient": "s", "scan:t1": "m.nii", "mask:a": "m.nii", "mask:b": "m.nii"}
    about = {"root": tmp_path, "name": "c", "source": "x", "layout": "table"}
    cohort = Cohort.create(tmp_path / "c", [row], structures={"a": {"x": [1]}, "b": {"x": [2]}}, **about)
    assert [structure.name for structure in structures_of(cohort)] == ["a-x", "b-x"]
