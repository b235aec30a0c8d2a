import numpy as np
import pytest

from scanweave.physics.spectral.decomposition import binned_attenuation, decompose_images
from scanweave.physics.spectral.detectors import EnergyIntegrating, PhotonCounting
from scanweave.physics.spectral.logarithm import line_integrals
from scanweave.physics.spectral.spectra import tube_spectrum
from scanweave.simulate.ct import MaterialMap, Plane, acquire, draw_body
from scanweave.studies.formats.sinogram_hdf5 import read_sinogram, write_sinogram

DETECTOR = PhotonCounting((25.0, 51.0, 65.0, 80.0))
SPECTRUM = tube_spectrum(120)
GEOMETRY = {"kind": "parallel", "angles": [0.0, 90.0], "detectors": 32}


def _columns_and_rows(plane):
    """A projector of two views: along the columns and along the rows of a grid, on 32 detector elements."""

    def project(images):
        views = np.stack([images.sum(axis=1), images.sum(axis=2)], axis=1) * plane.spacing
        return views.reshape(*views.shape[:2], 32, -1).mean(axis=3)

    return project


def test_counts_carry_what_is_needed_to_use_them(tmp_path):
    pytest.importorskip("h5py")
    body = draw_body(np.random.default_rng(0), 32, 256.0, supersampling=2)
    rng = np.random.default_rng(1)
    scan = acquire(body, _columns_and_rows(body.plane), GEOMETRY, SPECTRUM, DETECTOR, 1e5, rng)
    assert scan.values.shape == (4, 2, 32)
    write_sinogram(tmp_path / "scan.h5", scan)
    read = read_sinogram(tmp_path / "scan.h5")
    assert read.thresholds.tolist() == list(DETECTOR.thresholds)
    logged = line_integrals(read.values, read.air).values
    assert logged[:, :, 0] == pytest.approx(0, abs=0.05)  # beside the body
    assert logged.max() > 2


def test_thin_slab_decomposes_into_its_densities():
    """Without noise to speak of, and too thin to harden the beam, the chain ends where it began."""
    plane, materials = Plane.square(32, 0.32), ("water", "bone", "gadolinium")
    densities = np.array([1.0, 0.3, 0.01], np.float32)[:, None, None] * np.ones((3, 32, 32), np.float32)
    slab = MaterialMap(materials, densities, plane)
    rng = np.random.default_rng(0)
    scan = acquire(slab, _columns_and_rows(plane), GEOMETRY, SPECTRUM, DETECTOR, 1e14, rng)
    attenuation = line_integrals(scan.values, scan.air).values / plane.width
    found = decompose_images(attenuation, binned_attenuation(materials, SPECTRUM, DETECTOR))
    np.testing.assert_allclose(found.mean(axis=(1, 2)), [1.0, 0.3, 0.01], rtol=0.01)


def test_one_energy_window_has_no_thresholds():
    body = draw_body(np.random.default_rng(0), 32, 256.0)
    rng = np.random.default_rng(1)
    scan = acquire(body, _columns_and_rows(body.plane), GEOMETRY, SPECTRUM, EnergyIntegrating(1e3), 1e5, rng)
    assert scan.bins == 1
    assert scan.thresholds is None
