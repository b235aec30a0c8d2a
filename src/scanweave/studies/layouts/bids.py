"""The Brain Imaging Data Structure: `sub-01/[ses-1/]anat/sub-01_ses-1_T1w.nii.gz`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scanweave.studies.layouts.listing import Listing, images, is_text, stem
from scanweave.studies.layouts.names import Named, Names
from scanweave.studies.layouts.participants import join_participants

DATATYPES = ("anat", "dwi", "perf", "pet", "func", "ct", "swi", "dce")
_CONTRAST_FREE = ("none", "no", "pre")


def list_bids(src: Path, names: Names) -> Listing:
    """List the studies of a BIDS dataset: one a subject, or one a session; derivatives are not read."""
    listing = Listing("BIDS", src)
    for folder in sorted(src.glob("sub-*")):
        for parts in images(folder):
            path = "/".join((folder.name, *parts))
            if not is_text(path):
                listing.skipped["its name is not valid UTF-8"].append(ascii(path))
            elif len(parts) in (2, 3) and parts[-2] in DATATYPES:
                session = parts[0] if len(parts) == 3 else None
                row = listing.study(f"{folder.name}_{session}" if session else folder.name, folder.name)
                listing.add(row, _meaning(stem(parts[-1]), names), path)
            else:
                listing.skipped["not in a folder of BIDS images"].append(path)
    join_participants(listing, src)
    return listing


def _meaning(text: str, names: Names) -> Named | str:
    """Return what `sub-01_ce-gadolinium_T1w` means: by its last word; contrast-enhanced if `ce-` says so."""
    rest = "_".join(part for part in text.split("_") if not part.startswith(("sub-", "ses-")))
    kinds = rest.rpartition("_")[2]
    named = names.of(rest) if names.is_own(rest) else names.of(kinds)
    entities = dict(_entities(rest))
    contrast = entities.get("ce", "none").lower() not in _CONTRAST_FREE
    if isinstance(named, Named) and named.column == "scan:t1" and contrast:
        return Named("scan:t1c", f"ce-{entities['ce']}_{kinds}")
    if isinstance(named, Named) and named.column in ("mask:seg", "mask:mask", "mask:roi", "mask:label"):
        what = entities.get("label") or entities.get("desc")
        return Named(f"mask:{what.lower()}", rest) if what and what.isalnum() else named
    return named


def _entities(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split("_"):
        key, dash, value = part.partition("-")
        if dash:
            yield key, value
