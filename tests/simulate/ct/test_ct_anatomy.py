import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.physics.spectral.decomposition import hounsfield, monoenergetic_image
from scanweave.physics.spectral.materials import density
from scanweave.simulate.ct.anatomy import MAX_HU, REFERENCE, anchors, axial_map, densities_of_hounsfield
from scanweave.simulate.ct.maps import MATERIALS
from scanweave.simulate.ct.plane import Plane
from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.scan import Scan

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


def test_mixture_gives_back_the_ct_number():
    numbers = np.linspace(-1000, MAX_HU, 4001)
    densities = densities_of_hounsfield(numbers)
    again = hounsfield(monoenergetic_image(densities, MATERIALS, REFERENCE), REFERENCE)
    np.testing.assert_allclose(again, numbers, atol=0.5)
    assert densities.min() >= 0
    assert densities.sum(axis=0).max() < 3.1


@pytest.mark.parametrize("material", ["adipose", "water", "soft_tissue", "bone"])
def test_anchor_is_the_pure_material(material):
    densities = densities_of_hounsfield(anchors()[material])
    assert densities[MATERIALS.index(material)] == pytest.approx(density(material), rel=1e-5)
    assert densities.sum() == pytest.approx(density(material), rel=1e-5)


def test_lung_is_thin_soft_tissue_and_below_air_is_nothing():
    lung = dict(zip(MATERIALS, densities_of_hounsfield(-750.0), strict=True))
    assert lung["soft_tissue"] == pytest.approx(0.25, abs=0.02)
    assert lung["adipose"] == 0
    assert not densities_of_hounsfield([-1500.0, -1000.0]).any()


def test_slice_lies_as_radiologists_look_at_it():
    data = np.full((20, 30, 4), -1000.0)
    data[2:5, 20:28, 1] = 0  # RAS: left is low x, anterior is high y
    body = axial_map(Scan.of(data, AFFINE), 1, Plane(60, 40, 1.0))
    rows, columns = np.nonzero(body["water"] > 0.5)
    assert rows.mean() < 20
    assert columns.mean() > 26  # the patient's left is on the right
    flipped = Scan.of(data[::-1, ::-1], np.diag([-2.0, -2.0, 3.0, 1.0]))
    np.testing.assert_allclose(axial_map(flipped, 1, Plane(60, 40, 1.0)).densities, body.densities, atol=1e-5)


@pytest.mark.parametrize("index", [-1, 4])
def test_slice_that_is_not_there_is_refused(index):
    with pytest.raises(ScanweaveError, match="has 4 axial slices"):
        axial_map(Scan.of(np.zeros((5, 5, 4)), AFFINE), index, Plane.square(5, 10.0))


def test_series_and_nan_are_refused():
    with pytest.raises(ScanweaveError, match="time series"):
        axial_map(Scan.of(np.zeros((5, 5, 4, 2)), AFFINE), 0, Plane.square(5, 10.0))
    with pytest.raises(ScanweaveError, match="not finite"):
        densities_of_hounsfield([0.0, np.nan])


def test_enhanced_blood_gives_back_the_ct_number_as_iodine():
    numbers = np.array([-100.0, 40.0, 200.0, 400.0])
    densities = densities_of_hounsfield(numbers, enhanced=True)
    again = hounsfield(monoenergetic_image(densities, MATERIALS, REFERENCE), REFERENCE)
    np.testing.assert_allclose(again, numbers, atol=0.5)
    iodine = densities[MATERIALS.index("iodine")]
    assert not iodine[:2].any()
    assert 0.003 < iodine[2] < iodine[3] < 0.02
    assert not densities[MATERIALS.index("bone")].any()


def test_mask_on_another_grid_is_refused():
    scan, mask = Scan.of(np.zeros((5, 5, 4)), AFFINE), Scan.of(np.ones((5, 5, 3)), AFFINE)
    with pytest.raises(ScanweaveError, match="another grid"):
        axial_map(scan, 0, Plane.square(5, 10.0), enhanced=mask)


@pytest.mark.real
def test_abdomen_becomes_a_body(real_data):
    scan = read_scan(real_data / "ct_organs" / "example_ct.nii.gz")
    body = axial_map(scan, 60, Plane.square(96, 360.0))
    mass = body.densities.sum(axis=0)
    assert 0.93 < np.median(mass[mass > 0.5]) < 1.12  # flesh floats, or nearly so
    assert mass.max() < 3.1
    assert body["bone"].max() > 0.5
    assert (body["adipose"] > 0.9).sum() > 500


@pytest.mark.real
def test_pulmonary_artery_holds_iodine_where_its_mask_says(real_data):
    folder = real_data / "ct_organs"
    scan, artery = (read_scan(folder / f"{name}.nii.gz") for name in ("thorax_ct", "thorax_pulmonary_artery"))
    index = int(np.asarray(artery.data).sum(axis=(0, 1)).argmax())
    body = axial_map(scan, index, Plane.square(96, 180.0), enhanced=artery)
    vessel = body["blood"] > 0
    assert vessel.sum() > 20
    assert 0.002 < np.median(body["iodine"][vessel]) < 0.025
    assert not body["bone"][vessel].any()
