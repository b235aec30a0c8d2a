"""Layouts with a `dataset.json`: nnU-Net raw and the Medical Segmentation Decathlon."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.files import read_json
from scanweave.studies.cohort import safe_id
from scanweave.studies.formats.image_names import stem
from scanweave.studies.layouts.listing import Listing, images, is_text, is_there
from scanweave.studies.layouts.names import UNKNOWN, Named, Names, slug
from scanweave.studies.mask_targets import parse_structures
from scanweave.studies.split_words import part_of_word
from scanweave.studies.splits import Part

ABOUT = "dataset.json"
CHANNEL = re.compile(r"(.+)_(\d{4})")
_ADVICE = "Correct the file, or name another layout by --layout"
_ORDER: tuple[Part, ...] = ("train", "validation", "test")


def read_about(src: Path) -> dict[str, Any]:
    """Read `dataset.json`.

    Raises:
        ScanweaveError: It is not a JSON object.
    """
    about = read_json(src / ABOUT, _ADVICE)
    if not isinstance(about, dict):
        raise ScanweaveError(src / ABOUT, "not a JSON object", _ADVICE)
    return about


def dataset_layout(src: Path) -> str | None:
    """Return whether `dataset.json` describes an nnU-Net or a Decathlon folder; None: neither.

    What its list says decides: files that it lists and that are there as they are listed are whole cases, whatever
    they are called. Only without such a list does `_0000` say that a file is a channel, and not where a label map has
    that name too.

    Raises:
        ScanweaveError: It is not a JSON object.
    """
    about = read_about(src)
    entries = [entry for key, value in about.items() if part_of_word(key) is not None for entry in _list(value)]
    listed = [entry.get("image") if isinstance(entry, dict) else entry for entry in entries]
    if any(isinstance(path, str) and path and "\0" not in path and is_there(src / path) for path in listed):
        return "decathlon"
    cases = {stem(parts[-1]) for parts in images(src / "labelsTr")} if (src / "labelsTr").is_dir() else set()
    numbered = {stem(parts[-1]) for parts in images(src / "imagesTr") if CHANNEL.fullmatch(stem(parts[-1]))}
    if numbered and not numbered & cases:
        return "nnunet"
    return "decathlon" if entries or "training" in about else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def channel_names(src: Path, about: Mapping[str, Any], names: Names) -> dict[int, Named]:
    """Return the meaning of each channel, by `channel_names` (nnU-Net 2) or `modality` (nnU-Net 1, Decathlon).

    Raises:
        ScanweaveError: The field is absent or not of the form `{"0": "T1", …}`, or two channels have one name.
    """
    stated = about.get("channel_names", about.get("modality"))
    if not isinstance(stated, dict) or not stated:
        raise ScanweaveError(src / ABOUT, "neither channel_names nor modality names the channels", _ADVICE)
    channels: dict[int, Named] = {}
    for number, text in stated.items():
        if not str(number).isdecimal() or not isinstance(text, str) or not slug(text):
            raise ScanweaveError(src / ABOUT, f"channel {number!r}: {text!r} is not a name", _ADVICE)
        named = names.of(text)
        channels[int(number)] = Named(f"scan:{slug(text)}", text) if isinstance(named, str) else named
    columns = [named.column for named in channels.values() if named.column]
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice:
        raise ScanweaveError(
            src / ABOUT, f"two channels are both {twice.partition(':')[2]}", "Tell them apart by --rename WORDS=name"
        )
    return channels


def list_nnunet(src: Path, names: Names) -> Listing:
    """List studies of `imagesTr/CASE_0000.nii.gz` (train), `imagesVa` (validation), `imagesTs` (test), with labels."""
    about = read_about(src)
    channels = channel_names(src, about, names)
    listing = Listing("nnunet", src, series=names.series)
    listing.structures["label"] = parse_structures(about.get("labels"))
    for folder, split in part_folders(src, "images", listing).items():
        for parts in images(src / folder):
            path, match = "/".join((folder, *parts)), CHANNEL.fullmatch(stem(parts[-1]))
            if not match or len(parts) > 1 or not is_text(path):
                listing.skipped["not CASE_0000"].append(ascii(path).strip("'"))
            elif int(match[2]) not in channels and names.series.of(path) is None:
                listing.skipped[f"channel {match[2]} is not in {ABOUT}"].append(path)
            else:
                listing.add(listing.study(match[1], split=split), channels.get(int(match[2]), UNKNOWN), path)
    by_name = dict(listing.studies)
    for folder in part_folders(src, "labels", listing):
        for parts in images(src / folder):
            path = "/".join((folder, *parts))
            row = by_name.get(safe_id(stem(parts[-1]))) if is_text(path) else None
            if row is not None:
                listing.add(row, Named("mask:label", folder), path)
            else:
                listing.skipped["a label map without images"].append(path if is_text(path) else ascii(path))
    return listing


def list_decathlon(src: Path, names: Names) -> Listing:
    """List studies of `training` (split train), `validation` and `test`; `FILE#k` is channel k of a 4D file."""
    about = read_about(src)
    channels = channel_names(src, about, names)
    listing = Listing("decathlon", src)
    listing.structures["label"] = parse_structures(about.get("labels"))
    folds = False
    for key, split, entries in _part_lists(src, about, listing):
        for number, entry in enumerate(entries):
            folds |= isinstance(entry, dict) and "fold" in entry
            entry = {"image": entry} if isinstance(entry, str) else entry
            image = _path(src, entry, "image", f"{key}[{number}]")
            if not is_there(src / image):
                listing.skipped["listed but absent"].append(image)
                continue
            row = listing.study(stem(PurePosixPath(image).name), split=split)
            for channel, named in channels.items():
                listing.add(row, named, image if len(channels) == 1 else f"{image}#{channel}")
            if "label" in entry:
                _add_label(listing, row, src, _path(src, entry, "label", f"{key}[{number}]"))
    if folds:
        listing.remarks.append(f"the folds in {ABOUT} are not used: make some by scanweave cohort split")
    _tell_unlisted(listing, src)
    return listing


def part_folders(src: Path, kind: str, listing: Listing) -> dict[str, Part]:
    """Return the folders of `src` that are named for a part, such as `imagesVa`, with it; others are left out.

    Args:
        src: The dataset.
        kind: `images` or `labels`.
        listing: What notes the files that are left out.
    """
    found: dict[str, Part] = {}
    for folder in sorted(path.name for path in src.iterdir() if path.is_dir() and path.name.startswith(kind)):
        part = part_of_word(folder.removeprefix(kind))
        if part is not None:
            found[folder] = part
        else:
            paths = ("/".join((folder, *parts)) for parts in images(src / folder))
            listing.skipped["its folder is called as no part is (Tr, Va, Ts)"] += [
                path if is_text(path) else ascii(path) for path in paths
            ]
    return dict(sorted(found.items(), key=lambda pair: _ORDER.index(pair[1])))


def _part_lists(src: Path, about: Mapping[str, Any], listing: Listing) -> list[tuple[str, Part, list[Any]]]:
    """The lists of images of `dataset.json` with their part; a list of no known part is told."""
    found: list[tuple[str, Part, list[Any]]] = []
    for key, entries in about.items():
        part = part_of_word(key)
        if part is not None and entries and not isinstance(entries, list):
            raise ScanweaveError(src / ABOUT, f"'{key}' is not a list", _ADVICE)
        if part is not None and entries:
            found.append((key, part, entries))
        elif isinstance(entries, list) and any(isinstance(entry, dict) and "image" in entry for entry in entries):
            listing.remarks.append(f"the list '{key}' of {ABOUT} is passed over: it says no part (training, test …)")
    return sorted(found, key=lambda one: _ORDER.index(one[1]))


def _tell_unlisted(listing: Listing, src: Path) -> None:
    """Note the files in folders of images that no list names."""
    named = {str(cell).partition("#")[0] for row in listing.studies.values() for cell in row.values()}
    for folder in sorted(path.name for path in src.glob("images*") if path.is_dir()):
        paths = ("/".join((folder, *parts)) for parts in images(src / folder))
        listing.skipped[f"in no list of {ABOUT}"] += [p if is_text(p) else ascii(p) for p in paths if p not in named]
    if not listing.skipped[f"in no list of {ABOUT}"]:
        del listing.skipped[f"in no list of {ABOUT}"]


def _add_label(listing: Listing, row: dict[str, Any], src: Path, label: str) -> None:
    if is_there(src / label):
        listing.add(row, Named("mask:label", "labelsTr"), label)
    else:
        listing.skipped["listed but absent"].append(label)


def _path(src: Path, entry: Any, key: str, where: str) -> str:
    """Return a relative path of `dataset.json` that stays within the dataset."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, str) or not value or "\0" in value or not is_text(value):
        raise ScanweaveError(src / ABOUT, f"{where}: '{key}' is not a path", _ADVICE)
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise ScanweaveError(src / ABOUT, f"{where}: '{value}' leads out of the dataset", _ADVICE)
    return str(path)
