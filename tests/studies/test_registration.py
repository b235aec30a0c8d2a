"""A known motion of a simulated brain is found again; headers that are right are kept; bias is taken out."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scanweave.errors import ScanweaveError
from scanweave.studies.geometry import Geometry
from scanweave.studies.preparing.bias_field import correct_bias
from scanweave.studies.preparing.registration import RegistrationSettings, make_target, register
from scanweave.studies.preparing.study_preparation import choose_reference
from scanweave.studies.preparing.transforms import RigidTransform, displacement_mm
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

pytest.importorskip("SimpleITK")
pytest.importorskip("nilearn")
COARSE = RegistrationSettings(spacing_mm=4.0)


@pytest.fixture(scope="module")
def subject():
    from scanweave.simulate.brain import simulate_subject
    from scanweave.simulate.settings import BrainSettings

    return simulate_subject(7, 0, BrainSettings(spacing=4.0, sequences=("t1", "t2")))


def scan_of(subject, name):
    return Scan.of(subject["scans"][name], subject["affine"])


def moved(scan, degrees, shift):
    """The same brain after a motion: its truth, and its image on the grid it had."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    turn = RigidTransform(matrix, "t1", "moved")
    return turn.inverse, turn.resample(scan, scan.geometry)


@pytest.mark.parametrize(("degrees", "shift"), [((4, -3, 5), (6, -4, 5)), ((0, 12, 0), (-15, 10, 0))])
def test_a_known_motion_is_found(subject, degrees, shift):
    truth, other = moved(scan_of(subject, "t2"), degrees, shift)
    target = make_target("t1", scan_of(subject, "t1"), COARSE)
    found = register("t2", other, target, COARSE)
    assert not found.kept
    assert found.after > found.before
    error = displacement_mm(found.transform.matrix, truth.matrix, truth.inverse.apply(target.inside))
    assert error.mean() < 0.5
    apart = found.transform.matrix[:3, :3] @ truth.matrix[:3, :3].T
    assert np.degrees(np.arccos(min(1.0, (np.trace(apart) - 1) / 2))) < 0.5


def test_equal_calls_give_equal_transforms(subject):
    _, other = moved(scan_of(subject, "t2"), (3, 0, 0), (0, 4, 0))
    target = make_target("t1", scan_of(subject, "t1"), COARSE)
    one, again = (register("t2", other, target, COARSE) for _ in range(2))
    np.testing.assert_array_equal(one.transform.matrix, again.transform.matrix)


def test_a_right_header_hardly_moves(subject):
    scan = scan_of(subject, "t1")
    found = register("again", scan, make_target("t1", scan, COARSE), COARSE)
    assert found.moved_mm < 0.1
    assert found.kept == (found.after <= found.before)


def test_a_wild_result_is_not_believed(subject):
    _, other = moved(scan_of(subject, "t2"), (0, 0, 0), (20, 0, 0))
    cautious = COARSE.model_copy(update={"farthest_mm": 5.0})
    found = register("t2", other, make_target("t1", scan_of(subject, "t1"), cautious), cautious)
    assert found.kept
    assert "not believed" in found.why
    np.testing.assert_array_equal(found.transform.matrix, np.eye(4))


def test_a_series_is_registered_by_its_mean(subject):
    _, other = moved(scan_of(subject, "t2"), (3, 0, 0), (0, 4, 0))
    frames = np.stack([other.data * 0.9, other.data * 1.1], axis=-1)
    series = Scan.of(frames, other.geometry.affine)
    target = make_target("t1", scan_of(subject, "t1"), COARSE)
    one, mean = register("t2", other, target, COARSE), register("dce", series, target, COARSE)
    assert displacement_mm(one.transform.matrix, mean.transform.matrix, target.inside).max() < 0.05


def test_an_empty_scan_is_refused(subject):
    scan = scan_of(subject, "t1")
    empty = Scan.of(np.zeros(scan.geometry.shape), scan.geometry.affine)
    with pytest.raises(ScanweaveError, match="constant"):
        register("t2", empty, make_target("t1", scan, COARSE), COARSE)


def test_a_known_bias_is_taken_out(subject):
    scan, brain = scan_of(subject, "t1"), subject["masks"]["brain"] > 0
    x = np.linspace(-1, 1, scan.geometry.shape[0])[:, None, None]
    field = np.exp(0.5 * x) * np.ones(scan.geometry.shape)
    flat, _ = correct_bias("t1", scan, brain)
    made, spread = correct_bias("t1", Scan.of(scan.data * field, scan.geometry.affine), brain)
    left = np.log(made.data[brain] / flat.data[brain])
    assert left.std() < 0.25 * np.log(field[brain]).std()
    assert spread > 40
    biased = scan.data * field
    assert made.data[brain & (biased > 0)].mean() == pytest.approx(biased[brain & (biased > 0)].mean(), rel=1e-3)


def test_the_reference_is_named_or_the_finest_t1():
    def image(edge):
        return Scan(Geometry.of((9, 9, 9), np.diag([edge, edge, edge, 1.0])), lambda: np.zeros((9, 9, 9)))

    study = Study("s", "p", {"t2": image(0.5), "t1": image(2.0), "t1c": image(1.0)})
    assert choose_reference(study)[0] == "t1c"
    assert choose_reference(study, "t2")[0] == "t2"
    assert choose_reference(study, "flair") == ("t1c", "no flair; finest T1")
    assert choose_reference(study.without("t1", "t1c"))[0] == "t2"
