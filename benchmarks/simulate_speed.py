"""How fast brains are simulated and written at 2 mm: subjects per second with one and two processes, and memory.

python benchmarks/simulate_speed.py --tier smoke|proof --json FILE
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scanweave.simulate.settings import BrainSettings
from scanweave.simulate.writing import write_subjects

COUNTS = {"smoke": 2, "proof": 24}
SEEDS = {"smoke": [0], "proof": [0, 1, 2]}
WORKERS = (1, 2)


def subjects_per_second(seed: int, count: int, workers: int) -> float:
    """Return the rate once every process has read the template: the first 4 per process do not count."""
    warm = 4 * workers if count > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        stream = write_subjects(Path(folder), range(warm + count), seed, BrainSettings(), False, workers)
        for _ in range(warm):
            next(stream)
        start = time.perf_counter()
        done = sum(1 for _ in stream)
        return done / (time.perf_counter() - start)


def claim(name: str, values: list[float], unit: str) -> dict[str, Any]:
    """Return one row of the result; no figure was asked for before the first run, so there is no bar to hold."""
    value, low, high = sum(values) / len(values), min(values), max(values)
    return {"name": name, "value": value, "low": low, "high": high, "unit": unit, "n": len(values), "bar": None,
            "holds": None, "control": None}  # fmt: skip


def peak_memory() -> float:
    """Return the largest resident memory of this process or one of its workers so far [MiB]."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", choices=sorted(COUNTS), default="smoke")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    start, seeds = time.perf_counter(), SEEDS[options.tier]
    rates = {w: [subjects_per_second(seed, COUNTS[options.tier], w) for seed in seeds] for w in WORKERS}
    claims = [claim(f"subjects per second, {w} process(es), 2 mm", rates[w], "1/s") for w in WORKERS]
    claims.append(claim("peak memory of one process", [peak_memory()], "MiB"))
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    result = {
        "benchmark": "simulate_speed",
        "tier": options.tier,
        "command": " ".join(["python", *sys.argv]),
        "commit": commit,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "seconds": round(time.perf_counter() - start, 1),
        "seeds": seeds,
        "claims": claims,
    }
    for row in claims:
        print(f"{row['name']:44s} {row['value']:8.2f} {row['unit']:4s} [{row['low']:.2f}, {row['high']:.2f}]")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
