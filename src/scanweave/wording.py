"""Counts and choices in words."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

SHOWN = 8
"""Names that an error lists of many."""
FEW = 20
"""Names that may be chosen from, up to which an error lists all."""


def count(number: int, one: str, many: str | None = None) -> str:
    """Return a number and what is counted, `"2 studies"`; `many` is `one` and an s if not given."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def studies(number: int) -> str:
    """Return `"1 study"`, `"2 studies"`."""
    return count(number, "study", "studies")


def listed(names: Iterable[str], most: int = SHOWN) -> str:
    """Return `"t1, t2 and 3 more"`: each name once, `most` of them, and how many others there are."""
    there = list(dict.fromkeys(names))
    more = f" and {len(there) - most} more" if len(there) > most else ""
    return ", ".join(there[:most]) + more


def choice(name: str, known: Collection[str]) -> str:
    """Return `"Did you mean fit?"` of a name that is nearly one of few, else `"Choose one of …"` with all of them."""
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return f"Did you mean {near[0]}?" if near else f"Choose one of {', '.join(known)}"


def nearest(name: str, known: Collection[str]) -> str:
    """Return `"Choose from t1, t1c"`: all of few, the nearest first; of many `"Did you mean P01 or P10?"`, or some."""
    there = list(dict.fromkeys(known))
    if not there:
        return "There is none"
    near = difflib.get_close_matches(name, there)
    if len(there) <= FEW:
        return f"Choose from {', '.join(dict.fromkeys([*near, *there]))}"
    return f"Did you mean {' or '.join(near)}?" if near else f"Choose from {listed(there)}"
