"""Objects returned to the archive of their sources, under the names and UIDs that they have there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.files import read_json, write_json
from scanweave.studies.dicom.headers import IDENTITY
from scanweave.studies.dicom.identities import Identities, OriginalStudy, open_identities
from scanweave.studies.dicom.reading import dicom_faults, text_of
from scanweave.studies.dicom.web import Access, Server, checked_address

PUSHED = "pushed.json"
"""File in the folder that tells which objects a server has, so that the same call goes on."""
BATCH = 32
"""Objects of a request."""
Say = Callable[[str], None]


def push(
    folder: str | Path,
    url: str,
    identities: str | Path,
    *,
    access: Access | None = None,
    say: Say = print,
) -> int:
    """Store the DICOM objects below a folder on a server, as belonging to the patients that their sources are of.

    Args:
        folder: What `predict --dicom` wrote.
        url: Of the server, such as https://host/dicom-web.
        identities: The private file of the import.
        access: How the server is reached.
        say: Takes lines: progress, and how many were stored before.

    Returns:
        How many objects were stored now.

    Raises:
        ScanweaveError: There is none, an object is of no study of the file, or the server refuses or does not answer.
    """
    folder, known, url = Path(folder), open_identities(identities), checked_address(url)
    paths = sorted(folder.rglob("*.dcm"))
    if not paths:
        raise ScanweaveError(
            folder, "holds no DICOM object", "Make some: scanweave predict … --dicom, or explain … --dicom"
        )
    for path in paths:
        _held(path, known)  # all are looked at before the first is sent
    record = folder / PUSHED
    done: dict[str, list[str]] = read_json(record, "Remove it: objects are then sent again") if record.is_file() else {}
    there = set(done.get(url, ()))
    waiting = [path for path in paths if str(path.relative_to(folder)) not in there]
    if len(waiting) < len(paths):
        say(f"{len(paths) - len(waiting)} of {len(paths)} objects were stored by an earlier call")
    server = Server(url, access)
    for first in range(0, len(waiting), BATCH):
        some = {str(path.relative_to(folder)): restored(path, known) for path in waiting[first : first + BATCH]}
        refused = server.store(list(some.values()))
        there |= {name for name, one in some.items() if str(one.SOPInstanceUID) not in refused}
        write_json(record, done | {url: sorted(there)})
        if refused:
            reason = f"refused {len(refused)} of {len(some)} objects; {len(there)} of {len(paths)} are stored"
            raise ScanweaveError(url, reason, "Look into its log, and call again: what is stored is not sent twice")
        say(f"{len(there)} of {len(paths)} objects stored")
    return len(waiting)


def _held(path: Path, known: Identities) -> OriginalStudy:
    """Return who an object is of.

    Raises:
        ScanweaveError: The file of identities does not know.
    """
    with dicom_faults(path) as pydicom:
        data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID", "PatientID"])
        real, patient = known.uids.get(text_of(data, "StudyInstanceUID")), text_of(data, "PatientID")
    for held in known.studies.values():  # two patients may have one UID: both have to fit
        if real is not None and held.patient == patient and held.identity.get("StudyInstanceUID") == real:
            return held
    reason = f"is of no study of {known.path.name}, so nobody can say whose it is"
    raise ScanweaveError(path, reason, "Name the file of identities of its import by --identities")


def restored(path: Path, known: Identities) -> Any:
    """Return an object with the patient, the study and the UIDs of its sources in place of drawn ones.

    Args:
        path: The object.
        known: The private file.

    Raises:
        ScanweaveError: It is of no study that the file knows.
    """
    held = _held(path, known)
    with dicom_faults(path) as pydicom:
        data = pydicom.dcmread(path)
        for element in data.iterall():
            if element.VR == "UI":
                several = element.value if element.VM > 1 else [element.value]
                values = [known.uids.get(str(value), value) for value in several]
                element.value = values if element.VM > 1 else values[0]
        for name in IDENTITY:
            if name in held.identity or name in data:
                setattr(data, name, held.identity.get(name, ""))
        return data
