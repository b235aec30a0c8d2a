import struct

import numpy as np
import pytest
import torch

from scanweave.errors import ScanweaveError
from scanweave.physics.ct.fbp import FilteredBackprojection
from scanweave.physics.ct.geometry import geometry_from_dict
from scanweave.studies.formats.dicom_ct_pd import Projections, read_ct_pd

pydicom = pytest.importorskip("pydicom")
ROWS, COLUMNS, VIEWS = 3, 5, 4
VALUES = np.random.default_rng(0).integers(0, 5000, (VIEWS, ROWS, COLUMNS))


def _elements(view):
    return {
        0x70291010: ("US", ROWS),
        0x70291011: ("US", COLUMNS),
        0x70291002: ("FL", 1.25),
        0x70291006: ("FL", 1.0),
        0x7029100B: ("CS", "CYLINDRICAL"),
        0x70311001: ("FL", 0.5 * view),
        0x70311002: ("FL", 2.0 * view),
        0x70311003: ("FL", 600.0),
        0x70311031: ("FL", 1000.0),
        0x70311033: ("FL", [3.25, 2.0]),
        0x7033100B: ("FL", 0.001),
        0x7033100D: ("FL", -2.0),
        0x7033100E: ("CS", "FFSNONE"),
        0x70371009: ("CS", "HELICAL"),
        0x70331063: ("US", 1),
        0x70391003: ("CS", "YES"),
        0x70391009: ("CS", "YES"),
        0x70411001: ("DS", "0.0192"),
    }


def _write(folder, view, *, transposed=False, unknown=False, drop=(), **changes):
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = pydicom.uid.CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = pydicom.uid.generate_uid()
    image = VALUES[view].T if transposed else VALUES[view]
    data.Rows, data.Columns = image.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.RescaleSlope, data.RescaleIntercept = "0.001", "-0.5"
    data.InstanceNumber = 10 + view
    data.PixelData = np.ascontiguousarray(image, "<u2").tobytes()
    for group in (0x7029, 0x7031, 0x7033, 0x7037, 0x7039, 0x7041):
        data.add_new((group, 0x0010), "LO", "DICOM-CT-PD")
    for tag, (kind, value) in _elements(view).items():
        if tag in drop:
            continue
        if unknown and kind in ("FL", "US"):
            letter = {"FL": "f", "US": "H"}[kind]
            numbers = value if isinstance(value, list) else [value]
            kind, value = "UN", struct.pack(f"<{len(numbers)}{letter}", *numbers)
        elif unknown and kind == "DS":
            kind, value = "UN", value.encode()
        data.add_new(tag, kind, value)
    for name, value in changes.items():
        if name.startswith("tag_"):
            data[int(name[4:], 16)].value = value
        else:
            setattr(data, name, value)
    data.save_as(folder / f"{VIEWS - view:04d}.dcm", enforce_file_format=True)


@pytest.mark.parametrize("options", [{}, {"transposed": True}, {"unknown": True}])
def test_series_is_read_in_the_order_of_its_views(tmp_path, options):
    for view in range(VIEWS):
        _write(tmp_path, view, **options)
    scan = read_ct_pd(tmp_path)
    np.testing.assert_allclose(scan.values, 0.001 * VALUES - 0.5, atol=1e-6)
    np.testing.assert_allclose(scan.azimuth, 0.5 * np.arange(VIEWS))
    np.testing.assert_allclose(scan.height, 2.0 * np.arange(VIEWS))
    assert (scan.shape, scan.scan_type, scan.focal_spot) == ("CYLINDRICAL", "HELICAL", "FFSNONE")
    assert (scan.distance, scan.pitch, scan.centre) == (1000.0, (1.25, 1.0), (3.25, 2.0))
    assert (scan.water, scan.hardening) == (0.0192, "YES")


def test_rays_follow_from_the_elements(tmp_path):
    for view in range(VIEWS):
        _write(tmp_path, view)
    scan = read_ct_pd(tmp_path)
    np.testing.assert_allclose(scan.fan_angles(), (np.arange(1, 6) - 3.25) * 1.25 / 1000)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"drop": (0x70311001,)}, r"lacks the element \(7031,1001\)"),
        ({"tag_70391009": "No"}, "LogFlag NO"),
        ({"tag_70331063": 2}, "spectrum differs"),
        ({"tag_70291010": 7}, "but its detector"),
        ({"PixelData": b"\0" * 8}, "truncated or not 16 bits"),
        ({"tag_70311031": 900.0}, "distance differs"),
        ({"InstanceNumber": 99}, "view 13 is missing"),
        ({"RescaleSlope": "nan"}, "not finite"),
    ],
)
def test_bad_views_are_one_line(tmp_path, options, says):
    for view in range(VIEWS):
        _write(tmp_path, view, **(options if view == VIEWS - 1 else {}))
    with pytest.raises(ScanweaveError, match=says) as caught:
        read_ct_pd(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


def _disc_scan(**changes):
    """An axial scan of a disc of 0.02/mm, 12 mm wide at (25, 10) mm as seen from the table, by the format's words."""
    views, columns, distance, radius, pitch, centre = 240, 161, 1000.0, 600.0, 2.0, 80.25
    azimuth = np.linspace(0, 2 * np.pi, views, endpoint=False)
    gamma = (np.arange(1, columns + 1) - centre) * pitch / distance
    sources = radius * np.stack([-np.sin(azimuth), np.cos(azimuth)], axis=1)  # twelve o'clock, then anticlockwise
    turned = azimuth[:, None] + gamma  # below the source, the first column lies leftmost
    rays = np.stack([np.sin(turned), -np.cos(turned)], axis=2)
    way = np.array([25.0, 10.0]) - sources
    off = way[:, None, 0] * rays[..., 1] - way[:, None, 1] * rays[..., 0]
    chords = 2 * np.sqrt(np.maximum(6.0**2 - off**2, 0))
    values = np.repeat((0.02 * chords)[:, None].astype(np.float32), 3, axis=1)
    still = np.zeros(views)
    told = {
        "values": values,
        "azimuth": azimuth,
        "height": still,
        "radius": still + radius,
        "shift": np.zeros((views, 3)),
        "distance": distance,
        "pitch": (pitch, 1.0),
        "centre": (centre, 2.0),
        "shape": "CYLINDRICAL",
        "scan_type": "AXIAL",
        "focal_spot": "FFSNONE",
    }
    return Projections(**(told | changes))


def test_row_of_an_axial_scan_reconstructs_where_the_format_says():
    sinogram = _disc_scan().sinogram((80, 80), 1.0)
    image = FilteredBackprojection(geometry_from_dict(sinogram.geometry))(torch.from_numpy(sinogram.values))[0].numpy()
    rows, columns = np.nonzero(image > 0.01)
    assert columns.mean() - 39.5 == pytest.approx(25, abs=0.2)
    assert 39.5 - rows.mean() == pytest.approx(10, abs=0.2)
    y, x = np.mgrid[:80, :80]
    assert image[np.hypot(39.5 - y - 10, x - 39.5 - 25) < 4].mean() == pytest.approx(0.02, rel=0.02)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scan_type": "HELICAL"}, "is helical"),
        ({"height": np.linspace(0, 50, 240)}, "the table moves 50 mm"),
        ({"focal_spot": "FFSXY"}, "focal centre"),
        ({"shift": np.full((240, 3), 0.001)}, "focal centre"),
        ({"shape": "FLAT"}, "not CYLINDRICAL"),
        ({"radius": np.linspace(600, 610, 240)}, "changes by 10 mm"),
    ],
)
def test_what_is_no_fan_is_refused_in_one_line(changes, says):
    with pytest.raises(ScanweaveError, match=says) as caught:
        _disc_scan(**changes).sinogram((80, 80), 1.0)
    assert "\n" not in str(caught.value)


def test_missing_view_is_told(tmp_path):
    for view in (0, 1, 3):
        _write(tmp_path, view)
    with pytest.raises(ScanweaveError, match="view 12 is missing"):
        read_ct_pd(tmp_path)


def test_compressed_pixels_are_refused(tmp_path):
    _write(tmp_path, 0)
    file = next(tmp_path.glob("*.dcm"))
    data = pydicom.dcmread(file)
    data.compress(pydicom.uid.RLELossless)
    data.save_as(file)
    with pytest.raises(ScanweaveError, match="compressed"):
        read_ct_pd(tmp_path)


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 128 + b"DICM" + b"\xff" * 40])
def test_what_is_no_dicom_is_one_line(tmp_path, content):
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises(ScanweaveError) as caught:
        read_ct_pd(tmp_path)
    assert "\n" not in str(caught.value)


def test_empty_folder_is_one_line(tmp_path):
    with pytest.raises(ScanweaveError, match=r"no \.dcm file"):
        read_ct_pd(tmp_path)
