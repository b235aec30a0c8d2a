import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.physics.spectral.decomposition import hounsfield
from scanweave.simulate.ct.bodies import BodySettings, draw_body
from scanweave.simulate.ct.ellipses import Ellipse, paint
from scanweave.simulate.ct.maps import MATERIALS, contents
from scanweave.simulate.ct.phantoms import head_phantom, thorax_phantom
from scanweave.simulate.ct.plane import Plane

PHANTOMS = {
    "head": lambda: head_phantom(96, supersampling=2),
    "thorax": lambda: thorax_phantom(96, supersampling=2),
    **{f"body {seed}": lambda seed=seed: draw_body(np.random.default_rng(seed), 64, 256.0) for seed in range(8)},
}


@pytest.mark.parametrize("draw", PHANTOMS.values(), ids=PHANTOMS)
def test_densities_are_physical_and_the_border_is_air(draw):
    body = draw()
    mass = body.densities.sum(axis=0)
    assert body.densities.dtype == np.float32
    assert body.densities.min() >= 0
    assert mass.max() <= 2.1  # cortical bone, with the texture on top
    assert body["iodine"].max() <= 0.025
    assert body["gadolinium"].max() <= 0.015
    assert 0.3 < (mass > 0).mean() < 0.8
    border = np.concatenate([mass[0], mass[-1], mass[:, 0], mass[:, -1]])
    assert not border.any()


@pytest.mark.parametrize("draw", PHANTOMS.values(), ids=PHANTOMS)
def test_bone_and_a_k_edge_material_are_there(draw):
    body = draw()
    assert body["bone"].max() > 1.2
    assert (body["gadolinium"] > 0.0005).any()
    assert (body["iodine"] > 0.001).any()


def test_k_edge_shows_between_the_energies_around_it():
    body = thorax_phantom(96)
    place = np.unravel_index(body["gadolinium"].argmax(), body["gadolinium"].shape)
    below, above = (hounsfield(body.attenuation(energy), energy)[place] for energy in (49.0, 51.5))
    assert above > below + 100


def test_ellipse_has_the_area_and_mass_of_the_formula():
    body = paint(Plane.square(400, 100.0), [Ellipse(5, -8, 30, 12, contents({"water": 1.0}), 35)])
    grams = body["water"].sum() * (100 / 400) ** 2
    assert grams == pytest.approx(np.pi * 30 * 12, rel=2e-3)


def test_y_points_up_and_angles_turn_anticlockwise():
    body = paint(Plane.square(101, 101.0), [Ellipse(20, 30, 15, 2, contents({"water": 1.0}), 45)])
    rows, columns = np.nonzero(body["water"])
    assert rows.mean() == pytest.approx(50 - 30, abs=0.5)
    assert columns.mean() == pytest.approx(50 + 20, abs=0.5)
    assert np.corrcoef(rows, columns)[0, 1] < -0.8


def test_later_ellipses_replace_earlier_ones():
    plane, disc = Plane.square(20, 20.0), contents({"water": 1.0})
    body = paint(plane, [Ellipse(0, 0, 9, 9, disc), Ellipse(0, 0, 4, 4, contents({"bone": 0.5}, iodine=10.0))])
    assert body["water"][10, 10] == 0
    assert body["bone"][10, 10] == pytest.approx(0.96)
    assert body["iodine"][10, 10] == pytest.approx(0.01)


def test_coarsening_keeps_the_mass_and_makes_partial_volume():
    fine = head_phantom(48, supersampling=4)
    coarse = fine.coarsened(4)
    assert coarse.plane == Plane.square(48, 220.0)
    np.testing.assert_allclose(16 * coarse.densities.sum(axis=(1, 2)), fine.densities.sum(axis=(1, 2)), rtol=1e-4)
    skull = coarse["bone"]
    assert ((skull > 0.1) & (skull < 1.8)).sum() > 50


def test_coarsening_refuses_pixels_left_over():
    with pytest.raises(ScanweaveError, match="do not divide by 3"):
        head_phantom(64).coarsened(3)


def test_one_seed_gives_one_body_whatever_the_sampling():
    first, second = (draw_body(np.random.default_rng(3), 64, 200.0) for _ in range(2))
    np.testing.assert_array_equal(first.densities, second.densities)
    assert (first.densities != draw_body(np.random.default_rng(4), 64, 200.0).densities).any()
    fine, finest = (
        draw_body(np.random.default_rng(3), 64, 200.0, supersampling=factor).coarsened(factor) for factor in (4, 8)
    )
    for name in ("soft_tissue", "adipose", "iodine"):
        assert np.corrcoef(fine[name].ravel(), finest[name].ravel())[0, 1] > 0.99
    assert fine.densities.sum() == pytest.approx(first.densities.sum(), rel=0.01)


def test_a_body_scales_with_the_field_of_view():
    large, small = (draw_body(np.random.default_rng(5), 64, field) for field in (256.0, 32.0))
    assert np.corrcoef(large["soft_tissue"].ravel(), small["soft_tissue"].ravel())[0, 1] > 0.99


def test_texture_and_warp_can_be_left_out():
    plain = draw_body(np.random.default_rng(5), 96, 256.0, BodySettings(texture=0, uptake=0, warp=0))
    rich = draw_body(np.random.default_rng(5), 96, 256.0)
    assert len(np.unique(plain.densities)) < 100 < len(np.unique(rich.densities))


def test_bin_images_mix_the_materials():
    body = head_phantom(32)
    matrix = np.arange(1.0, 1 + 2 * len(MATERIALS)).reshape(2, -1)
    images = body.bin_images(matrix)
    assert images.shape == (2, 32, 32)
    np.testing.assert_allclose(images[1], 0.1 * np.einsum("m,mhw->hw", matrix[1], body.densities), rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"organs": -1}, {"texture": 0.5}, {"colour": "red"}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BodySettings(**wrong)


@pytest.mark.parametrize(
    "call", [lambda: Plane(0, 4, 1.0), lambda: Plane(4, 4, 0.0), lambda: head_phantom(8).plane.finer(0)]
)
def test_impossible_grids_are_refused(call):
    with pytest.raises(ScanweaveError):
        call()


def test_field_is_the_same_at_every_sampling_and_of_unit_spread():
    plane = Plane.square(32, 100.0)
    coarse = plane.smooth_field(np.random.default_rng(0), 20.0)
    fine = plane.finer(3).smooth_field(np.random.default_rng(0), 20.0)[1::3, 1::3]
    np.testing.assert_allclose(coarse, fine, atol=1e-4)
    many = np.stack([plane.smooth_field(np.random.default_rng(seed), 20.0) for seed in range(500)])
    assert np.abs(many.std(axis=0) - 1).max() < 0.2
