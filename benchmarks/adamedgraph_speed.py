"""Time of graphs and rounds, against the released code's loops (`--reference CLONE`), and their growth.

A round is every graph of four columns and four levels, each with ten epochs of the same network; the released one is
its own `best_appnp`, unchanged, timed as a whole. Both take thresholds from quantiles of the values, of columns that
are even on [0, 1]: so both make the same graphs, sparser than those of bell-shaped columns would be, which spares the
released code. Where its round would take hours, its sparsest graph is built and trained once, and 16 of these are a
lower bound of the round. All of it runs on one thread. The bars are those of the issue: 50 times the reference at
2 000 patients; growth from 10 000 to 100 000 near n log n; 100 000 patients and 40 columns fitted within 8 GiB.
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
from common import Claim, benchmark_arguments, one_thread_each, write_results

from scanweave.systems.adamedgraph.classifier import AdaMedGraphClassifier
from scanweave.systems.adamedgraph.intervals import candidate_thresholds, interval_graph
from scanweave.systems.adamedgraph.propagation import GraphBatch, propagate

TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"rounds": (100,), "graphs": (150,), "growth": (500, 2_000), "large": None},
    "proof": {"rounds": (400, 2_000), "graphs": (10_000,), "growth": (10_000, 100_000), "large": 100_000},
    "study": {"rounds": (400, 2_000, 4_000), "graphs": (10_000,), "growth": (10_000, 100_000), "large": 100_000},
}
COLUMNS, CLASSES, EPOCHS, HIDDEN, STEPS, TELEPORT, RATE = 4, 3, 10, 16, 5, 0.1, 0.03
LEVELS = (0.5, 0.25, 0.125, 0.0625)


def main() -> None:
    clone = {"type": Path, "default": None, "metavar": "CLONE", "help": "clone of SereneLian/AdaMedGraph"}
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS), reference=clone)
    tier = TIERS[arguments.tier]
    torch.set_num_threads(1)
    released = None if arguments.reference is None else reference(arguments.reference)
    claims = [claim for size in tier["rounds"] for claim in against(size, released, whole=True)]
    claims += [claim for size in tier["graphs"] for claim in against(size, released, whole=False)]
    claims.append(growth(*tier["growth"]))
    if tier["large"]:
        with one_thread_each(1) as pool:  # a process of its own: its peak memory is that of the fit
            claims += pool.submit(whole_fit, tier["large"]).result()
    extra = "" if arguments.reference is None else "--reference CLONE"
    write_results("adamedgraph_speed", arguments, (0,), claims, extra)


def reference(clone: Path) -> Any:
    """The released module, loaded from its file."""
    spec = importlib.util.spec_from_file_location("released", clone / "model" / "ada_med_graph.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    released_round(module, *even_table(60))  # what is loaded at first use is not part of any figure
    return module


def bell_table(size: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Patients and classes that the first column tells."""
    rng = np.random.default_rng([size, columns])
    target = np.arange(size) % CLASSES
    matrix = rng.normal(size=(size, columns))
    matrix[:, 0] += target
    return matrix, target


def even_table(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The same with columns even on [0, 1], as large as the released code scales them."""
    rng = np.random.default_rng([size, 1])
    target = np.arange(size) % CLASSES
    matrix = rng.random((size, COLUMNS))
    matrix[:, 0] = (matrix[:, 0] + target) / CLASSES
    return matrix, target


def seconds(work: Callable[[], Any], repeats: int = 3) -> float:
    """The least time of some runs [s]."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def against(size: int, released: Any, *, whole: bool) -> list[Claim]:
    """One graph and one round at a size, and how many times faster than the released code."""
    matrix, target = even_table(size)
    level = candidate_thresholds(matrix[:, 1], LEVELS[-1:], np.ones(size), of_values=True)[LEVELS[-1]]
    model = AdaMedGraphClassifier(
        rounds=1,
        levels=LEVELS,
        teleports=(TELEPORT,),
        steps=STEPS,
        hidden=HIDDEN,
        epochs=EPOCHS,
        learning_rate=RATE,
        thresholds="values",
        finalists=None,
        validation_fraction=0,
        search_rows=size,
    )
    mine = {
        "sparsest graph": seconds(lambda: interval_graph(matrix[:, 1], level)),
        "one round": seconds(lambda: model.fit(matrix, target)),
    }
    theirs: dict[str, float] = {}
    if released is not None:
        theirs["sparsest graph"], trained = released_graph(released, matrix, target, level)
        at_least = COLUMNS * len(LEVELS) * (theirs["sparsest graph"] + trained)
        theirs["one round"] = released_round(released, matrix, target) if whole else at_least
    bound = "" if whole else " at least, released round ≥ 16 of its sparsest graph built and trained"
    claims = []
    for name, value in mine.items():
        control = {"released code [s]": theirs[name], "here [s]": value} if theirs else {"here [s]": value}
        ratio = theirs[name] / value if theirs else math.nan
        bar = 50.0 if theirs and size == 2_000 else None
        words = f"{name}, n = {size}: times as fast{bound if name == 'one round' else ''}"
        claims.append(Claim(words, ratio, math.nan, math.nan, "×", 1, bar, "higher", control))
    return claims


def released_round(released: Any, matrix: np.ndarray, target: np.ndarray) -> float:
    """The released round: 16 graphs built and trained by its own loops [s]."""
    ensemble, weights = released_ensemble(released, matrix, target)
    return seconds(lambda: ensemble.best_appnp(*weights, None), 1)


def released_graph(released: Any, matrix: np.ndarray, target: np.ndarray, level: float) -> tuple[float, float]:
    """One of its graphs, built and then trained [s]."""
    ensemble, weights = released_ensemble(released, matrix, target)
    built: list[Any] = []

    def build() -> None:
        built.append(released.age_graph_bulider(ensemble.data, "y", ensemble.features, "c1", level))

    return seconds(build, 1), seconds(lambda: ensemble.train_single_appnp(built[0], *weights, None), 1)


def released_ensemble(released: Any, matrix: np.ndarray, target: np.ndarray) -> tuple[Any, list[np.ndarray]]:
    """Its ensemble with our sizes, and weights of training, validation and test patients, 3 : 1 : 1."""
    names = [f"c{i}" for i in range(matrix.shape[1])]
    table = pd.DataFrame(matrix, columns=names).assign(y=target)
    part = np.random.default_rng(0).permutation(len(target)) % 5
    parts = [np.flatnonzero(part < 3), np.flatnonzero(part == 3), np.flatnonzero(part == 4)]
    ensemble = released.AdaGNN(
        table,
        "y",
        names,
        names,
        *parts,
        hid_dim=HIDDEN,
        dropout=0.0,
        k=STEPS,
        alpha=TELEPORT,
        total_epoch=EPOCHS,
        single_lr=RATE,
        threshods=list(LEVELS),
        early_stopping=0,
    )
    ensemble.device = torch.device("cpu")
    return ensemble, [np.full(len(rows), 1 / len(rows)) for rows in parts]


def growth(small: int, large: int) -> Claim:
    """Time of graph and propagation at two sizes, over what n log n says; 1 is n log n, 10 would be n²."""
    times = []
    for size in (small, large):
        matrix, _ = bell_table(size, 1)
        level = candidate_thresholds(matrix[:, 0], (0.125,), np.ones(size))[0.125]
        start, share = torch.zeros(1, CLASSES, size, dtype=torch.float64), torch.tensor([0.1], dtype=torch.float64)

        def work(matrix: Any = matrix, level: float = level, start: Any = start, share: Any = share) -> None:
            propagate(start, GraphBatch.of([interval_graph(matrix[:, 0], level)]), share, 5)

        times.append(seconds(work))
    excess = times[1] / times[0] / (large * math.log(large) / (small * math.log(small)))
    shown = {f"n = {small} [s]": times[0], f"n = {large} [s]": times[1]}
    return Claim("graph and propagation: growth over n log n", excess, math.nan, math.nan, "×", 1, 2.0, "lower", shown)


def whole_fit(size: int) -> list[Claim]:
    """A fit with 40 columns and the default settings, on one thread: time, and the largest memory of this process."""
    matrix, target = bell_table(size, 40)
    taken = seconds(lambda: AdaMedGraphClassifier().fit(matrix, target), 1)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return [
        Claim(f"fit of {size} patients × 40 columns", taken, math.nan, math.nan, "s", 1, None, "lower"),
        Claim(f"its peak memory, n = {size}", memory, math.nan, math.nan, "GiB", 1, 8.0, "lower"),
    ]


if __name__ == "__main__":
    main()
