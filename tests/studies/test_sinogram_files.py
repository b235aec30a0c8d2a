import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.physics.ct.geometry import FanArcGeometry, even_angles, geometry_from_dict
from scanweave.studies.formats import header_limits
from scanweave.studies.formats.sinogram_hdf5 import read_sinogram, write_sinogram
from scanweave.studies.sinogram import Sinogram

h5py = pytest.importorskip("h5py")
GEOMETRY = FanArcGeometry.covering((16, 12), 1.5, even_angles(6, 360), source=60, detector=40)
SHAPE = (3, *GEOMETRY.sinogram_shape)


def _counts(**changes):
    parts = {
        "values": np.random.default_rng(0).poisson(500, SHAPE).astype(np.float64),
        "kind": "counts",
        "geometry": GEOMETRY.to_dict(),
        "air": np.array([1000.0, 900.0, 800.0]),
        "thresholds": np.array([25.0, 50.0, 75.0]),
        "energies": np.arange(20.5, 100),
        "photons": np.ones(80),
    }
    return Sinogram(**(parts | changes))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.h5"


def _same(one, two):
    assert one.kind == two.kind
    for name in ("values", "air", "thresholds", "energies", "photons"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_counts_come_back_with_their_geometry(path):
    written = _counts()
    write_sinogram(path, written)
    read = read_sinogram(path)
    _same(read, written)
    assert read.geometry == written.geometry
    assert geometry_from_dict(read.geometry) == GEOMETRY


def test_line_integrals_need_neither_air_nor_spectrum(path):
    values = np.random.default_rng(0).normal(size=(1, *SHAPE[1:])).astype(np.float32)
    write_sinogram(path, Sinogram(values, "line_integrals", GEOMETRY.to_dict()))
    read = read_sinogram(path)
    assert read.values.dtype == np.float32
    assert read.thresholds is read.air is read.energies is None
    np.testing.assert_array_equal(read.values, values)


def test_dead_elements_are_kept_on_request(path):
    values = _counts().values.copy()
    values[1, 2, 3] = np.nan
    write_sinogram(path, _counts(values=values, dead="keep"))
    with pytest.raises(ScanweaveError, match=r"scan.h5: .* first at bin 1, view 2, detector 3"):
        read_sinogram(path)
    np.testing.assert_array_equal(read_sinogram(path, dead="keep").values, values)


def _broken(place, value):
    values = _counts().values.copy()
    values[place] = value
    return values


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"values": np.ones(SHAPE[1:])}, "values have the shape"),
        ({"values": np.ones((3, 5, SHAPE[2]))}, "has 5 views, but its geometry 6"),
        ({"values": np.ones((3, 6, 7))}, "has 7 detectors, but its geometry"),
        ({"values": _broken((0, 0, 0), np.nan)}, "not finite"),
        ({"values": _broken((0, 0, 0), np.inf), "dead": "keep"}, "not finite"),
        ({"values": _broken((slice(None), 4), 0)}, "view 4 holds no photon"),
        ({"values": _broken((1,), 0)}, "no reading of bin 1 reaches 1% of its air counts"),
        ({"kind": "photographs"}, "holds 'photographs'"),
        ({"geometry": {"kind": "parallel"}}, "neither angles nor views"),
        ({"thresholds": None}, "no thresholds"),
        ({"thresholds": np.array([20.0, 40.0])}, r"thresholds of shape \(2,\)"),
        ({"thresholds": np.array([20.0, 60.0, 40.0])}, "do not ascend"),
        ({"air": None}, "without air counts"),
        ({"air": np.ones(2)}, r"air counts have the shape \(2,\)"),
        ({"air": np.array([1.0, 0.0, 1.0])}, "not positive"),
        ({"air": np.full(3, 1e6)}, "no reading of bin [0-2] reaches 1% of its air counts"),
        ({"air": np.array([1.0, 0.9, 0.8])}, "bin [0-2] reads .* times its air counts"),
        ({"kind": "line_integrals"}, "which no photon passes"),
        ({"photons": None}, "differ in length"),
        ({"photons": np.ones(3)}, "differ in length"),
        ({"photons": -np.ones(80)}, "does not ascend or is not finite"),
    ],
)
def test_contradictions_are_one_line(changes, says):
    with pytest.raises(ScanweaveError, match=says) as caught:
        _counts(**changes)
    assert "\n" not in str(caught.value)


def _edit(change):
    def apply(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return apply


def _replace(name, values):
    def change(file):
        del file[name]
        file[name] = values

    return change


def _link(file):
    del file["values"]
    file["values"] = h5py.ExternalLink("other.h5", "values")


def _outside(file):
    del file["values"]
    file.create_dataset("values", SHAPE, "f8", external="/etc/passwd")


def _huge(file):
    del file["values"]
    file.create_dataset("values", (3, 6, 10**9), "f8", chunks=(1, 1, 10**6), compression="gzip")


def _bytes(file):
    """Small numbers, of which each takes eight bytes more once it is read."""
    del file["values"]
    file.create_dataset("values", (3, 6, 10**7), "i1", chunks=(1, 1, 10**6), compression="gzip")


def _large_chunks(file):
    del file["values"]
    file.create_dataset("values", SHAPE, "f8", maxshape=(None,) * 3, chunks=(4, 8, 2 * 10**7), compression="gzip")


def _long_list(file):
    file["geometry"].create_dataset("more", (10**7,), "f4", chunks=(10**6,), compression="gzip")


def _truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path):
    """Change bytes of the compressed values."""
    with h5py.File(path) as file:
        chunk = file["values"].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    middle = chunk.byte_offset + chunk.size // 2
    data[middle : middle + 4] = bytes(255 - byte for byte in data[middle : middle + 4])
    path.write_bytes(data)


@pytest.mark.parametrize("share", np.linspace(0, 1, 16, endpoint=False))
def test_a_file_without_its_end_is_one_line(path, share):
    write_sinogram(path, _counts())
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ScanweaveError, match=r"scan\.h5: cannot be read"):
        read_sinogram(path)


@pytest.mark.parametrize("seed", range(16))
def test_values_that_chance_changed_are_one_line(path, seed):
    """Changes within a packed chunk, which its checksum tells; the structure around it stays as it is."""
    write_sinogram(path, _counts())
    with h5py.File(path) as file:
        chunk = file["values"].id.get_chunk_info(0)
    chance, data = np.random.default_rng([7, seed]), bytearray(path.read_bytes())
    for place in chance.integers(chunk.size, size=3):
        data[chunk.byte_offset + place] ^= 1 << chance.integers(8)
    path.write_bytes(data)
    with pytest.raises(ScanweaveError, match=r"scan\.h5: cannot be read"):
        read_sinogram(path)


def test_all_that_a_file_holds_together_keeps_the_budget(path, monkeypatch):
    write_sinogram(path, _counts())
    numbers = sum(np.size(getattr(_counts(), name)) for name in ("values", "air", "energies", "photons"))
    monkeypatch.setattr(header_limits, "MEMORY_BUDGET", 8 * numbers - 1)
    with pytest.raises(ScanweaveError, match="all that it holds claims"):
        read_sinogram(path)


@pytest.mark.parametrize(
    ("break_file", "says"),
    [
        (_truncate, "cannot be read"),
        (_flip, "cannot be read"),
        (lambda path: path.write_bytes(b"no HDF5"), "cannot be read"),
        (lambda path: path.unlink(), "no such file"),
        (_edit(lambda file: file.attrs.update(format="other")), "no sinogram of scanweave"),
        (_edit(lambda file: file.attrs.update(version=2)), "layout version 2"),
        (_edit(lambda file: file.attrs.update(kind="other")), "holds 'other'"),
        (_edit(lambda file: file.pop("values")), "no dataset 'values'"),
        (_edit(lambda file: file.pop("geometry")), "no geometry"),
        (_edit(lambda file: file.pop("air")), "without air counts"),
        (_edit(lambda file: file["geometry"].attrs.update(pitch=np.ones(3))), "entry 'pitch'"),
        (_edit(lambda file: file["geometry"].attrs.update(detectors="many")), "its geometry many"),
        (_edit(_replace("values", "text")), "no dataset of real numbers"),
        (_edit(_replace("values", np.ones((3, 4, 5)))), "has 4 views, but its geometry 6"),
        (_edit(_link), "no dataset 'values' of its own"),
        (_edit(_outside), "lies in another file"),
        (_edit(_huge), "claims"),
        (_edit(_bytes), "'values' claims 1545 MiB"),
        (_edit(_large_chunks), "'values' claims 4883 MiB"),
        (_edit(_long_list), "'more' claims 10000000 numbers"),
    ],
)
def test_bad_files_are_one_line_that_names_them(path, break_file, says):
    write_sinogram(path, _counts())
    break_file(path)
    with pytest.raises(ScanweaveError, match=says) as caught:
        read_sinogram(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_budget_is_kept(path, monkeypatch):
    write_sinogram(path, _counts())
    monkeypatch.setattr(header_limits, "MEMORY_BUDGET", 100)
    with pytest.raises(ScanweaveError, match="SCANWEAVE_MEMORY_BUDGET"):
        read_sinogram(path)


@pytest.mark.parametrize("entry", [{"nested": {}}, {"nothing": None}, {"angle": [1.0, np.nan]}, {"grid": [[1, 2]]}])
def test_geometry_must_be_plain_and_nothing_half_written_stays(path, entry):
    with pytest.raises(ScanweaveError, match="of the geometry is no number"):
        write_sinogram(path, _counts(geometry=GEOMETRY.to_dict() | entry))
    assert list(path.parent.iterdir()) == []


def test_grid_that_no_memory_holds_is_refused_before_it_is_made(path):
    huge = {**GEOMETRY.to_dict(), "shape": [40_000, 40_000]}
    write_sinogram(path, _counts(geometry=huge))
    with pytest.raises(ScanweaveError, match=r"scan\.h5: its geometry asks for images of 40000 × 40000 pixels"):
        read_sinogram(path)
