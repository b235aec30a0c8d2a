import dataclasses

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from scanweave.errors import ScanweaveError
from scanweave.physics.ct.fbp import FilteredBackprojection, filter_response, window_values
from scanweave.physics.ct.geometry import FanArcGeometry, FanFlatGeometry, ParallelGeometry, even_angles
from scanweave.physics.ct.projector import Projector
from scanweave.physics.ct.weights import missing_elements, overlap_weights, ray_weights

NAMES = ["parallel", "parallel, full turn", "fan-flat", "fan-arc", "fan-flat, short", "fan-arc, short"]
WINDOWS = ["ram-lak", "shepp-logan", "cosine", "hann"]


def error(image, disc, edge=3.0):
    """Root mean square error over the disc's value, off its edge and within the circle that every view sees."""
    truth, size = disc.image(image.shape, 1.0), min(image.shape)
    centre = dataclasses.replace(disc, x=0.0, y=0.0).distances(image.shape, 1.0)
    judged = (np.abs(disc.distances(image.shape, 1.0) - disc.radius) > edge) & (centre < size / 2)
    return np.sqrt(((image - truth)[judged] ** 2).mean()) / disc.mu


def reconstruct(geometry, disc, window="ram-lak"):
    image = torch.from_numpy(disc.image(geometry.shape, geometry.pixel))
    sinogram = Projector(geometry, memory_limit=0).forward(image)
    return FilteredBackprojection(geometry, window)(sinogram).numpy()


@pytest.mark.parametrize("name", NAMES)
def test_disc_comes_back(scans, disc, name):
    geometry = scans((128, 128), 1.0, 180)[name]
    image = reconstruct(geometry, disc)
    assert error(image, disc) <= 0.02
    inside = disc.distances((128, 128), 1.0) < disc.radius - 3
    assert image[inside].mean() == pytest.approx(disc.mu, rel=2e-3)


@pytest.mark.parametrize("window", WINDOWS)
def test_windows_keep_the_scale(scans, disc, window):
    image = reconstruct(scans((128, 128), 1.0, 180)["fan-flat"], disc, window)
    inside = disc.distances((128, 128), 1.0) < disc.radius - 6
    assert image[inside].mean() == pytest.approx(disc.mu, rel=2e-3)


def test_windows_by_hand():
    for window, middle, end in (
        ("ram-lak", 1, 1),
        ("shepp-logan", 0.900316, 0.636620),
        ("cosine", 0.707107, 0),
        ("hann", 0.5, 0),
    ):
        np.testing.assert_allclose(window_values(window, 3), [1, middle, end], atol=1e-6)


def test_ramp_is_the_frequency_and_padded():
    geometry = ParallelGeometry(shape=(8, 8), pixel=1.0, angles=(0.0,), detectors=300, pitch=0.5)
    response = filter_response(geometry, "ram-lak")
    assert len(response) - 1 >= 300
    np.testing.assert_allclose(response, np.linspace(0, 1, len(response)), atol=2e-3)  # |f|, 1/mm: Nyquist at 1


@pytest.mark.parametrize("change", [{"offset": 0.25}, {"angles": even_angles(360, -360)}, {"angles": "shuffled"}])
def test_order_of_views_and_offset_do_not_matter(scans, disc, change):
    geometry = scans((128, 128), 1.0, 180)["fan-arc"]
    if change == {"angles": "shuffled"}:
        change = {"angles": tuple(np.random.default_rng(0).permutation(geometry.angles) - 720)}
    assert error(reconstruct(dataclasses.replace(geometry, **change), disc), disc) <= 0.02


def test_missing_views_keep_the_scale(scans, disc):
    geometry = scans((128, 128), 1.0, 180)["parallel"]
    kept = tuple(angle for angle in geometry.angles if not 40 < angle < 46)
    image = reconstruct(dataclasses.replace(geometry, angles=kept), disc)
    inside = disc.distances((128, 128), 1.0) < disc.radius - 3
    assert image[inside].mean() == pytest.approx(disc.mu, rel=0.02)


@pytest.mark.parametrize("name", ["fan-flat, short", "fan-arc, short"])
def test_parker_weights_of_a_line_sum_to_one(scans, name):
    """Sum over the two rays of a line, on a detector whose rays lie a view's turn apart."""
    geometry = scans((64, 64), 1.0, 10)[name]
    turn, fan = 0.25, 30
    geometry = dataclasses.replace(
        geometry,
        angles=tuple(turn * np.arange(round(geometry.short_sweep / turn))),
        detectors=2 * fan + 1,
        pitch=np.deg2rad(turn) * (geometry.source + geometry.detector),
    )
    geometry = FanArcGeometry(**{k: v for k, v in geometry.to_dict().items() if k != "kind"})
    weights = ray_weights(geometry) / np.deg2rad(turn)
    views = len(geometry.angles)
    for ray in range(0, 2 * fan + 1, 7):
        shift = round(180 / turn) - 2 * (ray - fan)  # (θ, γ) is (θ + π − 2γ, −γ)
        both = weights[: views - shift, ray] + weights[shift:, 2 * fan - ray]
        np.testing.assert_allclose(both, 1, atol=0.02)
        alone = slice(views - shift, round(180 / turn) + 2 * (ray - fan))  # its other ray is at θ ± π − 2γ, unseen
        np.testing.assert_allclose(weights[alone, ray], 1, atol=0.02)


def test_fan_that_turns_too_little_is_told(scans):
    geometry = dataclasses.replace(scans((64, 64), 1.0, 10)["fan-flat"], angles=even_angles(100, 170))
    with pytest.raises(ScanweaveError, match="angles: the views sweep 170°"):
        FilteredBackprojection(geometry)


@pytest.mark.parametrize("name", ["parallel", "fan-flat", "fan-arc, short", "half-acquisition"])
def test_gradients_of_any_order(scans, name):
    if name == "half-acquisition":
        geometry = with_axis_at(scans((6, 7), 0.7, 8)["fan-flat"], 1.2, 7)
    else:
        geometry = scans((6, 7), 0.7, 8)[name]
    fbp = FilteredBackprojection(geometry)
    generator = torch.Generator().manual_seed(0)
    sinogram = torch.randn(1, 2, *geometry.sinogram_shape, generator=generator, dtype=torch.float64).requires_grad_()
    assert gradcheck(fbp, sinogram)
    assert gradgradcheck(lambda y: fbp(y).pow(2), sinogram)


def test_single_view_of_a_single_element():
    geometry = ParallelGeometry(shape=(4, 4), pixel=1.0, angles=(0.0,), detectors=1, pitch=1.0)
    assert torch.isfinite(FilteredBackprojection(geometry)(torch.ones(1, 1))).all()


def test_bad_input_is_told():
    geometry = ParallelGeometry.covering((8, 8), 1.0, even_angles(4))
    with pytest.raises(ScanweaveError, match="window: unknown window 'hamming'"):
        FilteredBackprojection(geometry, "hamming")
    with pytest.raises(ScanweaveError, match="sinogram: holds NaN"):
        FilteredBackprojection(geometry)(torch.full(geometry.sinogram_shape, torch.nan))


def test_angles_in_radians_are_not_taken_for_a_narrow_sweep():
    scan = ParallelGeometry.covering((16, 16), 1.0, np.deg2rad(even_angles(30)))
    with pytest.raises(ScanweaveError, match="as angles in radians would"):
        FilteredBackprojection(scan)


def with_axis_at(geometry, element, detectors):
    """The scan on a detector of so many elements, on which the axis falls on one of them."""
    return dataclasses.replace(geometry, detectors=detectors, offset=((detectors - 1) / 2 - element) * geometry.pitch)


def from_lines(geometry, disc):
    """Reconstruct the disc from its line integrals as they are on paper."""
    return FilteredBackprojection(geometry)(torch.from_numpy(disc.sinogram(geometry))).numpy()


@pytest.mark.parametrize("element", [73.9, 85.1])
@pytest.mark.parametrize("views", [even_angles(180), even_angles(360, 360)], ids=["half turn", "full turn"])
def test_axis_off_centre(disc, element, views):
    """As a public scan of a tooth has it: at 295.6 of 640 elements, views over 180°; here of 160."""
    scan = ParallelGeometry(shape=(160, 160), pixel=1.0, angles=views, detectors=160, pitch=1.0)
    centred, off = from_lines(scan, disc), from_lines(with_axis_at(scan, element, 160), disc)
    assert error(off, disc) <= 0.02
    assert error(off, disc) == pytest.approx(error(centred, disc), abs=0.003)
    aside = disc.distances(scan.shape, 1.0) > disc.radius + 3
    assert np.abs(off[aside]).max() <= 1.3 * np.abs(centred[aside]).max()


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("element", [3, 12.4, 30.5])
@pytest.mark.parametrize("name", ["parallel, full turn", "fan-flat", "fan-arc"])
def test_half_acquisition_sees_twice_its_width(scans, disc, name, element, side):
    """The detector ends next to the axis; the disc, which covers it, is seen whole by no view."""
    geometry = scans((128, 128), 1.0, 180)[name]
    detectors = geometry.detectors // 2 + round(element)
    scan = with_axis_at(geometry, element if side == 1 else detectors - 1 - element, detectors)
    image = from_lines(scan, disc)
    assert error(image, disc) <= 0.02
    inside = disc.distances((128, 128), 1.0) < disc.radius - 3
    assert image[inside].mean() == pytest.approx(disc.mu, rel=2e-3)


@pytest.mark.parametrize("kind", [ParallelGeometry, FanFlatGeometry, FanArcGeometry])
@pytest.mark.parametrize("element", [0.5, 6, 20, 29.5, 45])
def test_overlap_weights_of_a_line_sum_to_one(kind, element):
    own = {} if kind is ParallelGeometry else {"source": 200.0, "detector": 100.0}
    scan = kind(shape=(32, 32), pixel=1.0, angles=even_angles(60, 360), detectors=60, pitch=1.0, **own)
    scan = with_axis_at(scan, element, 60)
    weights, places = overlap_weights(scan), scan.positions
    mirrored = np.interp(-places, places, weights, left=np.nan, right=np.nan)  # an element mirrored is an element
    seen_twice = ~np.isnan(mirrored)
    np.testing.assert_allclose((weights + mirrored)[seen_twice], 1, atol=1e-9)
    np.testing.assert_allclose(weights[~seen_twice], 1 if element != 29.5 else 0.5)
    assert ((weights >= 0) & (weights <= 1)).all()


@pytest.mark.parametrize("kind", [FanFlatGeometry, FanArcGeometry])
def test_half_a_detector_must_turn_all_the_way(kind):
    whole = kind.covering((32, 32), 1.0, even_angles(60, 360), source=100, detector=50)
    half = dataclasses.replace(whole, detectors=whole.detectors // 2 + 4, offset=whole.pitch * whole.detectors / 4)
    FilteredBackprojection(half)
    short = dataclasses.replace(half, angles=even_angles(60, whole.short_sweep))
    with pytest.raises(ScanweaveError, match=r"to one side of the isocentre.*Turn all the way"):
        FilteredBackprojection(short)


@pytest.mark.parametrize("pitch", [0.1, 0.7, 1.0, 1.0947])
def test_quarter_detector_offset_lacks_no_element(pitch):
    scan = ParallelGeometry(shape=(8, 8), pixel=1.0, angles=even_angles(8, 360), detectors=41, pitch=pitch)
    for sign in (1, -1):
        assert missing_elements(dataclasses.replace(scan, offset=sign * pitch / 4)) == 0
        assert missing_elements(dataclasses.replace(scan, offset=sign * pitch * 5)) == sign * -10


def test_detector_beside_the_axis_is_told():
    scan = ParallelGeometry.covering((32, 32), 1.0, even_angles(60, 360))
    with pytest.raises(ScanweaveError, match=r"begins 5\.5 mm off the isocentre"):
        FilteredBackprojection(with_axis_at(scan, -5.5, 20))
    with pytest.raises(ScanweaveError, match="to one side of the isocentre"):
        FilteredBackprojection(dataclasses.replace(with_axis_at(scan, 2, 30), angles=even_angles(60)))
