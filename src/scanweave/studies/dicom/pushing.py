"""Objects returned to the archive of their sources, under the names and UIDs that they have there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.files import write_json
from scanweave.studies.dicom.headers import IDENTITY
from scanweave.studies.dicom.identities import Identities
from scanweave.studies.dicom.reading import dicom_faults, text_of
from scanweave.studies.dicom.web import Access, Server

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
    folder, known = Path(folder), Identities(Path(identities))
    paths = sorted(folder.rglob("*.dcm"))
    if not paths:
        raise ScanweaveError(folder, "holds no DICOM object", "Make some: scanweave predict … --dicom")
    made = [(path, restored(path, known)) for path in paths]  # all are looked at before the first is sent
    record = folder / PUSHED
    done: dict[str, str] = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    waiting = [(path, one) for path, one in made if done.get(one.SOPInstanceUID) != url]
    if len(waiting) < len(made):
        say(f"{len(made) - len(waiting)} of {len(made)} objects were stored by an earlier call")
    server = Server(url, access)
    for some in _batches(waiting):
        server.store([one for _, one in some])
        done |= {str(one.SOPInstanceUID): url for _, one in some}
        write_json(record, done)
        say(f"{len(done)} of {len(made)} objects stored")
    return len(waiting)


def _batches(waiting: list[tuple[Path, Any]]) -> Iterator[list[tuple[Path, Any]]]:
    for first in range(0, len(waiting), BATCH):
        yield waiting[first : first + BATCH]


def restored(path: Path, known: Identities) -> Any:
    """Return an object with the patient, the study and the UIDs of its sources in place of drawn ones.

    Args:
        path: The object.
        known: The private file.

    Raises:
        ScanweaveError: It is of no study that the file knows.
    """
    with dicom_faults(path) as pydicom:
        data = pydicom.dcmread(path)
        real = known.uids.get(text_of(data, "StudyInstanceUID"))
        held = next((one for one in known.studies.values() if _is_of(one, real)), None)
        if real is None or held is None:
            reason = f"is of no study of {known.path.name}, so nobody can say whose it is"
            raise ScanweaveError(path, reason, "Name the file of identities of its import by --identities")
        for element in data.iterall():
            if element.VR == "UI":
                several = element.value if element.VM > 1 else [element.value]
                values = [known.uids.get(str(value), value) for value in several]
                element.value = values if element.VM > 1 else values[0]
        for name in IDENTITY:
            if name in held["identity"]:
                setattr(data, name, held["identity"][name])
        return data


def _is_of(held: Any, study: str | None) -> bool:
    return study is not None and held["identity"].get("StudyInstanceUID") == study
