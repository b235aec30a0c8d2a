"""JSON that chance changed: other values, absent and surplus keys, lists for values, files cut in the middle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

DEEP = json.loads("[" * 500 + "]" * 500)
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 10**9, 2**63, -(2**70), 10**400, 1e308, float("nan"), float("-inf"), 0.5, [], {}),
    *("", " ", "a", "nan", "../../x", "/etc/hostname", "\0", "é\u202e", "\ud800", "x" * 3000, "=1+1", "-", "$a$b", "{"),
    *("12:61", "9999999-01-01", "1,5", "1.000,5", "[]", "{}", "True", "10000-01-01", "0000-00-00"),
    *([1, [2, [3]]], {"a": {"a": 1}}, ["a", 1, None], DEEP),
)
"""What any place may hold."""


def changed(value: Any, chance: np.random.Generator) -> Any:
    """Return a copy in which one to three places hold something else, are absent or have another name."""
    whole = {"": _copy(value)}
    for _ in range(chance.integers(1, 4)):
        places = list(_places(whole))
        holder, key = places[chance.integers(len(places))]
        kind = chance.integers(4)
        if kind == 0 and holder is not whole:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict) and holder is not whole:
            holder[str(VALUES[chance.integers(len(VALUES))])[:4000]] = holder.pop(key)
        elif kind == 2:
            holder[key] = [holder[key], holder[key]]
        else:
            holder[key] = _copy(VALUES[chance.integers(len(VALUES))])
    return whole[""]


def changed_text(text: str, chance: np.random.Generator) -> str:
    """Return the text of a JSON file, or of one with a value a line, that was changed or, at times, cut."""
    if chance.random() < 0.1:
        return text[: chance.integers(len(text) + 1)]
    if not text.startswith("{") or "\n{" not in text.rstrip():
        return json.dumps(changed(json.loads(text), chance))
    lines = text.splitlines()
    at = chance.integers(len(lines))
    lines[at] = json.dumps(changed(json.loads(lines[at]), chance))
    return "\n".join(lines) + "\n"


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))  # deepcopy takes no lists as deep


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a tree, as what holds it and its key."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            yield holder, key
            waiting.append(holder[key])
