"""Objects that go back: valid, in place, without identity until they are stored where their sources lie."""

import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from scanweave.cli.main import main
from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.dicom import importing
from scanweave.studies.dicom.grid_objects import map_object, segmentation_object
from scanweave.studies.dicom.identities import Identities
from scanweave.studies.dicom.image_objects import image_objects
from scanweave.studies.dicom.importing import import_dicom
from scanweave.studies.dicom.object_parts import WORDS
from scanweave.studies.dicom.object_sources import Origin
from scanweave.studies.dicom.objects import write_maps, write_objects
from scanweave.studies.dicom.pushing import push, restored
from scanweave.studies.dicom.web import Server, address_of
from scanweave.studies.formats.study_writer import write_study
from scanweave.studies.scan import Scan

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")
from archive import THERE, archive  # noqa: E402
from dicom_series import MARK, ct_values, enhanced, write_series  # noqa: E402
from pydicom.uid import CTImageStorage  # noqa: E402

T2 = {"ScanningSequence": "SE", "RepetitionTime": 4000, "EchoTime": 90}
TILTED = (0.98, 0.199, 0.0, -0.199, 0.98, 0.0)
needs_orthanc = pytest.mark.skipif(not THERE, reason="Orthanc and its DICOMweb plug-in are not installed")


def quiet(line):
    return None


@pytest.fixture
def made(tmp_path):
    """A cohort from DICOM, predictions of it, and their objects; the true scan and mask."""
    write_series(tmp_path / "d", np.abs(ct_values((4, 12, 10))), about=T2, orientation=TILTED)
    cohort = import_dicom([tmp_path / "d"], tmp_path / "c", say=quiet)
    (study,) = list(cohort)
    grid = study.scans["t2"].geometry
    values = np.random.default_rng(0).random((*grid.shape,)).astype(np.float32) * 3
    labels = np.zeros(grid.shape, np.int16)
    labels[2:5, 3:7, 1], labels[6, 6, 2] = 1, 2
    answer = study.answer(
        scans={"flair": Scan.of(values, grid.affine, synthetic=True)},
        masks={"lesion": Scan.of(labels, grid.affine, synthetic=True)},
        labels={"ill": 1},
        table={"probability_ill": 0.7},
    )
    out = tmp_path / "o"
    (out / study.id).mkdir(parents=True)
    files = write_study(out / study.id, answer, lambda name: {})
    row = {"study": study.id, "patient": study.patient, **{key: f"{study.id}/{file}" for key, file in files.items()}}
    row |= {"label:ill": 1, "table:probability_ill": 0.7}
    Cohort.create(out, [row], root=".", name="o", source="test", layout="predictions")
    counts = write_objects(out, tmp_path / "c.identities.json")
    assert counts == {"image": 4, "segmentation": 1, "report": 1}
    return out, values, labels, grid


def objects(out):
    return sorted(out.rglob("*.dcm"))


def test_images_lie_where_their_scan_does_and_say_that_they_are_synthetic(made, tmp_path):
    out, values, _, grid = made
    images = [pydicom.dcmread(path) for path in objects(out) if path.name.startswith("flair")]
    known = Identities(tmp_path / "c.identities.json")
    for place, one in enumerate(images):
        assert_allclose(
            np.array(one.ImagePositionPatient, float), (grid.affine @ [0, 0, place, 1])[:3] * [-1, -1, 1], atol=1e-3
        )
        assert_allclose(np.array(one.ImageOrientationPatient, float), TILTED, atol=2e-4)
        stored = one.pixel_array.T
        assert np.corrcoef(stored.ravel(), values[:, :, place].ravel())[0, 1] > 0.999999
        assert one.ImageType[:2] == ["DERIVED", "SECONDARY"]
        assert WORDS in one.SeriesDescription
        assert WORDS in one.DerivationDescription
        assert len(one.SourceImageSequence) == 1  # the same plane of the only source
        assert (
            known.uids[one.SourceImageSequence[0].ReferencedSOPInstanceUID]
            in next(iter(known.studies.values())).scans["t2"].instances
        )


def test_a_segmentation_reads_back_as_its_mask(made):
    import highdicom

    out, _, labels, _ = made
    seg = highdicom.seg.segread(next(out.glob("*/dicom")) / "mask-lesion.dcm")
    planes = seg.get_pixels_by_source_instance(
        [one.ReferencedSOPInstanceUID for one in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence],
        combine_segments=True,
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    assert_array_equal(planes.transpose(2, 1, 0), labels)


def test_simpleitk_puts_the_series_where_the_scan_lies(made):
    itk = pytest.importorskip("SimpleITK")
    out, _, _, grid = made
    reader = itk.ImageSeriesReader()
    names = [name for name in map(str, objects(out)) if "flair" in name]
    reader.SetFileNames(names)
    image = reader.Execute()
    for place in ((0, 0, 0), (9, 11, 3)):
        assert_allclose(
            np.array(image.TransformIndexToPhysicalPoint(place)) * [-1, -1, 1],
            (grid.affine @ [*place, 1])[:3],
            atol=1e-3,
        )


DCM2NIIX = Path(sys.executable).with_name("dcm2niix")


@pytest.mark.skipif(not DCM2NIIX.is_file(), reason="dcm2niix is not installed")
def test_dcm2niix_puts_the_series_where_the_scan_lies(made, tmp_path):
    out, values, _, grid = made
    for path in objects(out):
        if path.name.startswith("flair"):
            (tmp_path / "one").mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / "one")
    subprocess.run([DCM2NIIX, "-o", tmp_path, "-f", "made", tmp_path / "one"], check=True, capture_output=True)
    image = nib.load(tmp_path / "made.nii")
    ends = [corners(image.shape, image.affine), corners(grid.shape, grid.affine)]
    assert_allclose(*[end[np.lexsort(end.round(1).T)] for end in ends], atol=1e-3)
    inside = np.linalg.inv(image.affine) @ grid.affine @ [4, 5, 2, 1]
    whole = np.asarray(image.dataobj, float)
    near = whole[tuple(np.rint(inside[:3]).astype(int))]
    assert near / whole.max() == pytest.approx(values[4, 5, 2] / values.max(), abs=1e-3)


def corners(shape, affine):
    places = np.array(np.meshgrid(*[(0, size - 1) for size in shape[:3]])).reshape(3, -1)
    return (affine[:3, :3] @ places + affine[:3, 3:]).T


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
def test_every_kind_of_object_is_valid(made):
    out = made[0]
    for path in objects(out):
        assert valid(path)


def test_objects_name_nobody_until_they_are_restored(made, tmp_path):
    out = made[0]
    known = Identities(tmp_path / "c.identities.json")
    for path in objects(out):
        assert MARK.encode() not in path.read_bytes()
        whole = restored(path, known)
        assert whole.PatientID == f"{MARK}id1"
        assert whole.StudyInstanceUID == "1.2.3.1.1"
        assert whole.StudyDate == "20200101"
        drawn = [element.value for element in whole.iterall() if element.VR == "UI" and element.value in known.uids]
        assert drawn == []
    images = [restored(path, known) for path in objects(out) if path.name.startswith("flair")]
    references = {one.ReferencedSOPInstanceUID for image in images for one in image.SourceImageSequence}
    assert references == set(next(iter(known.studies.values())).scans["t2"].instances)


def imported_ct(tmp_path, planes=4):
    write_series(tmp_path / "d", ct_values((planes, 12, 10)), sop_class=CTImageStorage, modality="CT")
    (study,) = list(import_dicom([tmp_path / "d"], tmp_path / "c", say=quiet))
    return study, Origin(study.id, Identities(tmp_path / "c.identities.json"))


def valid(path):
    """Return True where dciodvfy finds no error, or is not installed."""
    if shutil.which("dciodvfy") is None:
        return True
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []


@pytest.mark.parametrize("moments", [1, 3])
@pytest.mark.parametrize(("name", "modality"), [("ct", "CT"), ("pet_fdg", "PT"), ("dce", "MR")])
def test_scans_and_series_of_each_modality_are_valid_and_keep_their_values(tmp_path, name, modality, moments):
    study, origin = imported_ct(tmp_path)
    grid = study.scans["ct"].geometry
    values = np.random.default_rng(1).normal(0, 40, (*grid.shape, moments)).astype(np.float32).round(3)
    values = np.round(values) if name == "ct" else np.abs(values)
    scan = Scan.of(values if moments > 1 else values[..., 0], grid.affine, synthetic=True)
    images = list(image_objects(name, scan, origin, 9001))
    assert len(images) == 4 * moments
    for place, one in enumerate(images):
        one.save_as(tmp_path / "one.dcm", enforce_file_format=True)
        assert valid(tmp_path / "one.dcm")
        assert one.Modality == modality
        truth = values[:, :, place % 4, place // 4]
        stored = one.pixel_array.T * float(one.get("RescaleSlope", 1))
        if name != "dce":  # of MR the stored numbers have a scale of their own
            assert_allclose(stored, truth, atol=0.51 * float(one.RescaleSlope))
        else:
            assert np.corrcoef(stored.ravel(), truth.ravel())[0, 1] > 0.99999
    if name == "pet_fdg":
        assert images[0].Units == "GML"
        assert images[-1].NumberOfSlices == 4


def test_a_map_is_a_parametric_map_with_its_own_numbers(tmp_path):
    import highdicom

    study, origin = imported_ct(tmp_path)
    grid = study.scans["ct"].geometry
    values = np.random.default_rng(1).random(grid.shape).astype(np.float32)
    made = map_object("flair_differentiation", Scan.of(values, grid.affine, synthetic=True), origin, 9501)
    path = tmp_path / "map.dcm"
    made.save_as(path, enforce_file_format=True)
    assert valid(path)
    read = highdicom.imread(path)
    volume = read.get_volume(apply_real_world_transform=False)
    there = volume.affine[:3, :3] @ [0, 0, 0] + volume.affine[:3, 3]
    at = np.rint(np.linalg.inv(grid.affine) @ [*(there * [-1, -1, 1]), 1])[:3].astype(int)
    assert volume.array[0, 0, 0] == values[tuple(at)]
    assert sorted(volume.array.ravel()) == sorted(values.ravel())
    assert WORDS in made.SeriesDescription


def test_maps_of_an_explanation_are_written_beside_them(tmp_path):
    from scanweave.studies.formats.image_writer import write_scan

    study, _ = imported_ct(tmp_path)
    grid = study.scans["ct"].geometry
    folder = tmp_path / "explanation" / study.id
    folder.mkdir(parents=True)
    write_scan(folder / f"{study.id}_t1_differentiation.nii.gz", Scan.of(np.zeros(grid.shape), grid.affine))
    both = np.stack([np.zeros(grid.shape), np.ones(grid.shape)], axis=-1)
    write_scan(folder / f"{study.id}_t1_attention.nii.gz", Scan.of(both, grid.affine))
    assert write_maps(folder.parent, tmp_path / "c.identities.json") == {"map": 3}
    names = ["map-t1_attention-1.dcm", "map-t1_attention-2.dcm", "map-t1_differentiation.dcm"]
    assert [path.name for path in objects(folder)] == names
    assert pydicom.dcmread(objects(folder)[1]).FloatPixelData == np.ones(grid.shape, np.float32).tobytes()
    assert write_maps(folder.parent, tmp_path / "c.identities.json") == {}


def test_objects_on_a_file_of_many_frames_name_its_frames(tmp_path):
    volume = np.abs(ct_values((5, 6, 7)))
    order = [3, 0, 2, 1, 4]
    one = enhanced(volume, [(0.0, 0.0, 3.0 * place) for place in order])
    one.SeriesDescription = "FLAIR"
    (tmp_path / "d").mkdir()
    one.save_as(tmp_path / "d" / "one", enforce_file_format=True)
    (study,) = list(import_dicom([tmp_path / "d"], tmp_path / "c", say=quiet))
    grid, known = study.scans["flair"].geometry, Identities(tmp_path / "c.identities.json")
    origin, labels = Origin(study.id, known), np.zeros(study.scans["flair"].geometry.shape, np.int16)
    labels[2:4, 1:3, 1] = 1
    seg = segmentation_object("lesion", Scan.of(labels, grid.affine), origin, 1)
    seg.save_as(tmp_path / "seg.dcm", enforce_file_format=True)
    assert valid(tmp_path / "seg.dcm")
    (frame,) = seg.PerFrameFunctionalGroupsSequence
    refers = frame.DerivationImageSequence[0].SourceImageSequence[0]
    assert known.uids[refers.ReferencedSOPInstanceUID] == one.SOPInstanceUID
    assert refers.ReferencedFrameNumber == order.index(1) + 1
    images = list(image_objects("t1", Scan.of(labels, grid.affine), origin, 2))
    named = [image.SourceImageSequence[0].ReferencedFrameNumber for image in images]
    assert named == [order.index(place) + 1 for place in range(5)]


def test_another_file_of_identities_cannot_say_whose_they_are(made, tmp_path):
    write_series(tmp_path / "other", np.abs(ct_values((4, 12, 10))), about=T2, who={"patient": "2"})
    import_dicom([tmp_path / "other"], tmp_path / "c2", identities=tmp_path / "other.json", say=quiet)
    with pytest.raises(ScanweaveError, match="nobody can say whose it is"):
        push(made[0], "http://127.0.0.1:9/dicom-web", tmp_path / "other.json", say=quiet)
    with pytest.raises(ScanweaveError, match="knows none of these studies"):
        write_objects(made[0], tmp_path / "other.json")
    with pytest.raises(ScanweaveError, match="no DICOM object"):
        push(tmp_path / "c2", "http://127.0.0.1:9/dicom-web", tmp_path / "other.json", say=quiet)


def test_two_patients_of_one_study_uid_are_not_mixed_up(tmp_path):
    for patient in ("1", "2"):
        files = write_series(tmp_path / patient, np.abs(ct_values((4, 12, 10))), about=T2, who={"patient": patient})
        for path, one in files:
            one.StudyInstanceUID = "1.2.3.9"
            del one.AccessionNumber
            one.save_as(path, enforce_file_format=True)
    cohort = import_dicom([tmp_path / "1", tmp_path / "2"], tmp_path / "c", say=quiet)
    known = Identities(tmp_path / "c.identities.json")
    for study in cohort:
        made = Scan.of(np.zeros(study.scans["t2"].geometry.shape), study.scans["t2"].geometry.affine)
        one = next(image_objects("t1", made, Origin(study.id, known), 9001))
        one.save_as(tmp_path / "one.dcm", enforce_file_format=True)
        whole = restored(tmp_path / "one.dcm", known)
        assert whole.PatientID == known.studies[study.id].identity["PatientID"]
        assert whole.AccessionNumber == ""  # the real study has none


def test_what_is_synthetic_does_not_come_back_as_acquired(tmp_path):
    study, origin = imported_ct(tmp_path)
    made = Scan.of(np.zeros(study.scans["ct"].geometry.shape), study.scans["ct"].geometry.affine)
    for place, one in enumerate(image_objects("cta", made, origin, 9001)):
        assert one.Modality == "CT"
        one.save_as(tmp_path / "d" / f"made-{place}", enforce_file_format=True)
    lines = []
    (again,) = list(import_dicom([tmp_path / "d"], tmp_path / "again", say=lines.append))
    assert list(again.scans) == ["ct"]
    assert_array_equal(again.scans["ct"].data, study.scans["ct"].data)


def test_a_series_that_scanweave_made_is_left_out_by_name(tmp_path):
    write_series(tmp_path / "d", np.abs(ct_values()), about=T2)
    write_series(tmp_path / "d", np.abs(ct_values()), about={**T2, "Manufacturer": "scanweave"}, who={"series": "7"})
    lines = []
    import_dicom([tmp_path / "d"], tmp_path / "c", say=lines.append)
    assert any("series 7: made by scanweave, and not acquired" in line for line in lines)


def test_only_what_was_used_is_named_as_source(tmp_path):
    write_series(tmp_path / "d", np.abs(ct_values((4, 12, 10))), about=T2)
    t1 = {"ScanningSequence": "SE", "RepetitionTime": 500, "EchoTime": 10}
    write_series(tmp_path / "d", np.abs(ct_values((4, 12, 10))), about=t1, who={"series": "2"})
    (study,) = list(import_dicom([tmp_path / "d"], tmp_path / "c", say=quiet))
    known = Identities(tmp_path / "c.identities.json")
    grid = study.scans["t2"].geometry
    answer = study.answer(scans={"flair": Scan.of(np.zeros(grid.shape), grid.affine, synthetic=True)})
    (tmp_path / "o" / study.id).mkdir(parents=True)
    files = write_study(tmp_path / "o" / study.id, answer, lambda name: {"sources": ["t2"]})
    row = {"study": study.id, "patient": study.patient, **{key: f"{study.id}/{file}" for key, file in files.items()}}
    Cohort.create(tmp_path / "o", [row], root=".", name="o", source="test", layout="predictions")
    write_objects(tmp_path / "o", tmp_path / "c.identities.json")
    known = Identities(tmp_path / "c.identities.json")
    named = {
        known.uids[source.ReferencedSOPInstanceUID]
        for path in objects(tmp_path / "o")
        for source in pydicom.dcmread(path).SourceImageSequence
    }
    assert named == set(known.studies[study.id].scans["t2"].instances)


def test_a_map_with_holes_is_written_and_no_map_is_no_fault(tmp_path):
    study, origin = imported_ct(tmp_path)
    grid = study.scans["ct"].geometry
    values = np.full(grid.shape, 0.5, np.float32)
    values[0] = np.nan
    made = map_object("m", Scan.of(values, grid.affine), origin, 9501)
    assert np.isnan(np.frombuffer(made.FloatPixelData, np.float32)).sum() == np.isnan(values).sum()
    (tmp_path / "none").mkdir()
    assert write_maps(tmp_path / "none", tmp_path / "c.identities.json") == {}


def test_a_server_that_is_not_there_ends_in_one_line(made, tmp_path, capsys, monkeypatch):
    from scanweave.studies.dicom import web

    monkeypatch.setattr(web, "TRIES", 1)
    words = [
        "push",
        str(made[0]),
        "--to",
        "http://127.0.0.1:9/dicom-web",
        "--identities",
        str(tmp_path / "c.identities.json"),
    ]
    assert main(words) == 2
    assert main(["cohort", "import", "dicomweb+http://127.0.0.1:9/x", "--out", str(tmp_path / "n")]) == 2
    assert all(line.startswith("error: http://127.0.0.1:9") for line in capsys.readouterr().err.splitlines())
    assert main([*words, "--header", "Authorization"]) == 2
    assert "is not NAME=FILE" in capsys.readouterr().err


def test_addresses_of_servers():
    assert address_of(Path("dicomweb://pacs.example/dicom-web?PatientID=7")) == (
        "https://pacs.example/dicom-web",
        {"PatientID": "7"},
    )
    assert address_of("dicomweb+http://localhost:8042/dicom-web/")[0] == "http://localhost:8042/dicom-web"
    with pytest.raises(ScanweaveError, match="no plain address"):
        address_of("dicomweb://")


def test_objects_that_are_there_stay_and_a_study_that_fails_ends_no_other(made, tmp_path):
    out, lines = made[0], []
    before = {path: path.read_bytes() for path in objects(out)}
    assert write_objects(out, tmp_path / "c.identities.json") == {}
    assert {path: path.read_bytes() for path in objects(out)} == before
    (first,) = list(Cohort.open(out))
    shutil.rmtree(out / first.id / "dicom")
    shutil.copytree(out / first.id, out / "a-stranger")
    file = first.scans["flair"].path.name
    rows = [{"study": name, "patient": name, "scan:flair": f"{name}/{file}"} for name in ("a-stranger", first.id)]
    (out / "cohort.json").unlink()
    Cohort.create(out, rows, root=".", name="o", source="test", layout="predictions")
    assert write_objects(out, tmp_path / "c.identities.json", lines.append) == {"image": 4}
    assert lines == ["error: a-stranger: no DICOM objects: is no study of c.identities.json"]


def test_a_mask_refers_to_the_images_on_its_grid(tmp_path):
    write_series(
        tmp_path / "d", np.abs(ct_values((4, 10, 10))), about=T2, orientation=(0, 1, 0, 0, 0, -1), step=(3, 0, 0)
    )
    t1 = {"ScanningSequence": "SE", "RepetitionTime": 500, "EchoTime": 10}
    write_series(tmp_path / "d", np.abs(ct_values((4, 10, 10))), about=t1, who={"series": "2"})
    cohort = import_dicom([tmp_path / "d"], tmp_path / "c", say=quiet)
    (study,) = list(cohort)
    known = Identities(tmp_path / "c.identities.json")
    labels = np.zeros((10, 10, 4), np.int16)
    labels[2:5, 3:6, 1] = 1
    mask = Scan.of(labels, study.scans["t1"].geometry.affine)
    origin = Origin(study.id, known)
    seg = segmentation_object("organs", mask, origin, 1, {"liver": [1]})
    named = {one.ReferencedSOPInstanceUID for one in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert {known.uids[uid] for uid in named} <= set(known.studies[study.id].scans["t1"].instances)
    assert seg.SegmentSequence[0].SegmentLabel == "liver"
    shifted = study.scans["t1"].geometry.affine.copy()
    shifted[0, 3] += 1
    with pytest.raises(ScanweaveError, match="grid of none of its sources"):
        segmentation_object("organs", Scan.of(labels, shifted), origin, 1)


@pytest.mark.parametrize(
    "address", ["ftp://host/x", "http://user:secret@host/x", "https://host/x?PatientID=7", "nonsense", "http://[::1"]
)
def test_addresses_that_hold_secrets_or_are_none_are_refused_untold(made, tmp_path, address):
    with pytest.raises(ScanweaveError, match="is no plain address") as told:
        push(made[0], address, tmp_path / "c.identities.json", say=quiet)
    assert "secret" not in str(told.value)
    assert "PatientID" not in str(told.value)


@pytest.fixture
def orthanc(tmp_path):
    with archive(tmp_path) as address:
        yield address


@needs_orthanc
def test_from_an_archive_and_back(made, orthanc, tmp_path):
    """Import by QIDO and WADO, objects by STOW: they are filed in the study of their sources, and go once."""
    out = made[0]
    files = sorted((tmp_path / "d").iterdir())
    Server(orthanc).store([pydicom.dcmread(path) for path in files])
    source = f"{orthanc.replace('http', 'dicomweb+http')}?PatientID={MARK}id1"
    cohort = import_dicom([source], tmp_path / "again", say=quiet)
    assert cohort.names("scan") == ["t2"]
    first, second = (next(iter(one)).scans["t2"] for one in (cohort, Cohort.open(tmp_path / "c")))
    assert_array_equal(first.data, second.data)
    who = tmp_path / "c.identities.json"
    lines = []
    assert push(out, orthanc, who, say=lines.append) == 6
    assert push(out, orthanc, who, say=lines.append) == 0
    assert "6 of 6 objects were stored by an earlier call" in lines
    client = Server(orthanc).client
    assert len(client.search_for_studies()) == 1
    series = client.search_for_series(study_instance_uid="1.2.3.1.1")
    assert sorted(one["00080060"]["Value"][0] for one in series) == ["MR", "MR", "SEG", "SR"]
    with pytest.raises(ScanweaveError, match="has no such study"):
        import_dicom([source.replace("id1", "nobody")], tmp_path / "none", say=quiet)
    assert not list(tmp_path.glob("*.retrieved"))


@needs_orthanc
def test_an_object_that_the_archive_knows_keeps_what_it_was(made, orthanc, tmp_path):
    """A second STOW of the same UID is answered well and changes nothing: so every object has a new UID."""
    files = sorted((tmp_path / "d").iterdir())
    one = pydicom.dcmread(files[0])
    server = Server(orthanc)
    assert server.store([one]) == set()
    before = one.pixel_array.copy()
    one.PixelData = bytes(len(one.PixelData))
    assert server.store([one]) == set()
    server.retrieve(one.StudyInstanceUID, tmp_path / "back")
    (path,) = (tmp_path / "back").iterdir()
    assert_array_equal(pydicom.dcmread(path).pixel_array, before)
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in objects(made[0])]
    assert len(set(uids)) == len(uids)


@needs_orthanc
def test_what_was_retrieved_is_not_asked_for_again(made, orthanc, tmp_path, monkeypatch):
    Server(orthanc).store([pydicom.dcmread(path) for path in sorted((tmp_path / "d").iterdir())])
    source, lines = orthanc.replace("http", "dicomweb+http"), []
    whole = importing._written

    def cut_off(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(importing, "_written", cut_off)
    with pytest.raises(KeyboardInterrupt):
        import_dicom([source], tmp_path / "again", say=lines.append)
    kept = tmp_path / "again.identities.json.retrieved"
    assert kept.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(importing, "_written", whole)
    import_dicom([source], tmp_path / "again", say=lines.append)
    assert "study 1 of 1: 4 images retrieved, 4 of them by an earlier call" in lines
    assert not kept.exists()


def test_maps_of_some_slices_are_refused_before_the_work(tmp_path, capsys):
    imported_ct(tmp_path)
    words = ["explain", "builtin:brain", "--cohort", str(tmp_path / "c"), "--out", str(tmp_path / "why")]
    who = str(tmp_path / "c.identities.json")
    assert main([*words, "--dicom", who, "--slices", "every", "2nd"]) == 2
    assert "Leave out --slices" in capsys.readouterr().err
    assert main([*words, "--dicom", str(tmp_path / "none.json")]) == 2
    assert "such as COHORT.identities.json" in capsys.readouterr().err
    assert not (tmp_path / "why").exists()
