"""How fast graphs and rounds are, against the released code's loops (`--reference CLONE`), and how they grow.

One graph of one column, and one boosting round: every candidate of four columns and four levels built and trained for
ten epochs, all on one thread; the released round is 16 times one of its graphs, built and trained. The bars are those
of the issue: 50 times the reference at 2 000 patients; growth from 10 000 to 100 000 near n log n; 100 000 patients and
40 columns fitted within 8 GiB.
"""

from __future__ import annotations

import importlib.util
import math
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import Claim, benchmark_arguments, write_results

from scanweave.systems.adamedgraph.classifier import AdaMedGraphClassifier
from scanweave.systems.adamedgraph.intervals import candidate_thresholds, interval_graph
from scanweave.systems.adamedgraph.propagation import GraphBatch, propagate

TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"sizes": (100,), "growth": (500, 2_000), "large": None, "seeds": (0,)},
    "proof": {"sizes": (400, 2_000), "growth": (10_000, 100_000), "large": 20_000, "seeds": (0,)},
    "study": {"sizes": (400, 2_000, 10_000), "growth": (10_000, 100_000), "large": 100_000, "seeds": (0,)},
}
COLUMNS, CLASSES, EPOCHS, LEVELS = 4, 3, 10, (0.5, 0.25, 0.125, 0.0625)


def main() -> None:
    clone = {"type": Path, "default": None, "metavar": "CLONE", "help": "clone of SereneLian/AdaMedGraph"}
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS), reference=clone)
    tier = TIERS[arguments.tier]
    torch.set_num_threads(1)
    released = None if arguments.reference is None else reference(arguments.reference)
    claims = [claim for size in tier["sizes"] for claim in against(size, released)]
    claims.append(growth(*tier["growth"]))
    if tier["large"]:
        claims += whole_fit(tier["large"])
    extra = "" if arguments.reference is None else "--reference CLONE"
    write_results("adamedgraph_speed", arguments, tier["seeds"], claims, extra)


def reference(clone: Path) -> Any:
    """The released module, loaded from its file."""
    spec = importlib.util.spec_from_file_location("released", clone / "model" / "ada_med_graph.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table_of(size: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Patients and classes that the first column tells."""
    rng = np.random.default_rng([size, columns])
    target = np.arange(size) % CLASSES
    matrix = rng.normal(size=(size, columns))
    matrix[:, 0] += target
    return matrix, target


def seconds(work: Callable[[], Any], repeats: int = 3) -> float:
    """The least time of some runs [s]."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def against(size: int, released: Any) -> list[Claim]:
    """One graph and one round at a size, and how many times faster than the released code."""
    matrix, target = table_of(size, COLUMNS)
    level = candidate_thresholds(matrix[:, 0], (0.125,), np.ones(size))[0.125]
    options = {"rounds": 1, "epochs": EPOCHS, "levels": LEVELS, "teleports": (0.1,), "finalists": None}
    model = AdaMedGraphClassifier(**options, validation_fraction=0, search_rows=size)
    mine = {
        "one graph": seconds(lambda: interval_graph(matrix[:, 0], level)),
        "one round": seconds(lambda: model.fit(matrix, target), 1),
    }
    theirs = {} if released is None else released_seconds(released, matrix, target, level)
    claims = []
    for name, value in mine.items():
        control = {"released code [s]": theirs[name], "here [s]": value} if theirs else {"here [s]": value}
        ratio = theirs[name] / value if theirs else math.nan
        bar = 50.0 if theirs and size == 2_000 else None
        claims.append(
            Claim(f"{name}, n = {size}: times as fast", ratio, math.nan, math.nan, "×", 1, bar, "higher", control)
        )
    return claims


def released_seconds(released: Any, matrix: np.ndarray, target: np.ndarray, level: float) -> dict[str, float]:
    """The released loops: one graph, and a round of 16 such graphs with ten epochs of the same network each."""
    names = [f"c{i}" for i in range(COLUMNS)]
    table = pd.DataFrame(matrix, columns=names).assign(y=target)
    start = time.perf_counter()
    graph = released.age_graph_bulider(table, "y", names, "c0", level)
    built = time.perf_counter() - start
    network = released.APPNP_model(COLUMNS, 16, CLASSES, k=5, alpha=0.1)
    optimiser = torch.optim.Adam(network.parameters())
    start = time.perf_counter()
    for _ in range(EPOCHS):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(graph["x"], graph["edge_index"]), graph["y"]).backward()
        optimiser.step()
    trained = time.perf_counter() - start
    return {"one graph": built, "one round": COLUMNS * len(LEVELS) * (built + trained)}


def growth(small: int, large: int) -> Claim:
    """Time of graph and propagation at two sizes, over what n log n says; 1 is n log n, 10 would be n²."""
    times = []
    for size in (small, large):
        matrix, _ = table_of(size, 1)
        level = candidate_thresholds(matrix[:, 0], (0.125,), np.ones(size))[0.125]
        start, share = torch.zeros(1, CLASSES, size, dtype=torch.float64), torch.tensor([0.1], dtype=torch.float64)

        def work(matrix: Any = matrix, level: float = level, start: Any = start, share: Any = share) -> None:
            propagate(start, GraphBatch.of([interval_graph(matrix[:, 0], level)]), share, 5)

        times.append(seconds(work))
    excess = times[1] / times[0] / (large * math.log(large) / (small * math.log(small)))
    shown = {f"n = {small} [s]": times[0], f"n = {large} [s]": times[1]}
    return Claim("graph and propagation: growth over n log n", excess, math.nan, math.nan, "×", 1, 2.0, "lower", shown)


def whole_fit(size: int) -> list[Claim]:
    """A fit with 40 columns: time, and the largest memory of this process so far."""
    matrix, target = table_of(size, 40)
    torch.set_num_threads(2)
    taken = seconds(lambda: AdaMedGraphClassifier().fit(matrix, target), 1)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return [
        Claim(f"fit of {size} patients × 40 columns", taken, math.nan, math.nan, "s", 1, None, "lower"),
        Claim(f"its peak memory, n = {size}", memory, math.nan, math.nan, "GiB", 1, 8.0, "lower"),
    ]


if __name__ == "__main__":
    main()
