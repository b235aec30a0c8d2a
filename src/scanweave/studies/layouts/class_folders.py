"""A folder a class: `pneumonia/a.jpg`, `normal/b.jpg`, or so within `train`, `val` and `test`."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from scanweave.studies.cohort import safe_id
from scanweave.studies.formats.image_names import PICTURE_SUFFIXES, stem, suffix
from scanweave.studies.layouts.folder_pairs import ONLY
from scanweave.studies.layouts.listing import Listing, images, is_text
from scanweave.studies.layouts.names import Named, Names
from scanweave.studies.split_words import PARTS

SIDE = re.compile(r"(.+?)[_\- ](?:l|r|od|os|left|right)", re.IGNORECASE)
"""A name that ends with an eye or side."""
LABEL = "class"


def classes_in(src: Path) -> bool:
    """Tell whether `src` holds a folder a class: two or more folders of pictures without a known name."""
    folders = [path for path in src.iterdir() if path.is_dir() and not path.name.startswith(".")]
    parts = [path for path in folders if path.name.lower() in PARTS]
    if parts:
        return all(classes_in(path) for path in parts)
    full = [path for path in folders if any(suffix(file.name) in PICTURE_SUFFIXES for file in path.iterdir())]
    names = Names()
    known = any(
        isinstance(names.of(stem(file.name)), Named)
        for path in full
        for file in list(path.iterdir())[:JUDGED_FILES]
        if suffix(file.name)
    )
    return len(full) >= 2 and not known


JUDGED_FILES = 20
"""Files of a folder by which it is judged."""


def list_classes(src: Path, names: Names) -> Listing:
    """List studies of one picture each: `scan:image`, and `label:class` by its folder.

    Where names end with a side (`P1_L`, `P1_R`), what stands before it is the patient.
    """
    listing = Listing("classes", src)
    named = names.of(ONLY)
    scan = named if isinstance(named, Named) else Named(f"scan:{ONLY}", "the pictures")
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for parts in images(src):
        at = 1 if parts[0].lower() in PARTS else 0
        if len(parts) < at + 2 or not is_text("/".join(parts)):
            listing.skipped["in no folder of a class"].append(ascii("/".join(parts)).strip("'"))
        else:
            found[stem(parts[-1])].append(parts)
    patients = _patients(list(found))
    for name, files in found.items():
        for parts in files:
            at = 1 if parts[0].lower() in PARTS else 0
            study = name if len(files) == 1 else "-".join((*parts[:-1], name))
            fields = {"split": PARTS[parts[0].lower()]} if at else {}
            row = listing.study(study, patients[name], **fields)
            row[f"label:{LABEL}"] = parts[at]
            listing.add(row, scan, "/".join(parts))
    sided = sum(name != patient for name, patient in patients.items())
    if sided:
        example = next(name for name, patient in patients.items() if name != patient)
        listing.remarks.append(
            f"{sided} names end with a side, so {example} is of the patient {patients[example]}: say --patient if not"
        )
    return listing


def _patients(names: list[str]) -> dict[str, str]:
    """Return the patient of each name: without its side, if two names or more differ by it."""
    bare = {name: match[1] for name in names if (match := SIDE.fullmatch(name))}
    paired = len(set(map(safe_id, bare.values()))) < len(bare)
    return {name: bare.get(name, name) if paired else name for name in names}
