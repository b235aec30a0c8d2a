"""The option `--dicom` of `predict` and `explain`: what they made as DICOM objects too."""

from __future__ import annotations

import sys
from pathlib import Path

from scanweave.wording import count


def check_objects(identities: Path, *, there: bool = True) -> None:
    """Refuse what would be found out after the work only.

    Args:
        identities: The private file of the import.
        there: Whether it must be there already.

    Raises:
        ScanweaveError: highdicom is not installed, or the private file is not there.
    """
    from scanweave.external import require
    from scanweave.studies.dicom.identities import open_identities
    from scanweave.studies.dicom.object_parts import GROUP

    require("highdicom", GROUP)
    if there:
        open_identities(identities)


def say_objects(folder: Path, identities: Path, *, maps: bool = False) -> None:
    """Write predictions, or maps, as DICOM objects, and say what comes next.

    Args:
        folder: That was written.
        identities: The private file of the import.
        maps: Whether it holds maps.
    """
    from scanweave.studies.dicom.objects import write_maps, write_objects

    write = write_maps if maps else write_objects
    counts = write(folder, identities, lambda line: print(line, file=sys.stderr))
    told = " and ".join(count(number, kind) for kind, number in counts.items()) or "nothing new"
    print(f"wrote {told} as DICOM · next: scanweave push {folder} --to URL --identities {identities}")
