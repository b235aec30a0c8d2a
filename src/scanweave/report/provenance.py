"""Where a report comes from: versions and machine, without names of people, hosts or folders."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "monai", "numpy", "scipy", "scikit-image", "scikit-learn", "nibabel")


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
    facts = {
        "Command of the fit": _without_folders(str(record.get("command", ""))),
        "Preset": config.get("preset"),
        "Seed": (config.get("training") or {}).get("seed"),
        "Fold": config.get("fold"),
        "Cohort (SHA-256)": fitted_on.get("sha256"),
        "Fitted": record.get("finished") or record.get("started"),
        "Fitted with": versions,
    }
    known = {label: value for label, value in facts.items() if value not in (None, "")}
    return known | {f"{label} of this page": value for label, value in environment().items()}


def duration(seconds: float) -> str:
    """Return a time in hours and minutes, or minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _without_folders(command: str) -> str:
    """The command as it was typed, folders shortened to their names: a report is sent around."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    return shlex.join(Path(word).name if "/" in word else word for word in words)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
