"""Optional libraries: imported on use, and named with their group when absent."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from scanweave.errors import ScanweaveError


def require(module: str, group: str) -> ModuleType:
    """Import an optional library.

    Args:
        module: Dotted module name, such as `"nilearn.datasets"`.
        group: The optional group of scanweave that installs it, such as `"simulate"`.

    Raises:
        ScanweaveError: The library is not installed; names the group to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ScanweaveError(
            module, f"the library {error.name} is not installed", f'Run: pip install "scanweave[{group}]"'
        ) from error


def resolve(path: str) -> Any:
    """Import what `"package.module:name"` names, when it is needed: slow modules are named so in tables."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
