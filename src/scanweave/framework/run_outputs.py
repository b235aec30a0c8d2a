"""Results of a run on disk: where the newest evaluation, ranking or explanation lies, for the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from scanweave.engine.run import Run
from scanweave.files import read_json, write_json

Kind = Literal["evaluation", "ranking", "explanation"]
OUTPUTS = "outputs.json"


def note_output(run: Run, kind: Kind, folder: Path) -> None:
    """Record in the run where the newest results of a kind lie, for the report."""
    folder, home = folder.resolve(), run.folder.resolve()
    place = folder.relative_to(home) if folder.is_relative_to(home) else folder
    write_json(run.folder / OUTPUTS, {**_outputs(run), kind: str(place)})


def find_output(run: Run, kind: Kind) -> Path | None:
    """Return the folder of the newest results of a kind, if there are any."""
    folder = run.folder / str(_outputs(run).get(kind, kind))
    try:
        return folder if folder.is_dir() else None
    except (OSError, ValueError):  # a name that no folder can have
        return None


def _outputs(run: Run) -> dict[str, Any]:
    path = run.folder / OUTPUTS
    found = read_json(path, "Remove it, and evaluate again") if path.exists() else {}
    return found if isinstance(found, dict) else {}
