"""Figures: how fast Seq2Seq prepares, reads, trains and synthesises on two cores, and what costs most. No bar.

    python benchmarks/seq2seq_throughput.py --tier proof --json benchmarks/results/seq2seq_throughput.json

A simulated cohort of four sequences (proof: 1 mm) is prepared by one process; crops of 192 × 192 are read from its
cache; the `paper` network takes training steps and makes all pairs of four sequences at 1 × 3 × 192 × 192 (smoke: the
`small` network at 48 × 48). Times are medians; those in brackets, the range over repetitions.
"""

from __future__ import annotations

import math
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Claim, benchmark_arguments, write_results
from torch import Tensor
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from scanweave.simulate.cohort import simulate_brain
from scanweave.simulate.settings import MAIN
from scanweave.studies.preparing.plan import learn_plan
from scanweave.studies.preparing.preparation import BACKGROUND
from scanweave.studies.preparing.prepared_cache import CachedStudy, PreparedCohort
from scanweave.systems.seq2seq.config import PRESETS, Seq2SeqConfig
from scanweave.systems.seq2seq.objective import Seq2SeqObjective
from scanweave.systems.seq2seq.samples import CropSamples
from scanweave.systems.seq2seq.task import Seq2SeqTask

SEED = 0
CORES = 2
COSTS = 3
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"preset": "small", "cases": 1, "spacing": 4.0, "patches": 20, "steps": 1, "crop": 48},
    "proof": {"preset": "paper", "cases": 8, "spacing": 1.0, "patches": 1000, "steps": 10, "crop": 192},
    "study": {"preset": "paper", "cases": 24, "spacing": 1.0, "patches": 5000, "steps": 50, "crop": 192},
}
Wave = list[float]


def timed(work: Callable[[], object], times: int) -> Wave:
    """Seconds of each repetition."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return found


def figure(name: str, values: Wave, unit: str, better: str = "lower", control: dict[str, float] | None = None) -> Claim:
    """The median and the range of repeated times."""
    spread = (min(values), max(values)) if len(values) > 1 else (math.nan, math.nan)
    median = float(np.median(values))
    return Claim(name, median, *spread, unit, len(values), None, better, control or {})  # type: ignore[arg-type]


def peak() -> float:
    """Most memory that this process ever held [MiB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def preparation(folder: Path, config: Seq2SeqConfig, tier: dict[str, Any]) -> tuple[list[CachedStudy], list[Claim]]:
    """Simulate (not timed) and prepare a cohort, one study at a time."""
    cohort = simulate_brain(
        folder / "sim", subjects=tier["cases"], seed=SEED, spacing=tier["spacing"], sequences=MAIN, workers=CORES
    )
    plan = learn_plan(cohort, MAIN, config.preparation)
    studies: list[CachedStudy] = []
    rates = []
    for name in cohort.studies:
        started = time.perf_counter()
        studies += PreparedCohort(cohort.select([name]), plan).prepare()
        rates.append(60 / (time.perf_counter() - started))
    shape = " × ".join(map(str, studies[0].frame.native.shape))
    name = f"preparation of studies of 4 × {shape}, one process"
    return studies, [figure(name, rates, "cases/min", "higher"), memory("peak memory after preparation")]


def memory(name: str) -> Claim:
    return figure(name, [peak()], "MiB")


def reading(samples: CropSamples, patches: int) -> list[Claim]:
    """Read crops of source and target as training does."""
    numbers = iter(range(patches + 10))
    for _ in range(10):
        samples[next(numbers)]
    milliseconds = 1000 * np.array(timed(lambda: samples[next(numbers)], patches))
    median, late = np.percentile(milliseconds, [50, 95])
    what = f"reading a training sample, {samples.size[1]} × {samples.size[0]}"
    return [
        Claim(f"{what}, median", float(median), math.nan, math.nan, "ms", patches, None, "lower"),
        Claim(f"{what}, 95th percentile", float(late), math.nan, math.nan, "ms", patches, None, "lower"),
    ]


def filled(image: Tensor, crop: int) -> Tensor:
    """The image at exactly `crop` × `crop`, set in background (a mask: in what is covered) where it is smaller."""
    height, width = image.shape[-2:]
    return functional.pad(image, (0, crop - width, 0, crop - height), value=image.dtype == torch.bool or BACKGROUND)


def computing(task: Seq2SeqTask, preset: str, steps: int, crop: int) -> list[Claim]:
    """Training steps and all pairs of one stack of slices, and their largest costs."""
    objective, network = task.objective, task.network
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    batch = task.collate([task.samples[0]])
    batch |= {name: filled(batch[name], crop) for name in batch if name.startswith(("source", "target"))}
    stack = batch["source"]
    size = " × ".join(map(str, stack.shape[1:]))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        objective(batch)["loss"].backward()
        optimizer.step()

    @torch.inference_mode()
    def pairs() -> None:
        numbers = [torch.tensor([number]) for number in range(len(MAIN))]
        kernels = [network.target(number) for number in numbers]
        for number in numbers:
            latent = network.encode(stack, network.source(number))
            for own in kernels:
                network.decode(latent, own)

    assert isinstance(objective, Seq2SeqObjective)
    claims = []
    for name, work in (("training step", step), ("all 16 pairs of 4 sequences", pairs)):
        network.train(work is step)
        work()
        claims.append(figure(f"{name}, {preset}, {size}", timed(work, steps), "s"))
        claims += costs(name, work)
        claims.append(memory(f"peak memory after: {name}"))
    return claims


def costs(name: str, work: Callable[[], object]) -> list[Claim]:
    """The operations that take most of the time by themselves, as shares."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        work()
    events = sorted(profiler.key_averages(), key=lambda event: event.self_cpu_time_total, reverse=True)
    total = sum(event.self_cpu_time_total for event in events)
    return [
        Claim(
            f"{name}: share of {event.key} ({event.count} calls)",
            100 * event.self_cpu_time_total / total,
            math.nan,
            math.nan,
            "%",
            1,
            None,
            "lower",
        )
        for event in events[:COSTS]
    ]


def measure(tier: dict[str, Any], folder: Path) -> list[Claim]:
    config: Seq2SeqConfig = PRESETS[tier["preset"]]
    studies, claims = preparation(folder, config, tier)
    crop = config.sampling.model_copy(update={"crop": (tier["crop"], tier["crop"])})
    task = Seq2SeqTask(config.model_copy(update={"sampling": crop}), MAIN, studies, [])
    claims += reading(task.samples, tier["patches"])
    return claims + computing(task, tier["preset"], tier["steps"], tier["crop"])


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    torch.set_num_threads(CORES)
    with tempfile.TemporaryDirectory() as folder:
        claims = measure(TIERS[arguments.tier], Path(folder))
    write_results("seq2seq_throughput", arguments, [SEED], claims)


if __name__ == "__main__":
    main()
