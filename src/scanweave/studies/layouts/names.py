"""Meaning of an image, told by its file name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from scanweave.errors import ScanweaveError
from scanweave.studies.layouts.frame_series import SeriesPatterns
from scanweave.studies.layouts.further_words import CORRECTED, CUT, TRACERS, changed, changes, compound, rank

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
    "pet": "pet, suv, pet suv",
    "pet_fdg": "fdg, fdg pet, pet fdg, fdg suv",
}
"""Names of sequences and how people spell them, word by word, in any case; the order is the order of display."""

GENERIC = {
    "seg": "seg",
    "segmentation": "seg",
    "dseg": "seg",
    "segmentations": "seg",
    "mask": "mask",
    "masks": "mask",
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

REFINED = {
    frozenset({"t2", "flair"}): "flair",
    frozenset({"dwi", "adc"}): "adc",
    frozenset({"pet", "pet_fdg"}): "pet_fdg",
    frozenset({"ct", "cta"}): "cta",
}
"""Two names in one file name of which one says more: a `t2 space flair` is a FLAIR."""
_DIGITS = "0123456789"
UNKNOWN = "not a name that is known"


@dataclass(frozen=True)
class Word:
    """One word of a file name and where it stands."""

    text: str
    start: int
    stop: int


@dataclass(frozen=True)
class Named:
    """Meaning of a name: `column` such as `"scan:t1"` or `"mask:lesion"`, or None where it is to be left out.

    Attributes:
        column: Heading of the manifest.
        spelling: The name as it stands in the source.
        rank: Of files of one study and column the one with the highest is taken, if it is one.
    """

    column: str | None
    spelling: str
    rank: int = 0


def words(text: str) -> list[Word]:
    """Return the words of a file name, in lower case: runs of letters, digits and `+`."""
    return [Word(m[0].lower(), m.start(), m.end()) for m in re.finditer(r"(?:[^\W_]|\+)+", text)]


class Names:
    """The rules table with the user's own spellings before it.

    Args:
        rename: What the user calls things: spelling → name, `mask:name`, or `-` to leave such files out.
        roles: What the user says that columns of a table are: heading → role.
        series: Which files are frames: name of a series → pattern of their names.

    Raises:
        ScanweaveError: A name cannot be a file name.
    """

    def __init__(
        self,
        rename: Mapping[str, str] | None = None,
        roles: Mapping[str, str] | None = None,
        series: Mapping[str, str] | None = None,
    ) -> None:
        self.roles, self.series = dict(roles or {}), SeriesPatterns(series or {})
        self._own = {tuple(w.text for w in words(key)): _column(key, value) for key, value in (rename or {}).items()}
        self._idle = {tuple(w.text for w in words(key)): f"{key}={value}" for key, value in (rename or {}).items()}

    def said_of(self, headings: Sequence[str]) -> dict[str, str]:
        """Take what the user says of columns, by heading, or by the name that a cohort has for one: `sex` for `Sex`."""
        named = {heading: heading for heading in headings if heading in self.roles}
        short = {slug(heading): heading for heading in reversed(headings) if heading not in named}
        named |= {short[said]: said for said in self.roles if said not in headings and said in short}
        return {heading: self.roles.pop(said) for heading, said in named.items()}

    @property
    def idle(self) -> list[str]:
        """The user's spellings that fitted no name so far, as `SPELLING=name`."""
        return list(self._idle.values())

    def of(self, text: str, *, folder: bool = False, beside: str = "") -> Named | str:
        """Return what a name without subject and suffix means, or why that cannot be told.

        Args:
            text: The name.
            folder: Whether it is that of a folder, which some names cannot be.
            beside: What else is said of the file, such as by its folders: it can change what `text` means.
        """
        found = words(text)
        own = [n for n in range(len(found), 0, -1) if self._own_within(found, n)]
        if own:
            start, spelling = self._own_within(found, own[0])[0]
            self._idle.pop(spelling, None)
            return Named(self._own[spelling], text[found[start].start : found[start + own[0] - 1].stop])
        mask = found[0].text if len(found) == 1 and found[0].text in WHOLE and not folder else _mask(found)
        if mask:
            return Named(f"mask:{mask}", text)
        texts, others = _merged(found), _merged(words(beside))
        matches = _longest(texts)
        named = {name for name, _, _ in matches} | ({name for name, _, _ in _longest(others)} if matches else set())
        name = REFINED.get(frozenset(named)) or (next(iter(named)) if len(named) == 1 else None)
        if name is None:
            return "could be " + " or ".join(sorted(named)) if named else UNKNOWN
        spans = [(start, stop) for _, start, stop in matches]
        further = [t for i, t in enumerate(texts) if not any(start <= i < stop for start, stop in spans)]
        further += [t for t in others if not _longest((t,))]
        try:
            return Named(f"scan:{changed(name, further)}", text, rank(further))
        except ValueError as error:
            return str(error)

    def tail(self, text: str) -> tuple[str, Named | str] | None:
        """Split `SUBJECT_t1` into the subject and what the last words mean; None where they mean nothing.

        Words before them that change what the picture is, as in `SUBJECT_phase_swi`, are no part of the subject.
        """
        found = words(text)
        ends = [len(found)]
        while ends[-1] > 1 and _goes_after(found[ends[-1] - 1].text, found[ends[-1] - 2].text):
            ends.append(ends[-1] - 1)
        for stop, start in ((end, end - n) for end in ends for n in range(min(4, end - 1), 0, -1)):
            spelling = tuple(w.text for w in found[start:stop])
            if spelling in self._own and stop == len(found):
                self._idle.pop(spelling, None)
                return text[: found[start - 1].stop], Named(self._own[spelling], text[found[start].start :])
            if spelling in _table():
                while start > 1 and _goes_before(found[start - 1].text, found[start].text, _table()[spelling]):
                    start -= 1
                return text[: found[start - 1].stop], self.of(text[found[start].start :])
        return None

    def is_kind(self, text: str) -> bool:
        """Return whether the name of a folder says what lies in it: a sequence, label maps, or variants of such."""
        found = words(text)
        return (
            isinstance(self.of(text, folder=True), Named)
            or bool(_longest(_merged(found)))
            or (bool(found) and all(changes(t) for t in _merged(found)))
        )

    def split_folder(self, text: str) -> tuple[str, Named] | None:
        """Split the name of a folder (`IXI-T1`) into whose it is and what lies in it; None: it does not say."""
        named, texts = self.of(text, folder=True), _merged(words(text))
        if not isinstance(named, Named):
            return None
        inside = {i for _, start, stop in _longest(texts) for i in range(start, stop)}
        masks = GENERIC.keys() | OBJECTS.keys()
        if all(i in inside or t in masks or changes(t) for i, t in enumerate(texts)):
            return "", named
        tail = self.tail(text)
        return (tail[0], tail[1]) if tail and isinstance(tail[1], Named) else None

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
    kind = name if name in known else sequence_of(name)
    return (known.index(kind) if kind in known else len(known), column)


def sequence_of(name: str) -> str:
    """Return the sequence that a scan is a variant of: `bold_rest` → `bold`, `flair_c` → `flair`, `t1` → `t1`."""
    return name.lower().partition("_")[0]


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
    if not any(t in OBJECTS or t.rstrip(_DIGITS) in GENERIC for t in texts):  # also seg117, label2
        return None
    named = [OBJECTS.get(t, t) for t in texts if t not in GENERIC]
    return slug("_".join(named)) or GENERIC[next(t for t in texts if t in GENERIC)]


def _merged(found: list[Word]) -> tuple[str, ...]:
    """The words with those as one that belong together: `dark fluid`, `pre contrast`."""
    texts = [word.text for word in found]
    whole: list[str] = []
    while texts:
        first = texts.pop(0)
        both = compound(first, texts[0]) if texts else None
        if both:
            texts[0] = both
        else:
            whole.append(first)
    return tuple(whole)


def _goes_before(word: str, following: str, name: str) -> bool:
    """Tell whether a word before those of a sequence belongs to them and not to the subject."""
    if re.fullmatch(r"[a-z]+\d+", word) or (word in TRACERS and name != "pet"):
        return False  # subjects are called so as well
    return (
        changes(word) or compound(word, following) is not None or word == "fluid" or (word == "post" and name == "t1")
    )


def _goes_after(word: str, before: str) -> bool:
    """Tell whether a word after those of a sequence is known, such as `_ph`, `_e1` or `_Eq_1` of dcm2niix's."""
    repeated = CORRECTED | CUT
    return changes(word) or word in repeated or (word.isdecimal() and before in repeated)


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
