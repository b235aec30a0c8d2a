"""Images and their label maps in two folders with equal file names: `images/a.png`, `labels/a.png`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scanweave.files import read_json
from scanweave.studies.cohort import safe_id
from scanweave.studies.formats.image_names import stem
from scanweave.studies.layouts.listing import Listing, images, is_text
from scanweave.studies.layouts.names import Named, Names
from scanweave.studies.mask_targets import parse_structures
from scanweave.studies.split_words import PARTS

IMAGES = ("images", "imagestr", "image", "imgs", "img", "scans")
MASKS = ("labels", "labelstr", "masks", "mask", "label", "segmentations", "annotations", "groundtruth", "gt", "segs")
OTHER_PARTS = {"imagesva": ("validation", "labelsva"), "imagests": ("test", "labelsts")}
"""Folders of a part that does not train: which, and the folder of its label maps."""
ENDINGS = ("_mask", "_label", "_labels", "_seg", "_segmentation", "_gt", "-mask", "-label", "-seg")
"""Endings by which the name of a label map may differ from that of its image."""
ONLY = "image"
"""Name of the scan where nothing says what it is; `--rename image=NAME` gives another."""


def pairs_in(src: Path) -> list[tuple[str | None, str, str]]:
    """Return part, image folder and label folder of each pair of folders in `src`, or in its folders of parts."""
    found = list(_pairs(src, "", None))
    for folder in sorted(path for path in src.iterdir() if path.is_dir() and path.name.lower() in PARTS):
        found += _pairs(folder, f"{folder.name}/", PARTS[folder.name.lower()])
    return found


def _pairs(folder: Path, prefix: str, part: str | None) -> Iterator[tuple[str | None, str, str]]:
    names = {path.name.lower(): path.name for path in sorted(folder.iterdir()) if path.is_dir()}
    image = next((names[name] for name in IMAGES if name in names), None)
    mask = next((names[name] for name in MASKS if name in names), None)
    others = [other for other in OTHER_PARTS if other in names]
    if image and mask:
        yield part or ("train" if others else None), prefix + image, prefix + mask
        for other in others:
            own, labels = OTHER_PARTS[other]
            yield own, prefix + names[other], prefix + names.get(labels, "")


def list_pairs(src: Path, names: Names) -> Listing:
    """List studies of pairs of folders: the image `scan:image`, its label map `mask:label`, matched by name."""
    listing = Listing("pairs", src)
    named = names.of(ONLY)
    scan = named if isinstance(named, Named) else Named(f"scan:{ONLY}", "the images")
    for part, image, mask in pairs_in(src):
        by_stem: dict[str, str] = {}
        paths = list(_files(listing, src, image))
        channel = "_0000" if all(stem(path).endswith("_0000") for path in paths) else ""  # nnU-Net's only channel
        for path in paths:
            own = name = stem(path.rpartition("/")[2]).removesuffix(channel)
            fields = {"split": part} if part else {}
            if safe_id(name) in listing.studies:
                name = f"{part or image}-{name}"
            by_stem[own] = name
            listing.add(listing.study(name, **fields), scan, path)
        for path in _files(listing, src, mask) if mask.rpartition("/")[2] else ():
            own = stem(path.rpartition("/")[2])
            short = next((own[: -len(end)] for end in ENDINGS if own.lower().endswith(end)), own)
            study = by_stem.get(own, by_stem.get(short))
            if study is None:
                listing.skipped["a label map without image"].append(path)
            else:
                listing.add(listing.studies[safe_id(study)], Named("mask:label", mask), path)
    about = src / "dataset.json"
    content = read_json(about, "Correct the file, or remove it") if about.is_file() else {}
    structures = parse_structures(content.get("labels") if isinstance(content, dict) else None)
    if structures:
        listing.structures["label"] = structures
    return listing


def _files(listing: Listing, src: Path, folder: str) -> Iterator[str]:
    for parts in images(src / folder):
        path = "/".join((folder, *parts))
        if is_text(path):
            yield path
        else:
            listing.skipped["its name is not valid UTF-8"].append(ascii(path))
