"""Several sources as one: their studies side by side, those that several of them hold put together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.files import real_path
from scanweave.studies.columns import parse_column
from scanweave.studies.layouts.listing import Listing
from scanweave.wording import studies

_PARTS = ("train", "validation", "test")
"""Of a study that sources assign differently, the last of these holds."""


def joined(listings: Sequence[Listing]) -> Listing:
    """Return several listings as one, relative to the folder that holds all their roots.

    A study that several sources hold is one study if none of its fields is in two of them with different content.

    Raises:
        ScanweaveError: Two sources say different things of a study.
    """
    root = Path(os.path.commonpath([real_path(listing.root) for listing in listings]))
    whole = Listing("+".join(dict.fromkeys(listing.layout for listing in listings)), root)
    shared: dict[str, None] = {}
    for listing in listings:
        prefix = (real_path(listing.root).relative_to(root).as_posix() + "/").removeprefix("./")
        for name, row in listing.studies.items():
            moved = {column: _moved(column, value, prefix) for column, value in row.items()}
            if name in whole.studies:
                shared[name] = None
                _merge(whole.studies[name], moved, listing.root)
            else:
                whole.studies[name] = moved
        _put_in(whole, listing, prefix)
    if shared:
        words = f"{studies(len(shared))} of several sources, such as {next(iter(shared))}, put together by name"
        whole.remarks.append(f"{words}: import the sources one by one if they are different people")
    return whole


def _merge(there: dict[str, Any], row: Mapping[str, Any], root: Path) -> None:
    for column, value in row.items():
        before = there.setdefault(column, value)
        if before == value:
            continue
        if column == "split":
            there[column] = max(before, value, key=_PARTS.index)
            continue
        raise ScanweaveError(
            root,
            f"study '{row['study']}' is in another source too, with another {column} ({before}, here {value})",
            "If they are two people, import the sources one by one; if one, leave a file out by --rename 'WORDS=-'",
        )


def _put_in(whole: Listing, listing: Listing, prefix: str) -> None:
    """Put all but the studies of a listing into the whole one."""
    for column, spellings in listing.mapping.items():
        whole.mapping[column].update(spellings)
    for reason, files in listing.skipped.items():
        whole.skipped[reason] += [prefix + file for file in files]
    for study, columns in listing.clashes.items():
        for column, files in columns.items():
            whole.clashes.setdefault(study, {}).setdefault(column, []).extend(prefix + file for file in files)
    whole.called |= {prefix + file: name for file, name in listing.called.items()}
    whole.names.update(listing.names)
    whole.owners.update(listing.owners)
    whole.doubts.update(listing.doubts)
    whole.structures.update(listing.structures)
    whole.remarks += listing.remarks


def _moved(column: str, value: Any, prefix: str) -> Any:
    known = parse_column(column)
    return prefix + value if known is not None and known.kind.files and not value.startswith("/") else value
