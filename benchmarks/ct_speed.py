"""Speed and memory of the projector, in one run beside deepinv, ASTRA on the CPU and scikit-image.

256² pixels by 180 parallel views over 180°; float32. In a round every implementation takes its turn, so that a busy
machine slows all of them; a ratio is that of one round, the claim their median and range. Operators are built, loops
compiled and each run once before the first round. ASTRA's figure is the faster of its `linear` (Joseph) and `line`
(Siddon) projectors, with data handed over as arrays, as ours are. deepinv's adjoint is its exact one, by
back-propagation. Scikit-image has no exact adjoint: its unfiltered `iradon` stands for it. The memory is the peak of a
process that projects 512² pixels to 720 views and back, libraries and all.
"""

from __future__ import annotations

import math
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from common import Claim, benchmark_arguments, write_results
from skimage.transform import iradon, radon

from scanweave.external import require
from scanweave.physics.ct.geometry import CtGeometry, ParallelGeometry, even_angles
from scanweave.physics.ct.projector import Projector

TIERS = {
    "smoke": {"size": 64, "views": 30, "large": (96, 60), "rounds": 2},
    "proof": {"size": 256, "views": 180, "large": (512, 720), "rounds": 7},
    "study": {"size": 512, "views": 360, "large": (512, 720), "rounds": 21},
}
BINS = 8
SEED = 0
OURS, BAR_DEEPINV, BAR_BINS, BAR_ASTRA, BAR_BYTES = "ours", 2.0, 5.0, 1.0, 2 * 2**30
Task = Callable[[], Any]


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    size, rounds = tier["size"], tier["rounds"]
    geometry = ParallelGeometry.covering((size, size), 1.0, even_angles(tier["views"]))
    memory, seconds = large_scan(*tier["large"])
    claims = speed_claims(geometry, rounds)
    nan = float("nan")
    control = {"forward [s]": seconds[0], "adjoint [s]": seconds[1]}
    what = f"peak memory of a process, {tier['large'][0]}² × {tier['large'][1]}"
    claims.append(Claim(what, memory / 2**20, nan, nan, "MiB", 1, BAR_BYTES / 2**20, "lower", control))
    write_results("ct_speed", arguments, [SEED], claims)


def speed_claims(geometry: CtGeometry, rounds: int) -> list[Claim]:
    claims = []
    for bins, name in ((1, "one image"), (BINS, f"{BINS} bins")):
        for direction, tasks in make_tasks(geometry, bins).items():
            times = measure(tasks, rounds)
            bars = {"deepinv": BAR_DEEPINV if bins == 1 else BAR_BINS, "ASTRA": BAR_ASTRA, "scikit-image": None}
            for rival, bar in bars.items():
                claims.append(ratio_claim(f"{rival} over ours, {direction}, {name}", times, rival, bar))
    return claims


def ratio_claim(name: str, times: dict[str, list[float]], rival: str, bar: float | None) -> Claim:
    """Return the median of the rounds' ratios; ASTRA's is that of its faster projector."""
    rivals = [name for name in times if name.startswith(rival)]
    fastest = min(rivals, key=lambda name: statistics.median(times[name]))
    ratios = [theirs / ours for theirs, ours in zip(times[fastest], times[OURS], strict=True)]
    control = {f"{one} [ms]": 1000 * statistics.median(times[one]) for one in (OURS, *rivals)}
    return Claim(name, statistics.median(ratios), min(ratios), max(ratios), "×", len(ratios), bar, "higher", control)


def measure(tasks: dict[str, Task], rounds: int) -> dict[str, list[float]]:
    """Return each task's seconds in each round, taken in turn."""
    for task in tasks.values():
        task()
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            times[name].append(time.perf_counter() - start)
    return times


def make_tasks(geometry: CtGeometry, bins: int) -> dict[str, dict[str, Task]]:
    """Return what is to be timed, by direction and implementation."""
    image = torch.rand(1, bins, *geometry.shape, generator=torch.Generator().manual_seed(SEED))
    projector = Projector(geometry)
    walk = Projector(geometry, memory_limit=0)
    sinogram = projector.forward(image)
    forward: dict[str, Task] = {OURS: lambda: projector.forward(image)}
    adjoint: dict[str, Task] = {OURS: lambda: projector.adjoint(sinogram)}
    forward["our on-the-fly kernel"] = lambda: walk.forward(image)
    adjoint["our on-the-fly kernel"] = lambda: walk.adjoint(sinogram)
    for rival in (deepinv_tasks, astra_tasks, skimage_tasks):
        for name, (one, other) in rival(geometry, image, sinogram).items():
            forward[name], adjoint[name] = one, other
    return {"forward": forward, "adjoint": adjoint}


def deepinv_tasks(geometry: CtGeometry, image: torch.Tensor, sinogram: torch.Tensor) -> dict[str, tuple[Task, Task]]:
    """Return `Tomography` at its fastest, all views at once; its detector has the pixels of the image's diagonal."""
    physics = require("deepinv.physics", "ct").Tomography(
        angles=torch.tensor(geometry.angles),
        img_width=geometry.shape[0],
        parallel_computation=True,
        adjoint_via_backprop=True,
        normalize=False,
    )
    measured = torch.rand(physics.A(image).shape, generator=torch.Generator().manual_seed(SEED))
    return {"deepinv": (lambda: physics.A(image), lambda: physics.A_adjoint(measured))}


def astra_tasks(geometry: CtGeometry, image: torch.Tensor, sinogram: torch.Tensor) -> dict[str, tuple[Task, Task]]:
    astra = require("astra", "astra")
    volume = astra.create_vol_geom(*geometry.shape)
    beams = astra.create_proj_geom("parallel", geometry.pitch, geometry.detectors, np.deg2rad(geometry.angles))
    images, sinograms = image[0].numpy(), sinogram[0].numpy()
    tasks = {}
    for model in ("linear", "line"):
        operator = astra.OpTomo(astra.create_projector(model, beams, volume))
        tasks[f"ASTRA {model}"] = (
            lambda a=operator: [a.FP(one) for one in images],
            lambda a=operator: [a.BP(one) for one in sinograms],
        )
    return tasks


def skimage_tasks(geometry: CtGeometry, image: torch.Tensor, sinogram: torch.Tensor) -> dict[str, tuple[Task, Task]]:
    images, angles, size = image[0].numpy(), np.asarray(geometry.angles), geometry.shape[0]
    width = math.ceil(math.sqrt(2) * size)
    measured = np.random.default_rng(SEED).random((len(images), width, len(angles)), np.float32)
    return {
        "scikit-image": (
            lambda: [radon(one, angles, circle=False) for one in images],
            lambda: [iradon(one, angles, output_size=size, filter_name=None, circle=False) for one in measured],
        )
    }


def large_scan(size: int, views: int) -> tuple[int, tuple[float, float]]:
    """Return the peak memory [bytes] of a fresh process that projects a large scan, and its seconds each way."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(project_large, size, views).result()


def project_large(size: int, views: int) -> tuple[int, tuple[float, float]]:
    projector = Projector(ParallelGeometry.covering((size, size), 1.0, even_angles(views)))
    Projector(ParallelGeometry.covering((8, 8), 1.0, even_angles(4)), memory_limit=0).forward(torch.ones(8, 8))
    start = time.perf_counter()
    sinogram = projector.forward(torch.ones(size, size))
    middle = time.perf_counter()
    projector.adjoint(sinogram)
    seconds = middle - start, time.perf_counter() - middle
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, seconds


if __name__ == "__main__":
    main()
