"""One folder a sequence, as in IXI: `IXI-T1/IXI002-T1.nii.gz`, `IXI-T2/IXI002-T2.nii.gz`, or `T1/P01/….nii.gz`."""

from __future__ import annotations

from pathlib import Path

from scanweave.studies.formats.image_names import stem
from scanweave.studies.layouts.listing import Listing, images, is_text, without_prefix
from scanweave.studies.layouts.names import UNKNOWN, Named, Names

DEPTHS = (2, 3)
"""Parts of a path: folder of the sequence, perhaps folder of the subject, file."""


def sequences_in(src: Path, names: Names) -> dict[str, Named]:
    """Return what lies in each folder of `src` that is named by a sequence or by label maps, if at least two are.

    Their names must be equal but for that (`IXI-T1`, `IXI-T2`): `P1_CT` and `P2_T1` are of two subjects. Empty if the
    folders are no such ones.
    """
    folders = [path.name for path in src.iterdir() if path.is_dir() and not path.name.startswith(".")]
    told = {folder: names.split_folder(folder) for folder in sorted(folders) if is_text(folder)}
    found = {folder: one for folder, one in told.items() if one is not None}
    columns = [named.column for _, named in found.values()]
    alike = len({rest.lower() for rest, _ in found.values()}) == 1 and len(set(columns)) == len(columns)
    scans = any(str(column).startswith("scan:") for column in columns)
    return {folder: named for folder, (_, named) in found.items()} if alike and scans and len(found) > 1 else {}


def list_sequences(src: Path, names: Names) -> Listing:
    """List studies of `SEQUENCE/SUBJECT.nii.gz` or `SEQUENCE/SUBJECT/….nii.gz`, joined by the subject's name."""
    listing, folders = Listing("sequences", src, series=names.series), sequences_in(src, names)
    for parts in images(src):
        path = "/".join(parts)
        if not is_text(path):
            listing.skipped["its name is not valid UTF-8"].append(ascii(path))
        elif parts[0] not in folders or len(parts) not in DEPTHS:
            listing.skipped["in no folder that is named by a sequence"].append(path)
        else:
            subject, named = _subject(parts, folders[parts[0]], names)
            listing.add(listing.study(_of_frame(parts, names) or subject), named, path)
    return listing


def _subject(parts: tuple[str, ...], folder: Named, names: Names) -> tuple[str, Named | str]:
    """Return whose a file is, and what it is: what its folder says, unless its own name says another thing."""
    text = without_prefix(stem(parts[-1]), parts[0])
    named = names.of(without_prefix(text, parts[1]) if len(parts) > len(("folder", "file")) else text)
    tail = names.tail(text)
    subject = parts[1] if len(parts) > len(("folder", "file")) else tail[0] if tail else _bare(text, folder, names)
    spelt = Named(folder.column, f"{parts[0]}/", named.rank if isinstance(named, Named) else 0)
    if named == UNKNOWN or (isinstance(named, Named) and named.column in (folder.column, None)):
        return subject, named if isinstance(named, Named) and named.column is None else spelt
    if isinstance(named, str):
        return subject, named
    if str(folder.column).startswith("mask:"):
        return subject, spelt  # label maps are often called as the image they are of
    return subject, f"its folder says {str(folder.column)[5:]}, its name {str(named.column)[5:]}"


def _of_frame(parts: tuple[str, ...], names: Names) -> str | None:
    """Return whose frame a file is where its name alone says it; None where that is not so."""
    return names.series.subject("/".join(parts)) if len(parts) == len(("folder", "file")) else None


def _bare(text: str, folder: Named, names: Names) -> str:
    """Return a file name without the words before or after it that say what its folder says: `T1_P01`, `P01_seg`."""
    for one, other in ((text.partition("_")[0], text.partition("_")[2]), text.rpartition("_")[::-2]):
        said = names.of(one)
        if other and isinstance(said, Named) and said.column and said.column[:5] == str(folder.column)[:5]:
            return other
    return text
