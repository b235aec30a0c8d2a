"""Provenance of a report: versions and machine, without names of people, hosts or folders."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "monai", "numpy", "scipy", "scikit-image", "scikit-learn", "nibabel")


FIT_FACTS = ("Command of the fit", "Preset", "Seed", "Fold", "Cohort (SHA-256)", "Fitted", "Fitted with")
"""Labels of what is told of a fit; all others are of the page."""


def environment() -> dict[str, str]:
    """Return versions and the kind of machine by label; nothing is imported and no host is named."""
    found = {name: _version(name) for name in LIBRARIES}
    return {
        "scanweave": _version("scanweave") or "not installed",
        "Python": platform.python_version(),
        "Libraries": ", ".join(f"{name} {number}" for name, number in found.items() if number),
        "Machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
    }


def run_provenance(record: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return by label how a run came about, from its `run.json` and `config.json`."""
    fitted_on = record.get("cohort") or {}
    versions = ", ".join(f"{name} {number}" for name, number in (record.get("versions") or {}).items())
    facts = (
        shown_command(str(record.get("command", ""))),
        config.get("preset"),
        (config.get("training") or {}).get("seed"),
        config.get("fold"),
        fitted_on.get("sha256"),
        record.get("finished") or record.get("started"),
        versions,
    )
    known = {label: value for label, value in zip(FIT_FACTS, facts, strict=True) if value not in (None, "")}
    return known | {f"{label} of this page": value for label, value in environment().items()}


def shown_path(path: str | Path) -> str:
    """Return a path as a page may tell it to a shell: relative as it is, absolute without the folders above this."""
    path = Path(path)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"…/{shlex.quote(path.name)}" if path.is_absolute() else shlex.quote(str(path))


def shown_command(command: str) -> str:
    """Return a command as it was typed, but for absolute paths: a report is sent around.

    Returns:
        The command; empty if it cannot be parsed.
    """
    try:
        program, *words = shlex.split(command)
    except ValueError:
        return ""
    return " ".join([shlex.quote(Path(program).name), *map(_shown_word, words)])


def _shown_word(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return option + equals + shown_path(value) if value.startswith("/") else shlex.quote(word)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
