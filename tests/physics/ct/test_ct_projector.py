import gc
import pickle

import numpy as np
import pytest
import torch
from float_bounds import EQUAL_IN_FLOAT64
from torch.autograd import gradcheck, gradgradcheck

from scanweave.errors import ScanweaveError
from scanweave.physics.ct import projector as module
from scanweave.physics.ct.geometry import ParallelGeometry, even_angles
from scanweave.physics.ct.projector import Projector

NAMES = ["parallel", "parallel, full turn", "fan-flat", "fan-arc", "fan-flat, short", "fan-arc, short"]
MODES = {"matrix": module.MEMORY_LIMIT, "walk": 0}


def random(*shape, dtype=torch.float32, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_adjoint_is_the_transpose(scans, name, mode, dtype):
    """To 1,000 roundings: a value is a sum of n ≤ 114 terms, whose size is about √n times that of their sum."""
    geometry = scans((48, 57), 0.7, 30)[name]
    projector = Projector(geometry, memory_limit=MODES[mode])
    image, sinogram = random(48, 57, dtype=dtype), random(*geometry.sinogram_shape, dtype=dtype, seed=1)
    forward, adjoint = projector.forward(image).double(), projector.adjoint(sinogram).double()
    scale = forward.norm() * sinogram.double().norm()
    assert abs((forward * sinogram).sum() - (image * adjoint).sum()) / scale <= 1000 * torch.finfo(dtype).eps / 2


@pytest.mark.parametrize("name", NAMES)
def test_matrix_and_walk_are_one_map(scans, name):
    geometry = scans((48, 57), 0.7, 30)[name]
    kept, walked = (Projector(geometry, memory_limit=limit) for limit in MODES.values())
    image, sinogram = random(48, 57, dtype=torch.float64), random(*geometry.sinogram_shape, dtype=torch.float64)
    torch.testing.assert_close(kept.forward(image), walked.forward(image))
    torch.testing.assert_close(kept.adjoint(sinogram), walked.adjoint(sinogram))


@pytest.mark.parametrize("name", NAMES)
def test_sinogram_of_a_disc(scans, disc, name):
    geometry = scans((128, 128), 1.0, 60)[name]
    image = torch.from_numpy(disc.image((128, 128), 1.0))
    found, expected = Projector(geometry, memory_limit=0).forward(image).numpy(), disc.sinogram(geometry)
    assert np.linalg.norm(found - expected) <= 0.01 * np.linalg.norm(expected)


def test_straight_rays_sum_rows_and_columns():
    geometry = ParallelGeometry(shape=(3, 4), pixel=2.0, angles=(0.0, 90.0), detectors=5, pitch=2.0, offset=1.0)
    image = torch.arange(12.0).reshape(3, 4)
    sinogram = Projector(geometry).forward(image)
    torch.testing.assert_close(sinogram[0], 2 * torch.tensor([12.0, 15, 18, 21, 0]))
    # at 90° the rays run along −x, their positions −3, −1, … 5 mm upwards between the rows at 2, 0 and −2 mm
    torch.testing.assert_close(sinogram[1], 2 * torch.tensor([19.0, 30, 14, 3, 0]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["parallel", "fan-flat", "fan-arc"])
def test_gradients_of_any_order(scans, name, mode):
    geometry = scans((6, 7), 0.7, 3)[name]
    projector = Projector(geometry, memory_limit=MODES[mode])
    image = random(1, 2, 6, 7, dtype=torch.float64).requires_grad_()
    sinogram = random(1, 2, *geometry.sinogram_shape, dtype=torch.float64).requires_grad_()
    assert gradcheck(projector.forward, image)
    assert gradcheck(projector.adjoint, sinogram)
    assert gradgradcheck(lambda x: projector.forward(x).pow(2), image)
    assert gradgradcheck(lambda y: projector.adjoint(y).pow(2), sinogram)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bins", [1, 3, 8])
def test_bins_are_projected_one_by_one(scans, bins, mode):
    geometry = scans((20, 24), 1.0, 10)["fan-flat"]
    projector = Projector(geometry, memory_limit=MODES[mode])
    images = random(2, bins, 20, 24, dtype=torch.float64)
    sinograms = random(2, bins, *geometry.sinogram_shape, dtype=torch.float64)
    for apply, batch in ((projector.forward, images), (projector.adjoint, sinograms)):
        one_by_one = torch.stack([torch.stack([apply(bin_) for bin_ in one]) for one in batch])
        torch.testing.assert_close(apply(batch), one_by_one, rtol=0, atol=EQUAL_IN_FLOAT64)


def test_empty_batch_and_strided_images(scans):
    projector = Projector(scans((20, 24), 1.0, 10)["parallel"])
    assert projector.forward(torch.zeros(0, 3, 20, 24)).shape == (0, 3, *projector.geometry.sinogram_shape)
    image = random(24, 20).T
    torch.testing.assert_close(projector.forward(image), projector.forward(image.contiguous()))


def test_threads_do_not_change_the_result(scans):
    geometry = scans((48, 57), 0.7, 30)["fan-arc"]
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for limit in MODES.values():
                projector = Projector(geometry, memory_limit=limit)
                sinogram = projector.forward(random(3, 48, 57, dtype=torch.float64))
                found.append((sinogram, projector.adjoint(sinogram)))
    finally:
        torch.set_num_threads(before)
    for sinogram, image in found[1:]:
        torch.testing.assert_close(sinogram, found[0][0], rtol=0, atol=EQUAL_IN_FLOAT64)
        torch.testing.assert_close(image, found[0][1], rtol=0, atol=100 * EQUAL_IN_FLOAT64)


def test_memory_is_known_before_and_bounds_the_matrix(scans):
    geometry, dtype = scans((48, 57), 0.7, 30)["fan-flat"], np.dtype(np.float32)
    projector = Projector(geometry)
    projector.forward(random(48, 57))
    kept = projector._operators[dtype]
    parts = [part for m in (kept.matrix, kept.transpose) for part in (m.data, m.indices, m.indptr)]
    used, told = sum(part.nbytes for part in parts), projector.matrix_bytes(dtype)
    assert used <= told <= 1.1 * used
    bounded = Projector(geometry, memory_limit=told - 1)
    bounded.forward(random(48, 57))
    assert isinstance(bounded._operators[dtype], module._Walk)


def test_projectors_of_a_geometry_share_one_matrix(scans):
    first, second = (Projector(scans((20, 24), 1.0, 10)["parallel"]) for _ in range(2))
    for projector in (first, second):
        projector.forward(random(20, 24))
    dtype = np.dtype(np.float32)
    assert first._operators[dtype] is second._operators[dtype]
    del first, second, projector
    gc.collect()
    assert not any(geometry.shape == (20, 24) for geometry, _ in module._matrices)


def test_copies_do_not_carry_the_matrix(scans):
    projector = Projector(scans((48, 57), 0.7, 30)["parallel"])
    sinogram = projector.forward(random(48, 57))
    sent = pickle.dumps(projector)
    assert len(sent) < 0.1 * projector.matrix_bytes(np.dtype(np.float32))
    torch.testing.assert_close(pickle.loads(sent).forward(random(48, 57)), sinogram)  # noqa: S301


def test_astra_agrees(scans):
    """ASTRA's `linear` projector is Joseph's method too."""
    astra = pytest.importorskip("astra")
    geometry = scans((48, 57), 0.7, 30)["parallel"]
    volume = astra.create_vol_geom(48, 57, -19.95, 19.95, -16.8, 16.8)
    beams = astra.create_proj_geom("parallel", geometry.pitch, geometry.detectors, np.deg2rad(geometry.angles))
    image = random(48, 57).numpy()
    handle, expected = astra.create_sino(image, astra.create_projector("linear", beams, volume))
    astra.data2d.delete(handle)
    found = Projector(geometry).forward(torch.from_numpy(image)).numpy()
    assert np.linalg.norm(found - expected) <= 2e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (torch.zeros(24, 20), "(24, 20)"),
        (torch.zeros(20), "(20,)"),
        (torch.zeros(20, 24, dtype=torch.int64), "int64"),
        (torch.zeros(20, 24, dtype=torch.float16), "float16"),
        (torch.full((20, 24), torch.nan), "NaN"),
        (torch.full((20, 24), torch.inf), "NaN"),
    ],
)
def test_bad_image_is_told_in_one_line(scans, value, word):
    projector = Projector(scans((20, 24), 1.0, 10)["parallel"])
    with pytest.raises(ScanweaveError) as caught:
        projector.forward(value)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_sinogram_is_told_in_one_line():
    projector = Projector(ParallelGeometry.covering((20, 24), 1.0, even_angles(10)))
    with pytest.raises(ScanweaveError, match=r"sinogram: shape \(9, 33\)"):
        projector.adjoint(torch.zeros(9, 33))
