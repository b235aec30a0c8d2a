"""DICOM series as cohorts: where voxels lie, what they mean, what is called what, and that nobody is named."""

import json
import os
import re
import stat
import struct
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import scanweave as sw
from scanweave.cli.main import main
from scanweave.errors import ScanweaveError
from scanweave.studies.dicom.headers import read_series
from scanweave.studies.dicom.importing import import_dicom
from scanweave.studies.dicom.sources import unpack
from scanweave.studies.dicom.stacks import stacks_of
from scanweave.studies.formats.pet_units import suv_factor
from scanweave.studies.layouts import import_cohort

pydicom = pytest.importorskip("pydicom")
from dicom_series import (  # noqa: E402
    AXIAL,
    MARK,
    ct_values,
    empty,
    enhanced,
    identify,
    pixels_of,
    write_series,
)
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402
from pydicom.uid import (  # noqa: E402
    CTImageStorage,
    JPEG2000Lossless,
    RLELossless,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

SPIN_T1 = {"ScanningSequence": "SE", "RepetitionTime": 500, "EchoTime": 12}
T2 = {"ScanningSequence": "SE", "RepetitionTime": 4000, "EchoTime": 90}
FLAIR = {"ScanningSequence": ["SE", "IR"], "RepetitionTime": 9000, "EchoTime": 100, "InversionTime": 2500}
DERIVED_T2 = {**T2, "ImageType": ["DERIVED", "PRIMARY"]}
SCOUT = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
CT = {"sop_class": CTImageStorage, "modality": "CT"}


def imported(folder, **options):
    lines = []
    cohort = import_dicom([folder], folder.parent / "c", say=lines.append, **options)
    return cohort, "\n".join(lines)


def only(cohort, name="ct"):
    (study,) = list(cohort)
    return study.scans[name]


def at(scan, place):
    return scan.geometry.affine[:3, :3] @ place + scan.geometry.affine[:3, 3]


def oblique(degrees=20.0):
    turn = np.radians(degrees)
    across = np.array([np.cos(turn), np.sin(turn), 0.0])
    down = np.array([0.0, 0.0, -1.0])
    return across, down, np.cross(across, down)


def test_an_oblique_volume_lies_where_its_tags_say_whatever_its_files_are_called(tmp_path):
    across, down, normal = oblique()
    volume = ct_values()
    files = write_series(
        tmp_path / "d", volume, orientation=(*across, *down), step=tuple(3.0 * normal), origin=(10.0, -20.0, 30.0), **CT
    )
    cohort, _ = imported(tmp_path / "d")
    scan = only(cohort)
    assert_array_equal(scan.data, volume.transpose(2, 1, 0))
    for place in ((0, 0, 0), (6, 0, 0), (0, 5, 4), (3, 2, 1)):
        x, y, z = place
        lps = np.array([10.0, -20.0, 30.0]) + x * 1.5 * across + y * 2.0 * down + z * 3.0 * normal
        assert_allclose(at(scan, np.array(place)), lps * [-1, -1, 1], atol=1e-4)
    assert len(files) == 5


def test_planes_counted_downwards_are_turned_and_nothing_is_mirrored(tmp_path):
    volume = ct_values()
    write_series(tmp_path / "d", volume, step=(0.0, 0.0, -3.0), origin=(0.0, 0.0, 12.0), **CT)
    scan = only(imported(tmp_path / "d")[0])
    assert_array_equal(scan.data, volume[::-1].transpose(2, 1, 0))
    assert np.linalg.det(scan.geometry.affine[:3, :3]) > 0
    assert_allclose(at(scan, np.zeros(3)), [0, 0, 0], atol=1e-6)


def test_a_gantry_tilt_is_told_and_keeps_voxels_in_place(tmp_path):
    write_series(tmp_path / "d", ct_values(), step=(0.0, 1.0, 3.0), **CT)
    (series,) = read_series(sorted((tmp_path / "d").iterdir()), {})
    ((stack,), reasons) = stacks_of(series)
    assert reasons == []
    assert "18.4° (gantry tilt)" in stack.notes[0]
    assert_allclose(stack.affine[:3, 2], [0.0, -1.0, 3.0], atol=1e-9)
    cohort, text = imported(tmp_path / "d")
    assert "gantry tilt" in text
    assert only(cohort).geometry.is_orthogonal


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda files: files[2][0].unlink(), "1 of its planes are missing"),
        (lambda files: _moved(files[2], (0.0, 0.0, 7.3)), "unevenly, 1.70 to 4.30 mm apart"),
        (lambda files: _again(files[2]), "fewer than 2 images"),
        (lambda files: [_moved(one, (0.0, 0.0, 0.0)) for one in files], None),
        (lambda files: [path.unlink() for path, _ in files[1:]], "a single plane"),
    ],
)
def test_gaps_and_doubles_are_told_and_not_mended(tmp_path, change, words):
    files = write_series(tmp_path / "d", ct_values(), **CT)
    change(files)
    with pytest.raises(ScanweaveError):
        imported(tmp_path / "d")
    if words:
        (series,) = read_series(sorted((tmp_path / "d").iterdir()), {})
        stacks, reasons = stacks_of(series)
        assert stacks == []
        assert words in reasons[0]


def _moved(file, position):
    path, made = file
    made.ImagePositionPatient = list(position)
    made.save_as(path, enforce_file_format=True)


def _again(file):
    path, made = file
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3.99"
    made.save_as(path.with_name("again"), enforce_file_format=True)


def test_the_same_instance_twice_counts_once(tmp_path):
    files = write_series(tmp_path / "d", ct_values(), **CT)
    (tmp_path / "d" / "copy").write_bytes(files[1][0].read_bytes())
    cohort, text = imported(tmp_path / "d")
    assert "1 file: the same instance as another file" in text
    assert only(cohort).geometry.shape == (7, 6, 5)


def test_each_plane_is_rescaled_by_its_own_slope(tmp_path):
    volume = np.abs(ct_values()).astype(np.uint16)

    def each(made, place):
        made.RescaleSlope, made.RescaleIntercept, made.Units = 0.5 * (place + 1), 0, "BQML"
        made.DecayCorrection, made.SeriesTime, made.PatientWeight = "START", "110000", 70
        drug = Dataset()
        drug.RadiopharmaceuticalStartTime, drug.RadionuclideTotalDose = "100000", 3.7e8
        drug.RadionuclideHalfLife, drug.Radiopharmaceutical = 6586.2, "Fluorodeoxyglucose"
        made.RadiopharmaceuticalInformationSequence = Sequence([drug])
        made.CorrectedImage = ["DECY", "ATTN"]

    write_series(tmp_path / "d", volume, each=each, sop_class="1.2.840.10008.5.1.4.1.1.128", modality="PT")
    cohort, text = imported(tmp_path / "d")
    scan = only(cohort, "pet_fdg")
    slopes = 0.5 * (np.arange(5) + 1)
    assert "tracer FDG" in text
    factor = 70_000 / (3.7e8 * 2 ** (-3600 / 6586.2))
    assert_allclose(scan.data, (volume * slopes[:, None, None]).transpose(2, 1, 0) * factor, rtol=1e-3)
    assert suv_factor(scan) == 1  # weight and dose are not kept


def test_padding_shows_nothing(tmp_path):
    volume = np.maximum(ct_values(), -899)
    volume[:, 0, 0] = -2000

    def each(made, place):
        made.PixelPaddingValue = -2000
        made["PixelPaddingValue"].VR = "SS"

    write_series(tmp_path / "d", volume, each=each, **CT)
    scan = only(imported(tmp_path / "d")[0])
    assert scan.data.min() == volume[volume > -2000].min()


def test_time_points_are_a_series_with_times(tmp_path):
    about = {**SPIN_T1, "ScanningSequence": "GR", "EchoTime": 2, "ContrastBolusAgent": "gadolinium"}
    truth = []
    for point in range(3):
        volume = np.abs(ct_values(seed=point))
        truth.append(volume)
        own = about | {"TemporalPositionIdentifier": point + 1, "AcquisitionTime": f"1015{10 * point:02d}.5"}
        write_series(tmp_path / "d", volume, about=own)
    cohort, text = imported(tmp_path / "d")
    scan = only(cohort, "dce")
    assert scan.data.shape == (7, 6, 5, 3)
    assert_array_equal(scan.data[..., 2], truth[2].transpose(2, 1, 0))
    assert_allclose(scan.times, [0, 10, 20])
    assert "3 time points, contrast agent" in text


def test_b_values_of_each_maker_are_read(tmp_path):
    def siemens(value):
        def each(made, place):
            made.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
            made.add_new(0x0019100C, "IS", value)

        return each

    for value in (0, 800):
        write_series(tmp_path / "d", np.abs(ct_values(seed=value)), about=T2, each=siemens(value))
    scan = only(imported(tmp_path / "d")[0], "dwi")
    assert_allclose(scan.b_values, [0, 800])


def test_frames_of_an_enhanced_file_are_sorted_and_rescaled_one_by_one(tmp_path):
    volume = np.abs(ct_values((6, 4, 5)))
    order = [4, 0, 2, 1, 5, 3]
    made = enhanced(volume, [(0.0, 0.0, 3.0 * place) for place in order], slopes=[0.5 + k for k in range(6)])
    (tmp_path / "d").mkdir()
    made.save_as(tmp_path / "d" / "one.dcm", enforce_file_format=True)
    cohort, _ = imported(tmp_path / "d", **_called("t1", made, tmp_path))
    scan = only(cohort, "t1")
    values = volume * (0.5 + np.arange(6))[:, None, None] - 1
    assert_allclose(scan.data, values[np.argsort(order)].transpose(2, 1, 0), rtol=1e-6)
    assert scan.geometry.spacing == pytest.approx((1.5, 2.0, 3.0))


def _called(name, made, folder):
    """Options by which a file is called by its description."""
    from scanweave.studies.layouts.names import Names

    made.SeriesDescription = "thing"
    for path in (folder / "d").iterdir():
        made.save_as(path, enforce_file_format=True)
    return {"names": Names({"thing": name})}


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"])
def test_transfer_syntaxes_give_the_same_voxels(tmp_path, syntax):
    volume = np.abs(ct_values((3, 32, 40)))
    for path, made in write_series(tmp_path / "d", volume, **CT):
        if syntax in (RLELossless, JPEG2000Lossless):
            made.compress(syntax, generate_instance_uid=False)
        elif str(syntax).endswith(".2.2"):
            made.PixelData = np.frombuffer(made.PixelData, "<i2").astype(">i2").tobytes()
            made.file_meta.TransferSyntaxUID = syntax
        else:
            made.file_meta.TransferSyntaxUID = syntax
        little = not str(syntax).endswith(".1.2.2")
        pydicom.dcmwrite(path, made, enforce_file_format=True, little_endian=little, implicit_vr=False)
    assert_array_equal(only(imported(tmp_path / "d")[0]).data, volume.transpose(2, 1, 0))


def test_a_syntax_that_nothing_decodes_is_named(tmp_path):
    for path, made in write_series(tmp_path / "d", np.abs(ct_values((3, 16, 16))), **CT):
        made.compress(RLELossless, generate_instance_uid=False)
        made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.106"  # MPEG, which is no file's of one plane
        made.save_as(path, enforce_file_format=True)
    lines = []
    with pytest.raises(ScanweaveError):
        import_dicom([tmp_path / "d"], tmp_path / "c", say=lines.append)
    assert any("which nothing that is installed decodes" in line for line in lines)


@pytest.mark.parametrize(
    ("about", "name"),
    [
        (SPIN_T1, "t1"),
        ({**SPIN_T1, "ContrastBolusAgent": "x"}, "t1c"),
        ({**SPIN_T1, "ContrastBolusAgent": "x", "SeriesDescription": "T1 pre"}, "t1"),
        ({**SPIN_T1, "ContrastBolusAgent": "NO"}, "t1"),
        ({**SPIN_T1, "SeriesDescription": "T1 post"}, "t1c"),
        (T2, "t2"),
        (FLAIR, "flair"),
        ({**T2, "EchoTime": 15}, "pd"),
        ({"ScanningSequence": "GR", "RepetitionTime": 2000, "EchoTime": 3, "InversionTime": 900}, "t1"),
        ({"ScanningSequence": "GR", "RepetitionTime": 600, "EchoTime": 20}, "t2s"),
        ({"ScanningSequence": "GR", "RepetitionTime": 28, "EchoTime": 20, "SeriesDescription": "SWI"}, "swi"),
        ({**T2, "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}, "adc"),
        ({"SeriesDescription": "ax flair"}, "flair"),
        ({**T2, "SeriesDescription": "t1"}, "t2"),
    ],
)
def test_what_is_called_what(tmp_path, about, name):
    write_series(tmp_path / "d", np.abs(ct_values()), about=about)
    cohort, text = imported(tmp_path / "d")
    assert cohort.names("scan") == [name]
    assert f"{cohort.studies[0]} {name} ← series 1: " in text


def test_of_images_of_one_name_the_acquired_and_larger_one_is_taken(tmp_path):
    write_series(
        tmp_path / "d",
        np.abs(ct_values((9, 6, 7))),
        about={**T2, "ImageType": ["DERIVED", "PRIMARY"]},
        who={"series": "3"},
    )
    write_series(tmp_path / "d", np.abs(ct_values((5, 6, 7))), about=T2, who={"series": "2"})
    write_series(tmp_path / "d", np.abs(ct_values((4, 6, 7))), about=T2, who={"series": "1"})
    cohort, text = imported(tmp_path / "d")
    assert only(cohort, "t2").geometry.shape[2] == 5
    assert text.count("another t2; that of series 2 is taken") == 2


def test_localisers_captures_and_other_objects_are_left_out(tmp_path):
    write_series(tmp_path / "d", np.abs(ct_values()), about=T2)
    write_series(
        tmp_path / "d",
        np.abs(ct_values()),
        about={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        who={"series": "2"},
    )
    write_series(tmp_path / "d", np.abs(ct_values()), who={"series": "3"}, sop_class=SecondaryCaptureImageStorage)
    (tmp_path / "d" / "note").write_text("no DICOM")
    cohort, text = imported(tmp_path / "d")
    assert cohort.names("scan") == ["t2"]
    assert "5 images: a localiser" in text
    assert "a secondary capture" in text


def tokens_below(folder):
    return [
        path for path in folder.rglob("*") if path.is_file() and (MARK.encode() in _content(path) or MARK in path.name)
    ]


def _content(path):
    import gzip

    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_nobody_is_named_but_in_the_private_file(tmp_path, capsys):
    for patient in ("1", "2"):
        for series, about in (("1", SPIN_T1), ("2", T2)):
            own = about | {"SeriesDescription": f"{MARK} {series}", "ProtocolName": MARK}
            write_series(
                tmp_path / "d" / MARK, np.abs(ct_values()), about=own, who={"patient": patient, "series": series}
            )
    assert main(["cohort", "import", str(tmp_path / "d"), "--out", str(tmp_path / "c")]) == 0
    told = capsys.readouterr()
    cohort = sw.Cohort.open(tmp_path / "c")
    assert all(re.fullmatch(r"P\d{7}", name) for name in cohort.patients)
    assert sorted(cohort.studies) == sorted(f"{name}-1" for name in cohort.patients)
    assert tokens_below(tmp_path / "c") == []
    assert MARK not in told.out + told.err
    private = tmp_path / "c.identities.json"
    assert MARK in private.read_text()
    if os.name == "posix":
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    several = json.loads(private.read_text())["studies"].values()
    held = next(one for one in several if one["identity"]["StudyInstanceUID"] == "1.2.3.1.1")
    assert held["scans"]["t2"]["series"] == "1.2.3.1.1.2"
    assert len(held["scans"]["t2"]["instances"]) == 5


def test_the_same_patient_keeps_his_name_when_more_come(tmp_path):
    for patient in ("7", "3"):
        write_series(tmp_path / patient, np.abs(ct_values()), about=T2, who={"patient": patient})
    who = tmp_path / "who.json"
    one = import_dicom([tmp_path / "7"], tmp_path / "one", identities=who, say=str)
    both = import_dicom([tmp_path / "3", tmp_path / "7"], tmp_path / "both", identities=who, say=str)
    assert len(both.patients) == 2
    assert set(one.patients) < set(both.patients)
    held = json.loads(who.read_text())["studies"][one.studies[0]]
    assert held["identity"]["PatientID"].endswith("7")


def test_pixels_that_show_the_patient_are_taken_only_with_his_identity(tmp_path):
    write_series(tmp_path / "d", np.abs(ct_values()), about={**T2, "BurnedInAnnotation": "YES"})
    with pytest.raises(ScanweaveError):
        imported(tmp_path / "d")
    cohort, _ = imported(tmp_path / "d", keep_identity=True)
    assert cohort.studies[0].startswith(f"{MARK}id1-20200101-")


def test_a_call_that_was_stopped_goes_on(tmp_path, monkeypatch):
    for patient in ("1", "2"):
        write_series(tmp_path / "d", np.abs(ct_values()), about=T2, who={"patient": patient})
    from scanweave.studies.dicom import importing

    write, done = importing.write_scan, []

    def once(path, scan):
        if done:
            raise KeyboardInterrupt
        done.append(path)
        return write(path, scan)

    monkeypatch.setattr(importing, "write_scan", once)
    with pytest.raises(KeyboardInterrupt):
        imported(tmp_path / "d")
    assert len(list((tmp_path / "c" / "studies").iterdir())) == 1
    monkeypatch.setattr(importing, "write_scan", lambda path, scan: (done.append(path), write(path, scan)))
    cohort, _ = imported(tmp_path / "d")
    assert [path.name for path in done[1:]] == [f"{cohort.studies[1]}_t2.nii.gz"]
    assert len(cohort) == 2


def test_a_zip_is_a_source_and_leads_nowhere_else(tmp_path):
    files = write_series(tmp_path / "d", np.abs(ct_values()), about=T2)
    with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for path, _ in files:
            packed.write(path, f"deep/{path.name}")
    cohort = import_cohort(tmp_path / "d.zip", tmp_path / "c", say=str)
    assert cohort.names("scan") == ["t2"]
    for name, size, words in (("../out", 9, "leads out"), ("/out", 9, "leads out"), ("bomb", 2**28 + 1, "far larger")):
        with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(name, bytes(size))
        with pytest.raises(ScanweaveError, match=words):
            unpack(tmp_path / "bad.zip", tmp_path)


def test_a_folder_of_series_is_recognised(tmp_path, capsys):
    write_series(tmp_path / "d", np.abs(ct_values()), about=T2)
    assert import_cohort(tmp_path / "d", tmp_path / "c", say=str).names("scan") == ["t2"]
    with pytest.raises(ScanweaveError, match="holds a cohort already"):
        import_cohort(tmp_path / "d", tmp_path / "c", say=str)
    with pytest.raises(ScanweaveError, match="are for DICOM"):
        import_cohort(tmp_path / "c" / "studies", tmp_path / "c2", keep_identity=True, say=str)


def segmented(files, mask, who=None):
    """Return a SEG of two structures that holds only the planes that show one."""
    made = identify(empty(SegmentationStorage), series="9", **(who or {}))
    made.Modality, made.ImageType, made.SegmentationType = "SEG", ["DERIVED", "PRIMARY"], "BINARY"
    made.SegmentSequence = Sequence([Dataset(), Dataset()])
    for number, one in enumerate(made.SegmentSequence, start=1):
        one.SegmentNumber, one.SegmentLabel = number, ("Liver", "Tumour 1")[number - 1]
    shared = Dataset()
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([Dataset()]), Sequence([Dataset()])
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = list(AXIAL)
    shared.PixelMeasuresSequence[0].PixelSpacing = [2.0, 1.5]
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    refers = Dataset()
    refers.SeriesInstanceUID = files[0][1].SeriesInstanceUID
    made.ReferencedSeriesSequence = Sequence([refers])
    frames, planes = [], []
    for number in (1, 2):
        for place in reversed(range(len(mask))):
            if (mask[place] == number).any():
                own = Dataset()
                own.SegmentIdentificationSequence, own.PlanePositionSequence = (
                    Sequence([Dataset()]),
                    Sequence([Dataset()]),
                )
                own.SegmentIdentificationSequence[0].ReferencedSegmentNumber = number
                own.PlanePositionSequence[0].ImagePositionPatient = files[place][1].ImagePositionPatient
                frames.append(own)
                planes.append(mask[place] == number)
    made.PerFrameFunctionalGroupsSequence, made.NumberOfFrames = Sequence(frames), len(frames)
    pixels_of(made, np.array(planes, np.uint16))
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit = 7
    made.PixelData = np.array(planes, np.uint8).tobytes()
    return made


def test_a_sparse_segmentation_lies_on_its_images(tmp_path):
    files = write_series(tmp_path / "d", ct_values(), **CT)
    mask = np.zeros((5, 6, 7), np.uint8)
    mask[0, 1:4, 2:5], mask[3, 2:4, 1:3], mask[4, 0, 6] = 1, 2, 1
    segmented(files, mask).save_as(tmp_path / "d" / "seg", enforce_file_format=True)
    cohort, _ = imported(tmp_path / "d")
    (study,) = list(cohort)
    assert_array_equal(study.masks["segmentation"].data, mask.transpose(2, 1, 0))
    assert cohort.about["structures"]["segmentation"] == {
        "liver": [1],
        "tumour_1": [2],
    }


def test_contours_are_filled_with_holes_on_oblong_pixels(tmp_path):
    volume = ct_values((5, 20, 30))
    files = write_series(tmp_path / "d", volume, **CT)
    made = identify(empty(RTStructureSetStorage), series="9")
    made.Modality = "RTSTRUCT"
    roi, named, refers = Dataset(), Dataset(), Dataset()
    named.ROINumber, named.ROIName, roi.ReferencedROINumber = 5, "GTV 1", 5
    refers.SeriesInstanceUID = files[0][1].SeriesInstanceUID
    made.StructureSetROISequence, made.RTReferencedSeriesSequence = Sequence([named]), Sequence([refers])
    contours = []
    for low, high in (((4, 3), (24, 15)), ((10, 6), (16, 11))):  # columns and rows, around pixel centres
        corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
        one = Dataset()
        one.ContourGeometricType, one.NumberOfContourPoints = "CLOSED_PLANAR", 4
        one.ContourData = [float(v) for x, y in corners for v in ((x - 0.5) * 1.5, (y - 0.5) * 2.0, 6.0)]
        contours.append(one)
    roi.ContourSequence = Sequence(contours)
    made.ROIContourSequence = Sequence([roi])
    made.save_as(tmp_path / "d" / "rt", enforce_file_format=True)
    cohort, _ = imported(tmp_path / "d")
    (study,) = list(cohort)
    truth = np.zeros((30, 20, 5), bool)
    truth[4:24, 3:15, 2] = True
    truth[10:16, 6:11, 2] = False
    assert_array_equal(study.masks["segmentation"].data > 0, truth)
    assert cohort.about["structures"]["segmentation"] == {"gtv_1": [1]}


def test_structures_that_overlap_or_share_a_name_are_all_kept(tmp_path):
    files = write_series(tmp_path / "d", ct_values(), **CT)
    small, large = np.zeros((5, 6, 7), np.uint8), np.zeros((5, 6, 7), np.uint8)
    small[2, 2:4, 2:4], large[1:4, 1:5, 1:6] = 1, 1
    made = segmented(files, small + 2 * 0)
    frames = list(made.PerFrameFunctionalGroupsSequence)
    planes = [small[2]]
    for place in (1, 2, 3):
        own = Dataset()
        own.SegmentIdentificationSequence, own.PlanePositionSequence = Sequence([Dataset()]), Sequence([Dataset()])
        own.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 2
        own.PlanePositionSequence[0].ImagePositionPatient = files[place][1].ImagePositionPatient
        frames.append(own)
        planes.append(large[place])
    made.PerFrameFunctionalGroupsSequence, made.NumberOfFrames = Sequence(frames), len(frames)
    made.PixelData = np.array(planes, np.uint8).tobytes()
    for one in made.SegmentSequence:
        one.SegmentLabel = f"Lesion {MARK} Hans"
    made.save_as(tmp_path / "d" / "seg", enforce_file_format=True)
    cohort, _ = imported(tmp_path / "d")
    (study,) = list(cohort)
    found = [np.asarray(study.masks[name].data) > 0 for name in ("segmentation", "segmentation_2")]
    assert_array_equal(found[0], small.transpose(2, 1, 0) > 0)
    assert_array_equal(found[1], large.transpose(2, 1, 0) > 0)
    assert cohort.about["structures"] == {"segmentation": {"lesion": [1]}, "segmentation_2": {"lesion": [2]}}
    assert tokens_below(tmp_path / "c") == []


def test_time_points_over_midnight_come_in_order(tmp_path):
    about = {**SPIN_T1, "ScanningSequence": "GR", "EchoTime": 2, "ContrastBolusAgent": "gadolinium"}
    clocks = ["235940", "235950", "000000", "000010"]
    for point in np.random.default_rng(1).permutation(4):
        volume = np.full((5, 6, 7), 100 + point, np.int16)
        write_series(tmp_path / "d", volume, about=about | {"AcquisitionTime": clocks[point]})
    scan = only(imported(tmp_path / "d")[0], "dce")
    assert scan.data[0, 0, 0].tolist() == [100, 101, 102, 103]
    assert_allclose(scan.times, [0, 10, 20, 30])


def test_times_that_are_not_told_are_not_made_up(tmp_path):
    about = {**SPIN_T1, "ScanningSequence": "GR", "EchoTime": 2, "ContrastBolusAgent": "gadolinium"}
    for point in range(3):
        write_series(tmp_path / "d", np.abs(ct_values(seed=point)), about=about | {"TemporalPositionIdentifier": point})
    assert only(imported(tmp_path / "d")[0], "dce").times is None


@pytest.mark.parametrize(
    "about",
    [
        {"SeriesDescription": "TOF_3D_multi-slab"},
        {"AngioFlag": "Y"},
        {"SequenceName": "fi3d1r_tof"},
        {"SequenceVariant": ["SK", "SS"]},
        {"SeriesDescription": "gre_field_mapping"},
    ],
)
def test_vessels_and_fields_are_no_t1_and_push_none_aside(tmp_path, about):
    gradient = {"ScanningSequence": "GR", "RepetitionTime": 21, "EchoTime": 3.4}
    write_series(tmp_path / "d", np.abs(ct_values((9, 6, 7))), about=gradient | about)
    write_series(tmp_path / "d", np.abs(ct_values((4, 6, 7))), about=SPIN_T1, who={"series": "2"})
    assert only(imported(tmp_path / "d")[0], "t1").geometry.shape[2] == 4


def test_a_series_in_two_folders_is_one_volume(tmp_path):
    for path, _ in write_series(tmp_path / "d", np.abs(ct_values((6, 6, 7))), about=T2)[:3]:
        (tmp_path / "e").mkdir(exist_ok=True)
        path.rename(tmp_path / "e" / path.name)
    cohort = import_dicom([tmp_path / "d", tmp_path / "e"], tmp_path / "c", say=str)
    assert only(cohort, "t2").geometry.shape[2] == 6


def films(folder, views):
    """Write mammograms of one series, with a view and a side each."""
    folder.mkdir()
    for number, (side, view) in enumerate(views):
        made = identify(empty("1.2.840.10008.5.1.4.1.1.1.2"))
        made.Modality, made.ViewPosition, made.ImageLaterality = "MG", view, side
        made.ImageType, made.InstanceNumber = ["ORIGINAL", "PRIMARY"], number + 1
        pixels_of(made, np.full((8, 6), 10 + number, np.uint16))
        made.save_as(folder / str(number), enforce_file_format=True)


def test_every_film_of_a_series_is_taken(tmp_path):
    films(tmp_path / "d", [("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO")])
    cohort = import_cohort(tmp_path / "d", tmp_path / "c", layout="dicom", say=str)
    assert sorted(cohort.names("scan")) == ["l_cc", "l_mlo", "r_cc", "r_mlo"]
    (study,) = list(cohort)
    assert study.scans["l_mlo"].data.max() == 12


def test_a_view_is_no_path(tmp_path):
    films(tmp_path / "d", [("L", "X/../../../../EVIL")])
    cohort = import_cohort(tmp_path / "d", tmp_path / "c", layout="dicom", say=str)
    assert cohort.names("scan") == ["film"]
    assert not list(tmp_path.parent.rglob("*evil*"))


def test_one_plane_that_shows_the_patient_keeps_its_series_out(tmp_path):
    def each(made, place):
        made.BurnedInAnnotation = "YES" if place == 3 else "NO"

    write_series(tmp_path / "d", np.abs(ct_values()), about=T2, each=each)
    with pytest.raises(ScanweaveError, match="no image of it is taken in"):
        imported(tmp_path / "d")
    assert not (tmp_path / "c").exists()


def test_background_of_mr_is_background(tmp_path):
    volume = np.abs(ct_values()) + 200
    volume[:, 0, 0] = 0
    write_series(tmp_path / "d", volume, about={**T2, "PixelPaddingValue": 0}, each=lambda made, place: None)
    assert only(imported(tmp_path / "d")[0], "t2").data.min() == 0


def test_people_with_no_number_of_their_own_are_not_one(tmp_path):
    def each(made, place):
        made.PatientID = "ANON"

    for patient, name in (("1", "A"), ("2", "B")):
        about = {**T2, "PatientName": name}
        write_series(tmp_path / "d", np.abs(ct_values()), about=about, each=each, who={"patient": patient})
    assert len(imported(tmp_path / "d")[0].patients) == 2


def test_two_studies_of_a_day_keep_apart_with_identity(tmp_path):
    for study in ("1", "2"):
        write_series(tmp_path / "d", np.abs(ct_values()), about=T2, who={"study": study})
    cohort, _ = imported(tmp_path / "d", keep_identity=True)
    assert sorted(cohort.studies) == [f"{MARK}id1-20200101-{number}" for number in (1, 2)]
    assert len(cohort.patients) == 1


def test_the_private_file_lies_elsewhere_and_is_whole(tmp_path):
    write_series(tmp_path / "d", np.abs(ct_values()), about=T2)
    with pytest.raises(ScanweaveError, match="lies in the cohort"):
        import_dicom([tmp_path / "d"], tmp_path / "c", identities=tmp_path / "c" / "who.json", say=str)
    (tmp_path / "who.json").write_text('{"people": {"P1": 3}}')
    with pytest.raises(ScanweaveError, match="is no file of identities"):
        import_dicom([tmp_path / "d"], tmp_path / "c", identities=tmp_path / "who.json", say=str)


def test_damaged_zips_end_in_one_line(tmp_path, capsys):
    files = write_series(tmp_path / "d", np.zeros((3, 64, 64), np.int16), about=T2)
    with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for path, _ in files:
            packed.write(path, path.name)
    whole = (tmp_path / "d.zip").read_bytes()
    for number, (start, stop) in enumerate(((60, 140), (len(whole) - 80, len(whole) - 40), (200, 201))):
        damaged = bytearray(whole)
        damaged[start:stop] = bytes(255 - one for one in damaged[start:stop])
        (tmp_path / "x.zip").write_bytes(damaged)
        status = main(["cohort", "import", str(tmp_path / "x.zip"), "--out", str(tmp_path / f"c{number}")])
        told = capsys.readouterr().err
        assert status in (0, 2)
        assert len(told.splitlines()) <= 1
        assert "Traceback" not in told


KINDS = [
    "Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "SamplesPerPixel", "PixelSpacing",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelData", "RescaleSlope", "RescaleIntercept", "ImageType",
    "Modality", "SeriesInstanceUID", "StudyInstanceUID", "SOPInstanceUID", "SOPClassUID", "InstanceNumber",
    "PhotometricInterpretation", "NumberOfFrames", "AcquisitionTime", "EchoTime", "RepetitionTime", "PatientID",
    "SeriesNumber",
]  # fmt: skip
ODD = {"US": b"\xff\xff", "IS": b"9" * 12, "DS": b"nan ", "UI": b"x" * 64, "CS": b"\xff" * 8}


@pytest.mark.parametrize("keyword", KINDS)
def test_damaged_files_end_in_one_line(tmp_path, keyword, capsys):
    """Eight damages of each of 26 elements: absent, empty, of another kind, odd, cut, and the file cut near it."""
    rng = np.random.default_rng(KINDS.index(keyword))
    for number in range(8):
        folder = tmp_path / str(number)
        about = {**T2, "RescaleSlope": 1, "RescaleIntercept": 0, "AcquisitionTime": "101500", "NumberOfFrames": 1}
        files = write_series(folder, np.abs(ct_values()), about=about)
        for path, made in files if number < 4 else files[2:3]:
            raw = bytearray(path.read_bytes())
            tag = pydicom.datadict.tag_for_keyword(keyword)
            place = raw.find(struct.pack("<HH", tag >> 16, tag & 0xFFFF), 132)
            vr = made[keyword].VR
            if number == 0:
                del made[keyword]
                made.save_as(path, enforce_file_format=True)
                continue
            if number == 1:
                raw[place + 4 : place + 6] = b"UN" if vr != "OW" else b"US"
            elif number == 2:
                raw[place + 6 : place + 8] = b"\xff\x7f"
            elif number == 3:
                odd = ODD.get(vr, b"\xfe\xff\xdd\xe0")
                raw[place + 8 : place + 8 + len(odd)] = odd
            elif number == 4:
                raw = raw[: place + 3]
            elif number == 5:
                raw = raw[: place + 9]
            elif number == 6:
                raw[place : place + 8] = rng.bytes(8)
            else:
                raw[place + 8 : place + 16] = rng.bytes(8)
            path.write_bytes(bytes(raw))
        status = main(["cohort", "import", str(folder), "--layout", "dicom", "--out", str(tmp_path / f"c{number}")])
        told = capsys.readouterr()
        assert status in (0, 2)
        assert "Traceback" not in told.err
        assert len(told.err.splitlines()) <= 1


@pytest.mark.real
def test_a_real_study_is_named_by_its_tags_and_lies_where_simpleitk_puts_it(real_data, tmp_path):
    itk = pytest.importorskip("SimpleITK")
    cohort, _ = imported_from(real_data / "dicom" / "gbm_3", tmp_path)
    assert sorted(cohort.names("scan")) == ["flair", "t1", "t1c", "t2"]
    (study,) = list(cohort)
    reader = itk.ImageSeriesReader()
    folder = str(real_data / "dicom" / "gbm_3" / "11-T1post-18670")
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    theirs = reader.Execute()
    assert_array_equal(study.scans["t1c"].data, itk.GetArrayFromImage(theirs).T)
    for place in ((0, 0, 0), (17, 30, 21)):
        lps = theirs.TransformIndexToPhysicalPoint(place)
        assert_allclose(at(study.scans["t1c"], np.array(place)), np.array(lps) * [-1, -1, 1], atol=1e-3)


@pytest.mark.real
def test_real_jpeg_2000_and_enhanced_files_are_read(real_data, tmp_path):
    cohort, _ = imported_from(real_data / "dicom" / "ct_j2k", tmp_path)
    assert only(cohort).data.shape == (512, 512, 20)
    assert only(cohort).data.min() < -900
    other, text = imported_from(real_data / "dicom" / "enhanced_mr", tmp_path / "e")
    assert other.names("scan") == ["bold"]
    assert "shows vessels, a field or a scout" in text


def imported_from(source, folder):
    lines = []
    return import_dicom([source], folder / "c", say=lines.append), "\n".join(lines)
