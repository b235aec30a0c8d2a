"""Tools that every benchmark shares: its arguments, its claims and the JSON that the scoreboard reads."""

from __future__ import annotations

import argparse
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from dataclasses import field as dataclass_field
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import psutil

from scanweave.files import write_json

ROOT = Path(__file__).resolve().parents[1]
TIERS = ("smoke", "proof", "study")


@dataclass(frozen=True)
class Claim:
    """A figure, what was asked for before the run, and what the simple controls reach.

    Attributes:
        name: What is claimed, in words.
        value: What was measured.
        low: Lower end of its interval; NaN where there is none.
        high: Upper end.
        unit: Its unit, empty for a plain number.
        n: Number of patients (or other independent things) behind it.
        bar: What was asked for, written down before the run; `None` for a figure that is only reported.
        better: Whether higher or lower is better.
        control: Figures of the controls by name, such as `{"mean of the sources": 24.1}`.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    n: int
    bar: float | None
    better: Literal["higher", "lower"]
    control: Mapping[str, float] = dataclass_field(default_factory=dict)

    @property
    def holds(self) -> bool | None:
        """Tell whether the value reaches the bar; `None` without a bar, false for a value that is not a number."""
        return None if self.bar is None else self._reaches(self.value)

    @property
    def clear(self) -> bool:
        """Tell whether the whole interval lies on the value's side of the bar."""
        if self.bar is None or math.isnan(self.low) or math.isnan(self.high):
            return False
        return self._reaches(self.low) == self._reaches(self.high) == self._reaches(self.value)

    def _reaches(self, value: float) -> bool:
        assert self.bar is not None
        return value >= self.bar if self.better == "higher" else value <= self.bar


def benchmark_arguments(
    description: str,
    tiers: Sequence[str] = TIERS,
    arguments: Sequence[str] | None = None,
    **own: Mapping[str, Any],
) -> argparse.Namespace:
    """Parse `--tier` and `--json`; the namespace also holds `started` and `commit`, for `write_results`.

    `own` are options that only this benchmark has: name, and what `add_argument` takes.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tier", choices=tiers, default=tiers[0], help="how long and how much: default %(default)s")
    parser.add_argument("--json", type=Path, default=None, help="file for the results")
    for name, about in own.items():
        parser.add_argument(f"--{name}", **about)
    parsed = parser.parse_args(arguments)
    parsed.started, parsed.commit = time.monotonic(), commit()
    return parsed


def silent(words: str) -> None:
    """Say nothing, of a fit in whose words no benchmark is interested."""


def one_thread_each(jobs: int) -> ProcessPoolExecutor:
    """Return a pool for jobs that train: a job on each core is done sooner than one on all cores."""
    return ProcessPoolExecutor(min(jobs, os.cpu_count() or 1), get_context("spawn"), _one_thread)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def in_child(job: Callable[..., Any], *about: Any) -> Any:
    """Return what a process of its own finds, so that memory of one is not counted to another."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(job, *about).result()


def peak_memory() -> float:
    """Most memory that this process held since it began [MiB]; what `getrusage` says counts its parent's too."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(found[1]) / 1024 if found else math.nan


def write_results(
    benchmark: str, arguments: argparse.Namespace, seeds: Sequence[int], claims: Sequence[Claim], extra: str = ""
) -> None:
    """Print the claims as a table and, if `--json` names a file, write them there, whole or not at all.

    `extra` holds the arguments of the command that only this benchmark has.
    """
    seconds = time.monotonic() - arguments.started
    print(f"{benchmark} · {arguments.tier} · {seconds:.0f} s · seeds {', '.join(map(str, seeds))}")
    for line in table(claims):
        print(line)
    if arguments.json is not None:
        result = {
            "benchmark": benchmark,
            "tier": arguments.tier,
            "command": command(benchmark, arguments, extra),
            "commit": arguments.commit,
            "machine": machine(),
            "seconds": round(seconds, 1),
            "seeds": list(seeds),
            "claims": [_plain(claim) for claim in claims],
        }
        write_json(arguments.json, result)


def table(claims: Sequence[Claim]) -> list[str]:
    """Return the claims as aligned lines of text."""
    rows = [("claim", "value", "interval", "bar", "controls", "verdict"), *(cells(claim) for claim in claims)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def verdict(claim: Claim) -> str:
    """Return in words how a claim fared."""
    if claim.holds is None:
        return "reported"
    word = "holds" if claim.holds else "fails"
    return word if claim.clear or math.isnan(claim.low) else f"{word}, not clearly"


def number(value: float | None) -> str:
    """Return a figure with four significant digits, a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:.4g}"


def command(benchmark: str, arguments: argparse.Namespace, extra: str = "") -> str:
    """Return the command that makes this result, relative to the project's root and without any folder outside it."""
    words = [f"python benchmarks/{benchmark}.py", *filter(None, [extra]), f"--tier {arguments.tier}"]
    if arguments.json is not None:
        path = arguments.json.resolve()
        words.append(f"--json {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name}")
    return " ".join(words)


def commit() -> str:
    """Return the commit; `+changes` says that code differs from it."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "--", "src", "benchmarks/*.py") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine() -> str:
    """Return processors, memory and versions; never a host name or a path."""
    memory = psutil.virtual_memory().total / 2**30
    parts = [f"{os.cpu_count()} × {_processor()}", f"{memory:.0f} GiB", f"Python {platform.python_version()}"]
    try:
        parts.append(f"torch {version('torch')}")
    except PackageNotFoundError:
        parts.append("no torch")
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join(parts)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _plain(claim: Claim) -> dict[str, Any]:
    """Return the claim for JSON, which knows no NaN."""
    fields = asdict(claim) | {"holds": claim.holds}
    return {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in fields.items()}


def cells(claim: Claim) -> tuple[str, ...]:
    sign = "≥" if claim.better == "higher" else "≤"
    return (
        claim.name,
        f"{number(claim.value)} {claim.unit}".strip(),
        "–" if math.isnan(claim.low) else f"[{number(claim.low)}, {number(claim.high)}] n={claim.n}",
        "–" if claim.bar is None else f"{sign} {number(claim.bar)}",
        ", ".join(f"{name} {number(value)}" for name, value in claim.control.items()) or "–",
        verdict(claim),
    )
