"""Values laid over settings, each fault named with its field and the nearest one that is there. Imports no torch."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from scanweave.errors import ScanweaveError

M = TypeVar("M", bound=BaseModel)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted names as mappings within mappings."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        first, _, rest = name.partition(".")
        inner = {rest: value} if rest else value
        if isinstance(inner, Mapping):
            inner = _merged(result.get(first, {}), nested(inner))
        result[first] = inner
    return result


def _merged(below: Any, above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below) if isinstance(below, Mapping) else {}
    for name, value in above.items():
        result[name] = _merged(result.get(name), value) if isinstance(value, Mapping) else value
    return result


def overlaid(settings: M, values: Mapping[str, Any], place: str, help_line: str) -> M:
    """Return settings with values laid over them.

    Args:
        settings: What is there.
        values: Values by name, nested as the settings are.
        place: Where the values stand, as a fault begins with: "file.toml: ", or nothing.
        help_line: The command that lists all settings.

    Raises:
        ScanweaveError: A field does not exist, or refuses its value.
    """
    try:
        return type(settings).model_validate(_merged(settings.model_dump(), values))
    except ValidationError as error:
        fault = error.errors()[0]
        path = ".".join(map(str, fault["loc"])) or "settings"
        if fault["type"] == "extra_forbidden":
            path = ".".join([path, *_first_names(fault["input"])])
            near = _near(path, list(_fields(type(settings))))
            step = f"Did you mean {' or '.join(near)}? All settings: {help_line}" if near else f"See {help_line}"
            raise ScanweaveError(f"{place}{path}", "there is no such setting", step) from None
        reason = fault["msg"].removeprefix("Value error, ")
        given = "" if isinstance(fault["input"], Mapping) else f", not {fault['input']!r}"
        raise ScanweaveError(f"{place}{path}", f"{reason}{given}", f"See {help_line}") from None


def without_effect(settings: BaseModel, prefix: str = "") -> dict[str, str]:
    """Return the settings that the others leave without effect, by dotted name, and why: "with training.optimizer sgd".

    A group of settings says so by a method of this name: of its own fields, and of those in its groups by dotted names.
    """
    own: Callable[[], Mapping[str, str]] | None = getattr(settings, "without_effect", None)
    found = {} if own is None else {f"{prefix}{name}": why for name, why in own().items()}
    for name in type(settings).model_fields:
        inner = getattr(settings, name)
        if isinstance(inner, BaseModel):
            found |= without_effect(inner, f"{prefix}{name}.")
    return found


def refuse_without_effect(settings: BaseModel, given: Mapping[str, Any], place: str = "") -> None:
    """Refuse a value that somebody gave and nothing reads.

    Args:
        settings: With all values laid over them.
        given: Values by name, nested as the settings are.
        place: Where they stand, as in `overlaid`.

    Raises:
        ScanweaveError: Names the setting and the reason.
    """
    idle = without_effect(settings)
    for path in dotted(given):
        name = next((name for name in idle if f"{path}.".startswith(f"{name}.")), None)
        if name is not None:
            raise ScanweaveError(f"{place}{name}", f"has no effect {idle[name]}", "Leave it out")


def dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of each value in mappings within mappings."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _first_names(value: Any) -> Iterator[str]:
    """Yield the way from a section to the first value that is given in it."""
    while isinstance(value, Mapping) and value:
        name = next(iter(value))
        yield str(name)
        value = value[name]


def _near(path: str, known: Sequence[str]) -> list[str]:
    """Return settings that `path` may stand for: of the same last name, else alike, else with a last name alike."""
    last = path.rpartition(".")[2]
    ends = {name: name.rpartition(".")[2] for name in known}
    same = [name for name in known if ends[name] == last]
    alike = set(difflib.get_close_matches(last, set(ends.values()), n=1, cutoff=0.75))
    return same or difflib.get_close_matches(path, known, n=2) or [name for name in known if ends[name] in alike]


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, about in model.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(about.annotation, type) and issubclass(about.annotation, BaseModel):
            yield from _fields(about.annotation, f"{prefix}{name}.")
