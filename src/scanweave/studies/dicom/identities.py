"""Identities: the one private file that leads from a cohort's names back to patients, kept apart from the cohort.

By default nothing that an import writes tells who a patient is (DICOM PS3.15 annex E, basic profile: the cohort holds
voxels, their grid, and names drawn here; no tag is carried over). What is needed to file a derived object where its
sources lie stands in this file alone, which its owner alone may read.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, read_json

STEP = "Name another file by --identities, or restore this one"


class Identities:
    """The file of identities of one or more cohorts.

    Args:
        path: The file; need not exist.

    Raises:
        ScanweaveError: It is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        held = read_json(path, STEP) if path.is_file() else {"patients": {}, "studies": {}}
        if not isinstance(held, dict) or not all(isinstance(held.get(name), dict) for name in ("patients", "studies")):
            raise ScanweaveError(path, "is no file of identities", STEP)
        self.patients: dict[str, dict[str, str]] = held["patients"]
        self.studies: dict[str, dict[str, Any]] = held["studies"]
        self.uids: dict[str, str] = dict(held.get("uids", {}))
        self.salt: str = held.get("salt") or secrets.token_hex(32)

    def patient(self, identity: Mapping[str, str]) -> str:
        """Return the name of a patient, drawn when he is first seen; the same identity has the same name."""
        key = [identity.get("PatientID", ""), identity.get("IssuerOfPatientID", "")]
        if not key[0]:
            key.append(identity.get("PatientName", "") + identity.get("PatientBirthDate", ""))
        for name, known in self.patients.items():
            if known["key"] == json.dumps(key):
                return name
        name = f"P{len(self.patients) + 1:04d}"
        self.patients[name] = {"key": json.dumps(key)}
        return name

    def study(self, patient: str, identity: Mapping[str, str]) -> str:
        """Return the name of a study of a patient, such as P0001-2; the same study has the same name."""
        uid = identity.get("StudyInstanceUID", "")
        own = {name: held for name, held in self.studies.items() if held["patient"] == patient}
        for name, held in own.items():
            if uid and held["identity"].get("StudyInstanceUID") == uid:
                return name
        name = f"{patient}-{len(own) + 1}"
        self.studies[name] = {"patient": patient, "identity": dict(identity), "scans": {}}
        return name

    def note_scan(self, study: str, scan: str, about: Mapping[str, Any]) -> None:
        """Note of a scan its `series`, `sop_class`, `frame_of_reference` and `instances`, these in order of place."""
        self.studies[study]["scans"][scan] = dict(about)

    def drawn(self, uid: str) -> str:
        """Return the UID that objects carry in place of a real one; the same one each time, and noted."""
        number = int.from_bytes(hashlib.sha256(f"{self.salt}{uid}".encode()).digest()[:16], "big")
        made = f"2.25.{number}"
        self.uids[made] = uid
        return made

    def save(self) -> None:
        """Write the file, for its owner alone."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path, private=True) as temporary:
            held = {"patients": self.patients, "studies": self.studies}
            content = {**held, "uids": self.uids, "salt": self.salt}
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
