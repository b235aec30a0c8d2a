"""`scanweave`: finds the module of a verb, runs it, and turns faults into one line and an exit status."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import scanweave
from scanweave.errors import ScanweaveError
from scanweave.wording import choice

VERBS = {
    "cohort": "take studies in, check, split, show, prepare: cohort import | check | split | show | prepare | restore",
    "simulate": "make a cohort whose truth is known: simulate bodies | brain | breast | ct | films | reports | tumours",
    "fit": "learn from a cohort",
    "predict": "make the missing, or the named, images",
    "evaluate": "measure predictions against what was acquired, with intervals",
    "rank": "order the sequences by what they carry, with intervals",
    "explain": "map what each sequence alone shows",
    "synthesize": "put tumours into scans, where and how large you want them",
    "serve": "open a page on this machine: look, make what is absent, files in and out",
    "push": "store DICOM objects in the archive that their sources came from",
    "readers": "let readers tell made from real tumours, blind: readers build | serve | analyse",
    "search": "find studies by words, or by their likeness to another",
    "audit": "try how far a run can be trusted: audit stability | shortcuts",
    "experiment": "compare many fits to one cohort: experiment labels",
    "prune": "make the network of a run smaller",
    "export": "write the network of a run as a file that other programs run",
    "device": "measure exported networks on this machine, or run them in a browser",
    "report": "write one HTML page of a run to keep and send",
    "demo": "all of it, on simulated studies, in minutes",
    "systems": "list the systems and what each answers",
    "import-weights": "take over published weights, read safely",
}
"""What the program can do. The verb `a-b` lives in the module `scanweave.cli.a_b`, unless `HOMES` names another."""
HOMES = {"evaluate": "trial", "rank": "trial", "explain": "trial"}

USAGE, REFUSED, INTERRUPTED = 2, 1, 130
"""Exit statuses besides 0: a mistake of the user, a study that was refused or failed, and Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status: 0, or see `USAGE`, `REFUSED`, `INTERRUPTED`."""
    _open_streams()
    try:
        status = run_command(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return status
    except ScanweaveError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("interrupted. What is whole is kept; the same command goes on.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        _discard_output()
        return 0
    except OSError as error:  # what the system refuses of a name that a user gave, or of the output
        where = error.filename or "scanweave"
        if error.filename is None:
            _discard_output()
        reason = f"cannot be used ({error.strerror or error})"
        print(f"error: {ScanweaveError(where, reason, 'Check the path, and the room on the disk')}", file=sys.stderr)
        return USAGE


def _open_streams() -> None:
    """Let output be written wherever it goes: a closed stream leads nowhere, an ASCII terminal gets escapes."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # closed: else the next file that is opened would take its number, and what is printed
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_command(arguments: list[str]) -> int:
    """Run one command and return its exit status; faults are raised.

    Raises:
        ScanweaveError: A mistake of the user.
    """
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if verb in ("-h", "--help"):
        print(_help())
        return 0
    if verb == "--version":
        print(f"scanweave {scanweave.__version__}")
        return 0
    if verb not in VERBS:
        raise ScanweaveError("scanweave", f"there is no verb '{verb}'", choice(verb, VERBS))
    from scanweave.cli.parsing import run_verb

    home = HOMES.get(verb, verb.replace("-", "_"))
    return run_verb(import_module(f"scanweave.cli.{home}"), f"scanweave {verb}", rest)


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {about}" for verb, about in VERBS.items()]
    return "\n".join(
        [
            "usage: scanweave VERB [OPTIONS]",
            "",
            "Learn from incomplete, many-view medical imaging studies.",
            "",
            *lines,
            "",
            "scanweave VERB --help tells the options of a verb; scanweave --version the version.",
            "New here: scanweave demo --out demo",
        ]
    )
