"""Time until a verb speaks, and cost of checking a cohort again that did not change: CPU seconds of processes.

Simulated brains of seven sequences and three masks (`scanweave simulate brain`); in the proof tier 8 patients at 2 mm,
the simulator's default, where starting Python weighs more than reading, and at 1 mm, the size of a clinical scan. The
bars: a second `cohort check` costs at most a tenth of the first one, and a verb prints within 1.5 CPU seconds, a cohort
verb also what it found or how far it is, since a first line may say only what was asked for. Compiled Python is kept,
as an installation keeps it, and in the proof tier each verb has run once before.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import Claim, benchmark_arguments, write_results

TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"patients": 2, "spacings": (8.0,), "repeats": 1, "warm": 0, "bars": False},
    "proof": {"patients": 8, "spacings": (2.0, 1.0), "repeats": 3, "warm": 1, "bars": True},
    "study": {"patients": 24, "spacings": (2.0, 1.0), "repeats": 10, "warm": 1, "bars": True},
}
"""`spacings`: voxel sizes [mm]; `warm`: runs of each verb that do not count."""
CHECK_BAR, START_BAR = 10.0, 1.5
"""How many times cheaper a second check is at least, and CPU seconds before a line at most."""
RUN_VERBS = ("evaluate", "rank", "explain", "report")
"""Verbs of a run; asked for a folder that holds none, they load what they need to find that out."""
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    claims: list[Claim] = []
    with tempfile.TemporaryDirectory() as name:
        for spacing in tier["spacings"]:
            cohort = Path(name) / f"brain-{spacing:g}"
            options = f"--subjects {tier['patients']} --spacing {spacing:g} --out {cohort}"
            whole(["simulate", "brain", *options.split()])
            claims.append(again(cohort, spacing, tier))
        claims += starts(cohort, tier)
    write_results("verb_start", arguments, (0,), claims)


def again(cohort: Path, spacing: float, tier: dict[str, Any]) -> Claim:
    """Measure how many times the cost of a check that reads nothing goes into that of one that reads all."""
    whole(["cohort", "check", str(cohort)])
    first = [whole(["cohort", "check", str(cohort), "--again"]) for _ in range(tier["repeats"])]
    second = [whole(["cohort", "check", str(cohort)]) for _ in range(tier["repeats"])]
    ratios = np.array(first) / np.array(second)
    name = f"cost of the first check of {tier['patients']} patients at {spacing:g} mm over that of the second"
    beside = {"first [CPU s]": float(np.median(first)), "second [CPU s]": float(np.median(second))}
    bar = CHECK_BAR if tier["bars"] else None
    return claim(name, ratios, "×", bar, "higher", beside)


def starts(cohort: Path, tier: dict[str, Any]) -> list[Claim]:
    """The slowest verb's first line, and the second one of cohort verbs, which no longer repeats what was asked for."""
    folder = cohort.parent
    verbs = {
        "cohort check": ["cohort", "check", str(cohort)],
        "cohort check --again": ["cohort", "check", str(cohort), "--again"],
        "cohort show": ["cohort", "show", str(cohort)],
        "cohort split": ["cohort", "split", str(cohort), "--again", "--folds", "2", "--no-validation"],
        "cohort import": ["cohort", "import", str(cohort / "studies"), "--out", str(folder / "imported")],
        "simulate brain": ["simulate", "brain", "--subjects", "1", "--spacing", "8", "--out", str(folder / "made")],
        "fit": ["fit", "seq2seq", "--cohort", str(cohort), "--run", str(folder / "run"), "--fold", "9"],
        "predict": ["predict", str(folder), "--cohort", str(cohort), "--out", str(folder / "out")],
    }
    verbs |= {verb: [verb, str(folder), *(["--cohort", str(cohort)] if verb != "report" else [])] for verb in RUN_VERBS}
    found: dict[str, list[list[float]]] = {verb: [] for verb in verbs}
    for _ in range(tier["warm"] + tier["repeats"]):
        for verb, words in verbs.items():
            found[verb].append(lines(words))
            for made in ("imported", "made"):
                shutil.rmtree(folder / made, ignore_errors=True)
    first = {verb: np.array([marks[0] for marks in runs[tier["warm"] :]]) for verb, runs in found.items()}
    result = {
        verb: np.array([marks[1] for marks in runs[tier["warm"] :]]) for verb, runs in found.items() if "cohort" in verb
    }
    bar = START_BAR if tier["bars"] else None
    return [
        slowest("CPU seconds before the first line, of the slowest verb", first, bar),
        slowest("CPU seconds before a cohort verb tells what it found or how far it is, of the slowest", result, bar),
    ]


def slowest(name: str, found: dict[str, np.ndarray], bar: float | None) -> Claim:
    """The verb whose median is the largest; those of all stand beside it."""
    medians = {verb: float(np.median(values)) for verb, values in found.items()}
    return claim(name, found[max(medians, key=lambda verb: medians[verb])], "s", bar, "lower", medians)


def claim(name: str, values: np.ndarray, unit: str, bar: float | None, better: Any, beside: dict[str, float]) -> Claim:
    """The median over repetitions with their range."""
    low, high = (float(values.min()), float(values.max())) if len(values) > 1 else (math.nan, math.nan)
    return Claim(name, float(np.median(values)), low, high, unit, len(values), bar, better, beside)


def whole(words: Sequence[str]) -> float:
    """Run a verb to its end and return the CPU seconds that it took."""
    before = os.times()
    subprocess.run(command(words), env=environment(), capture_output=True, text=True, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def lines(words: Sequence[str]) -> list[float]:
    """Run a verb and return the CPU seconds that it had spent when each of its first two lines was there."""
    with subprocess.Popen(
        command(words), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        marks = []
        for _ in range(2):
            assert process.stdout.readline(), f"{' '.join(words[:2])} printed nothing"
            marks.append(spent(process.pid))
        process.stdout.read()
    return marks


def spent(pid: int) -> float:
    """Return the CPU seconds of a process so far, also where it has just ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "scanweave", *words]


def environment() -> dict[str, str]:
    """Return the environment of an installation: compiled Python is kept, a line is out when it is printed."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


if __name__ == "__main__":
    main()
