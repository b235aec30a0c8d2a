import numpy as np
import pytest

from scanweave.physics import mr

WM, GM, CSF = (0.71, 832.0, 80.0), (0.83, 1331.0, 110.0), (1.0, 4300.0, 1900.0)


def test_spin_echo_by_hand():
    # 1 − e^−1 = 0.632121, e^−0.5 = 0.606531
    assert mr.spin_echo(2.0, 500.0, 100.0, tr=500.0, te=50.0) == pytest.approx(2 * 0.632121 * 0.606531, rel=1e-5)


def test_spin_echo_tends_to_proton_density_and_to_nothing():
    assert mr.spin_echo(0.7, 800.0, 80.0, tr=1e6, te=1e-6) == pytest.approx(0.7)
    assert mr.spin_echo(0.7, 800.0, 80.0, tr=1e-6, te=10.0) == pytest.approx(0.0, abs=1e-8)


def test_gradient_echo_by_hand():
    e1 = np.exp(-0.1)
    expected = np.sin(np.pi / 6) * (1 - e1) / (1 - np.cos(np.pi / 6) * e1) * np.exp(-0.2)
    assert mr.spoiled_gradient_echo(1.0, 100.0, 20.0, tr=10.0, te=4.0, flip=30.0) == pytest.approx(expected)


def test_gradient_echo_at_90_degrees_is_saturation_recovery():
    found = mr.spoiled_gradient_echo(1.0, 900.0, 1e9, tr=300.0, te=1.0, flip=90.0)
    assert found == pytest.approx(1 - np.exp(-1 / 3))


def test_ernst_angle_maximises_the_gradient_echo():
    best = np.rad2deg(np.arccos(np.exp(-20.0 / 832.0)))  # Ernst and Anderson 1966
    angles = np.linspace(1, 60, 2000)
    signals = [float(mr.spoiled_gradient_echo(1.0, 832.0, 50.0, tr=20.0, te=3.0, flip=angle)) for angle in angles]
    assert angles[int(np.argmax(signals))] == pytest.approx(best, abs=0.05)


def test_inversion_recovery_nulls_fluid_at_its_inversion_time():
    ti = CSF[1] * np.log(2 / (1 + np.exp(-9000.0 / CSF[1])))
    assert 2300 < ti < 2600  # the usual inversion time of FLAIR at 3 T
    assert mr.inversion_recovery(*CSF, tr=9000.0, te=120.0, ti=ti) == pytest.approx(0.0, abs=1e-12)
    assert mr.inversion_recovery(*GM, tr=9000.0, te=120.0, ti=ti) > 0.1


def test_inversion_recovery_is_a_magnitude():
    assert mr.inversion_recovery(1.0, 1000.0, 100.0, tr=1e6, te=1e-9, ti=1e-9) == pytest.approx(1.0)


def test_contrasts_are_those_of_textbooks():
    t1w = [float(mr.spoiled_gradient_echo(*tissue, tr=20.0, te=4.0, flip=30.0)) for tissue in (WM, GM, CSF)]
    t2w = [float(mr.spin_echo(*tissue, tr=5000.0, te=95.0)) for tissue in (WM, GM, CSF)]
    pdw = [float(mr.spin_echo(*tissue, tr=3000.0, te=15.0)) for tissue in (WM, GM)]
    assert t1w[0] > t1w[1] > t1w[2]
    assert t2w[0] < t2w[1] < t2w[2]
    assert pdw[0] < pdw[1]


def test_relaxivity_by_hand():
    # 1/1 s + 5 /(s mM) · 0.2 mM = 2 /s
    assert mr.relaxed_by_contrast(1000.0, 0.2, relaxivity=5.0) == pytest.approx(500.0)
    assert mr.relaxed_by_contrast(1000.0, 0.0, relaxivity=5.0) == pytest.approx(1000.0)


def test_contrast_agent_brightens_t1_weighted_tissue():
    doses = np.array([0.0, 0.1, 0.3, 0.6])
    t1 = mr.relaxed_by_contrast(1550.0, doses, relaxivity=mr.R1_GADOBUTROL)
    t2 = mr.relaxed_by_contrast(160.0, doses, relaxivity=mr.R2_GADOBUTROL)
    assert (np.diff(mr.spoiled_gradient_echo(0.88, t1, t2, tr=20.0, te=4.0, flip=30.0)) > 0).all()


def test_rician_moments():
    rng = np.random.default_rng(0)
    nothing = mr.rician(np.zeros(200_000), 2.0, rng)
    assert nothing.mean() == pytest.approx(2 * np.sqrt(np.pi / 2), rel=0.01)  # Rayleigh
    bright = mr.rician(np.full(200_000, 100.0), 2.0, rng)
    assert bright.std() == pytest.approx(2.0, rel=0.01)
    assert (bright**2).mean() == pytest.approx(100.0**2 + 2 * 2.0**2, rel=1e-3)


def test_rician_keeps_float32():
    assert mr.rician(np.ones(4, np.float32), 0.1, np.random.default_rng(0)).dtype == np.float32


def test_diffusion_by_hand():
    # b 800 s/mm², ADC 1.25e-3 mm²/s: exp(−1)
    assert mr.diffusion_weighted(2.0, 1.25e-3, b=800.0) == pytest.approx(2 * np.exp(-1))
    np.testing.assert_allclose(mr.diffusion_weighted([1.0, 3.0], 1e-3, b=0.0), [1.0, 3.0])
