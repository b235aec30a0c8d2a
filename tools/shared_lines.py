"""Count the lines that systems share, as pylint's duplicate-code checker finds them.

`python tools/shared_lines.py`, which `make lint` runs, compares the systems with each other and with the plug-in of the
tests, and fails where two share more than `MOST_SHARED_LINES`. Imports, docstrings, comments and signatures do not
count, nor do runs of up to `SHORTEST_RUN` lines.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("src/scanweave/systems", "tests/plugin/masked_autoencoder")
SHORTEST_RUN = 4
"""Lines in a row that may be equal by chance; pylint's own default."""
MOST_SHARED_LINES = 30
OPTIONS = (
    "--disable=all",
    "--enable=duplicate-code",
    f"--min-similarity-lines={SHORTEST_RUN}",
    *(f"--ignore-{what}=y" for what in ("comments", "docstrings", "imports", "signatures")),
    "--output-format=json2",
)
PLACE = re.compile(r"^==([\w.]+):\[(\d+):(\d+)\]$", re.MULTILINE)
"""How pylint tells where a run of equal lines stands: module, first line, the line after the last."""


def system_of(module: str) -> str:
    """Return the name of the system that a module belongs to."""
    return module.removeprefix("scanweave.systems.").split(".")[0]


def shared_lines(found: str) -> Counter[tuple[str, str]]:
    """Return how many lines each two systems share, from what pylint found as JSON; say where they are."""
    shared: Counter[tuple[str, str]] = Counter()
    for message in json.loads(found)["messages"]:
        places = PLACE.findall(message["message"])
        lines = max(int(stop) - int(start) for _, start, stop in places)
        pairs = list(combinations(sorted({system_of(module) for module, _, _ in places}), 2))
        shared.update(dict.fromkeys(pairs, lines))
        if pairs:
            print(", ".join(f"{module}:{int(start) + 1}" for module, start, _ in places))
    return shared


def main() -> int:
    """Print what each two systems share; return 1 if any two share too much."""
    command = [sys.executable, "-m", "pylint", *OPTIONS, *FOLDERS]
    shared = shared_lines(subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout)
    for (one, other), count in shared.most_common():
        print(f"{one} and {other}: {count} lines")
    print(f"most: {max(shared.values(), default=0)} lines; allowed: {MOST_SHARED_LINES}")
    return int(max(shared.values(), default=0) > MOST_SHARED_LINES)


if __name__ == "__main__":
    sys.exit(main())
