"""Identities: the one private file that leads from a cohort's names back to patients, kept apart from the cohort.

By default nothing that an import writes tells who a patient is (DICOM PS3.15 annex E, basic profile: the cohort holds
voxels, their grid, and names drawn here; no tag is carried over). What is needed to file a derived object where its
sources lie stands in this file alone, which its owner alone may read. Names are drawn by chance, so that those of one
file are not those of another, and objects are never filed under somebody of the wrong file.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, read_json
from scanweave.locks import hold
from scanweave.studies.cohort import safe_id

STEP = "Name that of the import, such as COHORT.identities.json, or restore it"
DIGITS = 7
"""Of a drawn name."""
NOBODY = {"", "0", "anon", "anonymous", "anonymized", "anonymised", "unknown", "none", "noid", "patient", "test"}
"""Numbers of patients that are no one's."""


class OriginalScan(BaseModel):
    """Say what a derived object has to know of a scan's sources.

    Attributes:
        series: SeriesInstanceUID.
        sop_class: Of its instances.
        frame_of_reference: UID of its space; empty: not told.
        instances: SOPInstanceUIDs, in order of place.
        frames: Number of the frame of each plane, from 1, of a file of many frames.
        affine: Of its grid, voxel → RAS [mm]; none: a film.
        shape: Voxels `(X, Y, Z)`.
        unit: Of a PET; empty: not told, or none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    series: str
    sop_class: str = ""
    frame_of_reference: str = ""
    instances: tuple[str, ...] = ()
    frames: tuple[int, ...] = ()
    affine: tuple[tuple[float, ...], ...] = ()
    shape: tuple[int, ...] = ()
    unit: str = ""


class OriginalStudy(BaseModel):
    """Say who a study is of.

    Attributes:
        person: Drawn name of the patient.
        patient: The name that the cohort has for him.
        identity: Elements of patient and study, by keyword.
        scans: By name.
    """

    model_config = ConfigDict(extra="forbid")

    person: str
    patient: str
    identity: dict[str, str]
    scans: dict[str, OriginalScan] = Field(default_factory=dict)


class Held(BaseModel):
    """The contents of the file."""

    model_config = ConfigDict(extra="forbid")

    people: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """What tells a patient from others, by drawn name."""
    studies: dict[str, OriginalStudy] = Field(default_factory=dict)
    uids: dict[str, str] = Field(default_factory=dict)
    """Real UIDs by the drawn ones that objects carry."""
    salt: str = Field(default_factory=lambda: secrets.token_hex(32))


class Identities:
    """The file of identities of one or more cohorts.

    Args:
        path: The file; need not exist.

    Attributes:
        studies: Who each study is of, by its name.
        uids: Real UIDs by drawn ones.

    Raises:
        ScanweaveError: It is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read()

    def _read(self) -> None:
        path = self.path
        try:
            self._held = Held.model_validate(read_json(path, STEP)) if path.is_file() else Held()
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"])) or "content"
            raise ScanweaveError(path, f"is no file of identities ({where}: {fault['msg']})", STEP) from error
        self.studies, self.uids = self._held.studies, self._held.uids

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the file for this process, as it is now: two that write would lose the names of one.

        Raises:
            ScanweaveError: Another process has it, or it is damaged.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(f".{self.path.name}.lock")
        lock.touch(mode=0o600)
        holder = hold(lock)
        if holder is None and sys.platform != "win32":
            raise ScanweaveError(self.path, "is in use by another import or prediction", "Wait until that has ended")
        try:
            self._read()
            yield
        finally:
            if holder is not None:
                os.close(holder)

    def patient(self, identity: Mapping[str, str]) -> str:
        """Return the name of a patient, drawn when he is first seen.

        The same number, issuer and birth date are the same patient; where the number is no one's, as ANON, his name
        counts too.
        """
        number = identity.get("PatientID", "").strip()
        key: tuple[str, ...] = (number, identity.get("IssuerOfPatientID", ""), identity.get("PatientBirthDate", ""))
        key += (identity.get("PatientName", ""),) if number.lower() in NOBODY else ()
        for name, known in self._held.people.items():
            if known == key:
                return name
        name = self._new()
        self._held.people[name] = key
        return name

    def _new(self) -> str:
        while True:
            name = f"P{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
            if name not in self._held.people:
                return name

    def study(self, person: str, identity: Mapping[str, str], *, keep_identity: bool = False) -> str:
        """Return the name of a study of a patient, such as P0481526-2; the same study has the same name.

        Args:
            person: Drawn name of the patient.
            identity: Elements of patient and study.
            keep_identity: Whether the study is named by the patient's own number, and its date.
        """
        uid = identity.get("StudyInstanceUID", "")
        own = {name: held for name, held in self.studies.items() if held.person == person}
        patient = safe_id(identity["PatientID"]) if keep_identity and identity.get("PatientID") else person
        for name, held in own.items():
            if uid and held.patient == patient and held.identity.get("StudyInstanceUID") == uid:
                return name
        first = f"{patient}-{identity['StudyDate']}" if keep_identity and identity.get("StudyDate") else patient
        number = len(own) + 1
        while (name := f"{safe_id(first)}-{number}") in self.studies:
            number += 1
        self.studies[name] = OriginalStudy(person=person, patient=patient, identity=dict(identity))
        return name

    def note_scan(self, study: str, scan: str, about: OriginalScan) -> None:
        """Note what a scan of a study was made of."""
        self.studies[study].scans[scan] = about

    def drawn(self, uid: str) -> str:
        """Return the UID that objects carry in place of a real one; the same one each time, and noted."""
        number = int.from_bytes(hashlib.sha256(f"{self._held.salt}{uid}".encode()).digest()[:16], "big")
        made = f"2.25.{number}"
        self.uids[made] = uid
        return made

    def save(self) -> None:
        """Write the file, for its owner alone."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path, private=True) as temporary:
            content = self._held.model_dump(mode="json")
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def open_identities(path: str | Path) -> Identities:
    """Return a file of identities that is there.

    Raises:
        ScanweaveError: It is not there, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise ScanweaveError(path, "there is no such file of identities", STEP)
    return Identities(path)
