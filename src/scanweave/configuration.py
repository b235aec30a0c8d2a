"""Settings in layers: a preset, files and single values on top of it, each fault named with its field."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from scanweave.engine.run import Run
from scanweave.engine.run_identity import as_begun
from scanweave.errors import ScanweaveError
from scanweave.files import is_plain
from scanweave.framework.setting_layers import dotted, nested, overlaid, refuse_without_effect
from scanweave.systems import registry

Layer = str | Path | Mapping[str, Any] | BaseModel
"""Settings on top of others: a TOML file, or a mapping nested (`{"training": {"steps": 9}}`) or dotted
(`{"training.steps": 9}`)."""

_SHORT = {"--from": "start.source", "--device": "training.device"}
"""Settings that options of `fit` stand for."""
_IDLE = {"--from": "begins at random only", "--device": "computes on the CPU"}
"""Words about a system that has no such setting."""


def configure(
    system: str,
    preset: str | None = None,
    config: Layer | Sequence[Layer] = (),
    run: str | Path | None = None,
    say: Callable[[str], None] = print,
) -> Any:
    """Return the settings of a system: a preset, and what is laid on top of it; imports no torch.

    Args:
        system: Its name.
        preset: Settings to start from; None: the system's first preset.
        config: Settings on top of it; several are applied in order.
        run: Folder of a fit that may go on: what the preset says of settings that came later than its run is as it was
            before. What somebody gave stays, for the run to refuse where it differs.
        say: Takes a line for each setting that changes by this.

    Raises:
        ScanweaveError: A system, preset or field that does not exist, a value that the field refuses or that has no
            effect beside the others, a broken file or run.
    """
    entry = registry.entry(system)
    layers = [config] if isinstance(config, str | Path | Mapping | BaseModel) else list(config)
    read = [(_place(layer), _values(layer)) for layer in layers]
    named = [values.pop("preset") for _, values in read if "preset" in values]
    settings = entry.preset(preset or str([entry.presets[0], *named][-1]))
    back: dict[str, Any] = {}
    # Settings as an object hold every value, whether somebody gave it or not: nothing of the preset is left.
    if (
        run is not None
        and is_plain(Path(run) / "config.json")
        and not any(isinstance(one, BaseModel) for one in layers)
    ):
        settings, back = as_begun(Run.open(run).config, settings)
    for place, values in read:
        settings = overlaid(settings, values, place, f"scanweave fit {system} --help")
    for layer, (place, values) in zip(layers, read, strict=True):
        if not isinstance(layer, BaseModel):  # which holds every setting, whether somebody gave it or not
            refuse_without_effect(settings, values, place)
    given = [f"{path}." for _, values in read for path in dotted(values)]
    for name, value in back.items():
        if not any(path.startswith(f"{name}.") for path in given):
            say(f"{name}: {json.dumps(value)}, as before: this run began when there was no such setting")
    return settings


def option_layer(system: str, option: str, value: str) -> dict[str, str]:
    """Return the setting that a short option of `fit` stands for: `--from` or `--device`.

    Raises:
        ScanweaveError: The system has no such setting.
    """
    setting = _SHORT[option]
    group = setting.partition(".")[0]
    able = [name for name, about in registry.systems().items() if hasattr(about.preset(about.presets[0]), group)]
    if system not in able:
        reason = f"has no effect: {system} {_IDLE[option]}"
        raise ScanweaveError(option, reason, f"Leave it out; these take it: {', '.join(able)}")
    return {setting: value}


def _place(layer: Layer) -> str:
    return f"{layer}: " if isinstance(layer, str | Path) else ""


def _values(layer: Layer) -> dict[str, Any]:
    if isinstance(layer, BaseModel):
        return layer.model_dump()
    values = _read_toml(Path(layer)) if isinstance(layer, str | Path) else layer
    try:
        return nested(values)
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
