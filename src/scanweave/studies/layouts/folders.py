"""One folder per subject (or per subject and session), the sequence in the file name; or all files in one folder."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from scanweave.studies.formats.image_names import PICTURE_SUFFIXES, stem, suffix
from scanweave.studies.layouts.folder_pairs import ONLY
from scanweave.studies.layouts.listing import Listing, images, is_text, without_prefix
from scanweave.studies.layouts.names import UNKNOWN, Named, Names, words
from scanweave.studies.layouts.visit_names import SESSION

_SESSION = re.compile(SESSION + r"(?![A-Za-z0-9])", re.IGNORECASE)
_LIKELY = re.compile(
    r"(?:study|ses|session|visit|exam|scan|tp|time|timepoint|followup|fu|day|week|month|year)(?:[-_ ].*|\d.*)"
    r"|[vtdwmy][-_ ]?\d.*|\d{1,2}|\d{4}|\d{6}|\d{8,}|\d+[._-][\d._-]+"
    r"|(?:pre|post|base|follow|before|after|initial|first|second).*",
    re.IGNORECASE,
)
"""Names that folders of sessions have: a word and a number, a number, a date."""
_CATEGORIES = {
    "anat",
    "perf",
    "dwi",
    "func",
    "mr",
    "mri",
    "nifti",
    "nii",
    "image",
    "images",
    "raw",
    "mask",
    "masks",
    "label",
    "labels",
    "seg",
    "segmentations",
    "data",
}
"""Folders within a subject that say what lies there, not when it was taken."""


def list_folders(src: Path, names: Names) -> Listing:
    """List studies of `src/SUBJECT/…` or `src/SUBJECT/SESSION/…`; `SESSION_t1.nii.gz` names a session as well."""
    listing = Listing("folders", src, series=names.series)
    by_subject: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for parts in images(src):
        if not is_text("/".join(parts)):
            listing.skipped["its name is not valid UTF-8"].append(ascii("/".join(parts)))
        elif len(parts) == 1:
            listing.skipped["outside the folders of the subjects"].append(parts[0])
        else:
            by_subject[parts[0]].append(parts)
    for subject, files in by_subject.items():
        _list_subject(listing, names, subject, files)
    return listing


def _list_subject(listing: Listing, names: Names, subject: str, files: list[tuple[str, ...]]) -> None:
    sessions = {parts: _session(parts, subject, names) for parts in files}
    several = any(sessions.values())
    unlikely = sorted({name for name in sessions.values() if name and not _LIKELY.fullmatch(name)})
    if len(unlikely) > 1:
        listing.doubts[subject] = unlikely
    for parts, session in sessions.items():
        path = "/".join(parts)
        if several and session is None:
            listing.skipped["belongs to no session of its subject"].append(path)
            continue
        row = listing.study(f"{subject}_{session}" if session else subject, subject)
        listing.add(row, meaning(names, parts, (subject, session or "")), path)


def meaning(names: Names, parts: tuple[str, ...], prefixes: tuple[str, ...]) -> Named | str:
    """Return what a file is by its own name without the subject's, or else by the folder it lies in.

    Folders between the subject's and the file can change it: `P1/post_contrast/t1.nii.gz`.
    """
    text = stem(parts[-1])
    for prefix in (*parts[:-1], *prefixes):
        text = without_prefix(text, prefix)
    said = [folder for folder in parts[1:-1] if folder.lower() not in _CATEGORIES and folder not in prefixes]
    named = names.of(text, beside=" ".join(said))
    if named != UNKNOWN or not said:
        return named
    by_folder = names.of(said[-1], folder=True, beside=" ".join((*said[:-1], text)))
    if isinstance(by_folder, Named):
        return Named(by_folder.column, f"{said[-1]}/{text}", by_folder.rank)
    return named if by_folder == UNKNOWN else by_folder


def _session(parts: tuple[str, ...], subject: str, names: Names) -> str | None:
    """Return the session that a file belongs to, by the folder below its subject or the first words of its name."""
    if len(parts) > 2 and parts[1].lower() not in _CATEGORIES and not names.is_kind(parts[1]):
        return parts[1]
    match = _SESSION.match(without_prefix(stem(parts[-1]), subject))
    return match[0] if match else None


def list_flat(src: Path, names: Names) -> Listing:
    """List studies of `src/SUBJECT_t1.nii.gz`: the last words of a name say what it is, the rest whose.

    Where no name says whose it is, as in `src/t1.nii.gz`, the folder is one study. Pictures of which no name says what
    they are, as in `src/IMG_0001.jpg`, are a study each.
    """
    listing = Listing("flat", src, series=names.series)
    files = [parts[0] for parts in images(src) if len(parts) == 1 and is_text(parts[0])]
    subjects: dict[str, dict[str, Any]] = {}
    rest: list[str] = []
    for file in files:
        subject = names.series.subject(file)
        found = (subject, names.of(without_prefix(stem(file), subject))) if subject else names.tail(stem(file))
        if found is None:
            rest.append(file)
        else:
            key = found[0].lower()
            subjects[key] = subjects[key] if key in subjects else listing.study(found[0])
            listing.add(subjects[key], found[1], file)
    alone = {file: named for file in rest if not subjects and isinstance(named := names.of(stem(file)), Named)}
    for file, named in alone.items():
        listing.add(listing.study(src.resolve().name), named, file)
    if rest and not listing.studies and all(suffix(file) in PICTURE_SUFFIXES for file in rest):
        return _pictures(listing, names, rest)
    for file in rest:
        if file in alone:
            continue
        ends = [word.stop for word in words(stem(file))[-2::-1]]
        owner = next((file[:end] for end in ends if file[:end].lower() in subjects), None)
        if owner is None:
            listing.skipped["no subject is known by this name"].append(file)
        else:
            named = names.of(without_prefix(stem(file), owner))
            listing.add(subjects[owner.lower()], named, file)
    return listing


def _pictures(listing: Listing, names: Names, files: list[str]) -> Listing:
    """List pictures as a study each, of one scan."""
    named = names.of(ONLY)
    scan = named if isinstance(named, Named) else Named(f"scan:{ONLY}", "the pictures")
    for file in files:
        listing.add(listing.study(stem(file)), scan, file)
    return listing
