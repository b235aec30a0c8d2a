"""Where a report comes from: versions and machine, without names of people, hosts or folders."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

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


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
