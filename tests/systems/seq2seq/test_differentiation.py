from __future__ import annotations

import json
from dataclasses import replace
from typing import ClassVar

import nibabel as nib
import numpy as np
import pytest

from scanweave.systems.seq2seq.contributions import on_native_grid
from scanweave.systems.seq2seq.differentiation import differentiation


class Perfect:
    """Makes every target exactly as it is."""

    backgrounds: ClassVar[dict[str, float]] = {}

    def __init__(self, volumes):
        self.volumes = volumes

    def translate(self, source, volume, targets):
        return {target: self.volumes[target] for target in targets}


class Flat:
    """Makes zeros whatever it is given."""

    backgrounds: ClassVar[dict[str, float]] = {}

    def translate(self, source, volume, targets):
        return {target: np.zeros_like(volume) for target in targets}


class Copy:
    """Returns the source as every target."""

    backgrounds: ClassVar[dict[str, float]] = {}

    def translate(self, source, volume, targets):
        return dict.fromkeys(targets, volume)


@pytest.fixture
def volumes():
    rng = np.random.default_rng(0)
    return {name: rng.uniform(-1, 1, (5, 6, 7)).astype(np.float32) for name in ("t1", "t2", "flair")}


@pytest.mark.parametrize("include_self", [False, True])
def test_a_perfect_model_leaves_nothing(volumes, include_self):
    maps, _ = differentiation(Perfect(volumes), volumes, include_self=include_self)
    assert list(maps) == list(volumes)
    assert all((values == 0).all() for values in maps.values())


def test_a_model_that_knows_nothing_leaves_the_scan(volumes):
    maps, sources = differentiation(Flat(), volumes)
    np.testing.assert_allclose(maps["t1"], np.abs(volumes["t1"]), rtol=1e-6)
    assert sources["t1"] == ["flair", "t2"]


def test_the_mean_is_over_available_sources(volumes):
    maps, _ = differentiation(Copy(), volumes)
    expected = (np.abs(volumes["t2"] - volumes["t1"]) + np.abs(volumes["flair"] - volumes["t1"])) / 2
    np.testing.assert_allclose(maps["t1"], expected, rtol=1e-6)
    with_self, sources = differentiation(Copy(), volumes, include_self=True)
    np.testing.assert_allclose(with_self["t1"], expected * 2 / 3, rtol=1e-5)
    assert sources["t1"] == ["flair", "t1", "t2"]
    two, sources = differentiation(Copy(), {name: volumes[name] for name in ("t1", "t2")})
    np.testing.assert_allclose(two["t1"], np.abs(volumes["t2"] - volumes["t1"]), rtol=1e-6)
    assert sources == {"t2": ["t1"], "t1": ["t2"]}
    assert differentiation(Copy(), {"t1": volumes["t1"]}) == ({}, {})


def test_nothing_is_mapped_where_nothing_was_acquired(volumes):
    """A map takes its target's coverage, and at each voxel only the sources that cover it."""
    expected, _ = differentiation(Copy(), volumes)
    volumes["t1"][:2] = np.nan
    maps, _ = differentiation(Copy(), volumes)
    assert (maps["t1"][:2] == 0).all()
    np.testing.assert_allclose(maps["t1"][2:], expected["t1"][2:], rtol=1e-6)
    np.testing.assert_allclose(maps["t2"][2:], expected["t2"][2:], rtol=1e-6)
    np.testing.assert_allclose(maps["t2"][:2], np.abs(volumes["flair"] - volumes["t2"])[:2], rtol=1e-6)


def test_maps_are_written_on_the_native_grid(fitted, tmp_path):
    lines: list[str] = []
    table = fitted.system.explain(fitted.cohort, tmp_path, options={"pictures": 1}, say=lines.append)
    row = table.iloc[0]
    study = fitted.cohort[row["study"]]
    path = tmp_path / study.id / f"{study.id}_{row['sequence']}_differentiation.nii.gz"
    image = nib.load(path)
    np.testing.assert_array_equal(image.affine, study[row["sequence"]].geometry.affine)
    values, brain = image.get_fdata(), np.asarray(study.masks["brain"].data) > 0
    assert values[brain].mean() == pytest.approx(row["mean"], rel=1e-5)
    assert values.min() >= 0
    assert b"synthetic" in image.header["descrip"].item()
    provenance = json.loads(image.header.extensions[0].get_content())
    assert provenance["count"] == row["sources"] == len(provenance["sources"])
    assert row["sequence"] not in provenance["sources"]
    assert len(list(tmp_path.glob("*/differentiation.png"))) == 1


def test_what_lies_outside_the_prepared_box_is_zero(fitted):
    prepared = fitted.system.prepare(next(iter(fitted.cohort)))
    frame = replace(prepared.frame, start=(2, 3, 4), shape=(5, 6, 7))
    values = on_native_grid(np.full(frame.shape, 0.5, np.float32), frame, fitted.system.plan)
    assert values.shape == frame.native.shape
    assert np.count_nonzero(values) == 5 * 6 * 7


def test_the_record_says_how_well_a_map_tells_the_lesion(fitted, tmp_path):
    from sklearn.metrics import roc_auc_score

    table = fitted.system.explain(fitted.cohort, tmp_path, options={"pictures": 0}, part="all", say=lambda _: None)
    record = json.loads((tmp_path / "explanation.json").read_text())
    row = next(row for row in record["rows"] if row.get("auroc_any") is not None)
    study = fitted.cohort[row["study"]]
    image = nib.load(tmp_path / study.id / f"{study.id}_{row['sequence']}_differentiation.nii.gz")
    brain, lesion = (np.asarray(study.masks[name].data) > 0 for name in ("brain", "lesion"))
    expected = roc_auc_score(lesion[brain], image.get_fdata()[brain])
    assert row["auroc_any"] == pytest.approx(expected, abs=1e-6)
    means = {row["sequence"]: row["mean"] for row in record["summary"] if row["measure"] == "mean"}
    assert means["t1"] == pytest.approx(table[table["sequence"] == "t1"]["mean"].mean())
