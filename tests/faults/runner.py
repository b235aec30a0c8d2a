"""Run a corpus of faults in this process and print what came of each, one JSON object a line."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

BUDGET = 256 * 2**20


def outcome(fault: Any, folder: Path) -> dict[str, Any]:
    """Make the fault, meet it, and say what happened."""
    from scanweave.errors import ScanweaveError

    started = time.process_time()
    fault.make(folder)
    met = time.process_time()
    told = ""
    try:
        result = fault.exercise(folder)
    except ScanweaveError as error:
        result, told = "error", str(error)
    except BaseException:
        result, told = "escape", traceback.format_exc()
    partial = [str(path) for path in folder.rglob(".partial-*")]
    return {
        "kind": fault.kind,
        "name": fault.name,
        "expected": fault.expected,
        "result": result,
        "told": told,
        "partial": partial,
        "making": met - started,
        "seconds": time.process_time() - met,
        "peak": _peak(),
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Run every fault of the corpora named on the command line."""
    os.environ["SCANWEAVE_MEMORY_BUDGET"] = str(BUDGET)
    import importlib

    faults = [fault for module in sys.argv[1:] for fault in importlib.import_module(module).faults()]
    import SimpleITK  # noqa: F401 - its size is not the faults'

    base = _peak()
    print(json.dumps({"base": base}))
    for fault in faults:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(sys.stdout):
            result = outcome(fault, Path(folder))
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    sys.path[:0] = [str(folder) for folder in Path(__file__).resolve().parents[:2]]
    main()
