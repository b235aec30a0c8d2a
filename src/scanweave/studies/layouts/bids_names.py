"""Meaning of a BIDS file name: its suffix, and those entities that make another picture of it."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scanweave.studies.layouts.further_words import changed, word_set
from scanweave.studies.layouts.names import UNKNOWN, Named, Names

OTHER_SUFFIXES = word_set(
    "angio chimap colfa defacemask expadc fa flash inplanet1 inplanet2 irt1 m0map megre mese mp2rage mpm mtr "
    "mtrmap mts mtsat mtvmap mwfmap pdmap pdt2 pdt2map r1map r2map r2starmap s0map t1map t1rho t2map "
    "t2starmap trace unit1 vfa cbv tb1map tb1dam tb1epi tb1afi tb1tfl tb1rfm tb1srge rb1cor rb1map"
)
"""Suffixes of images that the standard knows and that have no other name here: they are their own name."""
MASK_SUFFIXES = {"dseg": "seg", "mask": "mask", "roi": "roi", "label": "label", "seg": "seg", "defacemask": "deface"}
HELPERS = {
    **dict.fromkeys(word_set("phasediff phase1 phase2 magnitude magnitude1 magnitude2 fieldmap epi"), "a field map"),
    **dict.fromkeys(word_set("sbref boldref m0scan noRF"), "a reference"),
    "probseg": "a map of probabilities",
}
"""Suffixes of images that serve to correct others, or were made of them."""
DECIDING = word_set("task inv echo flip mt chunk hemi stat param space den label atlas seg")
"""Entities that always make another picture: they are part of the name."""
TELLING = ("acq", "rec", "dir", "res", "desc", "proc")
"""Entities that make another picture where a data set uses them to tell images of one session apart."""
LEAST_SESSION_FRACTION = 0.5
"""Share of the sessions with several of a kind that an entity must tell apart for it to be part of the name."""
NEUTRAL = {"desc": ("preproc", "orig", "native"), "space": ("orig", "native", "individual", "t1w")}
CONTRAST_FREE = ("none", "no", "pre", "precontrast")
LONGEST_NAME = 56
"""Characters above which a name is cut and told from others by a hash: a heading of the manifest has 64."""
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ISOTOPE = re.compile(r"^\d{1,3}[A-Z][a-z]?(?=[A-Z])")


@dataclass(frozen=True)
class BidsName:
    """A file name in its parts.

    Attributes:
        text: The name without subject, session and file type.
        entities: Key → value, in order.
        suffix: What stands last.
    """

    text: str
    entities: Mapping[str, str]
    suffix: str

    @classmethod
    def of(cls, stem: str) -> BidsName:
        """Take a file name without its file type apart."""
        parts = [part for part in stem.split("_") if not part.startswith(("sub-", "ses-", "tpl-", "cohort-"))]
        pairs = (part.partition("-") for part in parts)
        return cls("_".join(parts), {key: value for key, dash, value in pairs if dash}, parts[-1] if parts else "")

    def shown(self, keys: Iterable[str] = ()) -> str:
        """Return the name, but without the number of the run, which says nothing of what it shows, if not in `keys`."""
        return self.text if "run" in keys else re.sub(r"run-[^_]*_", "", self.text)


def meaning(name: BidsName, names: Names, telling: Iterable[str] = ()) -> Named | str:
    """Return what a file shows, or why it is left out.

    Args:
        name: Its name.
        names: The rules table, with the user's own words.
        telling: Those of `TELLING` that are part of the name here.
    """
    if names.is_own(name.text):
        return names.of(name.text)
    if "." in name.suffix:
        return "on a surface, no volume"
    if name.suffix in HELPERS:
        return f"{HELPERS[name.suffix]}, not what is to be seen"
    if name.suffix in MASK_SUFFIXES:
        own = "label" if "label" in name.entities else "desc"
        what = name.entities.get(own, "").lower() or MASK_SUFFIXES[name.suffix]
        others = [key for key in name.entities if key not in (own, "run") or key in telling]
        column = _column(what, name.entities, others)
        return Named(f"mask:{column}", name.shown())
    try:
        found = _scan(name, names)
    except ValueError as error:
        return str(error)
    keys = [key for key in name.entities if key in DECIDING or key in telling]
    return Named(f"scan:{_column(found, name.entities, keys)}", name.shown(keys))


def telling_entities(
    sessions: Iterable[Iterable[BidsName]], names: Names, keys: Sequence[str] = TELLING
) -> dict[str | None, list[str]]:
    """Return for each kind of image which of `TELLING` tell those of one session apart, as most sessions use them.

    Args:
        sessions: The names of the files of each session.
        names: The rules table.
        keys: Those of `TELLING`, or others.
    """
    several: Counter[str | None] = Counter()
    told: dict[str | None, Counter[str]] = defaultdict(Counter)
    for session in sessions:
        alike: dict[str | None, list[BidsName]] = defaultdict(list)
        for name in session:
            what = meaning(name, names)
            if isinstance(what, Named) and not names.is_own(name.text):
                alike[what.column].append(name)
        for column, group in alike.items():
            several[column] += 1
            told[column].update(key for key in keys if len({name.entities.get(key) for name in group}) > 1)
    return {
        column: [key for key, number in found.items() if number >= LEAST_SESSION_FRACTION * several[column]]
        for column, found in told.items()
    }


def _scan(name: BidsName, names: Names) -> str:
    """Return the name of a scan but for its entities.

    Raises:
        ValueError: It is left out; the message is why.
    """
    entities = name.entities
    beside = [_CAMEL.sub(" ", entities.get(key, "")) for key in ("acq", "rec", "desc", "mod")]
    beside.append(entities.get("part", ""))
    if entities.get("ce", "none").lower() not in CONTRAST_FREE:
        beside.append("contrast")
    text = " ".join(beside)
    if name.suffix.lower() in OTHER_SUFFIXES:
        return changed(name.suffix.lower(), text.lower().split())
    found = names.of(name.suffix, beside=text)
    if isinstance(found, str) or not str(found.column).startswith("scan:"):
        raise ValueError(found if isinstance(found, str) else UNKNOWN)
    column = str(found.column).removeprefix("scan:")
    tracer = _ISOTOPE.sub("", entities.get("trc", "")).lower()
    return f"pet_{'fdg' if tracer == 'dg' else tracer}" if tracer and column == "pet" else column


def _column(name: str, entities: Mapping[str, str], keys: Iterable[str]) -> str:
    """A name with entities that belong to it; too long a one is cut and told from others by a hash."""
    parts = [name]
    for key in keys:
        value = entities[key].lower()
        if value not in NEUTRAL.get(key, ()):
            parts.append(value if key == "task" else f"{key}-{value}")
    whole = re.sub(r"[^a-z0-9_+.-]+", "-", "_".join(parts))
    if len(whole) <= LONGEST_NAME:
        return whole
    return f"{whole[: LONGEST_NAME - 9]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
