"""Meaning of an image, told by its file name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from scanweave.errors import ScanweaveError

SPELLINGS: dict[str, str] = {
    "t1": "t1, t1n, t1w, t1 native, t1 pre, t1pre, mprage, t1 mprage",
    "t1c": "t1c, t1ce, t1gd, t1post, t1postcontrast, t1 c, t1 ce, t1 gd, t1 gado, t1 post, t1 post contrast, "
    "t1 contrast, t1+c, t1+gd, t1w+c, t1wce, t1wc, t1w ce, t1w gd, t1w post, "
    "t1w post contrast, t1cw, t1km, ct1, ce t1w",
    "t2": "t2, t2w, t2 tse, t2 fse",
    "flair": "flair, fla, t2f, t2flair, t2 flair, t2w flair, t2 fla, t2wflair",
    "pd": "pd, pdw",
    "t2s": "t2s, t2star, t2starw, t2star w",
    "swi": "swi, swan",
    "adc": "adc, dwi adc, adc map",
    "dwi": "dwi, diffusion",
    "dce": "dce, dcemri, dce mri, perf dce",
    "dsc": "dsc, perf dsc",
    "asl": "asl, pcasl, pasl",
    "bold": "bold",
    "ct": "ct, ncct",
    "cta": "cta",
    "pet": "pet, fdg, fdg pet, suv",
}
"""Names of sequences and how people spell them, word by word, in any case; the order is the order of display."""

GENERIC = {
    "seg": "seg",
    "segmentation": "seg",
    "dseg": "seg",
    "mask": "mask",
    "label": "label",
    "labels": "label",
    "gt": "label",
    "groundtruth": "label",
    "roi": "roi",
}
"""Words that make an image a label map without saying of what."""
OBJECTS = {"lesion": "lesion", "lesions": "lesion", "brainmask": "brain", "tumor": "tumor", "tumour": "tumor"}
"""Words that make an image a label map and say of what."""
WHOLE = {"brain", "tissue"}
"""Words that do so if the file's name is nothing else: `T1_brain` is a T1 without its skull, `brain` alone a mask."""

Kind = Literal["scan", "mask", "skip"]


@dataclass(frozen=True)
class Word:
    """One word of a file name and where it stands."""

    text: str
    start: int
    stop: int


@dataclass(frozen=True)
class Named:
    """Meaning of a name: `column` such as `"scan:t1"` or `"mask:lesion"`, or None where it is to be left out."""

    column: str | None
    spelling: str


def words(text: str) -> list[Word]:
    """Return the words of a file name, in lower case: runs of letters, digits and `+`."""
    return [Word(m[0].lower(), m.start(), m.end()) for m in re.finditer(r"(?:[^\W_]|\+)+", text)]


class Names:
    """The rules table with the user's own spellings before it.

    Args:
        rename: What the user calls things: spelling → name, `mask:name`, or `-` to leave such files out.
        roles: What the user says that columns of a table are: heading → role.

    Raises:
        ScanweaveError: A name cannot be a file name.
    """

    def __init__(self, rename: Mapping[str, str] | None = None, roles: Mapping[str, str] | None = None) -> None:
        self.roles = dict(roles or {})
        self._own = {tuple(w.text for w in words(key)): _column(key, value) for key, value in (rename or {}).items()}
        self._idle = {tuple(w.text for w in words(key)): f"{key}={value}" for key, value in (rename or {}).items()}

    @property
    def idle(self) -> list[str]:
        """The user's spellings that fitted no name so far, as `SPELLING=name`."""
        return list(self._idle.values())

    def of(self, text: str, *, folder: bool = False) -> Named | str:
        """Return what a name without subject and suffix means, or why it cannot be told; some names are no folder's."""
        found = words(text)
        own = [n for n in range(len(found), 0, -1) if self._own_within(found, n)]
        if own:
            start, spelling = self._own_within(found, own[0])[0]
            self._idle.pop(spelling, None)
            return Named(self._own[spelling], text[found[start].start : found[start + own[0] - 1].stop])
        mask = found[0].text if len(found) == 1 and found[0].text in WHOLE and not folder else _mask(found)
        if mask:
            return Named(f"mask:{mask}", text)
        matches = _longest(tuple(w.text for w in found))
        if len({name for name, _, _ in matches}) > 1:
            return "could be " + " or ".join(sorted({name for name, _, _ in matches}))
        if not matches:
            return "not a name that is known"
        name, start, stop = matches[0]
        return Named(f"scan:{name}", text[found[start].start : found[stop - 1].stop])

    def tail(self, text: str) -> tuple[str, Named] | None:
        """Split `SUBJECT_t1` into the subject and what the last words mean; None where they mean nothing."""
        found = words(text)
        for n in range(min(4, len(found) - 1), 0, -1):
            rest = text[found[-n].start :]
            spelling = tuple(w.text for w in found[-n:])
            if spelling in self._own:
                self._idle.pop(spelling, None)
                return text[: found[-n - 1].stop], Named(self._own[spelling], rest)
            if spelling in _table():
                return text[: found[-n - 1].stop], Named(f"scan:{_table()[spelling]}", rest)
        return None

    def is_own(self, text: str) -> bool:
        """Tell whether one of the user's spellings is in `text`."""
        found = words(text)
        return any(self._own_within(found, n) for n in range(len(found), 0, -1))

    def _own_within(self, found: list[Word], n: int) -> list[tuple[int, tuple[str, ...]]]:
        windows = [(i, tuple(w.text for w in found[i : i + n])) for i in range(len(found) - n + 1)]
        return [(i, window) for i, window in windows if window in self._own]


def display_order(column: str) -> tuple[int, str]:
    """Sort key: known sequences as in the rules table, then the others by name."""
    known = list(SPELLINGS)
    name = column.partition(":")[2]
    return (known.index(name) if name in known else len(known), column)


def parse_rename(text: str | None) -> dict[str, str]:
    """Parse `"fla=flair,T1POST=t1c"` to a mapping.

    Raises:
        ScanweaveError: Not of that form.
    """
    pairs = [item.partition("=") for item in (text or "").split(",") if item.strip()]
    for key, equals, value in pairs:
        if not (key.strip() and equals and value.strip()):
            raise ScanweaveError(
                "--rename", f"'{key}{equals}{value}' is not SPELLING=name", "Write: fla=flair,T1POST=t1c"
            )
    return {key.strip(): value.strip() for key, _, value in pairs}


def slug(text: str) -> str:
    """Return a name that is safe as column and file name, in lower case."""
    return re.sub(r"[^a-z0-9+]+", "_", text.lower()).strip("_")[:40]


def _column(key: str, value: str) -> str | None:
    if value == "-":
        return None
    kind, _, name = value.rpartition(":")
    if kind not in ("", "scan", "mask") or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+.-]{0,39}", name):
        raise ScanweaveError(
            "--rename",
            f"'{key}={value}' does not give a usable name",
            "Use letters, digits, '_' and '-'; 'mask:NAME' for a label map; '-' to leave such files out",
        )
    return f"{kind or 'scan'}:{name}"


def _mask(found: list[Word]) -> str | None:
    texts = [w.text for w in found]
    if not any(t in GENERIC or t in OBJECTS for t in texts):
        return None
    named = [OBJECTS.get(t, t) for t in texts if t not in GENERIC]
    return slug("_".join(named)) or GENERIC[next(t for t in texts if t in GENERIC)]


@lru_cache(maxsize=1)
def _table() -> dict[tuple[str, ...], str]:
    return {
        tuple(spelling.split()): name for name, spellings in SPELLINGS.items() for spelling in spellings.split(", ")
    }


@lru_cache(maxsize=4096)
def _longest(texts: tuple[str, ...]) -> list[tuple[str, int, int]]:
    """Return spellings within the words that do not lie inside a longer one: `(name, start, stop)`."""
    spans = [(i, i + n) for n in range(1, 5) for i in range(len(texts) - n + 1) if texts[i : i + n] in _table()]
    outer = [s for s in spans if not any(o != s and o[0] <= s[0] and s[1] <= o[1] for o in spans)]
    return [(_table()[texts[start:stop]], start, stop) for start, stop in outer]
