"""Exported files: what they compute, and what they cost on this machine.

1. Every system that can be exported: a small run of each on simulated studies, its file beside the run on the studies
   that it learnt from, largest difference in shares of the output's range. Bar: 1e-4.
2. int8: a network of Classify fitted to real chest films of 28 × 28 pixels, in fp32 and in int8; accuracy on the test
   films. Bar: int8 at most 1 point below.
3. A ResNet-18 on films of 224 × 224, whole and with 70 % of its multiply-adds cut, by turns and each in new processes:
   time of a pass, size of the file, memory above that of the empty runtime, on 1 and 2 threads. Weights are those of a
   step of training: they change no figure here. Bars: 2 times as fast, half of the file, 0.7 of the memory.

Bars are those of the issue. Intervals of times are over rounds, drawn again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from betarank_fits import PNEUMONIA, cohort_of
from common import Claim, benchmark_arguments, silent, write_results

import scanweave as sw
from scanweave.devices import Figures, measure_device
from scanweave.errors import ScanweaveError
from scanweave.exported_models import open_model
from scanweave.exporting import export
from scanweave.measures.bootstrap import bootstrap
from scanweave.pruning import prune
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import make_splits, write_splits

SEED, EXACT, POINT = 0, 1e-4, -0.01
FASTER, SMALLER, LEANER, LEFT = 2.0, 0.5, 0.7, 0.3
NONE = (float("nan"), float("nan"))
FEW: dict[str, Any] = {
    "training.steps": 2,
    "training.warm_up": 0,
    "training.validate_every": 2,
    "training.device": "cpu",
    "training.workers": 0,
    "training.seed": SEED,
}
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"systems": ("classify",), "most": 60, "steps": 4, "size": 64, "passes": 2, "rounds": 2, "threads": (1,)},
    "proof": {"systems": None, "most": None, "steps": 600, "size": 224, "passes": 20, "rounds": 7, "threads": (1, 2)},
    "study": {
        "systems": None,
        "most": None,
        "steps": 1500,
        "size": 224,
        "passes": 100,
        "rounds": 15,
        "threads": (1, 2),
    },
}


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        claims = [*exact(folder, tier), *integers(folder, tier), *on_device(folder, tier)]
    write_results("export", arguments, (SEED,), claims)


def exact(folder: Path, tier: dict[str, Any]) -> Iterator[Claim]:
    """Yield how far the file of each system is from its run."""
    for name, make in SYSTEMS.items():
        if tier["systems"] is not None and name not in tier["systems"]:
            continue
        own = folder / name
        own.mkdir()
        run = make(own)
        word = f"{name}: largest difference from the run, of the output's range"
        try:
            made = export(run.run.folder, own / "model.onnx", say=silent)
        except ScanweaveError as error:  # export itself refuses what is off by more
            print(f"{name}: {error}", flush=True)
            yield Claim(word, 1.0, *NONE, "", 0, EXACT, "lower")
            continue
        size = made.path.stat().st_size / 2**20
        yield Claim(word, made.difference, *NONE, "", made.studies, EXACT, "lower", {"MiB": size})


def integers(folder: Path, tier: dict[str, Any]) -> Iterator[Claim]:
    """Yield what int8 costs in accuracy on real films."""
    own = folder / "int8"
    own.mkdir()
    cohort = cohort_of(PNEUMONIA, own, SEED, {"most": tier["most"]})
    config = {**FEW, "network.width": 0.25, "training.steps": tier["steps"], "training.validate_every": tier["steps"]}
    run: Any = sw.fit("classify", cohort, own / "run", preset="small", config=config, say=silent)
    tested = list(cohort.part("test"))
    truth = np.array([int(study.labels[run.plan.labels[0]]) for study in tested])
    threshold = run.points[run.plan.outputs[1]].threshold
    right, sizes = {}, {}
    for name, small in (("fp32", False), ("int8", True)):
        made = export(run.run.folder, own / f"{name}.onnx", int8=small, say=silent)
        file: Any = open_model(made.path)
        called = np.array([file.probabilities(study)[1] >= threshold for study in tested])
        right[name], sizes[f"{name} MiB"] = (called == (truth == 1)).astype(float), made.path.stat().st_size / 2**20
    change = right["int8"] - right["fp32"]
    found = bootstrap(change, [str(number) for number in range(len(change))], seed=SEED)
    shown = {name: float(values.mean()) for name, values in right.items()} | sizes
    word = "accuracy of int8 less that of fp32, real chest films"
    yield Claim(word, found.value, found.low, found.high, "", len(change), POINT, "higher", shown)


def on_device(folder: Path, tier: dict[str, Any]) -> Iterator[Claim]:
    """Yield what pruning spares on this machine."""
    figures = measure_device(
        pruned_and_whole(folder / "device", tier["size"]), tier["threads"], tier["passes"], tier["rounds"]
    )
    for small, whole in zip(figures[::2], figures[1::2], strict=True):
        yield from _spared(small, whole, tier["rounds"])


def pruned_and_whole(folder: Path, size: int) -> list[Path]:
    """Return files of a ResNet-18 on films of that size, with most of its work cut and whole."""
    cohort = split(sw.simulate_films(folder / "films", subjects=24, seed=SEED, size=256, findings=("effusion",)))
    config = {**FEW, "network.encoder": "resnet18", "network.width": 1.0, "network.size": [size, size]}
    config |= {"network.small_images": False}
    run: Any = sw.fit("classify", cohort, folder / "whole", preset="small", config=config, say=silent)
    prune(run.run.folder, folder / "pruned", flops=LEFT, ranking="l1", steps=1, device="cpu", say=silent)
    return [export(folder / name, folder / f"{name}.onnx", say=silent).path for name in ("pruned", "whole")]


def _spared(small: Figures, whole: Figures, rounds: int) -> Iterator[Claim]:
    at = f"ResNet-18, 70 % cut, {small.threads} thread{'s' * (small.threads > 1)}"
    times = {
        "pruned, median ms": small.median,
        "whole": whole.median,
        "pruned, p95": small.p95,
        "whole, p95": whole.p95,
    }
    yield Claim(f"{at}: times as fast", whole.times, whole.low, whole.high, "", rounds, FASTER, "higher", times)
    sizes = {"pruned, MiB": small.size, "whole": whole.size}
    yield Claim(f"{at}: file", small.size / whole.size, *NONE, "", 1, SMALLER, "lower", sizes)
    held = {"pruned, MiB": small.memory, "whole": whole.memory}
    yield Claim(f"{at}: memory", small.memory / whole.memory, *NONE, "", rounds, LEANER, "lower", held)


def split(cohort: Cohort) -> Cohort:
    """Return a cohort divided into folds."""
    write_splits(cohort.folder, make_splits(cohort.patients, 4, seed=SEED))
    return Cohort.open(cohort.folder)


def _fit(system: str, cohort: Cohort, folder: Path, preset: str, **config: Any) -> Any:
    return sw.fit(system, cohort, folder / "run", preset=preset, config={**FEW, **config}, say=silent)


def _films(folder: Path) -> Cohort:
    return split(sw.simulate_films(folder / "c", subjects=16, seed=SEED, size=128, findings=("effusion",)))


def _brains(folder: Path) -> Cohort:
    return split(sw.simulate_brain(folder / "c", subjects=8, seed=SEED, spacing=4.0, sequences=("t1", "t2", "flair")))


def _livers(folder: Path) -> Cohort:
    return split(sw.simulate_tumours(folder / "c", subjects=8, seed=SEED, spacing=6.0, tumours=0.6))


def _counts(folder: Path) -> Cohort:
    return split(sw.simulate_ct(folder / "c", subjects=8, seed=SEED, size=64, views=60, photons=3e3))


def _reported(folder: Path, simulate: Callable[..., Cohort], **about: Any) -> Cohort:
    images = simulate(folder / "images", subjects=16, seed=SEED, **about)
    return split(sw.simulate_reports(images, folder / "c", seed=SEED))


def _freetumor(folder: Path) -> Any:
    stages = {"judge.steps": 2, "judge.warm_up": 0, "judge.validate_every": 2, "generator.training.steps": 2}
    few = {name: value for name, value in FEW.items() if name != "training.workers"}
    config = {**few, **stages, "network.patch": [32, 32, 32]}
    return sw.fit("freetumor", _livers(folder), folder / "run", preset="small", config=config, say=silent)


SEGMENTED = {"network.patch": [32, 32, 32], "mask": ["tumours"]}
FILM = {"size": 128, "findings": ("effusion", "nodule")}
SYSTEMS: dict[str, Callable[[Path], Any]] = {
    "classify": lambda f: _fit("classify", _films(f), f, "small"),
    "classify, DenseNet-121": lambda f: _fit("classify", _films(f), f, "chexnet", **{"training.batch_size": 4}),
    "segment": lambda f: _fit("segment", _livers(f), f, "small", **SEGMENTED),
    "freetumor": _freetumor,
    "seq2seq": lambda f: _fit("seq2seq", _brains(f), f, "small"),
    "ultra": lambda f: _fit("ultra", _counts(f), f, "small"),
    "mim": lambda f: _fit("mim", _brains(f), f, "small", **{"training.batch_size": 2}),
    "mgca": lambda f: _fit("mgca", _reported(f, sw.simulate_films, **FILM), f, "small"),
    "mg3d": lambda f: _fit("mg3d", _reported(f, sw.simulate_bodies, spacing=8.0), f, "small"),
}
"""How a small run of each comes about."""


if __name__ == "__main__":
    main()
