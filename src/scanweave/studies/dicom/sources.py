"""Files of a DICOM source: a folder, or a packed one, unpacked with care."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from scanweave.errors import ScanweaveError
from scanweave.studies.dicom.web import Access, is_server, retrieved
from scanweave.studies.formats.image_names import DICOM_SUFFIXES, suffix
from scanweave.studies.layouts.listing import files_in
from scanweave.studies.layouts.unread_files import MAGIC, PREAMBLE, has_preamble

MOST_BYTES, MOST_FILES = 2**36, 10**6
"""Of a packed source: bytes and files in it."""
MOST_RATIO, SMALL_BYTES = 200, 2**28
"""How often larger than its pack a file may be, if it is not small: blank slices shrink a thousandfold."""
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
LOOKED_INTO = 40
"""Files that are looked into to tell a DICOM source."""


def is_packed_dicom(src: Path) -> bool:
    """Tell whether a file is a zip in which one of the first files begins as DICOM does."""
    return src.suffix.lower() == ".zip" and zipfile.is_zipfile(src) and _packed_dicom(src)


@contextmanager
def dicom_files(
    src: Path, kept: Path, access: Access | None = None, say: Callable[[str], None] = print
) -> Iterator[list[Path]]:
    """Give all files of a source that begin as DICOM does, in order of their paths.

    A zip is unpacked meanwhile, and what a server has is retrieved.

    Args:
        src: Folder, zip, or server; see `web`.
        kept: Folder for what a server has; what lies there is not asked for again.
        access: How a server is reached.
        say: Takes lines about what is retrieved.

    Raises:
        ScanweaveError: There is no such source, a zip leads out of itself, or holds far more than it seems to, or a
            server does not answer.
    """
    if is_server(src):
        yield list(_candidates(retrieved(src, kept, access, say)))
        return
    if not src.exists():
        raise ScanweaveError(src, "no such folder, zip or server", "Check the path")
    if src.is_dir():
        yield list(_candidates(src))
        return
    with TemporaryDirectory(prefix="scanweave-") as folder:
        unpack(src, Path(folder))
        yield list(_candidates(Path(folder)))


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip into a folder; names in it lead nowhere else, and sizes are what they claim.

    Raises:
        ScanweaveError: They do, or are not, or it is damaged.
    """
    step = "Unpack it yourself, and look at what it holds"
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [one for one in packed.infolist() if not one.is_dir()]
            if len(members) > MOST_FILES or sum(one.file_size for one in members) > MOST_BYTES:
                raise ScanweaveError(archive, "holds more than is unpacked", step)
            for number, one in enumerate(members):
                parts = PurePosixPath(one.filename.replace("\\", "/"))
                if parts.is_absolute() or ".." in parts.parts:
                    raise ScanweaveError(archive, "holds a name that leads out of it", step)
                if one.file_size > max(SMALL_BYTES, MOST_RATIO * one.compress_size):
                    raise ScanweaveError(archive, "holds a file far larger than its pack", step)
                _copy(packed, one, folder / f"{number:07d}")
    except (*_DAMAGED, OSError) as error:
        raise ScanweaveError(archive, f"cannot be unpacked ({' '.join(str(error).split())[:120]})", step) from error


def _copy(packed: zipfile.ZipFile, one: zipfile.ZipInfo, path: Path) -> None:
    """Write a file of a zip, no more than it claims; its name there stays its name in messages by number alone."""
    left = one.file_size
    with packed.open(one) as source, path.open("wb") as target:
        while block := source.read(min(2**20, left + 1)):
            left -= len(block)
            if left < 0:
                raise ScanweaveError(packed.filename or "zip", "holds a file larger than it claims", "Leave it")
            target.write(block)


def _candidates(src: Path) -> Iterator[Path]:
    for parts in sorted(files_in(src)):
        if suffix(parts[-1]) not in (None, *DICOM_SUFFIXES):
            continue
        path = src.joinpath(*parts)
        if has_preamble(path):
            yield path


def _packed_dicom(src: Path) -> bool:
    try:
        with zipfile.ZipFile(src) as packed:
            names = [one for one in packed.infolist()[:LOOKED_INTO] if not one.is_dir()]
            return any(_begins_as_dicom(packed, one) for one in names)
    except _DAMAGED:
        return True  # the import says what is wrong with it


def _begins_as_dicom(packed: zipfile.ZipFile, one: zipfile.ZipInfo) -> bool:
    try:
        with packed.open(one) as stream:
            return stream.read(PREAMBLE + len(MAGIC))[PREAMBLE:] == MAGIC
    except _DAMAGED:
        return False
