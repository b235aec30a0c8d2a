"""Exported files as their systems use them. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.external import resolve
from scanweave.framework.exporting.exported_run import ExportedRun, described
from scanweave.framework.exporting.model_file import ModelFile
from scanweave.systems import registry


def open_model(path: str | Path, **of_runs: Any) -> ExportedRun:
    """Return an exported file, ready to predict.

    Args:
        path: The file.
        of_runs: What only a run knows, by name; anything but None is refused.

    Raises:
        ScanweaveError: The file holds nothing that can predict, or is asked for what only a run knows.
    """
    for name, value in of_runs.items():
        if value is not None:
            raise ScanweaveError(f"--{name}", f"{value} is not known to {path}, an exported file", "Leave it out")
    file = ModelFile(path)
    about = described(file)
    made: ExportedRun = resolve(registry.entry(about.system).exported_class)(file, about)
    return made
