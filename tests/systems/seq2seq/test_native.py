"""Measures on the native grid leave out all that a real scan does not cover."""

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.measures.image import image_quality
from scanweave.studies.preparing.plan import learn_plan
from scanweave.studies.preparing.preparation import prepare
from scanweave.studies.preparing.settings import PreparationSettings
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.systems.seq2seq.native_grid import native_study

GRID = np.diag([3.0, 3.0, 3.0, 1.0])
SHAPE = (24, 26, 22)


def image(seed, low=0.0):
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"))
    inside = (place**2).sum(axis=0) < 0.7
    values = np.random.default_rng(seed).normal(500, 50, SHAPE)
    return np.where(inside, values, low).astype(np.float32), inside


def native(slices, mask=True):
    (t1, inside), (ct, _) = image(0), image(1, low=-1000.0)
    masks = {"brain": Scan.of(inside.astype(np.uint8), GRID)} if mask else {}
    whole = Study("s", "p", {"t1": Scan.of(t1, GRID), "ct": Scan.of(ct, GRID)}, masks)
    plan = learn_plan([whole], ["t1", "ct"], PreparationSettings(reference="t1"))
    study = whole.with_scans({**whole.scans, "ct": Scan.of(ct[:, :, :slices], GRID)})
    return native_study(study, prepare(study, plan), plan), inside, plan


@pytest.mark.parametrize("mask", [True, False])
def test_uncovered_voxels_are_in_no_region(mask):
    made, inside, _ = native(12, mask)
    assert all(np.isfinite(volume).all() for volume in made.real.values())
    assert made.regions.keys() == {"brain", "box", "volume"}
    for region in (made.brain, *made.regions.values()):
        assert region[:, :, :12].any()
        assert not region[:, :, 12:].any()
    np.testing.assert_array_equal(made.regions["volume"][:, :, :12], True)
    if mask:
        np.testing.assert_array_equal(made.brain[:, :, :12], inside[:, :, :12])


def test_what_was_never_acquired_changes_no_figure():
    made, _, plan = native(12)
    real = made.real["ct"]
    assert real[0, 0, 20] == plan.rule("ct").background
    guess = real + np.random.default_rng(3).normal(0, 10, SHAPE).astype(np.float32)
    other = guess.copy()
    other[:, :, 17:] += 500  # farther than the windows of SSIM reach
    one, two = (image_quality(g, real, made.regions, made.span("ct")) for g in (guess, other))
    assert one.keys() == {"brain", "box", "volume"}
    for region in one:
        assert one[region]["psnr"] == pytest.approx(two[region]["psnr"])
        assert one[region]["nmse"] == pytest.approx(two[region]["nmse"])
        assert one[region]["ssim"] == pytest.approx(two[region]["ssim"])


def test_studies_whose_scans_are_whole_are_measured_everywhere():
    made, inside, _ = native(SHAPE[2])
    np.testing.assert_array_equal(made.brain, inside)
    assert made.regions["volume"].all()


def test_a_brain_that_no_two_scans_share_is_told():
    with pytest.raises(ScanweaveError, match="that all scans cover"):
        native(2)
