"""Where a report comes from: versions and machine, without names of people, hosts or folders."""

from __future__ import annotations

import os
import platform
import shlex
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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


def shown_path(path: str | Path) -> str:
    """A path as a page may tell it to a shell: relative as it is, absolute without the folders above this one."""
    path = Path(path)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"…/{shlex.quote(path.name)}" if path.is_absolute() else shlex.quote(str(path))


def shown_command(command: str) -> str:
    """A command as it was typed, but for absolute paths: a report is sent around.

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
