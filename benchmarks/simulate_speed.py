"""Speed of simulating and writing brains at 2 mm: subjects per second with one and two processes, and memory."""

from __future__ import annotations

import resource
import tempfile
import time
from functools import partial
from pathlib import Path

from common import Claim, benchmark_arguments, write_results

from scanweave.simulate import simulate_subject
from scanweave.simulate.settings import BrainSettings
from scanweave.simulate.writing import write_subjects

TIERS = {
    "smoke": {"subjects": 2, "seeds": (0,)},
    "proof": {"subjects": 24, "seeds": (0, 1, 2)},
    "study": {"subjects": 96, "seeds": (0, 1, 2, 3, 4)},
}
WORKERS = (1, 2)


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    subjects, seeds = TIERS[arguments.tier]["subjects"], TIERS[arguments.tier]["seeds"]
    claims = []
    for workers in WORKERS:
        rates = [subjects_per_second(seed, subjects, workers) for seed in seeds]
        name = f"subjects a second, 2 mm, {workers} process" + "es" * (workers > 1)
        claims.append(Claim(name, sum(rates) / len(rates), min(rates), max(rates), "1/s", len(rates), None, "higher"))
    claims.append(Claim("peak memory of a process", peak_memory(), float("nan"), float("nan"), "MiB", 1, None, "lower"))
    write_results("simulate_speed", arguments, seeds, claims)


def subjects_per_second(seed: int, subjects: int, workers: int) -> float:
    """Return the rate once every process has read the template: the first 4 subjects of each do not count."""
    warm = 4 * workers if subjects > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        simulate = partial(simulate_subject, seed, settings=BrainSettings())
        stream = write_subjects(Path(folder), range(warm + subjects), simulate, False, workers)
        for _ in range(warm):
            next(stream)
        start = time.perf_counter()
        done = sum(1 for _ in stream)
        return done / (time.perf_counter() - start)


def peak_memory() -> float:
    """Return the largest resident memory of this process or one of its workers so far [MiB]."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


if __name__ == "__main__":
    main()
