"""The Brain Imaging Data Structure: `sub-01/[ses-1/]anat/sub-01_ses-1_T1w.nii.gz`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from scanweave.studies.formats.image_names import stem
from scanweave.studies.layouts.bids_names import TELLING, BidsName, meaning, telling_entities
from scanweave.studies.layouts.listing import Listing, images, is_text
from scanweave.studies.layouts.names import Names
from scanweave.studies.layouts.participants import join_participants

DATATYPES = ("anat", "dwi", "perf", "pet", "func", "ct", "swi", "dce")
UNASKED = "fmap"
"""Folder of images that are taken in if there are no others, or by `--rename`."""


def subjects_in(src: Path) -> list[Path]:
    """Return the folders of subjects, or of templates; pages about them that lie beside (`sub-01.html`) are none."""
    return sorted(path for kind in ("sub-*", "tpl-*") for path in src.glob(kind) if path.is_dir())


def is_bids(src: Path) -> bool:
    """Tell whether a folder of a subject, or of its sessions, holds a folder of a BIDS data type."""
    return any(
        (folder / kind).is_dir()
        for subject in subjects_in(src)
        for folder in (subject, *subject.glob("ses-*"), *subject.glob("cohort-*"))
        for kind in (*DATATYPES, UNASKED)
    )


def list_bids(src: Path, names: Names) -> Listing:
    """List the studies of a BIDS data set: one a subject, or one a session; derivatives are not read.

    Runs of one kind are left out, as which is meant is not known, and so are field maps; but where nothing else is
    there, runs are told apart by their numbers and maps of the transmitted field are taken in.
    """
    listing = _listed(src, names, DATATYPES, TELLING)
    if not listing.rows():
        listing = _listed(src, names, (*DATATYPES, UNASKED), (*TELLING, "run"))
    join_participants(listing, src, names)
    return listing


def _listed(src: Path, names: Names, datatypes: Sequence[str], keys: Sequence[str]) -> Listing:
    listing = Listing("BIDS", src, patients_told=True, series=names.series)
    sessions: dict[str, dict[str, BidsName]] = defaultdict(dict)
    for folder in subjects_in(src):
        for parts in images(folder):
            path = "/".join((folder.name, *parts))
            name = BidsName.of(stem(parts[-1]))
            if not is_text(path):
                listing.skipped["its name is not valid UTF-8"].append(ascii(path))
            elif len(parts) in (2, 3) and (parts[-2] in datatypes or names.is_own(name.text)):
                session = parts[0] if len(parts) == 3 else None
                row = listing.study(f"{folder.name}_{session}" if session else folder.name, folder.name)
                sessions[row["study"]][path] = name
            else:
                where = "/".join(parts[-2:-1]) or "none"
                listing.skip(f"in a folder that is not read unasked ({where})", path, folder.name)
    telling = telling_entities((files.values() for files in sessions.values()), names, keys)
    for study, files in sessions.items():
        for path, name in files.items():
            found = meaning(name, names)
            more = () if isinstance(found, str) else telling.get(found.column, ())
            listing.add(listing.studies[study], meaning(name, names, more) if more else found, path)
    return listing
