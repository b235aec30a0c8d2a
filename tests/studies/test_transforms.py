"""Rigid transforms: there and back, joined, on scans, and as ITK reads them."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scanweave.errors import ScanweaveError
from scanweave.studies.geometry import Geometry
from scanweave.studies.preparing.transforms import RigidTransform, displacement_mm, read_itk_matrix
from scanweave.studies.scan import Scan

POINTS = np.random.default_rng(3).uniform(-80, 80, (50, 3))


def motion(seed, moving="flair", fixed="t1", degrees=20):
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * np.array([0.6, 0, 0.8])).as_matrix()
    matrix[:3, 3] = rng.uniform(-20, 20, 3)
    return RigidTransform(matrix, moving, fixed)


def test_there_and_back_is_nothing():
    there = motion(1)
    assert there.inverse.moving == "t1"
    assert displacement_mm(there.then(there.inverse).matrix, np.eye(4), POINTS).max() < 1e-10
    assert there.angle_degrees == pytest.approx(20)


def test_joined_is_one_after_the_other():
    one, other = motion(1), motion(2, "t1", "visit1/t1", degrees=35)
    joined = one.then(other)
    assert (joined.moving, joined.fixed) == ("flair", "visit1/t1")
    np.testing.assert_allclose(joined.apply(POINTS), other.apply(one.apply(POINTS)), atol=1e-9)
    with pytest.raises(ScanweaveError, match="cannot be joined"):
        other.then(one)


@pytest.mark.parametrize(
    "matrix", [np.diag([1.01, 1, 1, 1]), np.diag([-1, 1, 1, 1]), np.full((4, 4), np.nan), np.eye(3)]
)
def test_what_is_not_rigid_is_refused(matrix):
    with pytest.raises(ScanweaveError, match="not a rotation and a translation"):
        RigidTransform(matrix, "a", "b")


def test_labels_keep_their_values_and_type():
    labels = np.zeros((24, 24, 24), np.uint8)
    labels[6:18, 6:18, 6:18] = 7
    labels[10:14, 10:14, 10:14] = 200
    scan = Scan.of(labels, np.eye(4))
    turn = motion(4, degrees=10)
    grid = turn.move(scan).geometry.with_spacing((0.8, 0.8, 0.8))
    made = turn.resample(scan, grid, "nearest")
    assert made.data.dtype == np.uint8
    assert set(np.unique(made.data)) == {0, 7, 200}
    assert (made.data == 200).sum() * 0.8**3 == pytest.approx(64, rel=0.2)


def test_a_moved_scan_lies_where_its_points_were_moved():
    data = np.zeros((20, 20, 20), np.float32)
    data[4, 12, 9] = 1000
    scan = Scan.of(data, np.diag([2.0, 2.0, 3.0, 1.0]))
    turn = motion(5)
    target = Geometry.of((60, 60, 60), np.diag([2.0, 2.0, 2.0, 1.0]))
    place = turn.apply(scan.geometry.positions([[4, 12, 9]]))[0]
    target.affine[:3, 3] = place - 60
    made = turn.resample(scan, target)
    weights = np.asarray(made.data, float).ravel() / made.data.sum()
    middle = weights @ target.positions(np.argwhere(np.ones(target.shape)))
    assert np.linalg.norm(middle - place) < 0.5


def test_itk_reads_what_is_saved(tmp_path):
    itk = pytest.importorskip("SimpleITK")
    there = motion(6)
    there.save(tmp_path, {"note": 1})
    again = RigidTransform.load(tmp_path / "flair.json")
    assert (again.moving, again.fixed) == ("flair", "t1")
    np.testing.assert_array_equal(again.matrix, there.matrix)
    # ITK looks up: from the fixed point to the moving one, in LPS
    read = itk.ReadTransform(str(tmp_path / "flair.tfm"))
    lps = np.array([-1, -1, 1])
    looked_up = np.array([read.TransformPoint(tuple(map(float, point * lps))) for point in POINTS]) * lps
    np.testing.assert_allclose(looked_up, there.inverse.apply(POINTS), atol=1e-8)
    np.testing.assert_allclose(read_itk_matrix(tmp_path / "flair.tfm"), there.inverse.matrix, atol=1e-12)


def test_centre_of_an_itk_transform_counts(tmp_path):
    itk = pytest.importorskip("SimpleITK")
    turn = itk.AffineTransform(3)
    turn.SetMatrix(Rotation.from_euler("z", 30, degrees=True).as_matrix().ravel().tolist())
    turn.SetTranslation((3.0, -4.0, 5.0))
    turn.SetCenter((10.0, 20.0, 30.0))
    itk.WriteTransform(turn, str(tmp_path / "a.txt"))
    lps = np.array([-1, -1, 1])
    expected = np.array([turn.TransformPoint(tuple(map(float, point * lps))) for point in POINTS]) * lps
    matrix = read_itk_matrix(tmp_path / "a.txt")
    np.testing.assert_allclose(POINTS @ matrix[:3, :3].T + matrix[:3, 3], expected, atol=1e-8)


def test_damaged_transforms_are_told(tmp_path):
    (tmp_path / "a.json").write_text('{"matrix": [[1]], "moving": "a", "fixed": "b", "direction": "back"}')
    with pytest.raises(ScanweaveError, match="not a rigid transform of ours"):
        RigidTransform.load(tmp_path / "a.json")
    (tmp_path / "b.txt").write_text("Transform: BSpline\nParameters: 1 2\nFixedParameters: 0 0 0\n")
    with pytest.raises(ScanweaveError, match="holds 'BSpline'"):
        read_itk_matrix(tmp_path / "b.txt")
