"""Tokens of patients are looked for in all that is written: 50 studies, more than 60 tokens each, every verb."""

import gzip
import re
import zlib

import numpy as np
import pytest

import scanweave as sw
from scanweave.cli.main import main

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")
from dicom_series import write_series  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402

STUDIES = 50
_NAMES = """
    PatientID PatientName OtherPatientNames PatientBirthName PatientMotherBirthName PatientAddress PatientComments
    AdditionalPatientHistory MilitaryRank BranchOfService CountryOfResidence RegionOfResidence PatientTelephoneNumbers
    Occupation MedicalRecordLocator PatientReligiousPreference ReferringPhysicianName ReferringPhysicianAddress
    ReferringPhysicianTelephoneNumbers PhysiciansOfRecord PerformingPhysicianName NameOfPhysiciansReadingStudy
    OperatorsName InstitutionName InstitutionAddress InstitutionalDepartmentName StationName StudyID AccessionNumber
    StudyDescription SeriesDescription ProtocolName DeviceSerialNumber ImageComments RequestedProcedureDescription
    PerformedProcedureStepDescription PerformedProcedureStepID RequestingPhysician RequestingService
    AdmittingDiagnosesDescription Allergies MedicalAlerts ContrastBolusAgent DerivationDescription AcquisitionComments
    StudyComments CurrentPatientLocation PatientInstitutionResidence IssuerOfPatientID
    FillerOrderNumberImagingServiceRequest PlacerOrderNumberImagingServiceRequest TextComments SpecialNeeds
    PatientState VisitComments
"""
TEXTS = _NAMES.split()
UIDS = ["StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID", "InstanceCreatorUID"]
DATES = ["PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate", "LastMenstrualDate", "AdmittingDate"]
KINDS = {
    "t1": {"ScanningSequence": "SE", "RepetitionTime": 500, "EchoTime": 12},
    "t2": {"ScanningSequence": "SE", "RepetitionTime": 4000, "EchoTime": 90},
}


def planted(number):
    """The tokens of a study, by element: none of them is the beginning of another."""
    texts = {name: f"Q{number:02d}Z{place:02d}W" for place, name in enumerate(TEXTS)}
    uids = {name: f"1.2.826.77{number:02d}.{place + 1}7.91" for place, name in enumerate(UIDS)}
    day = f"{1 + number % 12:02d}{11 + number % 17:02d}"
    dates = {name: f"{1801 + place * 10 + number // 25}{day}" for place, name in enumerate(DATES)}
    return {**texts, **uids, **dates}


def write_study(folder, number):
    tokens = planted(number)
    rng = np.random.default_rng(number)
    for kind, about in KINDS.items():

        def each(made, place, kind=kind):
            for name, token in tokens.items():
                ending = {"SeriesInstanceUID": f".{len(kind)}{kind[-1]}", "SOPInstanceUID": f".{kind[-1]}.{place}"}
                value = (
                    token + ending.get(name, "")
                    if name in UIDS
                    else f"{token}^{token}"
                    if name.endswith("Name")
                    else token
                )
                setattr(made, name, value)
            made.ContrastBolusAgent = "NONE"
            held = Dataset()
            held.PersonName, held.PersonTelephoneNumbers = tokens["PatientName"], tokens["PatientTelephoneNumbers"]
            made.PersonIdentificationCodeSequence = Sequence([held])
            block = made.private_block(0x0011, "ACME", create=True)
            block.add_new(0x01, "LO", tokens["PatientName"])
            made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID

        grid = np.indices((16, 20, 18)) - np.array([8, 10, 9])[:, None, None, None]
        far = np.sqrt((grid**2).sum(axis=0)) + rng.normal(0, 0.3, (16, 20, 18))
        volume = np.where(far < 7, 900 - 60 * far + 10 * number, 0).astype(np.int16)
        write_series(folder / str(number), volume, about=about, each=each, spacing=(8.0, 8.0), step=(0, 0, 8.0))
    return tokens


def held(path):
    """The bytes of a file, unpacked where it is packed."""
    whole = path.read_bytes()
    try:
        return whole + gzip.decompress(whole)
    except (OSError, EOFError, zlib.error):
        return whole


SHAPES = re.compile(rb"Q\d\dZ\d\dW|1\.2\.826\.77\d\d\.|(?<!\d)18\d{6}(?!\d)")
"""Shapes of the tokens; a date not as part of a drawn UID, whose digits are chance."""


def told_in(content, tokens):
    """The planted words that stand in bytes."""
    return {one.decode() for one in SHAPES.findall(content) if not one.isdigit() or one.decode() in tokens}


def test_no_planted_word_is_found_anywhere_but_in_the_private_file(tmp_path, capsys, monkeypatch):
    tokens = [token for number in range(STUDIES) for token in write_study(tmp_path / "d", number).values()]
    assert len(tokens) >= 60 * STUDIES
    assert len(set(tokens)) > 0.99 * len(tokens)
    monkeypatch.chdir(tmp_path)
    who = "c.identities.json"
    assert main(["cohort", "import", "d", "--out", "c"]) == 0
    some = sw.Cohort.open("c").studies[:3]
    assert main(["cohort", "check", "c"]) in (0, 1)
    assert (
        main(["predict", "builtin:brain", "--cohort", "c", "--targets", "flair", "--out", "made", "--dicom", who]) == 0
    )
    assert main(["explain", "builtin:brain", "--cohort", "c", "--studies", *some, "--out", "why", "--dicom", who]) == 0
    assert main(["evaluate", "builtin:brain", "--cohort", "c", "--studies", *some, "--out", "good"]) == 0
    page = ["report", "builtin:brain", "--results", "why", "good", "--out", "page.html"]
    assert main(page) == 0
    said = capsys.readouterr()
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "d" not in path.relative_to(tmp_path).parts]
    assert len([path for path in written if path.suffix == ".dcm"]) > STUDIES
    everything = [(path.name, held(path)) for path in written if path.name != who]
    everything += [("names", "\n".join(map(str, written)).encode()), ("said", (said.out + said.err).encode())]
    found = {name: words for name, content in everything if (words := told_in(content, set(tokens)))}
    assert found == {}
    assert all(SHAPES.match(token.encode()) for token in tokens)
    private = (tmp_path / who).read_text()
    assert all(planted(number)["PatientID"] in private for number in range(STUDIES))
