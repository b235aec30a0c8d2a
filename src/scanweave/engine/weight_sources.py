"""Sources of start weights, in the same words everywhere: RUN, FILE.safetensors or builtin:NAME."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError

BUILTIN = "builtin:"
ENTRY_POINTS = "scanweave.weights"
"""Group of the entry points by which a package offers weights: a name, and a function that returns the file's path."""
SUFFIX = ".safetensors"


def find_weights(source: str | Path) -> Path:
    """Return the file of weights that is meant by a run folder, a .safetensors file or builtin:NAME.

    Raises:
        ScanweaveError: It is none of these, the run is not finished, or no builtin weights have this name.
    """
    if str(source).startswith(BUILTIN):
        return _builtin(str(source).removeprefix(BUILTIN))
    path = Path(source)
    if path.is_dir():
        return Run.open(path).fitted().weights
    if not path.is_file():
        known = " or ".join(["a run folder, a .safetensors file", *(BUILTIN + name for name in _offered())])
        raise ScanweaveError(path, "is not there to start from", f"Name {known}")
    if path.suffix != SUFFIX:
        reason = f"is no {SUFFIX} file: other formats of weights may run code when they are opened"
        raise ScanweaveError(
            path, reason, f"Convert it with safetensors.torch.save_file, or name a run or a {SUFFIX} file"
        )
    return path


def _builtin(name: str) -> Path:
    offered = _offered()
    if name not in offered:
        advice = f"Choose from {', '.join(offered)}" if offered else "None are installed: name a run or a file"
        raise ScanweaveError(BUILTIN + name, "there are no such weights", advice)
    path = Path(offered[name].load()())
    if not path.is_file():
        package = offered[name].value.split(":")[0]
        raise ScanweaveError(BUILTIN + name, f"the file is absent ({path})", f"Install again what holds {package}")
    return path


def _offered() -> dict[str, EntryPoint]:
    return {one.name: one for one in sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name)}
