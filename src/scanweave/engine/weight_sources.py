"""Sources of runs and of start weights, in the same words everywhere: RUN, FILE.safetensors or builtin:NAME."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import folder_meant, is_folder, is_plain

BUILTIN = "builtin:"
ENTRY_POINTS = "scanweave.weights"
"""Group of the entry points by which a package offers weights: a name, and a function that returns the path of a run
folder, or of a file of weights."""
SUFFIX = ".safetensors"
SHIPPED = Path(__file__).parents[1] / "builtin"
"""Folder of the runs that are part of this package, each by its name."""
HOW_TO_GET = {"brain": "Make it: python tools/train_builtin.py brain --out src/scanweave/builtin/brain"}
"""Builtins that a checkout may lack, and the command that makes each."""


def is_builtin(source: str | Path) -> bool:
    """Tell whether a source is `builtin:NAME`."""
    return str(source).startswith(BUILTIN)


def has_builtin(name: str) -> bool:
    """Tell whether a builtin of this name is installed."""
    return name in _names()


def builtin_runs() -> list[str]:
    """Return the sources of the runs that are installed with this package, such as builtin:brain."""
    return [BUILTIN + name for name in _names() if _is_shipped(name)]


def find_weights(source: str | Path) -> Path:
    """Return the file of weights that is meant by a run folder, a .safetensors file or builtin:NAME.

    Raises:
        ScanweaveError: It is none of these, the run is not finished, or no builtin weights have this name.
    """
    path = _builtin(str(source).removeprefix(BUILTIN)) if is_builtin(source) else Path(source)
    if is_folder(path):
        return Run.open(path).fitted().weights
    if not is_plain(path):
        known = " or ".join(["a run folder, a .safetensors file", *(BUILTIN + name for name in _names())])
        meant = folder_meant(path, "config.json")
        step = f"Did you mean {meant}?" if meant else f"Name {known}"
        raise ScanweaveError(path, "is not there to start from", step)
    if path.suffix != SUFFIX:
        reason = f"is no {SUFFIX} file: other formats of weights may run code when they are opened"
        raise ScanweaveError(
            path, reason, f"Convert it with safetensors.torch.save_file, or name a run or a {SUFFIX} file"
        )
    return path


def find_run(source: str | Path) -> Run:
    """Return the run that is meant by a run folder or builtin:NAME; that of a builtin is shipped, never written to.

    Raises:
        ScanweaveError: It holds no run, there is no such builtin, or it is a file of weights alone.
    """
    if not is_builtin(source):
        return Run.open(source)
    path = _builtin(str(source).removeprefix(BUILTIN))
    if not path.is_dir():
        raise ScanweaveError(str(source), "holds weights alone, and no run", "Begin a fit from it: fit SYSTEM --from")
    run = Run.open(path)
    run.shipped = True
    return run


def origin_of(source: str | Path) -> Run | None:
    """Return the run that start weights come from; None where they are a file alone.

    Raises:
        ScanweaveError: As `find_weights`.
    """
    file = find_weights(source)
    return Run.open(file.parent) if is_plain(file.parent / "config.json") else None


def _builtin(name: str) -> Path:
    names = _names()
    if name not in names:
        listed = f"Choose from {', '.join(names)}" if names else "None are installed: name a run or a file"
        if name in HOW_TO_GET:
            raise ScanweaveError(BUILTIN + name, "is not installed", f"{HOW_TO_GET[name]}. {listed}")
        raise ScanweaveError(BUILTIN + name, "there are no such weights", listed)
    if _is_shipped(name):
        return SHIPPED / name
    offered = _offered()[name]
    path = Path(offered.load()())
    if not path.exists():
        package = offered.value.split(":")[0]
        raise ScanweaveError(BUILTIN + name, f"the file is absent ({path})", f"Install again what holds {package}")
    return path


def _names() -> list[str]:
    """Return the names of what is installed."""
    shipped = [path.name for path in SHIPPED.iterdir() if _is_shipped(path.name)] if SHIPPED.is_dir() else []
    return sorted({*shipped, *_offered()})


def _is_shipped(name: str) -> bool:
    return is_plain(SHIPPED / name / "config.json")


def _offered() -> dict[str, EntryPoint]:
    return {one.name: one for one in sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name)}
