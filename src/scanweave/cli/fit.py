"""`scanweave fit`: learn from a cohort."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from scanweave.cli.parsing import CohortFolder, first_line, parse, parse_fields, refuse_absent_folders, show_help
from scanweave.systems.registry import Entry, entry, systems

_PRESETS = "; ".join(
    f"{name}: {' or '.join(about.presets)}, default {about.presets[0]}" for name, about in systems().items()
)


@dataclass
class Fit:
    """Learn from a cohort; the same command continues a fit that was stopped.

    Settings come from the preset, then from the TOML file, then from options such as --training.steps 100.
    """

    system: Annotated[Positional[str], arg(metavar="SYSTEM")]
    """What to fit: see scanweave systems; scanweave fit SYSTEM --help shows its settings."""
    cohort: CohortFolder
    """Folder of the cohort."""
    folder: Annotated[Path, arg(name="run")]
    """Folder of the run."""
    preset: Annotated[str | None, arg(help_behavior_hint=f"({_PRESETS})")] = None
    """Settings to start from."""
    config: Path | None = None
    """TOML file of settings on top of the preset."""
    start: Annotated[str | None, arg(name="from", metavar="RUN|FILE|builtin:NAME|none")] = None
    """Weights to begin from: the setting start.source; none: begin at random."""
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"] | None, arg(help_behavior_hint="(default: auto)")] = None
    """Where to compute: the setting training.device; auto takes the fastest that is there."""
    fold: int = 0
    """Which fold of the cohort's splits trains."""
    workers: int = 1
    """Processes that prepare studies."""


def main(program: str, arguments: list[str]) -> int:
    """Fit, saying each choice and why."""
    if {"-h", "--help"} & set(arguments):
        return _help(program, arguments)
    options, rest = parse(Fit, program, arguments, extra=True)
    refuse_absent_folders(options)
    about, overrides = entry(options.system), parse_fields(rest)
    say = _voice()
    from scanweave.configuration import Layer, configure, option_layer

    layers: list[Layer] = [options.config, overrides] if options.config else [overrides]
    for option, value in (("--from", options.start), ("--device", options.device)):
        if value is not None:
            layers.append(option_layer(about.name, option, value))
    told: list[str] = []
    settings = configure(options.system, options.preset, layers, options.folder, told.append)
    device = settings.training.device if hasattr(settings, "training") else "cpu"
    say(f"{first_line(options, f'{program} {about.name}')} · device {device}")  # what follows takes seconds to load
    if options.preset is None:
        say(_reason(about, settings.preset))
    for line in told:
        say(line)
    from scanweave import api
    from scanweave.studies.cohort import Cohort

    cohort = Cohort.open(options.cohort)
    api.fit(
        options.system, cohort, options.folder, config=settings, fold=options.fold, workers=options.workers, say=say
    )
    say(f"wrote {options.folder} · next: scanweave evaluate {options.folder} --cohort {options.cohort}")
    return 0


def _reason(about: Entry, preset: str) -> str:
    others = ", ".join(f"--preset {name}" for name in about.presets if name != preset)
    if preset != about.presets[0]:
        return f"preset: {preset}, as the settings file says"
    return f"preset: {preset}, which fits any computer; others: {others}"


def _voice() -> Callable[[str], None]:
    """Return what prints a line: under torchrun only the first process does."""
    return partial(print, flush=True) if os.environ.get("RANK", "0") == "0" else lambda line: None


def _help(program: str, arguments: list[str]) -> int:
    system = next((word for word in arguments if word in systems()), None)
    try:
        parse(Fit, program, ["--help"])
    except SystemExit:
        if system is not None:
            about = entry(system)
            print(f"Settings of {system}, with the values of the preset {about.presets[0]}, the default:")
            show_help(about.preset(about.presets[0]), f"{program} {system}", without=("preset",))
    return 0
