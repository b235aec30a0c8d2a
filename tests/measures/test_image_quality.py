from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import convolve2d
from skimage.metrics import structural_similarity

from scanweave.errors import ScanweaveError
from scanweave.measures.image import PSNR_CAP, gmsd, image_quality, nmse, psnr, ssim
from scanweave.measures.regions import named_regions


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    real = rng.random((24, 20, 14))
    return np.clip(real + 0.1 * rng.normal(size=real.shape), 0, 1), real


@pytest.fixture
def mask():
    inside = np.zeros((24, 20, 14), bool)
    inside[6:18, 5:15, 4:10] = True
    inside[6, 5, 4] = False
    return inside


def test_psnr_and_nmse_by_hand():
    real = np.full((8, 8, 8), 0.5)
    made = real + 0.1
    assert psnr(made, real, 1.0) == pytest.approx(20.0)  # MSE 0.01
    assert psnr(made, real, 2.0) == pytest.approx(20.0 + 20 * np.log10(2))
    assert nmse(made, real) == pytest.approx(0.04)


def test_identical_images_are_capped_not_infinite(pair):
    _, real = pair
    scores = image_quality(real, real, {"volume": np.ones_like(real)}, 1.0)["volume"]
    assert scores == pytest.approx({"psnr": PSNR_CAP, "ssim": 1.0, "nmse": 0.0, "gmsd": 0.0})
    assert psnr(real + 1e-9, real, 1.0) == PSNR_CAP


def test_ssim_of_the_volume_is_that_of_scikit_image(pair):
    expected = structural_similarity(*pair, win_size=7, data_range=1.0)
    assert ssim(*pair, 1.0) == pytest.approx(expected, abs=1e-12)


def gmsd_of_paper(first, second, c):
    """Xue et al. 2014 in two dimensions, away from the border: eqs. 3, 4, 5 and 7 as they are written."""
    kernel = np.array([[1, 0, -1]] * 3) / 3
    magnitude = []
    for image in (first, second):
        small = (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4
        across, along = (convolve2d(small, k, mode="valid") for k in (kernel, kernel.T))
        magnitude.append(np.sqrt(across**2 + along**2))
    a, b = magnitude
    return np.std((2 * a * b + c) / (a**2 + b**2 + c))


def test_gmsd_is_the_papers(pair):
    made, real = (255 * v for v in pair)
    inner = np.zeros(real.shape, bool)
    inner[2:-2, 2:-2] = True
    expected = np.mean([gmsd_of_paper(made[..., z], real[..., z], 170) for z in range(real.shape[2])])
    assert gmsd(made, real, 255, inner) == pytest.approx(expected, rel=1e-9)


def test_gmsd_sees_blur_that_psnr_does_not():
    rng = np.random.default_rng(1)
    real = np.repeat((rng.random((16, 16, 8)) > 0.5).astype(float), 2, axis=0).repeat(2, axis=1)
    brighter = real + 0.2
    flat = np.full_like(real, real.mean())
    inner = np.zeros(real.shape, bool)
    inner[4:-4, 4:-4] = True  # beyond the image all is 0, so what is brighter has another border
    assert gmsd(brighter, real, 1.0, inner) == pytest.approx(0, abs=1e-9)
    assert gmsd(flat, real, 1.0, inner) > 0.1


def test_scaling_the_intensities_with_the_range_changes_nothing(pair, mask):
    made, real = pair
    once, scaled = (image_quality(gain * made, gain * real, named_regions(mask), gain) for gain in (1.0, 40.0))
    for region, scores in once.items():
        assert scaled[region] == pytest.approx(scores)


def test_regions_are_brain_box_and_volume(pair, mask):
    made, real = pair
    made = made.copy()
    made[~mask] = 1 - real[~mask]
    scores = image_quality(made, real, named_regions(mask), 1.0)
    assert list(scores) == ["brain", "box", "volume"]
    assert scores["brain"]["psnr"] > scores["box"]["psnr"] > scores["volume"]["psnr"]
    assert scores["brain"]["psnr"] == pytest.approx(psnr(made[mask][:, None, None], real[mask][:, None, None], 1.0))
    assert scores["brain"]["gmsd"] == pytest.approx(gmsd(made, real, 1.0, mask))
    assert scores["brain"]["ssim"] == pytest.approx(ssim(made, real, 1.0, mask))


def test_what_lies_outside_does_not_change_psnr_inside(pair, mask):
    made, real = pair
    other = np.where(mask, made, 0)
    before, after = (image_quality(v, real, named_regions(mask), 1.0)["brain"] for v in (made, other))
    assert before["psnr"] == after["psnr"]
    assert before["nmse"] == after["nmse"]


def test_tiny_regions_have_no_gmsd(pair, mask):
    lesion = np.zeros_like(mask)
    lesion[10:12, 10, 6] = True
    scores = image_quality(*pair, {"lesion": lesion}, 1.0)
    assert scores["lesion"]["psnr"] > 0
    assert np.isnan(scores["lesion"]["gmsd"])


@pytest.mark.parametrize("offset", [0.0, 1024.0, 30_000.0])
def test_float32_volumes_are_measured_as_the_numbers_that_they_hold(pair, mask, offset):
    """Mean squares less squared means lose an offset's square: 30,000² is beyond the digits of float32."""
    single = [(volume + offset).astype(np.float32) for volume in pair]
    double = [volume.astype(np.float64) for volume in single]
    found, expected = (image_quality(*volumes, named_regions(mask), 1.0) for volumes in (single, double))
    assert found == expected
    assert 0 < found["brain"]["ssim"] < 1
    shifted = [volume - offset for volume in double]
    for measure in ("psnr", "gmsd"):  # which no offset changes, within the brain
        plain = image_quality(*shifted, named_regions(mask), 1.0)["brain"][measure]
        assert found["brain"][measure] == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("planes", [7, 32, 33, 38, 70])
def test_ssim_by_slabs_is_that_of_the_whole(planes):
    rng = np.random.default_rng(planes)
    real = rng.random((planes, 8, 9))
    made = real + 0.2 * rng.normal(size=real.shape)
    expected = structural_similarity(made, real, win_size=7, data_range=1.0)
    assert ssim(made, real, 1.0) == pytest.approx(expected, abs=1e-12)


def gmsd_of_authors(first, second, c):
    """Xue et al. as their code and piq have it: a whole slice, zeros beyond it, an odd row averaged with zeros."""
    kernel = np.array([[1, 0, -1]] * 3) / 3
    magnitude = []
    for image in (first, second):
        padded = np.pad(image, [(0, size % 2) for size in image.shape])
        small = convolve2d(padded, np.full((2, 2), 0.25), mode="valid")[::2, ::2]
        across, along = (convolve2d(small, k, mode="same") for k in (kernel, kernel.T))
        magnitude.append(np.sqrt(across**2 + along**2))
    a, b = magnitude
    return np.std((2 * a * b + c) / (a**2 + b**2 + c))


@pytest.mark.parametrize("shape", [(24, 20, 3), (25, 20, 3), (24, 21, 2), (25, 21, 2)])
def test_gmsd_of_a_whole_slice_is_that_of_the_authors_code(shape):
    rng = np.random.default_rng(3)
    real = rng.random(shape)
    made = np.clip(real + 0.1 * rng.normal(size=shape), 0, 1)
    expected = np.mean([gmsd_of_authors(made[..., z], real[..., z], 170 / 255**2) for z in range(shape[2])])
    assert gmsd(made, real, 1.0) == pytest.approx(expected, rel=1e-9)


def test_gmsd_equals_piq():
    """piq 0.8.0, `gmsd` in float64 of the images below in shape (1, 1, 33, 28), data range 1."""
    rows, columns = np.mgrid[:33, :28]
    real = (1 + np.sin(rows / 3) * np.cos(columns / 4)) / 2
    made = (1 + np.sin(rows / 3 + 0.3) * np.cos(columns / 5)) / 2
    assert gmsd(made[..., None], real[..., None], 1.0) == pytest.approx(0.15361488154923614, rel=1e-12)


def test_named_regions(mask):
    regions = named_regions(mask)
    assert list(regions) == ["brain", "box", "volume"]
    np.testing.assert_array_equal(regions["brain"], mask)
    assert regions["box"][6:18, 5:15, 4:10].all()
    assert regions["box"].sum() == 12 * 10 * 6
    assert regions["volume"].all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"regions": {"brain": np.zeros((24, 20, 14))}}, "brain: it is empty"),
        ({"regions": {"brain": np.ones((24, 20, 13))}}, "brain: its shape"),
        ({"prediction": np.full((24, 20, 14), np.nan)}, "NaN"),
        ({"prediction": np.zeros((24, 20, 13))}, "shape"),
        ({"reference": np.zeros((24, 20, 14))}, "zero"),
        ({"data_range": 0.0}, "data_range"),
    ],
)
def test_faults_name_the_argument(pair, mask, change, words):
    given = {"prediction": pair[0], "reference": pair[1], "regions": named_regions(mask), "data_range": 1.0} | change
    with pytest.raises(ScanweaveError, match=words):
        image_quality(**given)


def test_a_slab_is_too_thin_for_ssim():
    slab = np.ones((20, 20, 3))
    with pytest.raises(ScanweaveError, match="thinner"):
        image_quality(slab, slab, {"volume": slab}, 1.0)
