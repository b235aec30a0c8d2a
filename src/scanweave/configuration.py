"""Settings in layers: a preset, files and single values on top of it, each fault named with its field."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from scanweave.errors import ScanweaveError
from scanweave.systems import registry

Layer = str | Path | Mapping[str, Any] | BaseModel
"""Settings on top of others: a TOML file, or a mapping nested (`{"training": {"steps": 9}}`) or dotted
(`{"training.steps": 9}`)."""


def configure(system: str, preset: str | None = None, config: Layer | Sequence[Layer] = ()) -> Any:
    """The settings of a system: a preset, and what is laid on top of it; imports no torch.

    Raises:
        ScanweaveError: A system, preset or field that does not exist, a value that the field refuses, a broken file.
    """
    entry = registry.entry(system)
    layers = [config] if isinstance(config, str | Path | Mapping | BaseModel) else list(config)
    read = [(_place(layer), _values(layer)) for layer in layers]
    named = [values.pop("preset") for _, values in read if "preset" in values]
    settings = entry.preset(preset or str([entry.presets[0], *named][-1]))
    for place, values in read:
        settings = _overlaid(settings, values, place, f"scanweave fit {system} --help")
    return settings


def _place(layer: Layer) -> str:
    return f"{layer}: " if isinstance(layer, str | Path) else ""


def _values(layer: Layer) -> dict[str, Any]:
    if isinstance(layer, BaseModel):
        return layer.model_dump()
    values = _read_toml(Path(layer)) if isinstance(layer, str | Path) else layer
    try:
        return _nested(values)
    except RecursionError as error:
        raise ScanweaveError(
            _place(layer).rstrip(": ") or "config", "nested too deeply", "No setting lies deeper than section.name"
        ) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScanweaveError(path, f"cannot be read ({error.strerror})", "Name a TOML file of settings") from error
    except RecursionError as error:
        raise ScanweaveError(
            path, "nested too deeply", "Write settings as: [training] and below it steps = 100"
        ) from error
    except ValueError as error:
        raise ScanweaveError(
            path, f"not valid TOML ({error})", "Write settings as: [training] and below it steps = 100"
        ) from error


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as mappings within mappings."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        first, _, rest = name.partition(".")
        inner = {rest: value} if rest else value
        if isinstance(inner, Mapping):
            inner = _merged(result.get(first, {}), _nested(inner))
        result[first] = inner
    return result


def _merged(below: Any, above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below) if isinstance(below, Mapping) else {}
    for name, value in above.items():
        result[name] = _merged(result.get(name), value) if isinstance(value, Mapping) else value
    return result


def _overlaid(settings: BaseModel, values: Mapping[str, Any], place: str, help_line: str) -> BaseModel:
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


def _first_names(value: Any) -> Iterator[str]:
    """The way from a section to the first value that is given in it."""
    while isinstance(value, Mapping) and value:
        name = next(iter(value))
        yield str(name)
        value = value[name]


def _near(path: str, known: Sequence[str]) -> list[str]:
    """Settings that `path` may stand for: of the same last name, else alike, else with a last name alike."""
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
