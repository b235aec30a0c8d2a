"""Evaluation finds planted faults by the measure that is made for them."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from scanweave.physics.spectral.decomposition import binned_attenuation
from scanweave.physics.spectral.detectors import PhotonCounting
from scanweave.physics.spectral.spectra import tube_spectrum
from scanweave.simulate.ct.bodies import draw_body
from scanweave.systems.ultra.evaluation import ALL_BINS, ALL_MATERIALS, WORST_BIN, measure, notes
from scanweave.systems.ultra.images import SpectralImages
from scanweave.systems.ultra.plan import SpectralPlan, spans

MATERIALS = ("water", "bone", "iodine", "gadolinium")
SPECTRUM, DETECTOR = tube_spectrum(120), PhotonCounting((20.0, 34.0, 51.0, 65.0, 82.0))


def _plan():
    beam = SPECTRUM.energies, DETECTOR.response(SPECTRUM.energies) * SPECTRUM.shares
    return SpectralPlan(
        sinogram="ct",
        bins=tuple(f"bin{n}" for n in range(1, 6)),
        thresholds=DETECTOR.thresholds,
        energies=tuple(beam[0]),
        weights=tuple(map(tuple, beam[1])),
        offset=(0.0,) * 5,
        scale=(1.0,) * 5,
        span=spans(beam, np.zeros((5, 1))),
        materials=MATERIALS,
    )


@pytest.fixture(scope="module")
def scene():
    body = draw_body(np.random.default_rng(3), 64, 100.0)
    truth = body.bin_images(binned_attenuation(body.materials, SPECTRUM, DETECTOR)).astype(np.float32)
    empty = np.zeros((5, 1, 1), np.float32)
    images = SpectralImages("a", "a", truth, truth, empty, _Geometry(), DETECTOR.thresholds)
    return _plan(), images, body["gadolinium"]


class _Geometry:
    pixel = 100.0 / 64


def _table(scene, made):
    plan, images, insert = scene
    return pd.DataFrame(measure(plan, made, images, insert)).set_index("image")


def test_truth_is_perfect(scene):
    table = _table(scene, scene[1].truth)
    assert table.loc[ALL_BINS, "psnr"] == 100
    assert table.loc[ALL_MATERIALS, "rmse"] == 0


def test_noise_in_one_bin_shows_in_that_bin_and_in_the_materials(scene):
    made = scene[1].truth.copy()
    made[2] += np.random.default_rng(0).normal(0, 2e-3, made[2].shape)
    table = _table(scene, made)
    assert table["psnr"].idxmin() in ("bin3", WORST_BIN)
    assert table.loc["bin3", "noise"] == pytest.approx(2e-3, rel=0.15)
    assert table.loc[ALL_MATERIALS, "rmse"] > 0.05
    assert table.loc["gadolinium", "cnr"] < 60


def test_blur_shows_in_the_edges(scene):
    made = ndimage.gaussian_filter(scene[1].truth, (0, 1.5, 1.5))
    sharp, blurred = (_table(scene, one).loc[ALL_BINS, "mtf50"] for one in (scene[1].truth, made))
    assert blurred < 0.6 * sharp


@pytest.mark.parametrize(("psnr", "ssim", "count"), [(31.0, 0.9, 0), (30.0, 0.9, 1), (31.0, 0.7, 1)])
def test_a_network_that_does_not_beat_its_input_is_noted(psnr, ssim, count):
    means = {("fbp", "psnr"): 30.0, ("fbp", "ssim"): 0.8, ("ultra", "psnr"): psnr, ("ultra", "ssim"): ssim}
    rows = [{"method": m, "image": ALL_BINS, "measure": name, "mean": value} for (m, name), value in means.items()]
    assert len(notes(pd.DataFrame(rows))) == count
