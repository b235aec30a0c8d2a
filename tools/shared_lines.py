"""Count the lines that systems share, as pylint's duplicate-code checker finds them.

`python tools/shared_lines.py` compares the systems with each other and the plug-in of the tests with each of them, and
fails where two share more than `MOST_SHARED_LINES`. Imports, docstrings, comments and signatures do not count, nor do
runs of up to `SHORTEST_RUN` lines.
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

from pylint.checkers.symilar import LineSet, Symilar

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "tests" / "plugin" / "masked_autoencoder"
SHORTEST_RUN = 4
"""Lines in a row that may be equal by chance; pylint's own default."""
MOST_SHARED_LINES = 30


def read_system(finder: Symilar, folder: Path) -> list[LineSet]:
    """Return the files of a system as the finder sees them."""
    finder.linesets.clear()
    for path in sorted(folder.glob("*.py")):
        with path.open(encoding="utf-8") as lines:
            finder.append_stream(str(path.relative_to(ROOT)), lines)
    return list(finder.linesets)


def shared_lines(finder: Symilar, one: list[LineSet], other: list[LineSet]) -> list[tuple[int, str, str]]:
    """Return each run of equal lines in the files of two systems: how many, and where they begin in both."""
    found = []
    for first in one:
        for second in other:
            for run in finder._find_common(first, second):
                where = (f"{first.name}:{run.fst_file_start + 1}", f"{second.name}:{run.snd_file_start + 1}")
                found.append((int(run.cmn_lines_nb), *where))
    return found


def main() -> int:
    """Print what each two systems share; return 1 if any two share too much."""
    finder = Symilar(
        min_lines=SHORTEST_RUN,
        ignore_comments=True,
        ignore_docstrings=True,
        ignore_imports=True,
        ignore_signatures=True,
    )
    folders = [*sorted((ROOT / "src/scanweave/systems").glob("[a-z]*/")), PLUGIN]
    systems = {folder.name: read_system(finder, folder) for folder in folders if (folder / "system.py").is_file()}
    worst = 0
    for (name, one), (other_name, other) in combinations(systems.items(), 2):
        runs = shared_lines(finder, one, other)
        total = sum(count for count, _, _ in runs)
        worst = max(worst, total)
        print(f"{name} and {other_name}: {total} lines")
        for count, first, second in runs:
            print(f"  {count} lines at {first} and {second}")
    return int(worst > MOST_SHARED_LINES)


if __name__ == "__main__":
    sys.exit(main())
