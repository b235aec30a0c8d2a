"""Turn benchmarks/results/*.json into docs/scoreboard.md, wins and losses alike; `--check` says whether it is stale."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import ROOT, TIERS, Claim, cells

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, read_json

HEAD = """# Scoreboard

Made by `make scoreboard` from `benchmarks/results/`; nothing here is written by hand. The *bar* is what was asked for
before the run; a claim *holds* if its value reaches the bar, *not clearly* if its interval crosses it. Intervals are
95 % over patients unless a benchmark says otherwise.
"""
MANY = 8
"""Controls of a claim above which they are folded."""
FEW = 3
"""Controls of a claim that the summary shows."""
BenchmarkRun = tuple[str, str, dict[str, Any], list[Claim]]
"""Name, tier, how it was run, claims."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "scoreboard.md")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file is stale")
    parsed = parser.parse_args(arguments)
    try:
        text = scoreboard(parsed.results)
    except ScanweaveError as error:
        print(error, file=sys.stderr)
        return 1
    if not parsed.check:
        with atomic_write(parsed.out) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return 0
    fresh = parsed.out.is_file() and parsed.out.read_text(encoding="utf-8") == text
    if not fresh:
        print(f"{parsed.out.name} is stale. Run: make scoreboard", file=sys.stderr)
    return 0 if fresh else 1


def scoreboard(results: Path) -> str:
    """Return the whole page; the same results always give the same text."""
    found = [(path, read_json(path, "Run the benchmark again")) for path in sorted(results.glob("*.json"))]
    runs = sorted((_run(path, result) for path, result in found), key=lambda run: (run[0], TIERS.index(run[1])))
    if not runs:
        return HEAD + "\nNo results yet.\n"
    return HEAD + _summary(runs) + _losses(runs) + "".join(_section(*run) for run in runs)


def _summary(runs: list[BenchmarkRun]) -> str:
    """Return a row a benchmark: its first claim with a bar, which is its main one, and how many of all hold."""
    judged = _judged(runs)
    held = sum(bool(claim.holds) for _, claim in judged)
    rows = [("benchmark", "main claim", "value", "interval", "bar", "controls", "verdict", "hold")]
    for name, tier, _, claims in runs:
        main = next((claim for claim in claims if claim.holds is not None), claims[0])
        shown = replace(main, control=dict(list(main.control.items())[:FEW]))
        bars = [claim.holds for claim in claims if claim.holds is not None]
        all_of = f"{sum(map(bool, bars))} of {len(bars)}" if bars else "–"
        rows.append((f"[{name}](#{name}-{tier})", *map(_escaped, cells(shown)), all_of))
    return f"\n**{held} of {len(judged)} claims hold.** The main claim of each benchmark:\n\n{_table(rows)}\n"


def _losses(runs: list[BenchmarkRun]) -> str:
    rows = [("benchmark", "claim that fails", "value", "interval", "bar")]
    rows += [(name, *map(_escaped, cells(claim)[:4])) for name, claim in _judged(runs) if not claim.holds]
    return f"\n## What fails\n\n{_table(rows)}\n" if len(rows) > 1 else ""


def _judged(runs: list[BenchmarkRun]) -> list[tuple[str, Claim]]:
    return [(name, claim) for name, _, _, claims in runs for claim in claims if claim.holds is not None]


def _table(rows: list[tuple[str, ...]]) -> str:
    ruled = [rows[0], ("---",) * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in ruled)


def _run(path: Path, result: dict[str, Any]) -> BenchmarkRun:
    try:
        claims = [_claim(path, entry) for entry in result["claims"]]
        about = {key: result[key] for key in ("command", "commit", "machine", "seconds", "seeds")}
        name, tier = path.stem, str(result["tier"])
        TIERS.index(tier)
    except (KeyError, TypeError, ValueError) as error:
        raise ScanweaveError(path.name, f"not a benchmark's result ({error})", "Run the benchmark again") from error
    return name, tier, about, claims


def _claim(path: Path, entry: dict[str, Any]) -> Claim:
    figures = {key: float("nan") if entry[key] is None else float(entry[key]) for key in ("value", "low", "high")}
    rest = {key: entry[key] for key in ("name", "unit", "n", "bar", "better", "control")}
    claim = Claim(**figures, **rest)
    if claim.holds != entry["holds"]:
        reason = f'"{claim.name}": holds is {entry["holds"]} but the figures say {claim.holds}'
        raise ScanweaveError(path.name, reason, "Never type in a verdict: run the benchmark again")
    return claim


def _section(name: str, tier: str, about: dict[str, Any], claims: list[Claim]) -> str:
    table = _table([("claim", "value", "interval", "bar", "controls", "verdict"), *map(_row, claims)])
    seeds = ", ".join(map(str, about["seeds"]))
    run = f"`{about['command']}` · commit {about['commit']} · {about['seconds']:.0f} s · seeds {seeds}"
    opened = f"<details><summary>{len(claims)} claims, with their controls</summary>\n\n{table}\n\n</details>"
    return f"\n## {name} ({tier})\n\n{opened}\n\n{run} · {about['machine']}\n"


def _row(claim: Claim) -> tuple[str, ...]:
    """The cells of a claim; a long list of controls opens on a click."""
    *first, controls, told = map(_escaped, cells(claim))
    if len(claim.control) > MANY:
        controls = f"<details><summary>{len(claim.control)} figures</summary>{controls}</details>"
    return *first, controls, told


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


if __name__ == "__main__":
    sys.exit(main())
