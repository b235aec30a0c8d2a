"""`scanweave push`: objects back into the archive that their sources came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from scanweave.errors import ScanweaveError


@dataclass
class Push:
    """Store what predict --dicom wrote on a DICOMweb server, under the patients and studies of the sources."""

    folder: Annotated[Positional[Path], arg(metavar="DIR")]
    """Folder of the predictions."""
    to: str
    """Address of the server, such as https://pacs/dicom-web."""
    identities: Path
    """Private file of the import, such as COHORT.identities.json."""
    header: Annotated[tuple[str, ...], arg(metavar="NAME=FILE …", help_behavior_hint="")] = ()
    """Headers of each request, each from a file, so that no secret stands in a command: Authorization=token.txt."""
    certificate: Path | None = None
    """File of the authority that signed the server's certificate; those of the system if not given."""
    timeout: float = 60.0
    """Seconds that an answer may take."""

    def run(self) -> int:
        """Store, and say how many objects went."""
        from scanweave.studies.dicom.pushing import push
        from scanweave.studies.dicom.web import Access

        access = Access(headers_of(self.header), self.certificate, self.timeout)
        print(f"stored {push(self.folder, self.to, self.identities, access=access)} objects")
        return 0


def headers_of(told: tuple[str, ...]) -> dict[str, str]:
    """Return headers by name, each from the file that is named.

    Raises:
        ScanweaveError: One is not NAME=FILE, or the file is absent.
    """
    made = {}
    for one in told:
        name, _, file = one.partition("=")
        if not name or not file or not Path(file).is_file():
            raise ScanweaveError("--header", f"'{one}' is not NAME=FILE with a file that is there", "Write it so")
        made[name] = Path(file).read_text(encoding="utf-8").strip()
    return made


COMMAND = Push
