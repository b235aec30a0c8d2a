"""Stored numbers, their meaning and their place, by maker and modality; one import at a time into a private file."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from scanweave.errors import ScanweaveError
from scanweave.studies.dicom.identities import Identities
from scanweave.studies.dicom.importing import import_dicom

pydicom = pytest.importorskip("pydicom")
from dicom_series import ct_values, write_series  # noqa: E402
from pydicom.uid import DigitalXRayImageStorageForPresentation  # noqa: E402

T2 = {"ScanningSequence": "SE", "RepetitionTime": 4000, "EchoTime": 90}


def quiet(line):
    return None


def imported(folder):
    lines = []
    return import_dicom([folder], folder.parent / f"{folder.name}-cohort", say=lines.append), lines


def only(cohort, name):
    (study,) = list(cohort)
    return study.scans[name]


def test_a_real_mosaic_lies_where_nibabel_puts_it(tmp_path):
    """Two volumes of a diffusion series of Siemens, which come with nibabel."""
    import gzip
    import io
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nibabel.nicom import dicomwrappers
    source, wrappers = Path(dicomwrappers.__file__).parent / "tests" / "data", []
    (tmp_path / "d").mkdir()
    for name in ("siemens_dwi_1000.dcm.gz", "siemens_dwi_0.dcm.gz"):
        data = pydicom.dcmread(io.BytesIO(gzip.decompress((source / name).read_bytes())))
        wrappers.insert(0, dicomwrappers.wrapper_from_data(data))
        pydicom.dcmwrite(tmp_path / "d" / name[:-3], data)
    scan = only(imported(tmp_path / "d")[0], "dwi")
    assert_array_equal(scan.b_values, [0, 1000])
    for number, wrapper in enumerate(wrappers):
        turned = wrapper.affine[:3] * [[-1], [-1], [1]]
        for place in ((0, 0, 0), (127, 3, 47), (64, 100, 20)):
            # nibabel counts rows first
            there = turned @ [place[1], place[0], place[2], 1]
            found = np.linalg.inv(scan.geometry.affine) @ [*there, 1]
            assert_allclose(found, np.rint(found), atol=1e-4)
            at = tuple(np.rint(found[:3]).astype(int))
            assert scan.data[(*at, number)] == wrapper.get_data()[place[1], place[0], place[2]]


def test_a_mosaic_that_does_not_tell_its_planes_is_left_out(tmp_path):
    kind = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]}
    write_series(tmp_path / "d", np.abs(ct_values((1, 12, 12))), about={**T2, **kind})
    write_series(tmp_path / "d", np.abs(ct_values((3, 12, 12))), about=T2, who={"series": "2"})
    _, lines = imported(tmp_path / "d")
    assert any("a mosaic whose header does not tell its planes" in line for line in lines)


def test_an_inverted_film_is_turned_and_a_volume_is_not(tmp_path):
    """MONOCHROME1 is how a film is to be shown; of a volume the numbers are what was measured."""
    films = np.arange(64, dtype=np.uint16).reshape(1, 8, 8)
    made = {"PhotometricInterpretation": "MONOCHROME1", "ViewPosition": "PA"}
    file = {"sop_class": DigitalXRayImageStorageForPresentation, "modality": "DX"}
    write_series(tmp_path / "f", films, each=lambda one, place: [setattr(one, *item) for item in made.items()], **file)
    film = only(imported(tmp_path / "f")[0], "frontal")
    values = np.asarray(film.data, float).ravel()
    assert np.corrcoef(values, films[0].T.ravel())[0, 1] == pytest.approx(-1)
    volume = np.abs(ct_values())
    write_series(tmp_path / "v", volume, about={**T2, "PhotometricInterpretation": "MONOCHROME1"})
    scan = only(imported(tmp_path / "v")[0], "t2")
    assert_array_equal(scan.data, volume.transpose(2, 1, 0))


def test_slopes_of_a_pet_that_begin_with_a_whole_number_are_kept(tmp_path):
    volume, slopes = np.abs(ct_values()), (1.0, 0.37, 2.25, 0.5, 1.75)

    def sloped(made, place):
        made.RescaleSlope, made.RescaleIntercept, made.Units = slopes[place], 0, "GML"
        made.CorrectedImage = ["ATTN", "DECY"]

    write_series(tmp_path / "d", volume, each=sloped, sop_class="1.2.840.10008.5.1.4.1.1.128", modality="PT")
    scan = only(imported(tmp_path / "d")[0], "pet")
    assert_allclose(scan.data, (volume * np.array(slopes)[:, None, None]).transpose(2, 1, 0), rtol=1e-6)


def test_two_imports_into_one_private_file_do_not_run_at_once(tmp_path):
    write_series(tmp_path / "d", np.abs(ct_values()), about=T2)
    who = tmp_path / "who.json"
    with Identities(who).held(), pytest.raises(ScanweaveError, match="in use by another"):
        import_dicom([tmp_path / "d"], tmp_path / "c", identities=who, say=quiet)
    import_dicom([tmp_path / "d"], tmp_path / "c", identities=who, say=quiet)


def test_processes_of_their_own_give_the_same_cohort(tmp_path, monkeypatch):
    from scanweave.studies.dicom import headers, importing

    for patient in range(3):
        write_series(tmp_path / "d", np.abs(ct_values(seed=patient)), about=T2, who={"patient": str(patient)})
    (tmp_path / "d" / "zz-twice").write_bytes(next((tmp_path / "d").iterdir()).read_bytes())
    monkeypatch.setattr(headers, "CHUNK", 4)
    monkeypatch.setattr(importing, "MANY_FILES", 2)
    who, told = tmp_path / "who.json", {}
    for workers in (1, 2):
        lines = []
        cohort = import_dicom(
            [tmp_path / "d"], tmp_path / str(workers), identities=who, workers=workers, say=lines.append
        )
        told[workers] = ([(one.id, one.scans["t2"].data.tobytes()) for one in cohort], lines)
    assert told[1] == told[2]
    assert any("the same instance as another file" in line for line in told[1][1])


def test_images_without_a_uid_are_not_lost_beside_doubles(tmp_path, monkeypatch):
    from scanweave.studies.dicom import headers

    files = write_series(tmp_path / "d", np.abs(ct_values()), about=T2)
    (tmp_path / "d" / "zz-twice").write_bytes(files[0][0].read_bytes())
    for path, made in write_series(tmp_path / "d", np.abs(ct_values((7, 6, 7))), about=T2, who={"patient": "2"}):
        del made.SOPInstanceUID
        pydicom.dcmwrite(path, made)
    whole = {one.uid: len(one.frames) for one in headers.read_series(sorted((tmp_path / "d").iterdir()), {})}
    monkeypatch.setattr(headers, "CHUNK", 4)
    assert {one.uid: len(one.frames) for one in headers.read_series(sorted((tmp_path / "d").iterdir()), {})} == whole
    assert sorted(whole.values()) == [5, 7]
